"""One simplest failure for each origin, the others counted.

A mistake shows in many runs: at one exit in several obligations, or at several exits in one. Two failures
have one origin where it can be shown, by a run, that what goes wrong is one thing:

- They are at the same exit and about the count returned there (O2 to O5), which one expression computes.
- They are at the same exit, and the simpler of the two runs breaks the other's obligation too.
- One comes after a fault, and the same call without the fault breaks the same obligation at the return: what
  is wrong was wrong before the fault, so it is not the fixup's. Only where the fixup could not be to blame
  by itself: of bytes missing, superfluous or wrong, and of the machine's state (O3, O4, O6, O7).

Failures at different exits are different otherwise: two fixups with the same mistake are to be mended in
two places. The verdict on each obligation at each exit stays what it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import networkx as nx

from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.exits import SUCCESS
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, RoutineResult
from mcverify.proof.trials import Trials
from mcverify.runs.case import Case
from mcverify.witness.again import again_for, trials_of
from mcverify.witness.shrink import aligned_as, simplicity

_COUNT = frozenset(("O2", "O3", "O4", "O5"))
_BEFORE_THE_FAULT = frozenset(("O3", "O4", "O6", "O7"))


def one_each(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> RoutineResult:
    """`result` with one counterexample for each origin, its simplest.

    It names all obligations that its run breaks at its exit, and counts the other cases seen. Past the
    deadline the result comes back as it is.
    """
    if result.contract is None or not result.counterexamples:
        return result
    trials = trials_of(image, result, options, deadline)
    try:
        failures = [_failure(image, trials, c, result.domain.len_max) for c in result.counterexamples]
        groups = _grouped(failures, trials)
    except OutOfTime:
        return result
    chosen = sorted((_merged(group) for group in groups), key=_order)
    return replace(result, counterexamples=tuple(chosen))


@dataclass(frozen=True, slots=True)
class _Failure:
    """A counterexample, and all obligations that its run breaks at its exit."""

    found: Counterexample
    breaks: frozenset[str]


def _failure(image: Image, trials: Trials, found: Counterexample, len_max: int) -> _Failure:
    again = again_for(image, trials, found, len_max)
    shown = again.show(found.case)[1] if again is not None else ()
    here = {failure.obligation for failure in shown if failure.exit == found.exit}
    return _Failure(found, frozenset(here.union(found.obligations)))


def _grouped(failures: Sequence[_Failure], trials: Trials) -> list[list[_Failure]]:
    """The failures by origin."""
    related = nx.Graph()
    related.add_nodes_from(range(len(failures)))
    related.add_edges_from((i, j) for (i, a), (j, b) in combinations(enumerate(failures), 2) if _is_one(a, b))
    for i, without in _without_fault(failures, trials).items():
        related.add_edges_from(
            (i, j)
            for j, other in enumerate(failures)
            if other.found.exit == SUCCESS and not without.isdisjoint(other.found.obligations)
        )
    return [[failures[i] for i in sorted(group)] for group in nx.connected_components(related)]


def _is_one(a: _Failure, b: _Failure) -> bool:
    """Whether two failures at the same exit are one, by what the simpler run breaks."""
    if a.found.exit != b.found.exit:
        return False
    own = set(a.found.obligations), set(b.found.obligations)
    if all(not _COUNT.isdisjoint(obligations) for obligations in own):
        return True
    simpler, other = sorted((a, b), key=lambda f: simplicity(f.found.case))
    return simpler.breaks.issuperset(other.found.obligations)


def _without_fault(failures: Sequence[_Failure], trials: Trials) -> dict[int, frozenset[str]]:
    """By number: which of a failure's obligations the same call breaks, if nothing in it is bad."""
    asked = {
        i: replace(f.found.case, src=aligned_as(f.found.case.src), dst=aligned_as(f.found.case.dst))
        for i, f in enumerate(failures)
        if f.found.exit != SUCCESS and _has_bad_bytes(f.found.case)
    }
    keys = [(obligation, SUCCESS) for obligation in _BEFORE_THE_FAULT]
    broken = trials.broken(list(asked.values()), keys) if asked else []
    return {
        i: frozenset(o for o, _ in there or () if o in failures[i].found.obligations)
        for i, there in zip(asked, broken, strict=True)
    }


def _has_bad_bytes(case: Case) -> bool:
    return case.src.first_bad is not None or case.dst.first_bad is not None


def _merged(group: Sequence[_Failure]) -> Counterexample:
    """The simplest of one origin."""
    simplest = min(group, key=lambda f: simplicity(f.found.case))
    # A case may break several obligations at an exit: it is counted once.
    by_exit: dict[str, int] = defaultdict(int)
    for failure in group:
        by_exit[failure.found.exit] = max(by_exit[failure.found.exit], failure.found.others + 1)
    obligations = sorted(simplest.breaks, key=_number)
    return replace(simplest.found, obligations=tuple(obligations), others=sum(by_exit.values()) - 1)


def _order(found: Counterexample) -> tuple[int, str]:
    return _number(found.obligations[0]), found.exit


def _number(obligation: str) -> int:
    return int(obligation[1:])

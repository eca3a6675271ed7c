"""Whether two revisions of a routine do the same, and where not, on which inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mcverify.deadline import Deadline, OutOfTime
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import EVERYWHERE, RoutineResult, Verdict
from mcverify.review.clobber import scratch
from mcverify.review.differ import ExitName, Pair
from mcverify.review.prove import Progress, Proved
from mcverify.review.result import Behaviour, Relation

_IDENTICAL = Behaviour(Relation.IDENTICAL, "code, table and contract are the same")


def behaviour(
    before: Proved,
    after: Proved,
    exit_name: ExitName,
    options: ProveOptions,
    deadline: Deadline,
    progress: Progress,
) -> Behaviour:
    """How the behaviours of two revisions with different code stand to each other."""
    if before.task.contract is None or after.task.contract is None:
        return Behaviour(Relation.OPEN, "no contract says how it is called")
    if _calling(before) != _calling(after):
        return Behaviour(Relation.OPEN, "their contracts do not call them alike")
    pair = Pair(before, after, exit_name, options.len_max, deadline)
    try:
        found = _compared(pair, before, after, options, deadline, progress)
    except OutOfTime as late:
        found = _seen(pair, str(late))
    old, new = scratch(before), scratch(after)
    return replace(
        found,
        tried=pair.tried,
        beyond=pair.beyond,
        clobbered_before=tuple(sorted(old - new)),
        clobbered_after=tuple(sorted(new - old)),
    )


def identical() -> Behaviour:
    """The relation of two revisions with the same code, table and contract."""
    return _IDENTICAL


def _calling(proved: Proved) -> tuple[object, ...]:
    contract = proved.task.contract
    assert contract is not None
    results = (contract.left, contract.status, contract.trap, contract.loaded_value, contract.size)
    return (*contract.arguments, *results, dict(contract.given), contract.data, proved.task.faults)


def _compared(
    pair: Pair,
    before: Proved,
    after: Proved,
    options: ProveOptions,
    deadline: Deadline,
    progress: Progress,
) -> Behaviour:
    progress("comparing runs")
    if pair.glance():
        pair.grid()
        return _seen(pair)
    from mcverify.review.equivalence import equivalent

    answer = equivalent(before, after, options, deadline, progress)
    if answer.proved:
        pair.check()
        pair.far()
        domain = f"for every len up to {options.len_max:#x}"
        return Behaviour(Relation.EQUIVALENT, f"{answer.why}; {domain}")
    progress("comparing more runs")
    if pair.grid() or pair.closer(answer.hints):
        return _seen(pair)
    if not all(_stays_inside(proved.result) for proved in (before, after)) and pair.outside():
        return _seen(pair)
    pair.far()
    return Behaviour(Relation.OPEN, answer.why)


def _seen(pair: Pair, otherwise: str = "") -> Behaviour:
    if pair.differences:
        return Behaviour(Relation.DIFFERENT, differences=pair.differences)
    return Behaviour(Relation.OPEN, otherwise)


def _stays_inside(result: RoutineResult) -> bool:
    found: Sequence[Verdict] = [o.verdict for o in result.obligations if (o.id, o.exit) == ("O8", EVERYWHERE)]
    return bool(found) and all(verdict is Verdict.PROVED for verdict in found)

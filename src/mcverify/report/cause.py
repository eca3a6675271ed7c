"""Runs that break a routine for one reason, at several exits: one finding with several places.

Each exit has its own run, and may need its own repair (`witness/origins.py`). A reader wants to know how many
mistakes there are: runs are one finding if what goes wrong in them is one thing that can be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import networkx as nx

from mcverify.arch.known import X86_64
from mcverify.proof.result import Counterexample, RoutineResult, TraceStep
from mcverify.report.counterexample import smallest_first
from mcverify.report.words import local, short

_ZERO = re.compile(r"xor\w*\s+%?(?P<register>\w+),\s*%?(?P=register)")
_CONSTANT = re.compile(r"mov\w*\s+\$[^,]+,\s*%?(?P<register>\w+)")
_LAST = re.compile(r"%?(?P<register>\w+)$")
_SHOWN = 6

_Key = tuple[str, ...]


@dataclass(frozen=True)
class Cause:
    """The runs of one finding, the simplest first, and what they have in common ("" for a run alone)."""

    runs: tuple[Counterexample, ...]
    idea: str = ""

    @property
    def exits(self) -> tuple[str, ...]:
        """The exits at which it shows, each once."""
        return tuple(dict.fromkeys(run.exit for run in self.runs))

    @property
    def places(self) -> str:
        """The exits but the first, as a reader says them; "" if there is one alone."""
        others = [short(name) for name in self.exits[1:]]
        more = len(others) - _SHOWN
        return ", ".join(others[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def causes(result: RoutineResult) -> list[Cause]:
    """The findings of a routine, the simplest run first."""
    runs = smallest_first(result.counterexamples)
    keys = [dict(_keys(run, result)) for run in runs]
    alike = nx.Graph()
    alike.add_nodes_from(range(len(runs)))
    for number, own in enumerate(keys):
        alike.add_edges_from((number, other) for other in range(number) if own.keys() & keys[other].keys())
    groups = sorted(sorted(group) for group in nx.connected_components(alike))
    return [_cause([runs[n] for n in group], [keys[n] for n in group]) for group in groups]


def also_at(cause: Cause) -> list[tuple[str, str]]:
    """A labelled line on the other places of a finding, if there are any, for the run told in full."""
    if not cause.places:
        return []
    return [("also at", f"{cause.places} (one mistake in {len(cause.exits)} places): {cause.idea}")]


def also_repaired(cause: Cause) -> list[tuple[str, str]]:
    """A labelled list of the repairs at the other places of a finding, where they are other changes."""
    first, *others = (run.explanation.repair if run.explanation else None for run in cause.runs)
    file = first.where.rpartition(":")[0] if first else ""
    changes = dict.fromkeys(
        f"{local(repair.where, file)}: {_flat(repair.before)} -> {_flat(repair.after)}"
        for repair in others
        if repair is not None and repair != first
    )
    return [("likewise", "\n".join(changes))] if changes else []


def _flat(statements: str) -> str:
    return "; ".join(" ".join(line.split()) for line in statements.splitlines()) or "(nothing)"


def cause_of(result: RoutineResult, run: Counterexample) -> Cause:
    """The finding to which a run of the routine belongs."""
    return next((c for c in causes(result) if any(run is own for own in c.runs)), Cause((run,)))


def _cause(runs: Sequence[Counterexample], keys: Sequence[dict[_Key, str]]) -> Cause:
    if len(runs) == 1:
        return Cause(tuple(runs))
    shared = [key for own in keys for key in own]
    most = max(dict.fromkeys(shared), key=shared.count)
    words = next(own[most] for own in keys if most in own)
    if most == _LOADS:
        words = words.format(max(_pending(run) or (0, 0) for run in runs)[1] + 1)
    return Cause(tuple(runs), words)


# -- what runs may have in common

_LOADS: _Key = ("loads",)


def _keys(run: Counterexample, result: RoutineResult) -> Iterator[tuple[_Key, str]]:
    """What may be the reason of a run, each with its words."""
    why, contract = run.explanation, result.contract
    first = run.obligations[0]
    if contract is None or why is None:
        return
    if contract.left is not None and why.value is not None and why.expected is not None:
        pending = _pending(run)
        if pending is not None and pending[0] and why.expected - why.value == pending[0]:
            yield (
                _LOADS,
                (
                    "{} loads precede their stores, and a fault at any but the first counts those before it"
                    " as copied"
                ),
            )
        if constant := _constant(run, contract.left):
            place = f"{short(constant.where)}: {constant.text}"
            yield ("constant", first, str(constant.address)), f"all of them return what {place} puts there"
    if why.repair is not None:
        changed = (why.repair.where, why.repair.before, why.repair.after)
        yield ("repair", *changed), f"one change at {short(why.repair.where)} repairs them"
    if why.parted:
        yield ("begins", first, why.parted), "the mistake begins at one instruction"


def _pending(run: Counterexample) -> tuple[int, int] | None:
    """Bytes, and loads, of src that were loaded and not stored when the last fault came; None without one."""
    last = next((n for n, step in reversed(list(enumerate(run.trace))) if step.fault is not None), None)
    if last is None:
        return None
    size = count = 0
    for step in run.trace[:last]:
        for access in step.accesses:
            if access.is_store and access.buffer == "dst":
                size = count = 0
            elif not access.is_store and access.buffer == "src":
                size, count = size + access.size, count + 1
    return size, count


def _constant(run: Counterexample, register: str) -> TraceStep | None:
    """The step behind the last fault that writes `register` last, if it puts a constant there."""
    names = X86_64.names_of(register)
    for step in reversed(list(_behind_fault(run.trace))):
        match = _LAST.search(step.text)
        if match and match["register"] in names:
            written = _ZERO.fullmatch(step.text) or _CONSTANT.fullmatch(step.text)
            return step if written else None
    return None


def _behind_fault(trace: Iterable[TraceStep]) -> Iterator[TraceStep]:
    behind = list(trace)
    last = max((n for n, step in enumerate(behind) if step.fault is not None), default=len(behind))
    yield from behind[last + 1 :]

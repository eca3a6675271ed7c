"""Whether each part of a proof, and each obligation of its contract, has a statement of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcverify.check.manifest import Path, Routine
from mcverify.check.statement import Obligation, passed
from mcverify.contract import Contract
from mcverify.scopes import Unanswered, at_return

Of = tuple[str, ...]
"""What a statement is about: its kind, the path (or the number of a touch of the stack), and for an exit the
obligation of the contract, for an access its number on the path."""


def needed(routine: Routine, contract: Contract) -> Iterator[Of]:
    """All that must be stated of a routine before its proof is complete."""
    faulted_at = {location.name for location in routine.locations if location.faulted}
    entries = {location.name for location in routine.locations if location.entry}
    for path in routine.paths:
        accesses = sum(len(step.moved) + (step.fault is not None) for step in path.steps)
        yield from (("footprint", path.name, str(number + 1)) for number in range(accesses))
        if any(step.at in routine.recursive for step in passed(path)):
            yield "recursion", path.name
        if path.end == "location":
            yield ("initiation" if path.source in entries else "consecution"), path.name
        elif path.end == "return":
            yield from _exit(path, contract, faulted=path.faulted or path.source in faulted_at)
        else:
            yield "impossible", path.name
    yield from (("frame", str(number + 1)) for number in range(len(routine.strays)))


def _exit(path: Path, contract: Contract, *, faulted: bool) -> Iterator[Of]:
    for identifier in at_return(contract, faulted=faulted):
        yield "exit", path.name, identifier


def require_answers(routine: Routine, contract: Contract, stated: Iterable[Obligation]) -> None:
    """Raise Unanswered where nothing is stated of what has to be: a bug of mcverify, not of the bundle."""
    missing = set(needed(routine, contract)) - {of for obligation in stated for of in obligation.of}
    if missing:
        raise Unanswered(f"nothing states {' '.join(sorted(missing)[0])} of {routine.title}")

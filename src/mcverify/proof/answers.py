"""Whether each obligation of a contract has its answer, at each thing to which its scope asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mcverify.contract import Contract
from mcverify.machine.instruction import Kind
from mcverify.paths.segment import Ending, Paths, Segment
from mcverify.scopes import Scope, Unanswered, at_return

Question = tuple[str, Scope, int]
"""An obligation, and a thing it is asked of: kind, and number in the list of `Paths`. An end that is not
understood is asked of with the obligation ""."""

LOOPS: Question = ("O9", "loops", 0)
_NO_ENTRY = (Ending.UNCOVERED, Ending.TRAP)


def obligation_of(segment: Segment) -> str:
    """The obligation that a segment which must be impossible breaks; "" if it is one that is not
    understood."""
    if segment.target is Ending.ENDLESS:
        return "O9"
    return "O1" if segment.target in _NO_ENTRY else ""


def questions(paths: Paths, contract: Contract) -> Iterator[Question]:
    """All that must be answered before a routine with these paths is called proved."""
    for number, segment in enumerate(paths.segments):
        if segment.target is Ending.RETURN:
            for identifier in at_return(contract, faulted=segment.faulted):
                yield identifier, "exit", number
        elif isinstance(segment.target, Ending):
            yield obligation_of(segment), "end", number
    yield from (("O8", "access", number) for number in range(len(paths.accesses)))
    yield from (("O7", "frame", number) for number in range(len(paths.strays)))
    yield LOOPS


def require_answers(
    routine: str,
    paths: Paths,
    contract: Contract,
    may_fault: Callable[[int, Kind], bool],
    answered: Iterable[Question],
) -> None:
    """Raise Unanswered where a question has no answer, or an access that may fault has no way on which it
    does; `may_fault` is given the address of its instruction and its kind."""
    asked = tuple(questions(paths, contract))
    missing = set(asked) - set(answered)
    if missing:
        identifier, scope, number = sorted(missing)[0]
        raise Unanswered(
            f"{identifier or 'an end that is not understood'} has no answer for {scope} {number} of {routine}"
        )
    faulting = {(f.access.at, f.access.kind) for s in paths.segments for f in s.faults}
    for point in paths.accesses:
        at, kind = point.transfer.at, point.transfer.kind
        if may_fault(at, kind) and (at, kind) not in faulting:
            raise Unanswered(f"O1 has no answer for the {kind.value} at {at:#x} of {routine}")

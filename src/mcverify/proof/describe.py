"""The rows of the report: every exit, what it serves, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable

import z3

from mcverify.contract import Contract
from mcverify.image.callees import ASSUMED, assumed_at
from mcverify.image.image import Image
from mcverify.machine.state import State
from mcverify.machine.terms import low
from mcverify.paths.explore import Explorer
from mcverify.paths.segment import Ending, Paths, Segment
from mcverify.proof.exits import AFTER_FAULT, SUCCESS, exit_of_fault, exit_of_segment
from mcverify.proof.expression import in_words
from mcverify.proof.result import Exit


def exits(image: Image, paths: Paths, contract: Contract, explorer: Explorer) -> tuple[Exit, ...]:
    """The success exit first, then the fixups in the order of the accesses they serve."""
    returns = [s for s in paths.segments if s.target is Ending.RETURN]
    found: dict[str, Exit] = {}
    for segment in sorted(returns, key=_position):
        identifier = exit_of_segment(image, segment)
        if identifier not in found:
            found[identifier] = _exit(image, identifier, segment, contract, explorer)
        elif segment.faults:
            found[identifier] = _serving(found[identifier], image.where(segment.faults[-1].access.at))
    for identifier, where, access in _entries_without_return(image, paths):
        found.setdefault(identifier, Exit(identifier, identifier, where, access, ""))
    return tuple(found.values())


def _position(segment: Segment) -> tuple[int, int]:
    rank = 1 if segment.faults else 2 if segment.faulted else 0
    return rank, segment.faults[-1].access.at if segment.faults else 0


def _exit(image: Image, identifier: str, segment: Segment, contract: Contract, explorer: Explorer) -> Exit:
    if not segment.faults:
        label = identifier if identifier in (SUCCESS, AFTER_FAULT) else ""
        return Exit(
            identifier,
            label,
            image.where(segment.at),
            "",
            "0" if contract.left and not segment.faulted else "",
        )
    fault = segment.faults[-1]
    if fault.fixup is not None and assumed_at(image, fault.fixup):
        return Exit(identifier, identifier, ASSUMED, ASSUMED, "")
    where = image.where(fault.fixup) if fault.fixup is not None else ""
    count = _count(explorer, fault.access.at, contract)
    return Exit(identifier, identifier, where, image.where(fault.access.at), count)


def _serving(row: Exit, access: str) -> Exit:
    """The row, with one more access that leads to it."""
    if access in row.access.split(", "):
        return row
    return Exit(row.id, row.label, row.where, f"{row.access}, {access}", row.count)


def _count(explorer: Explorer, instruction: int, contract: Contract) -> str:
    """What the fixup of `instruction` returns, over the registers as they are at the fault."""
    if contract.left is None or contract.told != "left":
        return ""
    finals: list[State] = [s.final for s in explorer.fixup_segments(instruction) if s.target is Ending.RETURN]
    texts = {in_words(_count_of(state, contract)) for state in finals}
    return texts.pop() if len(texts) == 1 else ""


def _count_of(state: State, contract: Contract) -> z3.BitVecRef:
    assert contract.left is not None
    return low(state.registers[contract.left], contract.bits("left"))


def _entries_without_return(image: Image, paths: Paths) -> Iterable[tuple[str, str, str]]:
    """Exits of entries that are reached but whose fixup goes back into a loop: they return elsewhere."""
    reached = {f.access.at for s in paths.segments for f in s.faults}
    for entry in image.entries:
        if entry.insn in reached:
            yield exit_of_fault(image, entry.insn), image.where(entry.fixup), image.where(entry.insn)

"""Exception-table entries that cannot do what their author meant: refused, or told beside the verdict."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from mcverify.arch.decoded import Decoded
from mcverify.errors import InputError
from mcverify.image.callees import ASSUMED
from mcverify.image.image import Image, TableEntry
from mcverify.runs.code import accesses_memory, decode, is_model_specific

_LONGEST = 15
"""Bytes of the longest x86 instruction (SDM volume 2, 2.3.11)."""


def refuse_misplaced(image: Image, instructions: Mapping[int, Decoded]) -> None:
    """Raise InputError for an entry in the middle of one of `instructions`.

    The kernel looks for the exact address of the instruction that faulted: such an entry never serves.
    """
    for entry in image.entries:
        around = _around(entry.insn, instructions)
        if around is not None and not entry.ranged:
            raise InputError(
                f"exception-table entry {entry.index} points into the middle of an instruction,"
                f" {entry.insn - around.address} behind the beginning of {around.mnemonic}",
                where=image.where(around.address),
                hint="the kernel looks for where the faulting instruction begins: move the label there",
            )


def serving(image: Image, instructions: Mapping[int, Decoded]) -> set[int]:
    """Addresses of those of `instructions` that have an entry and access memory."""
    return {e.insn for e in image.entries if e.insn in instructions and accesses_memory(image, e.insn)}


def no_copy_routine(image: Image, name: str, start: int, end: int) -> str | None:
    """A sentence on the routine at [`start`, `end`) if its entries are for instructions like rdmsr alone: it
    copies nothing that could fault, and no contract here is about it."""
    insns = [entry.insn for entry in image.entries if start <= entry.insn < end]
    if not insns or not all(is_model_specific(image, insn) for insn in insns):
        return None
    found = (decode(image, insn) for insn in insns)
    names = dict.fromkeys(instruction.mnemonic for instruction in found if instruction is not None)
    return (
        f"{image.path.name}: {name} is no copy routine: what may fault there is {', '.join(names)},"
        " which accesses no memory"
    )


def idle(image: Image, reached: Container[int], served: Container[int]) -> Iterator[TableEntry]:
    """The entries for instructions that are `reached`, not `served`: they access no memory."""
    own = (e for e in image.entries if e.handler.name != ASSUMED and not e.ranged)
    return (e for e in own if e.insn in reached and e.insn not in served)


def no_access(image: Image, entry: TableEntry, instruction: Decoded) -> str:
    """A sentence on such an entry."""
    return f"{_named(image, entry)} is for {instruction.mnemonic}, which does not access memory"


def unreached(image: Image, start: int, end: int, reached: Container[int]) -> Iterator[TableEntry]:
    """The entries for the routine at [`start`, `end`) whose instruction is not `reached`."""
    own = (e for e in image.entries if not e.ranged)
    return (e for e in own if start <= e.insn < end and e.insn not in reached)


def inside(image: Image, instructions: Mapping[int, Decoded]) -> Iterator[str]:
    """Sentences on the entries for `instructions` whose fixup begins inside of another: its bytes are read
    in two ways, which is proved as it stands, but seldom meant."""
    for entry in image.entries:
        around = _beginning_before(entry.fixup, instructions) if entry.insn in instructions else None
        if around is not None:
            behind = entry.fixup - around.address
            yield (
                f"{_named(image, entry)} continues inside of an instruction, {behind} behind the beginning of"
                f" {around.mnemonic} ({image.where(around.address)})"
            )


def never_reached(image: Image, entry: TableEntry) -> str:
    """A sentence on such an entry."""
    return f"{_named(image, entry)} is for an instruction that is never reached"


def ownerless(
    image: Image, routines: Sequence[range], reached: Sequence[Mapping[int, Decoded]]
) -> Iterator[str]:
    """Sentences on the entries that lie in none of the `routines`, nor in code that they reach."""
    for entry in image.entries:
        if entry.ranged:
            continue
        inside = any(entry.insn in routine for routine in routines)
        if not inside and not any(entry.insn in instructions for instructions in reached):
            yield f"{_named(image, entry)} belongs to no routine: nothing is said about it"


def _around(address: int, instructions: Mapping[int, Decoded]) -> Decoded | None:
    """The instruction in whose middle `address` is; None where an instruction begins there."""
    return None if address in instructions else _beginning_before(address, instructions)


def _beginning_before(address: int, instructions: Mapping[int, Decoded]) -> Decoded | None:
    """The instruction that begins before `address` and ends behind it."""
    before = (instructions.get(address - back) for back in range(1, _LONGEST))
    return next((i for i in before if i is not None and address < i.end), None)


def _named(image: Image, entry: TableEntry) -> str:
    return f"{image.where(entry.insn)}: exception-table entry {entry.index}"

"""What the code of a routine is, wherever it lies in its file and whatever its labels."""

from __future__ import annotations

from collections.abc import Iterator

from mcverify.image.image import Image
from mcverify.proof.listing import listing
from mcverify.proof.select import Task
from mcverify.runs.code import decode, effects


def code_of(image: Image, task: Task) -> Iterator[object]:
    """The instructions and table entries by their distance from the entry, symbols outside by name, what a
    relocation or the kernel itself writes into them; all of the image where the code names other addresses
    of it.

    The same bytes may be a number in one file and an address in the other.
    """
    yield image.built, image.linked, image.layout
    lines = listing(image, task.entry)
    own = {line.address for line in lines}
    for line in lines:
        yield line.address - task.entry, line.code
        yield _written_into(image, line.address, len(line.code))
        entry = image.entry_at(line.address)
        if entry is not None:
            yield entry.fixup - task.entry, entry.handler
        done = effects(image, line.address)
        for address in done.names if done is not None else ():
            if address in image.externals:
                yield image.externals[address]
            elif address not in own and image.section_at(address) is not None:
                yield from _whole(image)
        if _is_indirect(image, line.address):
            yield from _whole(image)
    yield [entry.insn - task.entry for entry in image.entries if task.entry <= entry.insn < task.end]


def _written_into(image: Image, address: int, size: int) -> tuple[object, ...]:
    """Where in an instruction an address or a distance is written, and whether the kernel rewrites it as it
    runs."""
    places = ((k, image.relocated.get(address + k)) for k in range(size))
    return (*((k, kind) for k, kind in places if kind is not None), image.rewritten_at(address, size) or "")


def _whole(image: Image) -> Iterator[object]:
    for section in image.sections:
        yield section.name, section.address, section.data, section.executable
    yield sorted(image.relocated.items())


def _is_indirect(image: Image, address: int) -> bool:
    """Whether the instruction goes to where only its operand says."""
    instruction = decode(image, address)
    return instruction is None or instruction.is_indirect

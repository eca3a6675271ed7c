"""The part of a built kernel, or of a module, that one routine needs: its code and what that goes to.

What is left out is no part of the image any more: a way that goes there ends as unknown, with its name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mcverify.arch.decoded import Decoded
from mcverify.image.image import Alternative, Image, Section, SourceLine
from mcverify.image.lines import PLACES, lines_of
from mcverify.image.patch import written
from mcverify.runs.code import decode

_MOST = 2000
"""Instructions that are followed from one routine; its callees are left out from there on."""

_GAP = 64
"""Bytes between instructions that stay with them."""


def focused(image: Image, entry: int) -> Image:
    """The image with what can be reached from `entry` alone, where it is a whole kernel or a module.

    Calls and jumps to functions in the same file are followed; the return thunks (`externals.toml`)
    become externals, for the boot code rewrites what stands there.
    """
    if not image.built or image.focused:
        return image
    walk = _Walk(image)
    walk.from_entry(entry)
    return _cut(image, walk)


def alone(image: Image, start: int, end: int) -> Image:
    """The image of a whole kernel or a module with the code at [`start`, `end`) and nothing else."""
    if not image.built:
        return image
    own = [range(start, end)]
    return replace(
        image,
        sections=tuple(_pieces(image, own, executable=True)),
        symbols=tuple(image.symbols_between(start, end)),
        entries=tuple(e for e in image.entries if start <= e.insn < end),
        alternatives=(),
        focused=True,
    )


@dataclass
class _Walk:
    """What has been reached: instructions as they stand, and as alternatives make them."""

    image: Image
    instructions: dict[int, Decoded] = field(default_factory=dict)
    others: list[Decoded] = field(default_factory=list)
    alternatives: dict[int, Alternative] = field(default_factory=dict)
    externals: dict[int, str] = field(default_factory=dict)
    _waiting: deque[int] = field(default_factory=deque)

    def from_entry(self, entry: int) -> None:
        """Reach everything from `entry`, breadth first."""
        thunks = _thunks(self.image)
        self._waiting.append(entry)
        while self._waiting:
            address = self._waiting.popleft()
            if address in self.instructions or address in self.externals:
                continue
            if address in thunks:
                self.externals[address] = thunks[address]
            elif len(self.instructions) >= _MOST:
                self.externals[address] = self.image.near(address)
            elif (instruction := decode(self.image, address)) is not None:
                self.instructions[address] = instruction
                self._goes_on(instruction)
                self._alternatives_at(instruction)

    def _goes_on(self, instruction: Decoded) -> None:
        self._waiting.extend(instruction.targets)
        entry = self.image.entry_at(instruction.address)
        if entry is not None:
            self._waiting.append(entry.fixup)

    def _alternatives_at(self, instruction: Decoded) -> None:
        for alternative in self.image.alternatives_between(instruction.address, instruction.end):
            if alternative.index in self.alternatives:
                continue
            self.alternatives[alternative.index] = alternative
            if alternative.constant:
                continue
            self._waiting.append(alternative.site)
            for other in _decoded(self.image, written(self.image, alternative), alternative.site):
                self.others.append(other)
                self._goes_on(other)

    def ranges(self) -> Iterator[range]:
        """The addresses of all code that was reached."""
        yield from (range(i.address, i.end) for i in self.instructions.values())
        yield from (range(a.site, a.end) for a in self.alternatives.values())

    def data(self) -> Iterator[range]:
        """Where instructions name data: as much as the largest operand may need."""
        for instruction in (*self.instructions.values(), *self.others):
            done = self.image.architecture.effects(instruction.code, instruction.address)
            for address in done.names if done is not None else ():
                yield range(address, address + _GAP)


def _thunks(image: Image) -> dict[int, str]:
    names = image.architecture.model("externals.toml")["return_thunks"]["names"]
    return {address: name for name in names if (address := image.address_of(name)) is not None}


def _decoded(image: Image, code: bytes, address: int) -> Iterator[Decoded]:
    while code and (instruction := image.architecture.decode(code, address)) is not None:
        yield instruction
        code, address = code[len(instruction.code) :], instruction.end


# -- what is left of the image


def _cut(image: Image, walk: _Walk) -> Image:
    code = _blocks(walk.ranges())
    sections = (
        *_pieces(image, code, executable=True),
        *_pieces(image, _blocks(walk.data()), executable=False),
    )
    lines = image.lines or _lines(image, walk)
    repatched = {a: what for a, what in image.repatched.items() if _within(code, a)}
    return replace(
        image,
        sections=tuple(sorted(sections, key=lambda s: s.address)),
        symbols=tuple(s for s in image.symbols if _within(code, s.address)),
        entries=tuple(e for e in image.entries if _within(code, e.insn)),
        alternatives=tuple(a for a in image.alternatives if _is_of_use(a, code, walk)),
        externals={**image.externals, **walk.externals},
        lines=lines,
        repatched=repatched,
        notes=tuple(_line_notes(image, lines)),
        focused=True,
    )


def _is_of_use(alternative: Alternative, code: list[range], walk: _Walk) -> bool:
    """Whether its site is in the code, or in the replacement of one whose site is."""
    inside = (range(a.origin, a.origin + len(a.replacement)) for a in walk.alternatives.values())
    return _within(code, alternative.site) or any(alternative.site in replacement for replacement in inside)


def _blocks(ranges: Iterable[range]) -> list[range]:
    """The ranges in order, those that are near each other joined."""
    found: list[range] = []
    for each in sorted(ranges, key=lambda r: (r.start, r.stop)):
        if found and each.start <= found[-1].stop + _GAP:
            found[-1] = range(found[-1].start, max(found[-1].stop, each.stop))
        else:
            found.append(each)
    return found


def _within(blocks: list[range], address: int) -> bool:
    index = bisect_right(blocks, address, key=lambda r: r.start) - 1
    return index >= 0 and address in blocks[index]


def _pieces(image: Image, blocks: Iterable[range], *, executable: bool) -> Iterator[Section]:
    """The parts of the image's sections that lie in `blocks`."""
    for block in blocks:
        for section in image.sections:
            start, stop = max(block.start, section.address), min(block.stop, section.end)
            if section.executable == executable and start < stop:
                data = section.data[start - section.address : stop - section.address]
                yield Section(section.name, start, data, executable)


def _lines(image: Image, walk: _Walk) -> Mapping[int, SourceLine]:
    """The lines of a linked file; what was packed in another file has none."""
    return {} if image.packed else lines_of(image.path, walk.instructions)


def _line_notes(image: Image, lines: Mapping[int, object]) -> list[str]:
    kept = [note for note in image.notes if not note.endswith(PLACES)]
    return kept if lines else [*kept, f"there is no line information: {PLACES}"]

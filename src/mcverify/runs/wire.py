"""The language between Python and the native harness: 64-bit words in, 64-bit words out.

The order of the words is that in which harness.c takes and puts them.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mcverify.arch.decoded import Decoded
from mcverify.arch.known import X86_64
from mcverify.contract import MACHINE_CHECK, Contract
from mcverify.image.callees import NESTED, calling
from mcverify.image.image import Image, Section
from mcverify.image.recovery import fatal_entries, handler_of
from mcverify.runs.case import (
    PAGE,
    PAGE_FAULT,
    RED_ZONE,
    Case,
    Ending,
    Fault,
    Outcome,
    Place,
    Placement,
    Preset,
    Run,
    Visit,
)
from mcverify.runs.code import (
    is_fence,
    is_nontemporal,
    must_be_aligned,
    opens_user_access,
    returning_externals,
)
from mcverify.runs.effects import operations
from mcverify.runs.hints import missing_hints
from mcverify.runs.layout import bias_of, by_page, extent, needed, page_end
from mcverify.runs.pattern import REGISTERS

WORD = 1 << 64
NONE = WORD - 1
PLACES = (Place.FREE, Place.HOLE, Place.INSIDE, Place.END, Place.FRONT)
ENDINGS = (
    Ending.RETURNED, Ending.OOPS, Ending.WILD, Ending.ILLEGAL,
    Ending.TIMEOUT, Ending.ESCAPED, Ending.DIED, Ending.REFUSED, Ending.OVERFLOW,
    Ending.TRAPPED,
)  # fmt: skip
LONGEST_MAP = 1024 * 1024
"""Longest buffer, in bytes, of which the harness keeps a map of the bytes stored (SMALL in harness.c)."""

MOST_RUNS = 4096
"""Most runs of bytes that are told apart of a buffer longer than that (MAX_LONG_RUNS in harness.c); the last
one ends where the last of all ends."""

TEST_WORDS = 9
"""Words of one case."""

_PLACE_SHIFT = 56
_MOST_TRAPS = 64
_MOST_FAULTS = 16384
_MOST_SLOTS = 32
_MARK_WORDS = 5
_ALL_BROKEN = sum(1 << number for number in range(1, 11))
_STEPS, _STEPS_PER_BYTE = 5000, 100
"""Steps of a run that is not endless (max_steps in harness.c)."""
_BUFFERS = ("", "src", "dst")
_INT3 = 0xCC
_AC_BY_MNEMONIC = {"stac": 1, "clac": 0}


class Mode(IntEnum):
    """What the harness is to do with the cases."""

    RUN = 0
    SAMPLE = 1
    TRACE = 2
    GRID = 3
    JUDGE = 4


def placement_word(placement: Placement) -> int:
    """A placement as one word of a grid."""
    return PLACES.index(placement.place) << _PLACE_SHIFT | placement.at


def placement_of(word: int) -> Placement:
    """The placement that a word of a grid says."""
    return Placement(PLACES[word >> _PLACE_SHIFT], word & (1 << _PLACE_SHIFT) - 1)


# ---- The job -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Program:
    """The part of a job that all cases share. Addresses are those in the child: image address - `bias`."""

    bias: int
    head: bytes
    contract: bytes

    def job(
        self,
        mode: Mode,
        tests: bytes,
        count: int,
        longest: int,
        first: int,
        presets: Presets,
        watched: Sequence[int] = (),
        per_case: int = 0,
        *,
        stepped: bool = False,
    ) -> bytes:
        """The whole job; `count` cases or blocks in `tests`, of which those before `first` are done.
        `stepped`: cases that are judged are single-stepped, which shows O10."""
        watch = _words(per_case, len(watched), *(address - self.bias for address in watched))
        limits = _words(first, longest, stepped)
        head = (_words(mode), self.head, self.contract, watch, limits, presets.words())
        return b"".join((*head, _words(count), tests))


def program(
    image: Image, entry: int, contract: Contract, code: dict[int, Decoded], unstruck: str | None = None
) -> Program:
    """What the harness needs to know of a routine, whose reachable instructions are `code`. A fault of an
    access of the kind `unstruck` that has no entry does not happen: the run is refused."""
    sections = needed(image, code)
    bias = bias_of(sections)
    user_access = opens_user_access(image, code)
    replaced = {address: bytes([_INT3]) for address in user_access} | missing_hints(image, code)
    parts = [
        _words(entry - bias),
        *_pages(sections, bias, replaced),
        _code_ranges(sections, bias),
        _table(image, bias, contract),
        _externals(image, bias),
        _specials(image, code, bias),
        _calling(image, bias),
        _words(not any(i.uses_hidden for i in code.values())),
        _words(
            len(user_access), *(word for at, ac in sorted(user_access.items()) for word in (at - bias, ac))
        ),
    ]
    return Program(bias, b"".join(parts), _contract(contract, unstruck))


class Presets:
    """The presets of the cases of a job, which refers to them by their numbers from 1 on; 0 is for none."""

    def __init__(self, presets: Iterable[Preset | None]) -> None:
        self._numbers: dict[Preset | None, int] = {None: 0}
        for preset in presets:
            self._numbers.setdefault(preset, len(self._numbers))
        self._presets = tuple(self._numbers)

    def number(self, preset: Preset | None) -> int:
        """The number of a preset."""
        return self._numbers[preset]

    def preset(self, number: int) -> Preset | None:
        """The preset of a number. Raises IndexError where there is none."""
        return self._presets[number]

    def __len__(self) -> int:
        return len(self._presets)

    def words(self) -> bytes:
        """All of them, as the harness reads them."""
        found = [preset for preset in self._presets if preset is not None]
        return b"".join((_words(len(found)), *map(_preset_words, found)))


def _preset_words(preset: Preset) -> bytes:
    values = dict(preset.registers)
    mask = sum(1 << number for number, name in enumerate((*REGISTERS, *X86_64.vectors)) if name in values)
    plain = [values[name] for name in REGISTERS if name in values]
    vectors = [values[name] >> 64 * lane for name in X86_64.vectors if name in values for lane in range(4)]
    head = _words(mask, *plain, *vectors, bool(preset.every), int.from_bytes(preset.every, "little"))
    pieces = (_words(offset, len(piece)) + piece + bytes(-len(piece) % 8) for offset, piece in preset.pieces)
    return b"".join((head, _words(len(preset.pieces)), *pieces))


def traps_word(traps: Sequence[int]) -> int:
    """The trap numbers of faults on loads as a word: bit n is set where the n-th is a machine check."""
    found = (*traps[:_MOST_TRAPS], *[traps[-1]] * (_MOST_TRAPS - len(traps)))
    return sum((trap == MACHINE_CHECK) << number for number, trap in enumerate(found))


def traps_of(word: int) -> tuple[int, ...]:
    """The trap numbers that a word says, as few as say it."""
    found = [MACHINE_CHECK if word >> number & 1 else PAGE_FAULT for number in range(_MOST_TRAPS)]
    while len(found) > 1 and found[-1] == found[-2]:
        found.pop()
    return tuple(found)


def tests_of(cases: Sequence[Case]) -> tuple[Presets, bytes]:
    """Cases as the harness reads them, and the presets that they refer to."""
    presets = Presets(case.preset for case in cases)
    return presets, b"".join(_case_words(case, presets) for case in cases)


def _case_words(case: Case, presets: Presets) -> bytes:
    src, dst = case.src, case.dst
    places = PLACES.index(src.place), src.at, PLACES.index(dst.place), dst.at
    preset, flicker = presets.number(case.preset), _flicker_word(case.flicker)
    return _words(case.len, *places, traps_word(case.traps), case.seed, preset, flicker)


def _flicker_word(flicker: str) -> int:
    """The word of `Case.flicker` (`touch_faults` in harness.c): how many touches stand for themselves, a bit
    for each, how many repeat, a bit for each."""
    if not flicker:
        return 0
    first, _, cycle = flicker.removesuffix(")").partition("(")
    return len(first) | _bits(first) << 8 | len(cycle) << 40 | _bits(cycle) << 48


def _bits(text: str) -> int:
    return sum(1 << number for number, bit in enumerate(text) if bit == "1")


def case_of(words: Sequence[int], presets: Presets) -> Case:
    """The case that TEST_WORDS words of the harness stand for. Raises IndexError for words that it does not
    write."""
    length, src, src_at, dst, dst_at, traps, seed, preset, _ = words
    trap, *later = traps_of(traps)
    return Case(
        length,
        Placement(PLACES[src], src_at),
        Placement(PLACES[dst], dst_at),
        trap,
        seed,
        tuple(later),
        presets.preset(preset),
    )


def longest(cases: Iterable[Case]) -> int:
    """The greatest distance, in bytes, that an arena must hold on one side of a hole."""
    return max((reach for case in cases if (reach := _reach(case)) <= LONGEST_MAP), default=0)


def _reach(case: Case) -> int:
    return max(case.len, *(p.at for p in (case.src, case.dst) if p.place is Place.HOLE), 0)


def is_long(case: Case) -> bool:
    """Whether the case gets mappings of its own and no map of the bytes stored."""
    return _reach(case) > LONGEST_MAP


def _words(*values: int) -> bytes:
    return struct.pack(f"={len(values)}Q", *(value % WORD for value in values))


def _pages(sections: Sequence[Section], bias: int, replaced: dict[int, bytes]) -> list[bytes]:
    groups = by_page(sections)
    return [_words(len(groups)), *(word for group in groups for word in _mapping(group, bias, replaced))]


def _mapping(group: Sequence[Section], bias: int, replaced: dict[int, bytes]) -> tuple[bytes, bytes]:
    start, end = group[0].address & -PAGE, page_end(group)
    executable = any(section.executable for section in group)
    memory = bytearray([_INT3 if executable else 0]) * (end - start)
    for section in group:
        memory[section.address - start : section.end - start] = section.data
    for address, code in replaced.items():
        if start <= address < end:
            memory[address - start : address - start + len(code)] = code
    return _words(start - bias, end - start, executable), bytes(memory)


def _code_ranges(sections: Sequence[Section], bias: int) -> bytes:
    code = [s for s in sections if s.executable]
    return _words(len(code), *(word for s in code for word in (s.address - bias, s.end - bias)))


def _table(image: Image, bias: int, contract: Contract) -> bytes:
    fatal = fatal_entries(image, contract)
    words = [len(image.entries)]
    for entry in image.entries:
        effects = operations(handler_of(entry, contract))
        words += [entry.insn - bias, entry.fixup - bias, entry.insn in fatal, len(effects)]
        for e in effects:
            words += [e.effect, X86_64.general.index(e.target), X86_64.general.index(e.operand), e.imm]
    return _words(*words)


def _specials(image: Image, code: Iterable[int], bias: int) -> bytes:
    """Instructions of which the harness must know more: stores that only a fence orders, fences, and operands
    that must be aligned."""
    kinds = {
        a: is_nontemporal(image, a) | is_fence(image, a) << 1 | bool(must_be_aligned(image, a)) << 2
        for a in code
    }
    found = [(address - bias, kind) for address, kind in sorted(kinds.items()) if kind]
    return _words(len(found), *(word for pair in found for word in pair))


def _externals(image: Image, bias: int) -> bytes:
    returning = returning_externals(image)
    pairs = [(address - bias, address in returning) for address in sorted(image.externals)]
    return _words(len(pairs), *(word for pair in pairs for word in pair))


def _calling(image: Image, bias: int) -> bytes:
    """In whose place the accesses of a routine that a stand-in calls are told."""
    stand_in = calling(image)
    at = (NONE, NONE) if stand_in is None else (stand_in.load_at - bias, stand_in.store_at - bias)
    return _words(NESTED, *at)


def _contract(contract: Contract, unstruck: str | None) -> bytes:
    def number(register: str | None) -> int:
        if register in X86_64.flags:
            return REGISTERS.index("rflags")
        return NONE if register is None else X86_64.general.index(register)

    return _words(
        *(number(r) for r in (contract.dst, contract.src, contract.len)),
        *(number(r) for r in (contract.left, contract.status, contract.trap)),
        *(_mask(contract, role) for role in ("left", "status", "trap")),
        contract.data == "zero",
        contract.over_report,
        contract.over_report_on_machine_check,
        contract.status_inverted,
        contract.status_is_bool,
        sum(1 << X86_64.general.index(register) for register in contract.kept),
        _obligation_mask(contract.obligations),
        _obligation_mask(contract.on_machine_check),
        *(number(r) for r in (contract.stored_value, contract.loaded_value)),
        contract.size or 0,
        contract.success_unasked,
        contract.error is not None,
        (contract.error or 0) % (1 << contract.error_bits),
        (1 << contract.error_bits) - 1,
        {None: 0, "load": 1, "store": 2}[unstruck],
        contract.unit or 0,
        _TOLD[contract.told],
        number(contract.string_length),
        _mask(contract, "string_length"),
        contract.counts_nul,
        contract.zeroes_rest,
        contract.rest_zeroed,
        number(contract.zero_rest),
        len(contract.given),
        *(number(register) for register in contract.given),
        *contract.given.values(),
    )


_TOLD = {"left": 0, "done": 1, "address": 2}
"""The numbers of harness.c."""


def _mask(contract: Contract, role: str) -> int:
    """The bits of its register that are a result."""
    register = getattr(contract, role)
    return 1 << X86_64.flags[register] if register in X86_64.flags else (1 << contract.bits(role)) - 1


def _obligation_mask(obligations: Iterable[str]) -> int:
    return sum(1 << int(obligation[1:]) for obligation in obligations)


# ---- Results -------------------------------------------------------------------------


class TruncatedError(Exception):
    """The output ends within a record: the child died."""


class GarbledError(Exception):
    """What a child has said, or left in the memory that it shares, cannot be its own: the routine wrote
    it."""


class _Reader:
    """Words one after the other, out of a child's output."""

    def __init__(self, data: bytes) -> None:
        self._words = array("Q", data[: len(data) // 8 * 8])
        self._next = 0

    def more(self) -> bool:
        return self._next < len(self._words)

    def take(self, count: int) -> Sequence[int]:
        start, self._next = self._next, self._next + count
        if self._next > len(self._words):
            raise TruncatedError
        return self._words[start : self._next]

    def word(self) -> int:
        return self.take(1)[0]

    def flag(self) -> bool:
        return bool(self.below(2))

    def below(self, end: int) -> int:
        """A word that is less than `end`."""
        word = self.word()
        if word >= end:
            raise GarbledError
        return word

    def counted(self, size: int, most: int) -> Iterator[Sequence[int]]:
        """Records of `size` words, preceded by how many there are, at most `most`."""
        for _ in range(self.below(most + 1)):
            yield self.take(size)


_HEAD_WORDS = 64
"""More than an outcome has words without its faults and runs."""
_ROOM = 64 << 20
"""Bytes that are read at a time of what a child says. What is behind is asked for again."""


def most_of_outcomes(cases: Sequence[Case]) -> int:
    """Bytes that are read of what a child says of cases; the first outcome has room in any case."""
    sizes = [8 * (_HEAD_WORDS + 5 * _MOST_FAULTS + 4 * _most_runs(case)) for case in cases]
    return max(sizes[0], min(sum(sizes), _ROOM))


def _most_runs(case: Case) -> int:
    """At most every second byte of what is watched of dst is a run."""
    return MOST_RUNS if is_long(case) else (case.len + 2 * RED_ZONE) // 2 + 1


def most_of_visits(cases: int, watched: int, per_case: int) -> int:
    """Bytes of all visits of so many cases to so many addresses, before and after the first fault."""
    return min(_ROOM * 8, 8 * cases * 2 * watched * per_case * (5 + len(REGISTERS) + _MOST_SLOTS))


def most_of_marks(cases: int) -> int:
    """Bytes of so many marks."""
    return 8 * _MARK_WORDS * cases


def most_of_trace(case: Case, count: int) -> int:
    """Bytes of a trace, of which `count` steps are told at either end (NONE: all)."""
    steps = _STEPS + _STEPS_PER_BYTE * case.len
    return 8 * (2 + len(REGISTERS)) * min(steps + 1, 2 * count)


def read_outcomes(data: bytes, cases: Sequence[Case], bias: int) -> list[Outcome]:
    """The outcomes of the first cases, as many as are whole and can be what a child says."""
    reader = _Reader(data)
    outcomes: list[Outcome] = []
    try:
        while reader.more() and len(outcomes) < len(cases):
            outcomes.append(_outcome(reader, cases[len(outcomes)], bias))
    except (TruncatedError, GarbledError):
        pass
    return outcomes


@dataclass(frozen=True, slots=True)
class Mark:
    """The harness's own judgement of one case, in place of its whole outcome.

    `broken` has bit n set for On; only the contract's obligations are in it. `rip` is as in
    :class:`Outcome`; `insn` is the instruction of the last fault, `stray` that of the first fault outside the
    buffers (None where there is none).
    """

    broken: int
    ending: Ending
    rip: int = 0
    insn: int | None = None
    stray: int | None = None


def read_marks(data: bytes, bias: int, most: int) -> list[Mark]:
    """The marks of the first cases, as many as are whole. Raises GarbledError for what is none, or for more
    than `most`."""
    words = array("Q", data[: len(data) // (8 * _MARK_WORDS) * 8 * _MARK_WORDS])
    if len(words) > _MARK_WORDS * most:
        raise GarbledError
    return [_mark(words[i : i + _MARK_WORDS], bias) for i in range(0, len(words), _MARK_WORDS)]


def _mark(words: Sequence[int], bias: int) -> Mark:
    broken, ending, rip, insn, stray = words
    if broken & ~_ALL_BROKEN or ending >= len(ENDINGS):
        raise GarbledError
    where = [_moved(word, bias) if word else None for word in (insn, stray)]
    return Mark(broken, ENDINGS[ending], _moved(rip, bias) if rip else 0, *where)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Of which cases, and at which addresses, visits can be."""

    cases: range
    addresses: frozenset[int]


def read_visits(data: bytes, bias: int, bounds: Sampled) -> list[Visit]:
    """All visits that are whole, up to the first that cannot be."""
    reader = _Reader(data)
    visits: list[Visit] = []
    try:
        while reader.more():
            visits.append(_visit(reader, bias, bounds))
    except (TruncatedError, GarbledError):
        pass
    return visits


def read_trace(data: bytes, bias: int) -> list[tuple[int, int, dict[str, int]]]:
    """(number, address, registers) of each step."""
    size = 2 + len(REGISTERS)
    words = array("Q", data[: len(data) // (8 * size) * 8 * size])
    return [
        (words[i], _moved(words[i + 1], bias), dict(zip(REGISTERS, words[i + 2 : i + size], strict=True)))
        for i in range(0, len(words), size)
    ]


def signed(word: int) -> int:
    """A 64-bit word as a signed number."""
    return word - WORD if word >> 63 else word


def _moved(address: int, bias: int) -> int:
    return (address + bias) % WORD


def _outcome(reader: _Reader, case: Case, bias: int) -> Outcome:
    ending, rip = ENDINGS[reader.below(len(ENDINGS))], reader.word()
    final, initial = (dict(zip(REGISTERS, reader.take(len(REGISTERS)), strict=True)) for _ in range(2))
    ac, frame_intact = reader.flag(), reader.flag()
    faults = tuple(_fault(words, bias) for words in reader.counted(5, _MOST_FAULTS))
    spans = [signed(word) for word in reader.take(4)]
    stored, wrong = (_runs(reader, case) for _ in range(2))
    unzeroed = reader.word()
    if ending is Ending.REFUSED:
        return nothing(Ending.REFUSED)
    if not all(_is_within(case, *span) for span in (spans[:2], spans[2:])):
        raise GarbledError
    base, end = extent(((a, b) for a, b in (spans[:2], spans[2:]) if b > a), case.len)
    if any(not base <= first <= last <= end for first, last in (*stored, *wrong)):
        raise GarbledError
    if unzeroed != NONE and unzeroed >= case.len:
        raise GarbledError
    short = not is_long(case)
    return Outcome(
        ending=ending,
        rip=_moved(rip, bias) if rip else 0,
        registers=final,
        initial=initial,
        faults=faults,
        written=_map(stored, base, end) if short else b"",
        correct=_map(_without(stored, wrong), base, end) if short else b"",
        base=base,
        ac=ac,
        on="cpu",
        frame_intact=frame_intact,
        stored=None if short else stored,
        wrong=None if short else wrong,
        unzeroed=None if unzeroed == NONE else unzeroed,
    )


def _runs(reader: _Reader, case: Case) -> tuple[Run, ...]:
    """Runs of bytes, in order and apart."""
    found = tuple((signed(first), signed(end)) for first, end in reader.counted(2, _most_runs(case)))
    at = -RED_ZONE
    for first, end in found:
        if not at <= first < end:
            raise GarbledError
        at = end
    return found


def _is_within(case: Case, first: int, end: int) -> bool:
    """Whether it can be what is watched of dst, all of it or up to a page that cannot be read."""
    return first >= end or (first >= -RED_ZONE and end <= case.len + RED_ZONE)


def nothing(ending: Ending) -> Outcome:
    """The outcome of a case of which nothing is known but how it ended."""
    return Outcome(ending, 0, {}, {}, (), b"", b"", 0)


def _fault(words: Sequence[int], bias: int) -> Fault:
    insn, buffer, offset, is_store, _ = words
    if buffer >= len(_BUFFERS) or is_store > 1:
        raise GarbledError
    return Fault(_moved(insn, bias), _BUFFERS[buffer], signed(offset) if buffer else offset, bool(is_store))


def _map(runs: Iterable[Run], base: int, end: int) -> bytes:
    marks = bytearray(end - base)
    for first, last in runs:
        marks[first - base : last - base] = b"\1" * (last - first)
    return bytes(marks)


def _without(runs: Iterable[Run], holes: Iterable[Run]) -> Iterator[Run]:
    """`runs` less `holes`; each hole lies within one run, all are in order."""
    waiting = list(holes)
    for first, last in runs:
        start = first
        while waiting and waiting[0][0] < last:
            hole_first, hole_last = waiting.pop(0)
            yield start, hole_first
            start = hole_last
        yield start, last


def _visit(reader: _Reader, bias: int, bounds: Sampled) -> Visit:
    address, faulted, case, top, slots = reader.take(5)
    possible = case in bounds.cases and _moved(address, bias) in bounds.addresses
    if not possible or faulted > 1 or slots > _MOST_SLOTS:
        raise GarbledError
    registers = dict(zip(REGISTERS, reader.take(len(REGISTERS)), strict=True))
    stack = {8 * (i - slots): word for i, word in enumerate(reader.take(slots))}
    return Visit(_moved(address, bias), bool(faulted), registers, stack, signed(top), case)

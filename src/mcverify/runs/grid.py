"""Grids of cases: every length with every placement of src and dst that is worth a try.

A grid is run and judged in the child (`CpuRunner.grid`); only its violations come back.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from mcverify.contract import Contract, Faults, can_fault
from mcverify.runs.case import PAGE, PAGE_FAULT, Case, Ending, Place, Placement, Preset
from mcverify.runs.wire import (
    ENDINGS,
    LONGEST_MAP,
    TEST_WORDS,
    WORD,
    GarbledError,
    Presets,
    case_of,
    placement_of,
    placement_word,
    traps_word,
)

_KEPT = 8
_SEEDS = 64
"""How many seeds a grid has, a multiple of 16."""
_MAX_KEYS = 256
_TRAPS = ((14,), (18,), (14, 18), (18, 14))
"""Trap numbers of faults on loads: all alike, or the first one unlike the others (grid_block() in
harness.c)."""
_KEY = struct.Struct(f"={6 + TEST_WORDS * _KEPT}Q")
_HEAD = struct.Struct("=9Q")


@dataclass(frozen=True, slots=True)
class Block:
    """One length, and every placement of src with every one of dst.

    Placements are words (`wire.placement_word`). One that is `stepped` is run instruction by instruction,
    which shows a missing fence (O10). `trap` 0 takes 14, 18, and each of them before the other, in turn.
    """

    len: int
    src: tuple[int, ...]
    dst: tuple[int, ...]
    trap: int = 0
    seed: int = 1
    preset: Preset | None = None
    stepped: bool = False

    def __len__(self) -> int:
        return len(self.src) * len(self.dst)

    def case(self, index: int) -> Case:
        """The case that the harness runs as number `index` of this block."""
        i, j = divmod(index, len(self.dst))
        trap, *later = (self.trap,) if self.trap else _TRAPS[(i + j) % len(_TRAPS)]
        src, dst = placement_of(self.src[i]), placement_of(self.dst[j])
        return Case(self.len, src, dst, trap, self.seed, tuple(later), self.preset)


@dataclass(frozen=True)
class Grid:
    """Blocks, in the order in which they are run."""

    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __post_init__(self) -> None:
        if self.longest > LONGEST_MAP:
            raise ValueError(f"a grid holds buffers of at most {LONGEST_MAP} bytes")

    @cached_property
    def longest(self) -> int:
        """The greatest distance in bytes that an arena must hold on one side of a hole."""
        placements = (placement_of(word) for word in {w for b in self.blocks for w in (*b.src, *b.dst)})
        holes = (p.at for p in placements if p.place is Place.HOLE)
        return max([0, *(b.len for b in self.blocks), *holes])

    def words(self) -> bytes:
        """The blocks as the harness reads them."""
        words = array("Q")
        for b in self.blocks:
            traps = traps_word((b.trap or PAGE_FAULT,))
            head = b.len, b.seed, self.presets.number(b.preset), not b.trap, traps
            words.extend((*head, b.stepped, len(b.src), len(b.dst), *b.src, *b.dst))
        return words.tobytes()

    @cached_property
    def presets(self) -> Presets:
        """Those of its blocks."""
        return Presets(block.preset for block in self.blocks)

    def cases(self) -> list[Case]:
        """All cases, in the order in which they are run."""
        return [block.case(index) for block in self.blocks for index in range(len(block))]

    def holds(self, case: Case) -> bool:
        """Whether it is one of the cases, but for its traps."""
        src, dst = placement_word(case.src), placement_word(case.dst)
        blocks = self._blocks_of.get((case.len, case.seed, case.preset), ())
        return any(src in block.src and dst in block.dst for block in blocks)

    @cached_property
    def _blocks_of(self) -> dict[tuple[int, int, Preset | None], list[Block]]:
        found: dict[tuple[int, int, Preset | None], list[Block]] = {}
        for block in self.blocks:
            found.setdefault((block.len, block.seed, block.preset), []).append(block)
        return found

    def case(self, number: int) -> Case:
        """The case that is run as number `number`, counted from 0."""
        for block in self.blocks:
            if number < len(block):
                return block.case(number)
            number -= len(block)
        raise IndexError("the grid has fewer cases")


@dataclass(frozen=True, slots=True)
class GridViolation:
    """Cases that break one obligation after a last fault at one instruction (None: without a fault), and
    end in the same way.

    `at` is the instruction that the CPU refused, None for other endings. `count` of them were seen; `cases`
    are the smallest, smallest first.
    """

    obligation: str
    insn: int | None
    count: int
    cases: tuple[Case, ...]
    ending: Ending = Ending.RETURNED
    at: int | None = None


@dataclass(frozen=True, slots=True)
class GridResult:
    """What a grid showed.

    `cases` were run, `failed` of them break an obligation. `complete` is False where not all were run: too
    many did not return or died, or the time was over. `unkept` violations are of further kinds than there is
    room for. `escaped` cases went on outside the code, the first of them at `escaped_to`, and show nothing.
    In `ordered` cases a missing fence (O10) could have been seen: they were single-stepped, and stored past
    the cache. `garbled`: some of it the routine wrote over, which is left out.
    """

    cases: int
    violations: tuple[GridViolation, ...]
    complete: bool = True
    failed: int = 0
    unkept: int = 0
    escaped: int = 0
    escaped_to: int | None = None
    ordered: int = 0
    garbled: bool = False


def read_grid(shared: bytes, bias: int, grid: Grid) -> GridResult:
    """The result that a child left in the shared memory, of the cases of `grid`.

    Raises GarbledError where it cannot be one: the routine wrote into it. That it can be one does not say
    that the routine did not.
    """
    serial, _, aborted, keys, failed, unkept, escaped, escaped_to, ordered = _HEAD.unpack_from(shared)
    if keys > _MAX_KEYS or serial > len(grid) or max(failed, escaped, ordered) > serial:
        raise GarbledError
    found = [
        _violation(_KEY.unpack_from(shared, _HEAD.size + i * _KEY.size), bias, grid) for i in range(keys)
    ]
    if any(violation.count > failed for violation in found) or (failed and not (found or unkept)):
        raise GarbledError
    to = (escaped_to + bias) % WORD if escaped else None
    return GridResult(serial, tuple(found), not aborted, failed, unkept, escaped, to, ordered)


def merge(results: Iterable[GridResult]) -> GridResult:
    """Several results as one."""
    parts = list(results)
    groups: dict[tuple[str, int | None, Ending, int | None], list[GridViolation]] = {}
    for violation in (v for part in parts for v in part.violations):
        kind = violation.obligation, violation.insn, violation.ending, violation.at
        groups.setdefault(kind, []).append(violation)
    merged = [
        GridViolation(obligation, insn, sum(v.count for v in group), _smallest(group), ending, at)
        for (obligation, insn, ending, at), group in groups.items()
    ]
    merged.sort(key=lambda v: (int(v.obligation[1:]), v.insn or 0, ENDINGS.index(v.ending), v.at or 0))
    return GridResult(
        sum(p.cases for p in parts),
        tuple(merged),
        all(p.complete for p in parts),
        sum(p.failed for p in parts),
        sum(p.unkept for p in parts),
        sum(p.escaped for p in parts),
        next((p.escaped_to for p in parts if p.escaped_to is not None), None),
        sum(p.ordered for p in parts),
        any(p.garbled for p in parts),
    )


def split(grid: Grid, parts: int) -> list[Grid]:
    """The grid's blocks dealt out to `parts` grids of about the same work."""
    return [Grid(grid.blocks[i::parts]) for i in range(parts)]


def _smallest(group: Iterable[GridViolation]) -> tuple[Case, ...]:
    cases = sorted((case for violation in group for case in violation.cases), key=size)
    return tuple(cases[:_KEPT])


def size(case: Case) -> tuple[int, ...]:
    """Smaller for a shorter case, then for plainer placements."""
    places = list(Place)
    src, dst = case.src, case.dst
    placed = src.at + dst.at, places.index(src.place), places.index(dst.place), src.at
    return case.len, case.preset is not None, *placed, *case.traps


def _violation(words: Sequence[int], bias: int, grid: Grid) -> GridViolation:
    obligation, insn, ending, at, count, kept = words[:6]
    tests = [words[6 + TEST_WORDS * i : 6 + TEST_WORDS * (i + 1)] for i in range(min(kept, _KEPT))]
    if not 1 <= obligation <= 10 or ending >= len(ENDINGS) or not 1 <= kept <= min(count, _KEPT):
        raise GarbledError
    try:
        cases = tuple(case_of(test, grid.presets) for test in tests)
    except IndexError:
        raise GarbledError from None
    if not all(map(grid.holds, cases)):
        raise GarbledError
    where = [(address + bias) % WORD if address else None for address in (insn, at)]
    return GridViolation(f"O{obligation}", where[0], count, cases, ENDINGS[ending], where[1])


# ---- Which cases --------------------------------------------------------------------

_END = placement_word(Placement(Place.END))
_FRONT = placement_word(Placement(Place.FRONT))


def _free(at: Iterable[int]) -> tuple[int, ...]:
    return tuple(placement_word(Placement(Place.FREE, a)) for a in at)


def _inside(at: Iterable[int]) -> tuple[int, ...]:
    return tuple(placement_word(Placement(Place.INSIDE, a)) for a in at)


def _holes(at: Iterable[int]) -> tuple[int, ...]:
    base = placement_word(Placement(Place.HOLE))
    return tuple(base | a for a in at)


@dataclass(frozen=True, slots=True)
class _Density:
    """How close the cases of a grid lie to each other."""

    lens: tuple[int, ...]
    all_offsets: int
    """Up to this length, every offset is a fault point."""
    good_src: tuple[int, ...]
    good_dst: tuple[int, ...]
    inside: tuple[int, ...]
    few_src: tuple[int, ...]
    """Good placements of src that a bad dst is tried with."""
    pairs: int
    """So many bad placements of src are tried with as many of dst."""
    aligned_lens: tuple[int, ...]
    """Lengths of which each alignment of a good src and of a good dst is tried."""
    preset_lens: tuple[int, ...]
    """Lengths that are tried with what a case may find at entry."""
    turns: tuple[int, int, int]
    """So many further alignments of a good src, a good dst, and in a bad page: others for each length."""


# A buffer that starts 4095 bytes into a bad page has one bad byte, and good ones behind.
_FULL = _Density(
    lens=(*range(301), 319, 320, 511, 512, 513, 600, 4095, 4096, 4097, 4200, 5000, 8200, 524309),
    all_offsets=300,
    good_src=(_END, _FRONT, *_free((*range(9), 15))),
    good_dst=(_END, _FRONT, *_free((*range(9), 4090))),
    inside=_inside((*range(9), 15, 31, 33, 63, 4032, 4064, 4080, 4088, 4090, 4095)),
    few_src=(_END, _FRONT, *_free((0, 1, 6))),
    pairs=12,
    aligned_lens=tuple(range(301)),
    preset_lens=(*range(26), 31, 32, 33, 40, 63, 64, 65, 71, 72, 100, 136, 200, 264),
    turns=(6, 4, 3),
)
_QUICK = _Density(
    lens=(
        *range(41), 47, 48, 49, 55, 56, 57, 63, 64, 65, 71, 72, 73, 80, 95, 96, 97, 103, 120,
        126, 127, 128, 129, 130, 135, 136, 160, 191, 192, 193, 200, 255, 256, 257, 264, 300, 513, 4200,
        524309,
    ),
    all_offsets=66,
    good_src=(_END, _FRONT, *_free((0, 1, 3, 4, 7, 8))),
    good_dst=(_END, _FRONT, *_free((0, 1, 4, 7))),
    inside=_inside((0, 1, 5, 4032, 4089, 4095)),
    few_src=(_END, *_free((0, 3))),
    pairs=8,
    aligned_lens=tuple(range(137)),
    preset_lens=(0, 1, 2, 3, 4, 7, 8, 9, 16, 24, 40, 72, 136),
    turns=(1, 1, 0),
)  # fmt: skip
# Beyond, few cases: some lie where a count of words in 16 bits is too small.
_LONG = 1 << 14
_SPARSE = _Density(
    lens=(),
    all_offsets=0,
    good_src=(_END,),
    good_dst=_free((0, 1)),
    inside=_inside((5,)),
    few_src=(_END,),
    pairs=1,
    aligned_lens=(),
    preset_lens=(),
    turns=(0, 0, 0),
)
# With each of what a case may find at entry.
_PRESET = _Density(
    lens=(),
    all_offsets=9,
    good_src=_free((0, 3)),
    good_dst=_free((0, 1)),
    inside=_inside((0, 4095)),
    few_src=_free((0,)),
    pairs=2,
    aligned_lens=(),
    preset_lens=(),
    turns=(0, 0, 0),
)


@dataclass(frozen=True, slots=True)
class _Stepping:
    """The cases that are single-stepped, at some microseconds for each instruction: few, and such that stores
    past the cache are reached soon: what is not aligned is mostly copied byte by byte."""

    lens: tuple[int, ...]
    step: int
    """Faults lie at all multiples of it, of lengths beyond 136 at multiples of 32."""
    src: tuple[int, ...]
    dst: tuple[int, ...]


_STEPPED_QUICK = _Stepping((8, 16, 32, 40, 64, 72, 128, 136, 264, 520), 8, _free((0,)), _free((0, 4)))
_STEPPED_FULL = _Stepping((*range(0, 137, 8), 1, 7, 33, 65, 264, 520), 8, _free((0,)), _free((0, 4, 8)))
_BLOCK = 136
_LINE = 64


@dataclass(frozen=True, slots=True)
class _Shape:
    """The buffers that a routine has, and their size where it is fixed."""

    has_src: bool
    has_dst: bool
    size: int | None

    @classmethod
    def of(cls, contract: Contract) -> _Shape:
        return cls(contract.src is not None, contract.dst is not None, contract.size)


def full_grid(contract: Contract, faults: Faults | None = None, presets: tuple[Preset, ...] = ()) -> Grid:
    """About a million cases: lengths to 300 and some beyond a page, every fault offset. Of each of the
    `presets` a part of that."""
    return _grid(
        _FULL,
        _Shape.of(contract),
        faults or contract.faults,
        _only_trap(contract),
        presets,
        _STEPPED_FULL if "O10" in contract.obligations else None,
    )


def quick_grid(contract: Contract, faults: Faults | None = None, presets: tuple[Preset, ...] = ()) -> Grid:
    """Tens of thousands of cases, of which each class of known mistakes shows in several."""
    return _grid(
        _QUICK,
        _Shape.of(contract),
        faults or contract.faults,
        _only_trap(contract),
        presets,
        _STEPPED_QUICK if "O10" in contract.obligations else None,
    )


@lru_cache(maxsize=16)
def _grid(
    density: _Density,
    shape: _Shape,
    faults: Faults,
    trap: int,
    presets: tuple[Preset, ...],
    stepped: _Stepping | None,
) -> Grid:
    lens = density.lens if shape.size is None else (shape.size,)
    blocks = [b for length in lens for b in _blocks(density, length, shape, faults)]
    if shape.size is None and shape.has_dst:
        blocks += [b for length in density.aligned_lens for b in _alignments(length, shape)]
    lens = density.preset_lens if shape.size is None else (shape.size,)
    for preset in presets:
        some = (b for length in lens for b in _blocks(_PRESET, length, shape, faults))
        blocks += [replace(b, preset=preset) for b in some]
    if stepped is not None:
        lens = stepped.lens if shape.size is None else (shape.size,)
        blocks += [b for length in lens for b in _stepped(stepped, length, shape, faults)]
    return Grid(tuple(replace(b, trap=trap) for b in blocks if b.src and b.dst))


def _only_trap(contract: Contract) -> int:
    """The number of the trap that a load may raise, 0 where there are several."""
    return contract.load_traps[0] if len(contract.load_traps) == 1 else 0


def _blocks(density: _Density, length: int, shape: _Shape, faults: Faults) -> Iterable[Block]:
    has_src, has_dst = shape.has_src, shape.has_dst
    if length > _LONG:
        density = _SPARSE
    turns = [_turns(length, count, step) for count, step in zip(density.turns, (7, 13, 17), strict=True)]
    bad = (*_holes(_offsets(length, density.all_offsets)), *density.inside, *_inside(turns[2]))
    good_src = (*density.good_src, *_free(turns[0])) if has_src else _free((0,))
    good_dst = (*density.good_dst, *_free(turns[1])) if has_dst else _free((0,))
    bad_src = bad if has_src and can_fault(faults, "load") else ()
    bad_dst = bad if has_dst and can_fault(faults, "store") else ()
    few_src = (*density.few_src, *_free(turns[0][:1])) if has_src else good_src
    yield Block(length, good_src, good_dst, seed=_seed(length, 0))
    yield Block(length, bad_src, good_dst[::2], seed=_seed(length, 1))
    yield Block(length, bad_src, good_dst[1::2], seed=_seed(length, 2))
    yield Block(length, few_src, bad_dst, seed=_seed(length, 3))
    few = _about(density.pairs, bad_src), _about(density.pairs, bad_dst)
    yield Block(length, *few, seed=_seed(length, 4))


def _stepped(stepping: _Stepping, length: int, shape: _Shape, faults: Faults) -> Iterable[Block]:
    holes = _holes(range(0, length, stepping.step if length <= _BLOCK else 32))
    src = stepping.src if shape.has_src else _free((0,))
    bad_src = holes if shape.has_src and can_fault(faults, "load") else ()
    bad_dst = holes if shape.has_dst and can_fault(faults, "store") else ()
    for number, pair in enumerate(((src, stepping.dst), (bad_src, stepping.dst[:1]), (src[:1], bad_dst))):
        yield Block(length, *pair, seed=_seed(length, number), stepped=True)


def _alignments(length: int, shape: _Shape) -> Iterable[Block]:
    every, one = _free(range(_LINE)), _free((0,))
    yield Block(length, one, every, seed=_seed(length, 5))
    if shape.has_src:
        yield Block(length, every, one, seed=_seed(length, 6))


def _seed(length: int, number: int) -> int:
    """Another one for each block of a length: other registers and flags, and another bit that tells the bytes
    of src (`pattern.told_by`)."""
    return 1 + (length + 21 * number) % _SEEDS


def _turns(length: int, count: int, step: int) -> list[int]:
    """`count` of the alignments 9 to 63, other ones for each length: 55 lengths in a row have them all."""
    return [9 + (step * length + 19 * i) % 55 for i in range(count)]


def _about(count: int, words: tuple[int, ...]) -> tuple[int, ...]:
    """About `count` of the words, evenly chosen."""
    return words[:: max(1, len(words) // count)]


def _offsets(length: int, all_up_to: int) -> list[int]:
    """Fault offsets for a length: all, or those near its ends, at word boundaries, and past a page."""
    if length <= all_up_to:
        return list(range(length))
    chosen = {*range(10), *range(length - 10, length)}
    if length > _LONG:
        return [0, 5, 8, length // 2, length - PAGE - 1, length - 1]
    step = max(8, length // 24 & -8)
    for at in range(0, length, step):
        chosen |= {at - 1, at, at + 3}
    chosen |= {length - PAGE - 1, length - PAGE, PAGE - 1, PAGE, PAGE + 1}
    return sorted(at for at in chosen if 0 <= at < length)

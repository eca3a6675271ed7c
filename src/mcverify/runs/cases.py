"""Which concrete inputs to run: varied ones to guess invariants from, far ones to see counting end."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from mcverify.contract import Contract, Faults, can_fault
from mcverify.runs.case import Case, Place, Placement, Preset

_FREE = Placement(Place.FREE)
_FEW_LONG = 24
_CHOICES = 64


def sample_cases(
    contract: Contract, faults: Faults | None = None, len_max: int = 200, seed: int = 1, count: int = 300
) -> list[Case]:
    """About `count` varied cases to collect states from.

    Lengths are 0 to `len_max` in every residue, and a few up to three times that; alignments are random;
    about a third have no fault, the others one on a load or on a store, as `faults` allows. Equal
    arguments give equal cases.
    """
    random = Random(seed)
    faults = faults or contract.faults
    return [
        _case(contract, faults, length, number, random)
        for number, length in enumerate(_lengths(contract, len_max, count))
    ]


def flickering_cases(contract: Contract, faults: Faults | None = None) -> Iterator[list[Case]]:
    """Cases in which a bad page comes and goes, a list for each way in which it does."""
    faults = faults or contract.faults
    loads, stores = contract.src is not None and can_fault(faults, "load"), can_fault(faults, "store")
    buffers = [name for name, may in (("src", loads), ("dst", stores)) if may]
    lengths = _FLICKERING_LENGTHS if contract.size is None else (contract.size,)
    traps = contract.load_traps or (14,)
    for flicker in _FLICKERS:
        yield [
            Case(
                length,
                Placement(Place.HOLE, at) if buffer == "src" else _FREE,
                Placement(Place.HOLE, at) if buffer == "dst" else _FREE,
                traps[(length + at) % len(traps)],
                seed=1 + length % 8,
                flicker=flicker,
            )
            for length in lengths
            for at in _bad_offsets(length)
            for buffer in buffers
        ]


_FLICKERS = (
    "(01)", "(10)", "0(1)", "10(1)", "(001)", "00(1)", "010(1)", "(110)", "000(1)", "0010(1)", "0000(1)",
    "00010(1)", "00000(1)", "1(0)", "01(0)", "001(0)", "0001(0)", "00001(0)", "11(0)", "101(0)",
)  # fmt: skip
"""A page goes away after some accesses, comes back, or both, again and again."""

_FLICKERING_LENGTHS = (*range(1, 34), 40, 63, 64, 65, 72, 100, 127, 128, 129, 200, 256, 300)


def _bad_offsets(length: int) -> list[int]:
    """Where the page may begin: everywhere in a short buffer, near the ends and in the middle of others."""
    if length <= 20:
        return list(range(length))
    near = (0, 1, 7, 8, 16, length // 2, *(length - n for n in (1, 2, 4, 7, 8, 9, 15, 16, 17)))
    return sorted(set(near))


def far_cases(contract: Contract, bits: int = 32, faults: Faults | None = None) -> list[Case]:
    """Cases with a length just beyond 2**bits, of which a routine that counts in more bits copies little.

    A fault strikes at byte 64 (of src where loads fault by `faults`, else of dst), one of those that the
    contract knows: what a narrow counter makes of the length is less or far more than that.
    """
    if contract.size is not None:
        return []
    lengths = ((1 << bits) + extra for extra in (0, 8, 13, 4096 + 5))
    hole = Placement(Place.HOLE, 64)
    if contract.src is None or not can_fault(faults or contract.faults, "load"):
        return [Case(length, _FREE, hole) for length in lengths]
    return [Case(length, hole, _FREE, trap=contract.load_traps[0]) for length in lengths]


def _lengths(contract: Contract, len_max: int, count: int) -> Iterator[int]:
    if contract.size is not None:
        yield from [contract.size] * count
        return
    long = min(_FEW_LONG, count // 8)
    for i in range(count - long):
        yield i * (len_max + 1) // (count - long) if count - long < len_max else i % (len_max + 1)
    for i in range(long):
        yield len_max + 1 + i * (2 * len_max) // max(1, long)


def _case(contract: Contract, faults: Faults, length: int, number: int, random: Random) -> Case:
    bad_src, bad_dst = _which_fault(contract, faults, random)
    src = _bad(length, random) if bad_src else _good(random)
    dst = _bad(length, random) if bad_dst else _good(random)
    return Case(
        length,
        src if contract.src else _FREE,
        dst,
        random.choice(contract.load_traps or (14,)),
        seed=number + 1,
        preset=_ending(length, random) if contract.string_length else None,
    )


def _ending(length: int, random: Random) -> Preset | None:
    """Where a string of at most `length` bytes ends: mostly within."""
    if random.random() < 0.25 or not length:
        return None
    return Preset(pieces=((random.randrange(length), b"\0"),))


def _which_fault(contract: Contract, faults: Faults, random: Random) -> tuple[bool, bool]:
    """Whether src and whether dst is bad: a third of the time neither, seldom both."""
    allowed = [contract.src is not None and can_fault(faults, "load"), can_fault(faults, "store")]
    if random.random() < 1 / 3 or not any(allowed):
        return False, False
    if all(allowed):
        return random.choice(((True, False),) * 4 + ((False, True),) * 4 + ((True, True),))
    return allowed[0], allowed[1]


def _good(random: Random) -> Placement:
    place = random.choice((Place.FREE, Place.FREE, Place.FREE, Place.END, Place.FRONT))
    return Placement(place, random.randrange(_CHOICES) if place is Place.FREE else 0)


def _bad(length: int, random: Random) -> Placement:
    """A fault anywhere, or close to an end."""
    if length == 0 or random.random() < 0.1:
        return Placement(
            Place.INSIDE, random.choice((0, random.randrange(4096), 4096 - random.randrange(1, 64)))
        )
    near_end = length - 1 - random.randrange(min(length, 16))
    return Placement(
        Place.HOLE, random.choice((random.randrange(length), random.randrange(length), near_end))
    )

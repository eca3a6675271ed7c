"""The memory of a case: where bytes are known, unknown, bad, or nothing is said of them."""

from __future__ import annotations

from random import Random

import pytest

from mcverify.contract import load_contract
from mcverify.runs.case import PAGE, Case, Place, Placement
from mcverify.witness.model.memory import Memory, Periodic, Unpredictable

DST, SRC = 0x10_0000_0000, 0x20_0000_0000
COPY, CLEAR = load_contract("bytes_left"), load_contract("clear")


def memory(length: int, src: Placement, dst: Placement) -> Memory:
    """The memory of a case; the hole, if there is one, begins at a page."""
    return Memory(COPY, Case(length, src, dst), DST + _offset(dst, length), SRC + _offset(src, length))


def _offset(placement: Placement, length: int) -> int:
    """Of the buffer from a page boundary."""
    match placement.place:
        case Place.HOLE:
            return -placement.at
        case Place.END:
            return -length
        case Place.FREE | Place.INSIDE:
            return placement.at
        case Place.FRONT:
            return 0


FREE = Placement(Place.FREE, 40)
HOLE = Placement(Place.HOLE, 10)


def test_loads_give_the_contents_and_meet_the_hole() -> None:
    made = memory(20, HOLE, FREE)
    at = SRC - 10
    known = made.load(at, 8, "a")
    assert known is not None
    assert made.load(at + 1, 1, "b") == known >> 8 & 0xFF
    assert made.load(at + 9, 2, "c") is None
    assert made.first_bad(at + 9, 2) == at + 10
    assert made.first_bad(at + 10 + PAGE - 1, 4) == at + 10 + PAGE - 1
    assert made.load(at + 10 + PAGE, 8, "d") is not None
    assert made.doubts == {"d"}, "what lies behind the red zone is accessible, and nobody knows it"
    assert made.met == {False}


def test_a_store_is_undone_and_committed() -> None:
    made = memory(20, FREE, FREE)
    at = DST + 40
    before = made.load(at, 4, "a")
    assert made.store(0, at, 4, 0x01020304)
    assert made.load(at, 4, "b") == 0x01020304
    stores = made.stores
    made.end()
    assert made.load(at, 4, "c") == before
    made.commit(stores)
    assert made.load(at, 4, "d") == 0x01020304
    assert made.version == 1
    made.commit(stores)
    assert made.version == 1, "nothing changed"


def test_stores_that_nobody_knows_are_in_no_map_until_others_cover_them() -> None:
    made = memory(16, FREE, FREE)
    at = DST + 40
    assert made.blur(at, 8)
    made.commit(made.stores)
    made.begin()
    assert sum(made.maps()[2]) == 64 + 16 + 64 - 8
    assert made.load(at, 4, "a") is not None
    assert made.doubts == {"a"}
    made.begin()
    assert made.store(0, at + 2, 4, 0)
    made.commit(made.stores)
    assert sum(made.maps()[2]) == 64 + 16 + 64 - 4


def test_copies_and_fills_are_element_by_element_the_same_as_stores() -> None:
    made, other = memory(64, FREE, FREE), memory(64, FREE, FREE)
    to, source = DST + 40, SRC + 40
    assert made.copy(to, source, 24)
    assert made.fill(0, to + 24, 0xABCD, 2, 3)
    for i in range(0, 24, 8):
        value = other.load(source + i, 8, "a")
        assert value is not None
        assert other.store(0, to + i, 8, value)
    for i in range(24, 30, 2):
        assert other.store(0, to + i, 2, 0xABCD)
    made.commit(made.stores)
    other.commit(other.stores)
    assert made.maps() == other.maps()


def test_a_copy_from_beyond_the_red_zone_is_unknown() -> None:
    made = memory(100, FREE, FREE)
    assert made.copy(DST + 40, SRC + 40 + 100, 80)
    made.commit(made.stores)
    sure = made.maps()[2]
    assert sure[64 : 64 + 64] == b"\1" * 64
    assert sure[64 + 64 : 64 + 80] == bytes(16)


def test_a_copy_onto_itself_is_not_predicted() -> None:
    made = memory(100, FREE, FREE)
    with pytest.raises(Unpredictable, match="overlaps"):
        made.copy(DST + 48, DST + 40, 16)


@pytest.mark.parametrize("address", [0, 8, DST + 40 - 3 * PAGE, DST + 40 * PAGE, (1 << 64) - 8])
def test_of_other_addresses_nothing_is_said(address: int) -> None:
    with pytest.raises(Unpredictable, match="nothing is known of what lies there"):
        memory(20, FREE, FREE).load(address, 8, "a")


def test_the_element_that_meets_the_hole_is_counted() -> None:
    made = memory(100, Placement(Place.HOLE, 37), FREE)
    at = SRC - 37
    assert made.element(at, 1) == 37
    assert made.element(at, 8) == 4
    assert made.element(at + 37, 8) == 0
    assert made.element(DST + 40, 8) is None
    made.told = [at + 24]
    assert made.element(at, 8, 0) == 3


def test_an_access_is_inside_the_buffer_of_its_kind_or_outside() -> None:
    made = memory(20, FREE, FREE)
    made.load(SRC + 40, 20, "a")
    made.store(0, DST + 40 + 19, 1, 7)
    assert made.outside() is None
    made.load(DST + 40, 1, "b")
    assert made.outside() == (False, DST + 40, 1)


def test_a_clear_has_no_source() -> None:
    made = Memory(CLEAR, Case(8, FREE, FREE), DST + 40, 0)
    assert made.fill(0, DST + 40, 0, 1, 8)
    made.commit(made.stores)
    written, correct, _ = made.maps()
    assert written == correct == bytes(64) + b"\1" * 8 + bytes(64)


@pytest.mark.parametrize("seed", range(4))
def test_periodic_bytes_are_like_a_bytearray(seed: int) -> None:
    random = Random(seed)
    pattern = random.randbytes(3 * PAGE)
    phase = random.randrange(len(pattern))
    size = 10 * PAGE
    made = Periodic(pattern, phase)
    plain = bytearray((pattern * 5)[phase : phase + size])
    for _ in range(300):
        first = random.randrange(size)
        part = slice(first, min(size, first + random.choice((1, 8, 100, 2 * PAGE))))
        assert made[part] == plain[part]
        if random.random() < 0.5:
            value = random.randbytes(part.stop - part.start)
            made[part] = value
            plain[part] = value

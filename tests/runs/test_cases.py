from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcverify.contract import Faults, load_contract
from mcverify.runs.case import PAGE, Case, Place, Placement
from mcverify.runs.cases import far_cases, sample_cases
from mcverify.runs.layout import lay_out
from mcverify.runs.pattern import VALUE, complement, contents, is_value, told_by

BAD = (Place.HOLE, Place.INSIDE)


def test_samples_are_the_same_each_time_and_cover_every_length() -> None:
    contract = load_contract("uaccess")
    cases = sample_cases(contract)
    assert cases == sample_cases(contract)
    assert cases != sample_cases(contract, seed=2)
    assert {c.len for c in cases} >= set(range(201))
    assert max(c.len for c in cases) > 500
    assert len({c.seed for c in cases}) == len(cases)


@pytest.mark.parametrize(
    ("contract", "faults", "in_src", "in_dst"),
    [
        ("uaccess", "loads", True, False),
        ("uaccess", "stores", False, True),
        ("uaccess", "both", True, True),
        ("bytes_left", None, True, False),
        ("clear", None, False, True),
    ],
)
def test_samples_fault_where_they_may(
    contract: str, faults: Faults | None, in_src: bool, in_dst: bool
) -> None:
    cases = sample_cases(load_contract(contract), faults)
    assert any(c.src.place in BAD for c in cases) is in_src
    assert any(c.dst.place in BAD for c in cases) is in_dst
    assert 60 < sum(c.src.place not in BAD and c.dst.place not in BAD for c in cases) < 160


def test_far_cases_lie_beyond_the_counter_and_fault_early() -> None:
    assert all(c.len >= 1 << 32 and c.src.first_bad == 64 for c in far_cases(load_contract("bytes_left")))
    of_stores = far_cases(load_contract("bytes_left"), faults="stores")
    assert all(c.dst.first_bad == 64 and c.src.first_bad is None for c in of_stores)
    by_machine_check = far_cases(load_contract("uaccess").restricted("mc"))
    assert {c.trap for c in by_machine_check} == {18}
    assert all(c.len >= 1 << 16 and c.dst.first_bad == 64 for c in far_cases(load_contract("clear"), bits=16))


placements = st.one_of(
    st.builds(Placement, st.just(Place.FREE), st.integers(0, 4095)),
    st.builds(Placement, st.just(Place.HOLE), st.integers(0, 9000)),
    st.builds(Placement, st.just(Place.INSIDE), st.integers(0, 4095)),
    st.builds(Placement, st.sampled_from([Place.END, Place.FRONT])),
)


@given(placements, st.integers(0, 9000), st.integers(0, 9000), st.integers(1, 64))
def test_an_access_is_bad_where_the_placement_says(
    place: Placement, length: int, offset: int, size: int
) -> None:
    buffer = lay_out(place, length, 1 << 40)
    bad_first = {
        Place.HOLE: place.at, Place.INSIDE: 0, Place.END: length, Place.FRONT: None, Place.FREE: None,
    }[place.place]  # fmt: skip
    bad_end = {Place.HOLE: place.at + PAGE, Place.INSIDE: PAGE - place.at, Place.END: length + PAGE}.get(
        place.place
    )
    inside = [
        i
        for i in range(offset, offset + size)
        if bad_first is not None and bad_end and bad_first <= i < bad_end
    ]
    found = buffer.first_bad(buffer.at + offset, size)
    if offset + size <= length or inside:
        assert found == (buffer.at + inside[0] if inside else None)


@given(st.integers(0, 2**64 - 1) | st.integers(VALUE, VALUE + 127), st.integers(0, 300))
def test_what_dst_holds_is_never_what_may_be_copied_there(seed: int, size: int) -> None:
    data = contents(seed, size)
    bit, value = told_by(seed)
    assert len(data) == size
    assert not set(complement(data)) & {0, *(byte for byte in range(256) if byte >> bit & 1 == value)}
    assert {byte >> bit & 1 for byte in data} <= {value}
    assert is_value(seed) or not set(data) & {0, 255}


def test_each_byte_but_0_and_255_is_copied_with_some_seed() -> None:
    assert set().union(*(contents(seed, 4096) for seed in range(1, 17))) == set(range(1, 255))
    assert max(contents(1, 4096)) < 128


def test_where_the_first_bad_byte_is() -> None:
    assert [Placement(p, 5).first_bad for p in Place] == [None, 5, 0, None, None]
    assert Case(1, Placement(Place.END), Placement(Place.FRONT)).trap == 14

"""What became of each byte, against a definition byte by byte; and how a map is folded."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import COUNTEREXAMPLE, outcome

from mcverify.contract import load_contract
from mcverify.proof.result import Counterexample, TraceStep
from mcverify.report.bytemap import ByteClass, byte_map, in_words, stored_prefix
from mcverify.report.fold import fold
from mcverify.runs.case import PAGE, RED_ZONE, Access, Case, Ending, Fault, Outcome, Place, Placement
from mcverify.runs.judge import judge

C = ByteClass
BYTES_LEFT = load_contract("bytes_left")
STATUS = load_contract("status")
CLEAR = load_contract("clear")
UACCESS = load_contract("uaccess")
FREE = Placement(Place.FREE)
BREAKS = {C.CLAIMED, C.UNCLAIMED, C.WRONG, C.STRAY}


def ran(length, written, left, *, src=FREE, dst=FREE, correct=None, faults=(), contract=BYTES_LEFT, **more):
    """A run that stored the offsets `written` of dst (`correct`: those with the right value)."""
    span = range(-RED_ZONE, length + RED_ZONE)
    right = written if correct is None else correct
    registers = {"rax": left, "rcx": left, "rdx": left, "rsp": 8, "rflags": 2}
    registers |= dict.fromkeys(contract.kept, 0)
    return Counterexample(
        obligations=("O3",),
        exit=".Lfix",
        case=Case(length, src, dst),
        outcome=Outcome(
            Ending.RETURNED,
            0,
            registers,
            registers | {"rsp": 0},
            tuple(faults),
            bytes(i in written for i in span),
            bytes(i in right for i in span),
            -RED_ZONE,
        ),
        sentence="",
        **more,
    )


def load_fault(offset):
    return Fault(0x10, "src", offset, is_store=False)


def store_fault(offset):
    return Fault(0x10, "dst", offset, is_store=True)


def spans(found, buffer="dst", contract=BYTES_LEFT):
    [row] = [row for row in byte_map(found, contract).rows if row.buffer == buffer]
    return [(span.start, span.end, span.kind) for span in row.spans]


def test_a_count_that_claims_too_much():
    found = ran(24, range(8), 8, src=Placement(Place.HOLE, 8), faults=[load_fault(8)])
    assert spans(found) == [(0, 8, C.COPIED), (8, 16, C.CLAIMED), (16, 24, C.UNTOUCHED)]
    assert spans(found, "src") == [(0, 8, C.COPIED), (8, 24, C.BAD)]
    assert byte_map(found, BYTES_LEFT).claim == 16


def test_a_count_that_claims_too_little():
    found = ran(24, range(16), 16, src=Placement(Place.HOLE, 16), faults=[load_fault(16)])
    assert spans(found) == [(0, 8, C.COPIED), (8, 16, C.UNCLAIMED), (16, 24, C.UNTOUCHED)]


def test_what_the_contract_allows_to_be_left_unclaimed_is_no_mistake():
    allowed = ran(24, range(15), 16, dst=Placement(Place.HOLE, 15), faults=[store_fault(15)], contract=CLEAR)
    assert spans(allowed, contract=CLEAR)[0] == (0, 15, C.COPIED)
    too_much = ran(24, range(16), 16, dst=Placement(Place.HOLE, 16), faults=[store_fault(16)], contract=CLEAR)
    assert CLEAR.over_report == 7
    assert spans(too_much, contract=CLEAR)[1] == (8, 16, C.UNCLAIMED)


def test_a_clear_has_no_source():
    found = ran(8, range(8), 0, contract=CLEAR)
    assert [row.buffer for row in byte_map(found, CLEAR).rows] == ["dst"]


def test_bad_bytes_of_dst_are_bad_unless_they_are_claimed():
    found = ran(32, range(8), 16, dst=Placement(Place.HOLE, 8), faults=[store_fault(8)], contract=UACCESS)
    assert spans(found, contract=UACCESS) == [(0, 8, C.COPIED), (8, 16, C.CLAIMED), (16, 32, C.BAD)]


def test_behind_the_bad_page_memory_is_good_again():
    found = ran(PAGE + 32, range(8), PAGE + 24, src=Placement(Place.HOLE, 8), faults=[load_fault(8)])
    assert spans(found, "src")[1:] == [(8, PAGE + 8, C.BAD), (PAGE + 8, PAGE + 32, C.UNTOUCHED)]


def test_wrong_data_comes_before_everything_else():
    found = ran(16, range(16), 8, correct=range(4))
    assert spans(found) == [(0, 4, C.COPIED), (4, 16, C.WRONG)]
    assert spans(found, "src") == [(0, 4, C.COPIED), (4, 16, C.UNTOUCHED)]


def test_what_is_stored_around_the_buffer_is_shown_with_whole_groups():
    found = ran(8, range(-1, 10), 0)
    assert spans(found) == [
        (-8, -1, C.OUTSIDE),
        (-1, 0, C.STRAY),
        (0, 8, C.COPIED),
        (8, 10, C.STRAY),
        (10, 16, C.OUTSIDE),
    ]


def test_a_fault_behind_the_source_is_shown():
    found = ran(13, range(8), 5, src=Placement(Place.END), faults=[load_fault(13)])
    [src, _] = byte_map(found, BYTES_LEFT).rows
    assert [(s.start, s.end, s.kind) for s in src.spans][-1] == (13, 16, C.GUARD)
    assert src.faults == (13,)


def test_what_the_trace_loaded_outside_is_shown():
    step = TraceStep(0x10, "", "", "", {}, accesses=(Access(0x10, "src", 8, 8, is_store=False),))
    found = ran(13, range(13), 0, trace=(step,))
    assert spans(found, "src") == [(0, 13, C.COPIED), (13, 16, C.OVERREAD)]


def test_a_fault_far_away_does_not_stretch_the_map():
    found = ran(8, range(8), 0, faults=[load_fault(1 << 40), load_fault(-(1 << 40))])
    drawn = byte_map(found, BYTES_LEFT)
    assert (drawn.start, drawn.end) == (0, 8)


@pytest.mark.parametrize("ending", [Ending.OOPS, Ending.WILD, Ending.TIMEOUT])
def test_a_run_that_did_not_return_claims_nothing(ending):
    found = ran(24, range(8), 0, src=Placement(Place.HOLE, 8), faults=[load_fault(8)])
    found = replace(found, outcome=replace(found.outcome, ending=ending))
    assert byte_map(found, BYTES_LEFT).claim is None
    assert spans(found) == [(0, 8, C.COPIED), (8, 24, C.UNTOUCHED)]


def test_a_count_out_of_range_claims_nothing():
    assert byte_map(ran(8, range(0), 9), BYTES_LEFT).claim is None


def test_a_status_of_success_claims_all():
    found = ran(16, range(8), 0, src=Placement(Place.HOLE, 8), faults=[load_fault(8)], contract=STATUS)
    assert byte_map(found, STATUS).claim == 16
    assert spans(found, contract=STATUS) == [(0, 8, C.COPIED), (8, 16, C.CLAIMED)]
    failed = ran(16, range(8), 14, contract=STATUS)
    assert byte_map(failed, STATUS).claim is None
    inverted = replace(STATUS, status_inverted=True)
    assert byte_map(failed, inverted).claim == 16


def test_a_store_past_the_fault_is_a_mistake_without_a_count_too():
    found = ran(16, range(12), 14, src=Placement(Place.HOLE, 8), faults=[load_fault(8)], contract=STATUS)
    assert spans(found, contract=STATUS)[1] == (8, 12, C.UNCLAIMED)


def test_without_a_contract_the_map_shows_what_was_stored():
    assert spans(ran(16, range(8), 16), contract=None) == [(0, 8, C.COPIED), (8, 16, C.UNTOUCHED)]


def test_no_bytes_make_an_empty_map():
    drawn = byte_map(ran(0, range(0), 0), BYTES_LEFT)
    assert (drawn.start, drawn.end, fold(drawn)) == (0, 0, [])


def test_a_very_long_run_is_given_by_its_changes():
    length = 1 << 33
    run = outcome(8, range(0), length - 4096)
    run = replace(run, written=b"", correct=b"", faults=(load_fault(64),))
    run = replace(run, stored=((0, 64), (1 << 32, length)), wrong=((length - 1, length),))
    found = replace(COUNTEREXAMPLE, case=Case(length, Placement(Place.HOLE, 64), FREE), outcome=run)
    drawn = byte_map(found, load_contract("mcsafe_ret"))
    assert [(s.start, s.end, s.kind) for s in drawn.rows[1].spans] == [
        (0, 64, C.COPIED),
        (64, 4096, C.CLAIMED),
        (4096, 1 << 32, C.UNTOUCHED),
        (1 << 32, length - 1, C.UNCLAIMED),
        (length - 1, length, C.WRONG),
    ]
    stretches = fold(drawn)
    assert [s.end for s in stretches[:-1]] == [s.start for s in stretches[1:]]
    assert (stretches[0].start, stretches[-1].end) == (0, length)
    assert sum(s.end - s.start for s in stretches if s.folded) > length - 20 * 64
    assert stored_prefix(run, length) == 64


@pytest.mark.parametrize("width", [8, 32, 64])
def test_a_fold_keeps_the_lines_at_which_something_changes(width):
    found = ran(2000, range(1000), 900, src=Placement(Place.HOLE, 1000), faults=[load_fault(1000)])
    drawn = byte_map(found, BYTES_LEFT)
    stretches = fold(drawn, width)
    shown = {offset for s in stretches if not s.folded for offset in range(s.start, s.end)}
    assert {0, 999, 1000, 1099, 1100, 1999} <= shown
    assert all(s.end - s.start > width for s in stretches if s.folded)
    assert all(s.end - s.start <= width for s in stretches if not s.folded)
    assert [s.end for s in stretches[:-1]] == [s.start for s in stretches[1:]]


def test_a_restless_map_is_folded_too():
    every_other = range(0, 8000, 2)
    found = ran(8000, every_other, 4000, src=Placement(Place.HOLE, 6000), faults=[load_fault(6000)])
    stretches = fold(byte_map(found, BYTES_LEFT), 64, most=12)
    lines = [s for s in stretches if not s.folded]
    assert len(lines) <= 24
    assert any(s.start <= 6000 < s.end for s in lines)
    assert any(s.start <= 4000 < s.end for s in lines)


def test_a_short_map_is_not_folded():
    assert not any(s.folded for s in fold(byte_map(ran(300, range(300), 0), BYTES_LEFT)))


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        (Placement(Place.FREE, 60), [(4, 64), (68, 64)]),
        (Placement(Place.HOLE, 20), [(20, PAGE), (84, 64)]),
        (Placement(Place.FRONT), [(0, PAGE), (64, 64)]),
        (Placement(Place.INSIDE, PAGE - 70), [(6, 64), (70, PAGE)]),
    ],
)
def test_pages_and_cache_lines_begin_where_the_addresses_say(placement, expected):
    found = ran(100, range(0), 100, src=placement)
    row = byte_map(found, BYTES_LEFT).rows[0]
    assert list(row.boundaries(0, 100)) == expected


def test_the_map_in_words():
    found = ran(24, range(8), 8, src=Placement(Place.HOLE, 8), faults=[load_fault(8)])
    assert in_words(byte_map(found, BYTES_LEFT)) == (
        "src: bytes 0 to 7 copied, bytes 8 to 23 bad (cannot be accessed). A fault at src+8. "
        "dst: bytes 0 to 7 copied, bytes 8 to 15 claimed but not copied, bytes 16 to 23 untouched. "
        "The routine claims the first 16 of 24 bytes."
    )


offsets = st.integers(-RED_ZONE, 100 + RED_ZONE)
runs = st.lists(st.tuples(offsets, st.integers(1, 60)), max_size=3).map(
    lambda parts: {offset for first, size in parts for offset in range(first, first + size)}
)


@settings(max_examples=300, deadline=None)
@given(
    length=st.integers(0, 100),
    written=runs,
    wrong=runs,
    left=st.integers(0, 110),
    hole=st.none() | st.integers(0, 100),
    contract=st.sampled_from([BYTES_LEFT, UACCESS, STATUS, CLEAR]),
)
def test_the_spans_are_what_each_byte_by_itself_says(length, written, wrong, left, hole, contract):
    written = {o for o in written if -RED_ZONE <= o < length + RED_ZONE}
    hole = None if hole is None or hole >= length else hole
    on_store = contract.src is None
    bad = Placement(Place.HOLE, hole) if hole is not None else FREE
    faults = [] if hole is None else [store_fault(hole) if on_store else load_fault(hole)]
    places = {"dst": bad} if on_store else {"src": bad}
    found = ran(length, written, left, correct=written - wrong, faults=faults, contract=contract, **places)
    drawn = byte_map(found, contract)
    for row in drawn.rows:
        assert [s.end for s in row.spans[:-1]] == [s.start for s in row.spans[1:]]
        assert all(a.kind is not b.kind for a, b in zip(row.spans, row.spans[1:], strict=False))
    dst = {o: span.kind for span in drawn.rows[-1].spans for o in range(span.start, span.end)}
    assert set(range(length)) | {o for o in written if o < 0 or o >= length} <= set(dst)
    for offset, kind in dst.items():
        assert kind in allowed(offset, length, written, wrong, drawn.claim, hole)
    broken = {v.obligation for v in judge(contract, found.case, found.outcome)} & {"O3", "O4", "O6"}
    assert {k for k in drawn.kinds if k in BREAKS} == expected_breaks(broken, dst, contract)


def allowed(offset, length, written, wrong, claim, hole):
    """The classes that a byte of dst may have."""
    if not 0 <= offset < length:
        return {C.STRAY} if offset in written else {C.OUTSIDE, C.GUARD}
    if offset in written:
        if offset in wrong:
            return {C.WRONG}
        past = hole is not None and offset >= hole or claim is not None and offset >= claim
        return {C.COPIED, C.UNCLAIMED} if past else {C.COPIED}
    return {C.CLAIMED} if claim is not None and offset < claim else {C.UNTOUCHED, C.BAD}


def expected_breaks(broken, dst, contract):
    """The map shows a mistake if and only if the judge sees one."""
    breaks = {{"O3": C.CLAIMED, "O4": C.UNCLAIMED, "O6": C.WRONG}[o] for o in broken}
    breaks |= {C.STRAY} & set(dst.values())
    if contract is STATUS:  # its O3 is part of O9
        breaks |= {C.CLAIMED} & set(dst.values())
    if C.WRONG in dst.values():  # a wrong byte past the claim is shown as wrong
        breaks = (breaks - {C.UNCLAIMED}) | ({C.UNCLAIMED} & set(dst.values()))
    return breaks

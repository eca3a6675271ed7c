"""A caller's loop in numbers, with a routine that is a few lines of Python."""

from pathlib import Path

import pytest

from mcverify.callers.loop import Call, Copied, carry_out
from mcverify.callers.model import RIGHT, claims, find
from mcverify.runs.case import Case, Place, Placement

LIKE = Case(1, Placement(Place.FREE), Placement(Place.FREE))
CLAIMS = {claim.id: claim for claim in claims()}


def exact(case):
    count = case.good_bytes
    return Copied(count, dict.fromkeys(range(count), RIGHT), "", "python")


def all_or_nothing(case):
    return exact(case) if case.good_bytes == case.len else Copied(0, {}, "", "python")


def in_words(case):
    """Counts whole words of 8, and stores the bytes behind them."""
    done = exact(case)
    return Copied(done.copied // 8 * 8 if done.copied < case.len else done.copied, done.changed, "", "python")


def broken(ended):
    return [claim.id for claim in claims() if ended.breaks(claim, 0)]


@pytest.mark.parametrize("loop", find("write").loops, ids=lambda loop: loop.kernels)
@pytest.mark.parametrize("rejected", [(0,), (1,)])
@pytest.mark.parametrize("n", [1, 100, 9000])
@pytest.mark.parametrize("first_bad", [0, 1, 99, 4096, 9000])
def test_an_exact_routine_writes_the_good_bytes(loop, rejected, n, first_bad):
    first_bad = min(n, first_bad)
    ended = carry_out(loop, Call(n, first_bad, 4000, "src", LIKE, {"rejected": rejected}), exact)
    assert ended.shown.returned == (first_bad or -14)
    assert broken(ended) == []


@pytest.mark.parametrize("loop", find("write").loops, ids=lambda loop: loop.kernels)
def test_a_routine_that_gives_up_hangs_the_write(loop):
    ended = carry_out(loop, Call(100, 8, 0, "src", LIKE), all_or_nothing)
    assert ended.shown.returned is None
    assert ended.shown.back_at is not None
    assert broken(ended) == ["W4"]


def test_bytes_behind_the_count_show_when_the_call_ends_early():
    loop = find("write").loops[0]
    call = Call(100, 13, 0, "src", LIKE, {"rejected": (1,), "fails": (0, 1)})
    ended = carry_out(loop, call, in_words)
    assert ended.shown.returned == 8
    assert broken(ended) == ["W1"]


def test_without_a_bound_no_call_ends_too_early():
    ended = carry_out(find("read").loops[0], Call(100, 8, 0, "dst", LIKE), all_or_nothing)
    assert broken(ended) == ["W3"]
    assert not any(ended.breaks(claim, None) for claim in claims())


def test_a_wrong_caller_claims_what_it_has_not():
    (loop,) = find(str(Path(__file__).with_name("asked.toml"))).loops
    ended = carry_out(loop, Call(100, 8, 0, "dst", LIKE), exact)
    assert ended.shown.returned == 100
    assert broken(ended) == ["W1", "W2"]


def test_the_routine_is_asked_where_the_loop_stands():
    asked = []

    def watched(case):
        asked.append((case.len, case.src, case.dst))
        return exact(case)

    carry_out(find("read").loops[0], Call(5000, 4500, 96, "dst", LIKE), watched)
    free, hole = Place.FREE, Place.HOLE
    assert asked == [
        (4000, Placement(free, 96), Placement(free, 4096 - 4500 % 4096)),
        (1000, Placement(free, 0), Placement(hole, 500)),
        (500, Placement(free, 500), Placement(hole, 0)),
    ]

"""The claims by induction, from exactly what is known of the routine."""

from pathlib import Path

import pytest
import z3

from mcverify.callers.induction import Induction
from mcverify.callers.model import claims, find
from mcverify.callers.premises import ALL, OBLIGATIONS, SLACK, Copy, Premises, by

LOOPS = [(name, loop) for name in ("write", "read", "dax-read") for loop in find(name).loops]
IDS = [f"{name}-{loop.kernels}" for name, loop in LOOPS]
CLAIMS = {claim.id: claim for claim in claims()}
MAX = 0x7FFFF000
BARE = ALL.without(SLACK)
"""Every obligation, and no bound on what is left uncopied."""


def rests_on(loop, premises):
    induction = Induction(loop, premises, MAX)
    return {claim.id: induction.rests_on(claim) for claim in claims()}


@pytest.mark.parametrize(("name", "loop"), LOOPS, ids=IDS)
def test_everything_follows_from_the_obligations(name, loop):
    found = rests_on(loop, BARE)
    assert None not in found.values()
    assert {"O3", "O4", "O6"} <= set(found["W1"])
    assert {"O2", "O3"} <= set(found["W2"])
    assert ("O5" in found["W4"]) == (name == "write")
    assert ("O5" in found["W3"]) == (name != "write")


@pytest.mark.parametrize(("name", "loop"), LOOPS, ids=IDS)
def test_what_a_proof_rests_on_suffices_alone(name, loop):
    for claim, used in rests_on(loop, BARE).items():
        fewer = Induction(loop, Premises(frozenset(used)), MAX)
        assert fewer.rests_on(CLAIMS[claim]) is not None


@pytest.mark.parametrize(("name", "loop"), LOOPS, ids=IDS)
@pytest.mark.parametrize(
    ("claim", "missing"),
    [
        ("W1", "O3"),
        ("W1", "O4"),
        ("W1", "O6"),
        ("W2", "O2"),
        ("W2", "O3"),
        ("W1", "O8"),
        ("W4", "O1"),
        ("W4", "O9"),
    ],
)
def test_a_claim_does_not_follow_without_what_it_needs(name, loop, claim, missing):
    induction = Induction(loop, BARE.without(missing), MAX)
    assert induction.rests_on(CLAIMS[claim]) is None
    assert induction.example(CLAIMS[claim]) is not None


def test_without_progress_a_write_comes_back_to_where_it_was():
    for loop in find("write").loops:
        induction = Induction(loop, BARE.without("O5"), MAX)
        assert induction.rests_on(CLAIMS["W4"]) is None
        assert induction.rests_on(CLAIMS["W1"]) is not None
        found = induction.example(CLAIMS["W4"])
        assert (found.given["n"], found.given["first_bad"]) == (2, 1)
        assert (found.asked, found.ok, found.copied, found.state["written"]) == (2, 1, 0, 0)


def test_a_bound_on_the_slack_is_enough_for_a_read():
    (loop,) = find("dax-read").loops
    found = Induction(loop, Premises(frozenset(OBLIGATIONS) - {"O5"}, 0, 31), MAX)
    assert SLACK in found.rests_on(CLAIMS["W3"])
    assert Induction(loop, BARE.without("O5"), MAX).rests_on(CLAIMS["W3"]) is None


def test_an_allowance_behind_the_claim_is_no_prefix():
    (loop,) = find("read").loops
    induction = Induction(loop, Premises(frozenset(OBLIGATIONS), 7, 0), MAX)
    assert induction.rests_on(CLAIMS["W1"]) is None


def test_a_rest_that_may_be_zeroed_is_no_prefix():
    for name, loop in LOOPS:
        found = rests_on(loop, Premises(frozenset(OBLIGATIONS), 0, 0, rest_zeroed=True))
        assert found["W1"] is None, name
        assert found["W2"] is not None


def test_a_wrong_caller_is_not_proved_whatever_the_routine_keeps():
    (loop,) = find(str(Path(__file__).with_name("asked.toml"))).loops
    induction = Induction(loop, ALL, MAX)
    assert not induction.unmet_choice
    assert induction.rests_on(CLAIMS["W2"]) is None
    found = induction.example(CLAIMS["W2"])
    assert (found.given["n"], found.given["first_bad"], found.copied) == (1, 0, 0)
    assert induction.rests_on(CLAIMS["W4"]) is not None


def test_a_choice_without_a_value_proves_nothing(tmp_path):
    text = Path(__file__).with_name("asked.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(text.replace("1 <= room and room <= page", "room < 0 and room > 0"))
    (loop,) = find(str(path)).loops
    induction = Induction(loop, ALL, MAX)
    assert induction.unmet_choice == "room"
    assert [induction.rests_on(claim) for claim in claims()] == [None] * 4


def test_an_exact_copy_is_always_among_the_results():
    """No set of obligations leaves no result at all: from that everything would follow."""
    size, ok, k = z3.Ints("len ok k")
    copy = Copy.fresh("t", size, ok, k)
    exact = z3.And(
        *(
            copy.copied == ok,
            copy.point == ok,
            copy.faulted == (ok < size),
            copy.stored == z3.And(k >= 0, k < ok),
        ),
        *(copy.right, z3.Not(copy.stored_bad), copy.right_bad),
        *(copy.covered, copy.kept, copy.inside, copy.returns),
    )
    solver = z3.Solver()
    solver.add(size >= 1, size <= MAX, ok >= 0, ok <= size, k != ok, exact, *map(by, ALL.names))
    assert solver.check() == z3.sat
    solver.add(z3.Not(copy.allowed(ALL)))
    assert solver.check() == z3.unsat

"""What a standpoint has proved is known again: the same question, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import z3
from support.valid import is_valid

from mcverify.contract import load_contract
from mcverify.deadline import Deadline
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.ghost import AT_ENTRY, AT_LOCATION, GhostRules, J
from mcverify.logic.solver import Answer, Solver
from mcverify.logic.standpoint import Invariant, Standpoint, last_trap
from mcverify.machine.instruction import Kind
from mcverify.machine.state import Registers, State
from mcverify.machine.symbols import symbol
from mcverify.machine.terms import symbols_of, variable, word
from mcverify.paths.explore import entry_symbol
from mcverify.paths.faults import LAST_TRAP
from mcverify.paths.segment import Fault, Location, Segment, Transfer

GOAL = z3.ULT(symbol("rcx"), word(100))


def standpoint(solver: Solver, bounds: Mapping[str, int], *facts: z3.BoolRef) -> Standpoint:
    assumptions = Assumptions(load_contract("bytes_left"), 1 << 20, 64, persistent=False)
    return Standpoint(Location(0x1000, False, 0), False, Invariant({}, bounds, facts), assumptions, solver)


def test_the_same_question_is_asked_once() -> None:
    solver = Solver(5, Deadline(None))
    facts = (z3.Or(symbol("rcx") == 5, symbol("rcx") == symbol("rdx")), z3.ULT(symbol("rdx"), word(90)))
    assert standpoint(solver, {}, *facts).ask(GOAL).answer is Answer.PROVED
    asked = solver.queries
    assert asked
    assert standpoint(solver, {}, *facts).ask(GOAL).answer is Answer.PROVED
    assert solver.queries == asked


def test_what_is_proved_under_one_bound_is_not_known_under_another() -> None:
    solver = Solver(5, Deadline(None))
    assert standpoint(solver, {"rcx": 99}).ask(GOAL).answer is Answer.PROVED
    assert standpoint(solver, {"rcx": 101}).ask(GOAL).answer is Answer.FAILED
    assert standpoint(solver, {}).ask(GOAL).answer is Answer.FAILED


def test_what_is_proved_under_a_condition_is_not_known_without_it() -> None:
    solver, condition = Solver(5, Deadline(None)), z3.ULT(symbol("rcx"), word(50))
    here = standpoint(solver, {})
    assert here.ask(GOAL, [condition]).answer is Answer.PROVED
    assert here.ask(GOAL).answer is Answer.FAILED
    assert here.ask(GOAL, (), [condition]).answer is Answer.FAILED
    assert here.ask(GOAL, (), [condition], bad_bytes=True).answer is Answer.PROVED
    assert here.ask(z3.ULT(symbol("rcx"), word(40)), [condition]).answer is Answer.FAILED


def store(at: int, size: int, loaded_at: int) -> tuple[Transfer, Transfer]:
    """Bytes of src from `loaded_at` on, stored at `at` in dst."""
    value = z3.BitVec(f"load{at}.{loaded_at}", 8 * size)
    load = Transfer(Kind.LOAD, 0, entry_symbol("rsi") + loaded_at, size, value)
    return load, Transfer(Kind.STORE, 0, entry_symbol("rdi") + at, size, value)


def test_right_stores_one_behind_the_other_are_one_range() -> None:
    rules = GhostRules(load_contract("bytes_left"), {})
    begun = rules.start(AT_ENTRY)
    moved = [part for at in (0, 8, 16) for part in store(at, 8, at)]
    ghost = rules.after(begun, tuple(moved))
    assert is_valid(ghost.hit == z3.ULT(J, word(24)))
    assert symbols_of(ghost.hit) == {"j"}
    later = rules.after(ghost, store(24, 4, 24))
    assert is_valid(later.hit == z3.ULT(J, word(28)))


def test_a_prefix_is_known_as_z3_writes_it() -> None:
    """At a loop head `hit` stands for j < top, which z3 turns round."""
    definitions = {"hit": z3.ULT(J, symbol("rcx")), "top": symbol("rcx")}
    rules = GhostRules(load_contract("bytes_left"), definitions)
    begun = rules.start(AT_LOCATION)
    value = z3.BitVec("load0", 64)
    at = symbol("rcx")
    moved = (
        Transfer(Kind.LOAD, 0, entry_symbol("rsi") + at, 8, value),
        Transfer(Kind.STORE, 0, entry_symbol("rdi") + at, 8, value),
    )
    ghost = rules.after(begun, moved)
    assert ghost.hit.eq(z3.ULT(J, z3.simplify(at + 8, som=True)))
    assert "hit" not in symbols_of(ghost.hit)


def test_a_wrong_storedamong_right_ones_stays_wrong() -> None:
    rules = GhostRules(load_contract("bytes_left"), {})
    begun = rules.start(AT_ENTRY)
    for order in ((0, 8, 16), (8, 0, 16), (16, 8, 0)):
        moved = [part for at in order for part in store(at, 8, 0 if at == 8 else at)]
        ghost = rules.after(begun, tuple(moved))
        wrong = z3.And(z3.UGE(J, word(8)), z3.ULT(J, word(16)))
        assert is_valid(z3.Implies(z3.ULT(J, word(24)), z3.Implies(z3.Not(wrong), ghost.ok)))
        assert not is_valid(ghost.ok)
        over = rules.after(ghost, store(8, 8, 8))
        assert is_valid(over.ok)
        under = rules.after(over, store(10, 2, 11))
        assert not is_valid(under.ok)
        assert is_valid(z3.Implies(z3.And(J != 10, J != 11), under.ok))


def test_a_gap_between_right_stores_says_nothing_of_the_bytes_in_it() -> None:
    rules = GhostRules(load_contract("bytes_left"), {})
    begun = rules.start(AT_ENTRY)
    ghost = rules.after(begun, (*store(0, 8, 1), *store(16, 8, 16), *store(32, 8, 32)))
    inside = z3.ULT(J, word(8))
    assert is_valid(z3.Implies(z3.Not(inside), ghost.ok))
    assert not is_valid(z3.Implies(inside, ghost.ok))


def left_at(registers: Mapping[str, z3.BitVecRef], faults: tuple[Fault, ...] = ()) -> Segment:
    """A path that ends with these registers, and a word pushed."""
    end = State(Registers(registers), {}).pushed(-8, symbol("rbx")).pushed(-16, symbol("rcx") + 1)
    here = Location(0x1000, False, 0)
    return Segment(here, here, 0x1000, (), (), (), faults, end, ())


def fault(trap: int) -> Fault:
    return Fault(Transfer(Kind.LOAD, 0, word(0), 1), None, word(trap), State(Registers({}), {}))


def test_what_symbols_are_at_the_end_of_a_path() -> None:
    here = standpoint(Solver(5, Deadline(None)), {})
    end = left_at(
        {"rcx": symbol("rcx") - 8, "rsi": symbol("rsi") + 8, "rbx": word(3)}, (fault(14), fault(18))
    )
    expected = {
        "rcx": symbol("rcx") - 8,
        "stack-8": symbol("rbx"),
        "stack-16": symbol("rcx") + 1,
        "rsi~rsi@0": symbol("rsi") + 8 - entry_symbol("rsi"),
        "rdx@0": entry_symbol("rdx"),
        "top": variable("top"),
        "j": J,
        LAST_TRAP.decl().name(): word(18),
    }
    for name, term in expected.items():
        assert is_valid(here.at_end(end, variable(name)) == term), name
    hit = here.at_end(end, z3.Bool("hit"))
    assert is_valid(hit == z3.Bool("hit"))
    calm = left_at({})
    assert here.at_end(calm, LAST_TRAP).eq(LAST_TRAP)
    assert here.at_end(calm, variable("rcx")).eq(variable("rcx"))
    assert (last_trap(calm).eq(LAST_TRAP), last_trap(end).as_long()) == (True, 18)


def test_bytes_stored_on_the_path_are_in_its_ghost() -> None:
    here = standpoint(Solver(5, Deadline(None)), {})
    begun = left_at({})
    stored = replace(begun, transfers=store(0, 8, 0))
    covered = z3.ULT(J, word(8))
    assert is_valid(here.at_end(stored, z3.Bool("hit")) == z3.Or(z3.Bool("hit"), covered))
    assert is_valid(here.with_ghost(stored, z3.Bool("hit")) == z3.Or(z3.Bool("hit"), covered))


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_a_remainder_is_that_of_the_length(size: int) -> None:
    """Whether a definition makes use of it or not."""
    rest, length, counter = variable(f"rdx@0%{size}"), entry_symbol("rdx"), symbol("rcx")
    for definitions in ({}, {"rcx": length - rest}):
        given = Assumptions(load_contract("bytes_left"), 1 << 20, 64, persistent=False)
        known = Invariant(definitions)
        here = Standpoint(Location(0x1000, False, 0), False, known, given, Solver(5, Deadline(None)))
        assert here.ask(rest == length & (size - 1)).answer is Answer.PROVED
        assert here.ask(z3.ULE(rest, word(size - 1))).answer is Answer.PROVED
        assert here.ask(z3.ULE(rest, word(size - 2))).answer is Answer.FAILED
        assert here.ask(rest == 0).answer is Answer.FAILED
        whole = here.ask(counter & (size - 1) == 0).answer
        assert whole is (Answer.PROVED if definitions else Answer.FAILED)
        assert here.ask(counter == length).answer is Answer.FAILED


def test_what_a_contract_gives_is_known() -> None:
    contract = load_contract("clear")
    assert contract.given
    given = Assumptions(contract, 1 << 20, 64, persistent=False)
    here = Standpoint(Location(0x1000, False, 0), True, Invariant(), given, Solver(5, Deadline(None)))
    for register, value in contract.given.items():
        assert here.here(entry_symbol(register)).as_long() == value
    assert here.ask(z3.BoolVal(False)).answer is Answer.FAILED


def test_a_right_storedthat_begins_before_others_is_right_where_it_is() -> None:
    """And says nothing of a wrong one behind them."""
    rules = GhostRules(load_contract("bytes_left"), {})
    moved = (*store(12, 8, 13), *store(4, 8, 4), *store(2, 8, 2))
    ghost = rules.after(rules.start(AT_ENTRY), moved)
    covered = z3.And(z3.UGE(J, word(2)), z3.ULT(J, word(20)))
    right = z3.And(z3.UGE(J, word(2)), z3.ULT(J, word(12)))
    assert is_valid(ghost.hit == covered)
    assert is_valid(z3.Implies(right, ghost.ok))
    for place in range(12, 20):
        assert not is_valid(z3.Implies(place == J, ghost.ok))


def test_a_changed_byte_of_a_word_is_not_that_of_src() -> None:
    rules = GhostRules(load_contract("bytes_left"), {})
    word_of_src = z3.BitVec("load0", 64)
    load = Transfer(Kind.LOAD, 0, entry_symbol("rsi"), 8, word_of_src)
    byte = z3.Extract(15, 8, word_of_src)
    for value, right in ((byte, True), (byte + 1, False), (1 + byte, False), (byte & 0x7F, False)):
        stored = Transfer(Kind.STORE, 0, entry_symbol("rdi") + 1, 1, value)
        ghost = rules.after(rules.start(AT_ENTRY), (load, stored))
        assert is_valid(z3.Implies(J == 1, ghost.ok)) == right

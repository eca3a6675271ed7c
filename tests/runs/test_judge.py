"""Each obligation, broken by an outcome made for it, and kept by its neighbour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mcverify.arch.known import X86_64
from mcverify.contract import Contract, load_contract
from mcverify.runs.case import RED_ZONE, Case, Ending, Fault, Outcome, Place, Placement
from mcverify.runs.judge import judge

FREE = Placement(Place.FREE)
CONTRACT = load_contract("uaccess")
CASE = Case(20, Placement(Place.HOLE, 8), FREE)
BAD_8 = Fault(0x10, "src", 8, is_store=False)
INITIAL = {**{r: i + 100 for i, r in enumerate(X86_64.general)}, "rsp": 0x8000, "rflags": 2}


def marks(first: int, end: int) -> bytes:
    return bytes(first <= i < end for i in range(-RED_ZONE, 20 + RED_ZONE))


def outcome(copied: tuple[int, int] = (0, 8), left: int = 12, **changes: Any) -> Outcome:
    """A right run: 8 of 20 bytes copied, then a fault; `changes` are of fields, or registers."""
    registers = {**INITIAL, "rsp": 0x8008, "rax": left}
    registers.update({name: changes.pop(name) for name in list(changes) if name in registers})
    written = marks(*copied)
    right = Outcome(Ending.RETURNED, 0, registers, INITIAL, (BAD_8,), written, written, -RED_ZONE)
    return replace(right, **changes)


def broken(made: Outcome, case: Case = CASE, contract: Contract = CONTRACT) -> set[str]:
    return {v.obligation for v in judge(contract, case, made)}


def test_a_right_run_breaks_nothing() -> None:
    assert broken(outcome()) == set()


@pytest.mark.parametrize(
    ("made", "obligations"),
    [
        (outcome(ending=Ending.OOPS), {"O1"}),
        (outcome(left=21), {"O2"}),
        (outcome(left=2**64 - 8), {"O2"}),
        (outcome(left=11), {"O3"}),
        (outcome(copied=(1, 8)), {"O3"}),
        (outcome(left=13), {"O4"}),
        (outcome(copied=(0, 9)), {"O4"}),
        (outcome(copied=(0, 9), left=11), {"O4"}),
        (outcome(copied=(0, 0), left=20), {"O5"}),
        (outcome(correct=marks(0, 7)), {"O6"}),
        (outcome(rbx=1), {"O7"}),
        (outcome(rsp=0x8000), {"O7"}),
        (outcome(rflags=1 << 10), {"O7"}),
        (outcome(rflags=1 << 18), {"O7"}),
        (outcome(ac=True), {"O7"}),
        (outcome(frame_intact=False), {"O7"}),
        (outcome(ending=Ending.WILD), {"O7"}),
        (outcome(ending=Ending.ILLEGAL), {"O7"}),
        (outcome(ending=Ending.DIED, registers={}, initial={}), {"O7"}),
        (outcome(copied=(-1, 8)), {"O8"}),
        (outcome(faults=(BAD_8, Fault(1, "src", 20, is_store=False))), {"O8"}),
        (outcome(faults=(BAD_8, Fault(1, "dst", -1, is_store=True))), {"O8"}),
        (outcome(faults=(BAD_8, Fault(1, "", 0x1234, is_store=False))), {"O8"}),
        (outcome(faults=()), {"O9"}),
        (outcome(faults=(), copied=(0, 20), left=0), set()),
        (outcome(faults=(), copied=(0, 19), left=0), {"O3", "O9"}),
        (outcome(ending=Ending.TIMEOUT), {"O9"}),
        (outcome(ending=Ending.ESCAPED, left=99), set()),
        (outcome(ending=Ending.REFUSED, registers={}, initial={}), set()),
    ],
)
def test_what_each_outcome_breaks(made: Outcome, obligations: set[str]) -> None:
    assert broken(made) == obligations


def test_nothing_may_be_copied_of_a_buffer_whose_first_byte_is_bad() -> None:
    made = outcome(copied=(0, 0), left=20, faults=(Fault(0x10, "src", 0, is_store=False),))
    for placement in (Placement(Place.HOLE, 0), Placement(Place.INSIDE, 7)):
        assert broken(made, replace(CASE, src=placement)) == set()
        assert broken(made, replace(CASE, src=FREE, dst=placement)) == set()


def test_an_unlisted_read_past_the_end_breaks_two_obligations() -> None:
    fault = Fault(0x10, "src", 20, is_store=False)
    assert broken(outcome(ending=Ending.OOPS, faults=(fault,))) == {"O1", "O8"}


def test_a_contract_may_allow_to_report_too_much() -> None:
    clear = load_contract("clear")
    made = outcome(rcx=12 + 7, rax=INITIAL["rax"], faults=(Fault(0x10, "dst", 8, is_store=True),))
    case = Case(20, FREE, Placement(Place.HOLE, 8))
    assert broken(made, case, clear) == set()
    assert broken(replace(made, registers={**made.registers, "rcx": 20}), case, clear) == {"O4", "O5"}
    assert broken(replace(made, registers={**made.registers, "rax": 0}), case, clear) == {"O7"}


def test_only_the_contracts_obligations_bind() -> None:
    contract = replace(CONTRACT, obligations=("O7",), on_machine_check=("O3",))
    assert broken(outcome(left=2, rbx=1), CASE, contract) == {"O7"}
    assert broken(outcome(left=2, rbx=1), replace(CASE, trap=18), contract) == {"O3"}


@pytest.mark.parametrize(("trap", "ok"), [(18, True), (14, False), (0, False)])
def test_the_trap_number_returned_is_that_of_the_last_fault(trap: int, ok: bool) -> None:
    contract, case = load_contract("mcsafe_ret"), replace(CASE, trap=18)
    assert broken(outcome(rax=trap, rdx=12), case, contract) == (set() if ok else {"O9"})


def test_a_status_tells_success_from_failure() -> None:
    contract = load_contract("status")
    whole = outcome(faults=(), copied=(0, 20))
    assert broken(replace(whole, registers={**whole.registers, "rax": 0}), CASE, contract) == set()
    assert broken(whole, CASE, contract) == {"O9"}
    assert broken(outcome(left=0), CASE, contract) == {"O9"}
    assert broken(outcome(left=5), CASE, contract) == set()
    assert broken(outcome(left=5, copied=(0, 9)), CASE, contract) == {"O4"}
    inverted = replace(contract, status_inverted=True)
    assert broken(whole, CASE, inverted) == set()


def test_long_buffers_are_judged_by_runs() -> None:
    case = Case(1 << 33, Placement(Place.HOLE, 1 << 32), FREE)
    fault = Fault(0x10, "src", 1 << 32, is_store=False)
    made = outcome(
        left=1 << 32, faults=(fault,), written=b"", correct=b"", base=0, wrong=(), stored=((0, 1 << 32),)
    )
    assert broken(made, case) == set()
    assert broken(replace(made, stored=((0, 8),)), case) == {"O3"}
    assert broken(replace(made, wrong=((5, 6),)), case) == {"O6"}


def test_a_sentence_says_what_was_wrong_in_numbers() -> None:
    (violation,) = judge(CONTRACT, CASE, outcome(left=4))
    assert violation.sentence == "4 of 20 bytes are reported left, but byte 8 of dst was not stored"
    assert violation.certain
    (oops,) = judge(CONTRACT, CASE, outcome(ending=Ending.OOPS), name=lambda address: f"line {address}")
    assert oops.sentence == (
        "the load at line 16 faulted at byte 8 of src, and no exception-table entry covers it"
    )


def test_a_run_out_of_time_is_only_a_suspicion() -> None:
    (violation,) = judge(CONTRACT, CASE, outcome(ending=Ending.TIMEOUT))
    assert not violation.certain

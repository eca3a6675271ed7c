"""Predictions: what they compare, that a wrong model is noticed, and what the model does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import z3

from mcverify.arch.x86_64 import handlers
from mcverify.arch.x86_64.lift import Lifter
from mcverify.contract import Contract
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import Disagreement
from mcverify.image.image import Image
from mcverify.machine.instruction import Instruction
from mcverify.machine.terms import word
from mcverify.paths import explore
from mcverify.paths.segment import Transfer
from mcverify.proof.select import Task
from mcverify.runs import cpu
from mcverify.runs.case import Case, Ending, Outcome, Place, Placement
from mcverify.runs.cases import far_cases
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import LONGEST, EmulatorRunner
from mcverify.runs.rep import SCHEDULES
from mcverify.witness.model.memory import Unpredictable
from mcverify.witness.predict import Predictor

from .cosimulation import ROOT, random_cases, routines

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

FREE = Placement(Place.FREE, 3)
Routine = tuple[Image, Task, Contract]


def routine(name: str, folder: str = "asm") -> Routine:
    (found,) = routines([ROOT / folder / f"{name}.S"])
    return found


def written(folder: Path, body: str) -> Routine:
    """A routine of a few lines."""
    path = folder / "routine.S"
    head = "#include <linux/linkage.h>\n#include <asm/asm.h>\n/* mcverify: contract bytes_left */\n"
    path.write_text(f"{head}SYM_FUNC_START(routine)\n{body}\nSYM_FUNC_END(routine)\n")
    (found,) = routines([path])
    return found


def predictor(found: Routine, lifter: Lifter | None = None, **options: str) -> Predictor:
    image, task, contract = found
    return Predictor(image, task.entry, contract, task.faults, lifter=lifter or Lifter(image), **options)


def outcomes(found: Routine, cases: list[Case]) -> list[Outcome]:
    image, task, contract = found
    return CpuRunner(image, task.entry, contract).run(cases)


def agree(found: Routine, cases: list[Case], lifter: Lifter | None = None) -> None:
    model = predictor(found, lifter)
    for case, outcome in zip(cases, outcomes(found, cases), strict=True):
        model.agree(case, outcome)


def cases_of(found: Routine, count: int = 30) -> list[Case]:
    return random_cases(found[1], found[2], count, 5)


# ---- What is compared ---------------------------------------------------------------------------


def test_registers_flags_and_bytes_are_counted() -> None:
    found = routine("words_bytes")
    case = Case(20, FREE, FREE)
    prediction = predictor(found).agree(case, *outcomes(found, [case]))
    assert prediction.by == "model"
    # 16 general registers, DF and AC, and the flags that the last `xor` defines: all but AF.
    assert prediction.registers == 16 + 2 + 5
    assert prediction.bytes == 64 + 20 + 64


CHANGES: dict[str, Callable[[Outcome], Outcome]] = {
    "rbx": lambda o: replace(o, registers={**o.registers, "rbx": o.registers["rbx"] ^ 1 << 63}),
    "zf": lambda o: replace(o, registers={**o.registers, "rflags": o.registers["rflags"] ^ 1 << 6}),
    "df": lambda o: replace(o, registers={**o.registers, "rflags": o.registers["rflags"] ^ 1 << 10}),
    "ac": lambda o: replace(o, ac=not o.ac),
    "the way it ended": lambda o: replace(o, ending=Ending.OOPS),
    "fault 1": lambda o: replace(o, faults=(replace(o.faults[0], offset=o.faults[0].offset + 1),)),
    "the number of faults": lambda o: replace(o, faults=o.faults * 2),
    "the caller's frame": lambda o: replace(o, frame_intact=False),
    "whether byte 0 of dst changed": lambda o: replace(o, written=flipped(o.written, -o.base)),
    "whether byte -1 of dst is what it": lambda o: replace(o, correct=flipped(o.correct, -o.base - 1)),
}


def flipped(flags: bytes, at: int) -> bytes:
    return flags[:at] + bytes([1 - flags[at]]) + flags[at + 1 :]


@pytest.mark.parametrize("what", CHANGES)
def test_any_other_outcome_is_a_disagreement(what: str) -> None:
    found = routine("rep_movsb_wrong_zero")
    case = Case(20, Placement(Place.HOLE, 9), FREE)
    (outcome,) = outcomes(found, [case])
    predictor(found).agree(case, outcome)
    with pytest.raises(Disagreement) as caught:
        predictor(found).agree(case, CHANGES[what](outcome))
    assert what in str(caught.value)
    states = json.loads(json.dumps(caught.value.states))
    assert states["case"]["len"] == 20
    assert states["executed"]["registers"].keys() == outcome.registers.keys()
    assert states["predicted"]["ending"] == "returned"
    assert what in states["differences"][0]["what"]


def test_flags_that_the_manual_leaves_undefined_are_not_compared(tmp_path: Path) -> None:
    found = written(tmp_path, "xor %eax, %eax\nimul %rdx, %rdx\nRET")
    case = Case(0, FREE, FREE)
    (outcome,) = outcomes(found, [case])
    model = predictor(found)
    assert "zf" not in model.predict(case, outcome).registers
    assert {"cf", "of"} <= model.predict(case, outcome).registers.keys()
    undefined = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7
    other = {**outcome.registers, "rflags": outcome.registers["rflags"] ^ undefined}
    model.agree(case, replace(outcome, registers=other))


# ---- A wrong model ------------------------------------------------------------------------------


def test_a_wrong_handler_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = handlers.EFFECTS | {"ax = trap": lambda _, __, trap: {"rax": trap + 1}}
    monkeypatch.setattr(handlers, "EFFECTS", wrong)
    found = routine("memcpy_64")
    with pytest.raises(Disagreement, match=r"rax is 0x(e|12) on the cpu, 0x(f|13) in the model"):
        agree(found, cases_of(found))


class WrongLifter(Lifter):
    """Takes `sub` for one that subtracts one byte less."""

    def instruction(self, address: int) -> Instruction:
        found = super().instruction(address)
        if not found.text.startswith("subq $8"):
            return found
        (step,) = found.steps
        writes = {n: term + 1 if term.size() == 64 else term for n, term in step.writes.items()}
        return replace(found, steps=(replace(step, writes=writes),))


def test_a_wrong_instruction_is_noticed() -> None:
    found = routine("mixed_loop")
    with pytest.raises(Disagreement):
        agree(found, cases_of(found), WrongLifter(found[0]))


def test_a_wrong_fork_at_faults_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes an access for bad only if the first bad byte lies before it."""

    def strikes(transfer: Transfer, base: z3.BitVecRef) -> z3.BoolRef:
        bad: z3.BoolRef = z3.ULT(explore_bad(transfer), transfer.address - base)
        return bad

    monkeypatch.setattr(explore, "strikes", strikes)
    found = routine("words_bytes")
    with pytest.raises(Disagreement, match="what the model says of bad bytes does not hold"):
        agree(found, cases_of(found))


def explore_bad(transfer: Transfer) -> z3.BitVecRef:
    from mcverify.paths.faults import FIRST_BAD

    return FIRST_BAD[transfer.kind]


def test_a_fork_without_the_fault_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore.Explorer, "_fault", lambda *_: ([], []))
    found = routine("words_bytes")
    with pytest.raises(Disagreement, match="the model has no ways on"):
        agree(found, cases_of(found))


def test_a_wrong_closed_form_of_rep_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = explore.Explorer._rep_advanced

    def one_more(state: object, instruction: Instruction, elements: z3.BitVecRef) -> object:
        return right(state, instruction, elements + word(1))  # type: ignore[arg-type]

    monkeypatch.setattr(explore.Explorer, "_rep_advanced", staticmethod(one_more))
    found = routine("rep_movsb")
    with pytest.raises(Disagreement):
        agree(found, cases_of(found))


def test_a_fixup_that_is_not_the_tables_is_noticed() -> None:
    image, task, contract = routine("words_bytes")
    at = {entry.insn: entry.fixup for entry in image.entries}
    moved = [replace(entry, fixup=max(at.values())) for entry in image.entries]
    assert {entry.fixup for entry in moved} != set(at.values())
    case = Case(20, Placement(Place.HOLE, 9), FREE)
    (outcome,) = outcomes((image, task, contract), [case])
    predictor((image, task, contract)).agree(case, outcome)
    with pytest.raises(Disagreement):
        predictor((replace(image, entries=tuple(moved)), task, contract)).agree(case, outcome)


def test_two_ways_on_are_noticed() -> None:
    found = routine("words_bytes")
    case = Case(20, FREE, FREE)
    model = predictor(found)
    paths = model.walker.paths
    model.walker.paths = replace(paths, segments=paths.segments * 2)
    with pytest.raises(Disagreement, match="the model has 2 ways on"):
        model.agree(case, *outcomes(found, [case]))


# ---- What the model does not know ---------------------------------------------------------------


def test_registers_that_come_from_given_up_stack_are_not_predicted() -> None:
    found = routine("stale_stack", "tests/hostile")
    case = Case(8, FREE, FREE)
    (outcome,) = outcomes(found, [case])
    assert "rbx" not in predictor(found).predict(case, outcome).registers
    with pytest.raises(Unpredictable, match="does not know rbx at the end"):
        predictor(found).agree(case, outcome)


def test_no_decision_may_hang_on_what_is_unknown(tmp_path: Path) -> None:
    body = (
        "movq -8(%rsp), %rax\n xor %eax, %eax\n movq -16(%rsp), %rcx\n test %rcx, %rcx\n jz 1f\n inc %rax\n"
    )
    found = written(tmp_path, f"{body}1: RET")
    case = Case(8, FREE, FREE)
    with pytest.raises(Unpredictable, match="hangs on what is not known"):
        predictor(found).agree(case, *outcomes(found, [case]))


def test_an_unknown_vector_register_may_be_stored_where_nobody_looks(tmp_path: Path) -> None:
    """Half of what is stored was loaded before, the other half is what xmm0 held at entry."""
    found = written(tmp_path, "movlps (%rsi), %xmm0\n movups %xmm0, (%rdi)\n xor %eax, %eax\n RET")
    case = Case(16, FREE, FREE)
    (outcome,) = outcomes(found, [case])
    prediction = predictor(found).agree(case, outcome)
    assert prediction.bytes == 64 + 16 + 64 - 8
    first = -outcome.base
    with pytest.raises(Disagreement):
        predictor(found).agree(case, replace(outcome, written=flipped(outcome.written, first + 7)))
    predictor(found).agree(case, replace(outcome, written=flipped(outcome.written, first + 8)))


def test_memory_beyond_the_red_zone_is_unknown(tmp_path: Path) -> None:
    found = written(tmp_path, "movq 200(%rsi), %rcx\n xor %eax, %eax\n RET")
    case = Case(16, FREE, FREE)
    (outcome,) = outcomes(found, [case])
    predicted = predictor(found).predict(case, outcome)
    assert "rcx" not in predicted.registers
    assert predicted.strays
    predictor(found).agree(case, outcome)


def test_an_access_far_from_the_buffers_is_not_predicted(tmp_path: Path) -> None:
    found = written(tmp_path, "movq (%rdx), %rcx\n xor %eax, %eax\n RET")
    case = Case(16, FREE, FREE)
    with pytest.raises(Unpredictable, match="nothing is known of what lies there"):
        predictor(found).agree(case, *outcomes(found, [case]))


def test_an_instruction_without_a_model_is_named() -> None:
    found = routine("exchange", "tests/hostile")
    case = Case(8, FREE, FREE)
    with pytest.raises(Unpredictable, match="needs CAS, which is not modelled"):
        predictor(found).agree(case, *outcomes(found, [case]))


def test_a_walk_ends_at_the_deadline() -> None:
    image, task, contract = found = routine("words_bytes")
    case = Case(20_000, Placement(Place.HOLE, 19_000), FREE)
    (outcome,) = outcomes(found, [case])
    model = Predictor(image, task.entry, contract, task.faults, lifter=Lifter(image))
    model.agree(case, outcome)
    model.deadline = Deadline(0)
    with pytest.raises(OutOfTime):
        model.agree(case, outcome)


READ_MODIFY_WRITE = """
	mov	%rdx, %rcx
	jrcxz	.Lend
.Lp:	orb	$0, {operand}
	xor	%eax, %eax
.Lc:	rep movsb
.Lend:	mov	%rcx, %rax
	RET
	_ASM_EXTABLE_CPY(.Lp, .Lend)
	_ASM_EXTABLE_CPY(.Lc, .Lend)
/* mcverify: faults {faults} */
"""


def test_a_read_modify_write_faults_as_a_store(tmp_path: Path) -> None:
    found = written(tmp_path, READ_MODIFY_WRITE.format(operand="(%rdi)", faults="both"))
    case = Case(9, Placement(Place.HOLE, 4), Placement(Place.INSIDE, 9), trap=18)
    (outcome,) = outcomes(found, [case])
    assert [fault.is_store for fault in outcome.faults] == [True]
    predictor(found).agree(case, outcome)


def test_a_read_modify_write_outside_its_buffer_is_not_predicted(tmp_path: Path) -> None:
    """Only loads may fault in this proof: as what it faults then, the model does not say."""
    found = written(tmp_path, READ_MODIFY_WRITE.format(operand="(%rdi,%rdx)", faults="loads"))
    case = Case(9, FREE, Placement(Place.END))
    with pytest.raises(Unpredictable, match="read-modify-write"):
        predictor(found).agree(case, *outcomes(found, [case]))


# ---- Endless, long, and without order -------------------------------------------------------------


def test_an_endless_run_is_predicted_to_come_back_to_its_state() -> None:
    image, task, contract = found = routine("mixed_loop_wrong_endless")
    case = Case(8, FREE, FREE)
    (outcome,) = outcomes(found, [case])
    assert outcome.ending is Ending.TIMEOUT
    runner = CpuRunner(image, task.entry, contract)
    prediction = predictor(found).agree(case, outcome, lambda: runner.trace(case))
    assert prediction.registers == 16
    steps = [(address, {**registers, "rdx": 9}) for address, registers in runner.trace(case)]
    with pytest.raises(Disagreement, match="the state to which it returns"):
        predictor(found).agree(case, outcome, lambda: [runner.trace(case)[0], *steps])


@pytest.mark.parametrize("name", ["rep_movsb", "clear_stosb"])
def test_buffers_too_long_for_a_map_are_predicted(name: str) -> None:
    found = routine(name)
    length, far = (1 << 20) + 4099, (1 << 20) + 77
    hole = Placement(Place.HOLE, far)
    clears = found[2].src is None
    cases = [
        Case(length, FREE, FREE),
        Case(length, FREE if clears else hole, hole if clears else FREE, 18),
        Case(100, FREE, Placement(Place.HOLE, far)),
    ]
    agree(found, cases)


@pytest.mark.parametrize("length", [20_000, (1 << 20) + 4099])
@pytest.mark.slow
def test_thousands_of_holes_in_dst_are_predicted(tmp_path: Path, length: int) -> None:
    halves = (
        "shr %rdx\n1: mov (%rsi), %al\nmov %al, (%rdi)\nadd $2, %rsi\nadd $2, %rdi\ndec %rdx\njnz 1b\nRET"
    )
    found = written(tmp_path, halves)
    case = Case(length, FREE, FREE)
    agree(found, [case])
    if length <= LONGEST:
        (on_cpu,) = outcomes(found, [case])
        (emulated,) = EmulatorRunner(found[0], found[1].entry, found[2]).run([case])
        assert (on_cpu.written, on_cpu.correct) == (emulated.written, emulated.correct)
        assert on_cpu.written.count(1) == length // 2


@pytest.mark.parametrize("name", ["count32", "memcpy_64"])
def test_buffers_of_gigabytes_are_predicted(name: str) -> None:
    found = routine(name)
    agree(found, far_cases(found[2])[:2])


@pytest.mark.parametrize("name", ["rep_movsq_tail", "clear_stosb"])
def test_what_a_rep_without_order_leaves_is_not_predicted_but_all_else_is(name: str) -> None:
    image, task, contract = found = routine(name)
    model = predictor(found, rep_model="unordered")
    cases, hidden = cases_of(found), 0
    for schedule in SCHEDULES:
        runner = EmulatorRunner(image, task.entry, contract, rep_model="unordered", schedule=schedule)
        for case, outcome in zip(cases, runner.run(cases), strict=True):
            prediction = model.agree(case, outcome)
            assert prediction.registers >= 18
            told = len(outcome.written) - prediction.bytes
            assert (told == 0) if not outcome.faults else told >= 0
            hidden += told
    assert hidden > 1000

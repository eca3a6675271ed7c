"""Two witnesses agree, or it is not refuted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.arch.x86_64 import handlers
from mcverify.contract import load_contract
from mcverify.deadline import Deadline
from mcverify.errors import Disagreement
from mcverify.image.load import load
from mcverify.paths.explore import Explorer, TooManyPaths
from mcverify.paths.segment import Paths
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import (
    EVERYWHERE,
    Counterexample,
    Domain,
    ObligationResult,
    RoutineResult,
    Verdict,
)
from mcverify.runs import cpu, emulator
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import judge
from mcverify.witness import confirm, predict
from mcverify.witness.confirm import check_predictions
from mcverify.witness.study import study

from . import found

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

OPTIONS, NEVER = ProveOptions(), Deadline(None)
FREE = Placement(Place.FREE, 3)


@pytest.fixture(autouse=True)
def _explored_anew() -> None:
    confirm._predictor.cache_clear()


def results() -> Iterator[RoutineResult]:
    """The counterexamples of the wrong routines under asm/, as a search on the CPU finds them."""
    for name in found.WRONG:
        yield from (result for result in found.broken(found.ASM / f"{name}.S") if result.counterexamples)


@pytest.mark.slow
def test_every_counterexample_under_asm_is_predicted_by_the_model() -> None:
    broken = set()
    for result in results():
        checked = check_predictions(found.image_of(Path(result.file)), result, OPTIONS, NEVER)
        assert len(checked.counterexamples) == len(result.counterexamples)
        assert checked.verdict is Verdict.REFUTED
        for example in checked.counterexamples:
            assert example.prediction is not None
            assert example.prediction.by == "model", (result.file, example.prediction.why)
            # Of what a routine in C may change nothing is known but its result.
            least = 8 if example.exit.endswith("_handle_tail") else 16
            assert example.prediction.registers >= least
            assert example.prediction.bytes >= example.case.len
            broken.update(example.obligations)
    assert {"O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10"} <= broken


# ---- Where the model cannot follow ----------------------------------------------------------------

CANNOT_FOLLOW = """
    movq %rdx, %rcx
    xchgb %al, (%rdi)
    xor %eax, %eax
    RET
"""
"""Returns 0 though nothing was copied; the model of the lifter lacks xchg with memory."""


def refuted(path: Path, body: str, case: Case, on: str = "cpu") -> RoutineResult:
    """The result of a routine that `case` breaks, as if a proof had found it."""
    head = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
    path.write_text(f"{head}SYM_FUNC_START(routine)\n{body}\nSYM_FUNC_END(routine)\n")
    image, contract = load(path), load_contract("bytes_left")
    entry = image.functions[0].address
    runner = (CpuRunner if on == "cpu" else EmulatorRunner)(image, entry, contract)
    (outcome,) = runner.run([case])
    violations = [v for v in judge(contract, case, outcome) if v.certain]
    keys = [(v.obligation, "success") for v in violations]
    examples = [Counterexample((v.obligation,), "success", case, outcome, v.sentence) for v in violations]
    rows = [ObligationResult(i, e, Verdict.REFUTED, 0.0, "broken") for i, e in [*keys, ("O8", EVERYWHERE)]]
    proved = ObligationResult("O4", "success", Verdict.PROVED, 0.0)
    return RoutineResult(
        "routine", str(path), contract, Verdict.REFUTED, Domain(0, 4096), (), (*rows, proved),
        tuple(examples), None, (), (), {}, 0.0, entry=entry, sha256=image.sha256,
    )  # fmt: skip


def test_the_emulator_stands_in_where_the_model_cannot_follow(tmp_path: Path) -> None:
    result = refuted(tmp_path / "routine.S", CANNOT_FOLLOW, Case(8, FREE, FREE))
    checked = check_predictions(load(Path(result.file)), result, OPTIONS, NEVER)
    assert checked.verdict is Verdict.REFUTED
    predictions = [example.prediction for example in checked.counterexamples]
    assert predictions
    for prediction in predictions:
        assert prediction is not None
        assert prediction.by == "emulator"
        assert "needs CAS" in prediction.why
        assert (prediction.registers, prediction.bytes) == (18, 64 + 8 + 64)


def test_without_a_second_witness_nothing_is_refuted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = refuted(tmp_path / "routine.S", CANNOT_FOLLOW, Case(8, FREE, FREE))
    monkeypatch.setattr(emulator, "available", lambda: "unicorn cannot be imported")
    checked = study(load(Path(result.file)), result, OPTIONS, NEVER, lambda _: None)
    assert checked.verdict is Verdict.UNKNOWN
    assert not checked.counterexamples
    verdicts = {(o.id, o.exit): o for o in checked.obligations}
    assert verdicts["O4", "success"].verdict is Verdict.PROVED
    for example in result.counterexamples:
        row = verdicts[example.obligations[0], "success"]
        assert row.verdict is Verdict.UNKNOWN
        assert example.sentence in row.reason
        assert "no second witness confirms that run" in row.reason
        assert "needs CAS" in row.reason
        assert row.reason.endswith("unicorn cannot be imported")


def test_the_emulator_is_no_second_witness_of_its_own_run(tmp_path: Path) -> None:
    result = refuted(tmp_path / "routine.S", CANNOT_FOLLOW, Case(8, FREE, FREE), on="emulator")
    checked = check_predictions(load(Path(result.file)), result, OPTIONS, NEVER)
    assert checked.verdict is Verdict.UNKNOWN
    reasons = {o.reason for o in checked.obligations if o.verdict is Verdict.UNKNOWN}
    assert any(reason.endswith("and the emulator made it") for reason in reasons)


def test_an_emulator_that_does_something_else_confirms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = refuted(tmp_path / "routine.S", CANNOT_FOLLOW, Case(8, FREE, FREE))
    right = EmulatorRunner.run

    def other(self: EmulatorRunner, cases: list[Case]) -> list[object]:
        (outcome,) = right(self, cases)
        return [replace(outcome, registers={**outcome.registers, "rcx": 9})]

    monkeypatch.setattr(EmulatorRunner, "run", other)
    checked = check_predictions(load(Path(result.file)), result, OPTIONS, NEVER)
    assert checked.verdict is Verdict.UNKNOWN
    assert any(
        "the emulator's run is another (rcx: 0x9 instead of 0x8)" in o.reason for o in checked.obligations
    )


def test_an_obligation_stays_refuted_while_another_run_refutes_it(tmp_path: Path) -> None:
    """O8 is broken everywhere if it is broken anywhere."""
    result = refuted(tmp_path / "routine.S", CANNOT_FOLLOW, Case(8, FREE, FREE))
    (example, *_) = result.counterexamples
    kept = replace(example, obligations=("O8",), exit="success")
    on_emulator = replace(kept, exit=".Lother", outcome=replace(kept.outcome, on="emulator"))
    both = replace(result, counterexamples=(*result.counterexamples, on_emulator))
    checked = check_predictions(load(Path(result.file)), both, OPTIONS, NEVER)
    assert ("O8", EVERYWHERE, Verdict.UNKNOWN) in {(o.id, o.exit, o.verdict) for o in checked.obligations}
    assert checked.verdict is Verdict.REFUTED


def test_past_the_deadline_the_emulator_confirms() -> None:
    (result,) = found.broken(found.ASM / "rep_movsb_wrong_zero.S")
    checked = check_predictions(found.image_of(Path(result.file)), result, OPTIONS, Deadline(0))
    assert checked.counterexamples
    for example in checked.counterexamples:
        assert example.prediction is not None
        assert example.prediction.by == "emulator"
        assert "the time limit was reached" in example.prediction.why


def test_a_routine_is_explored_once_and_again_if_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    path = found.ASM / "rep_movsb_wrong_zero.S"
    (result,), explored = found.broken(path), []
    right = predict.Explorer.explore

    def counted(self: Explorer) -> Paths:
        explored.append(self.image)
        return right(self)

    monkeypatch.setattr(predict.Explorer, "explore", counted)
    one, other = load(path), load(path)
    for image in (one, one, other):
        assert check_predictions(image, result, OPTIONS, NEVER).counterexamples
    check_predictions(one, result, replace(OPTIONS, rep_model="unordered"), NEVER)
    assert [image is one for image in explored] == [True, False, True]


def test_too_many_paths_leave_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = found.broken(found.ASM / "memcpy_64_wrong_subtract.S")
    explored = []

    def too_many(self: Explorer) -> Paths:
        explored.append(self)
        raise TooManyPaths("more than 40000 steps")

    monkeypatch.setattr(predict.Explorer, "explore", too_many)
    checked = check_predictions(found.image_of(Path(result.file)), result, OPTIONS, NEVER)
    whys = {example.prediction.why for example in checked.counterexamples if example.prediction}
    assert whys == {"more than 40000 steps"}
    assert len(explored) == 1


# ---- A contradiction --------------------------------------------------------------------------------


def test_a_contradiction_names_the_routine_and_keeps_both_states(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = found.broken(found.ASM / "memcpy_64_wrong_subtract.S")
    wrong = handlers.EFFECTS | {"ax = trap": lambda _, __, trap: {"rax": trap + 1}}
    monkeypatch.setattr(handlers, "EFFECTS", wrong)
    with pytest.raises(
        Disagreement, match=r"^memcpy_trap: with len = \d+, .* on the cpu, .* in the model"
    ) as e:
        check_predictions(found.image_of(Path(result.file)), result, OPTIONS, NEVER)
    assert e.value.states["routine"] == "memcpy_trap"
    assert e.value.states["sha256"] == result.sha256
    assert e.value.states["executed"]["registers"] != e.value.states["predicted"]["registers"]


@pytest.mark.parametrize(
    ("name", "obligation", "words"),
    [
        ("words_bytes", "O8", "an access outside the buffers is made on the cpu, not made in the model"),
        ("nontemporal", "O10", "without a fence behind it on the cpu, followed by a fence in the model"),
    ],
)
def test_what_no_state_shows_must_be_predicted_too(name: str, obligation: str, words: str) -> None:
    """A right routine, of which somebody says that it breaks what no register and no byte tells."""
    path = found.ASM / f"{name}.S"
    image, (result,) = found.image_of(path), found.broken(path)
    assert result.contract is not None
    case = Case(40, FREE, FREE)
    (outcome,) = CpuRunner(image, result.entry, result.contract).run([case])
    example = Counterexample((obligation,), "success", case, outcome, "it is said to")
    with pytest.raises(Disagreement, match=words):
        check_predictions(image, replace(result, counterexamples=(example,)), OPTIONS, NEVER)

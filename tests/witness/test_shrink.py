"""Counterexamples get simpler, and break what they broke before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.contract import load_contract
from mcverify.deadline import Deadline
from mcverify.image.load import load
from mcverify.proof.exits import SUCCESS, exit_of_fault
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, Domain, RoutineResult, Verdict
from mcverify.proof.search import Witnesses
from mcverify.proof.select import tasks
from mcverify.proof.trials import Trials
from mcverify.runs import cpu
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.judge import judge
from mcverify.witness import shrink as shrink_module
from mcverify.witness.shrink import shrink, simplicity

from .found import ASM, LEN_MAX, WRONG, broken, image_of

FREE = Placement(Place.FREE)
HOSTILE = Path(__file__).parents[1] / "hostile"
NO_LIMIT = Deadline(None)

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def hole(at: int) -> Placement:
    return Placement(Place.HOLE, at)


def free(at: int) -> Placement:
    return Placement(Place.FREE, at)


def refuted(
    path: Path, case: Case, key: tuple[str, str], rep_model: str = "ordered", routine: int = 0
) -> RoutineResult:
    """A result with the counterexample `case` only, which breaks the obligation at the exit of `key`."""
    image = image_of(path)
    task = tasks(image, ProveOptions(faults="both" if case.dst.first_bad is not None else None))[routine]
    assert task.contract is not None
    trials = Trials(image, task.entry, task.contract, task.faults, rep_model)
    for _, outcome in trials.outcomes([case]):
        for failure in trials.failures(case, outcome):
            if failure.key == key:
                found = Counterexample((key[0],), key[1], case, outcome, failure.sentence)
                return RoutineResult(
                    task.name, str(path), task.contract, Verdict.REFUTED, Domain(0, LEN_MAX), (), (),
                    (found,), None, (), (), {}, 0.0, faults=task.faults, entry=task.entry,
                )  # fmt: skip
    raise AssertionError(f"{case} does not break {key}")


def shrunk(path: Path, result: RoutineResult, **options: str) -> Counterexample:
    [found] = shrink(image_of(path), result, ProveOptions(**options), NO_LIMIT).counterexamples
    return found


def broken_by_a_run(path: Path, result: RoutineResult, case: Case) -> Iterator[tuple[str, str]]:
    """What a case breaks on the CPU, worked out without what shrinking uses."""
    image, contract = image_of(path), result.contract
    assert contract is not None
    (outcome,) = CpuRunner(image, result.entry, contract).run([case])
    for violation in judge(contract, case, outcome):
        if violation.obligation == "O8" or outcome.ending is Ending.OOPS:
            yield violation.obligation, image.label_at(outcome.faults[-1].insn) or ""
        elif outcome.ending is Ending.TIMEOUT:
            yield violation.obligation, "*"
        else:
            last = outcome.faults[-1].insn if outcome.faults else None
            yield violation.obligation, SUCCESS if last is None else exit_of_fault(image, last)


@needs_cpu
@pytest.mark.parametrize("name", WRONG)
def test_a_shrunk_case_breaks_the_same_and_is_no_less_simple(name: str) -> None:
    path = ASM / f"{name}.S"
    for result in broken(path):
        small = shrink(image_of(path), result, ProveOptions(), NO_LIMIT)
        assert replace(small, counterexamples=()) == replace(result, counterexamples=())
        for before, after in zip(result.counterexamples, small.counterexamples, strict=True):
            assert after.exit == before.exit
            assert set(before.obligations) <= set(after.obligations)
            assert simplicity(after.case) <= simplicity(before.case)
            if "O10" not in after.obligations:
                shown = set(broken_by_a_run(path, result, after.case))
                assert {(o, after.exit) for o in after.obligations} <= shown


# From a case that is anything but simple: what is left of it.
FROM_FAR = {
    "words": (
        "memcpy_64_wrong_subtract", Case(289, hole(138), free(37), 18, seed=77), ("O3", ".Lfix_b1"),
        Case(64, hole(8), FREE),
    ),
    "byte by byte": (
        "rep_movsb_wrong_count", Case(173, hole(99), Placement(Place.END), 18, seed=5), ("O4", ".Lfix_rep"),
        Case(3, hole(2), FREE),
    ),
    "within a bad page": (
        "align_words_wrong_register", Case(13, Placement(Place.INSIDE, 4033), free(9), 18),
        ("O3", ".Lfix_a"), Case(8, Placement(Place.INSIDE, 1), FREE),
    ),
    "two bad buffers": (
        "user_both_wrong_clac", Case(150, hole(140), hole(77), seed=9), ("O7", ".Lfix_b"),
        Case(1, hole(0), FREE),
    ),
    "a bad destination": (
        "user_rcx_wrong_early", Case(66, Placement(Place.FRONT), hole(65), 18), ("O3", ".Lfix_write_b"),
        Case(1, FREE, hole(0)),
    ),
    "only with the other trap number": (
        "retry_by_trap_wrong_zero", Case(100, hole(44), free(3), 18, seed=3), ("O3", ".Lfix_w1"),
        Case(16, hole(8), FREE, 18),
    ),
    "without a fault": (
        "words_bytes_wrong_order", Case(250, Placement(Place.END), Placement(Place.FRONT)), ("O6", SUCCESS),
        Case(8, FREE, FREE),
    ),
    "past the end": (
        "words_bytes_wrong_overread", Case(77, Placement(Place.END), free(5)), ("O8", ".Lread_t"),
        Case(1, Placement(Place.END), FREE),
    ),
    "too long to try all lengths": (
        "count32_wrong_16", Case(900_001, free(17), free(9), seed=4), ("O9", SUCCESS),
        Case(524_288, FREE, FREE),
    ),
    "a fault in a long buffer": (
        "count32_wrong_16", Case(600_007, hole(70_001), free(9)), ("O3", ".Lfix_w"),
        Case(524_296, hole(0), FREE),
    ),
}  # fmt: skip


@needs_cpu
@pytest.mark.parametrize("what", FROM_FAR)
def test_the_simplest_case_is_found_from_far_away(what: str) -> None:
    name, case, key, expected = FROM_FAR[what]
    path = ASM / f"{name}.S"
    found = shrunk(path, refuted(path, case, key))
    assert found.case == expected
    assert key[0] in found.obligations
    assert found.sentence


@needs_cpu
def test_a_length_that_stands_alone_is_kept() -> None:
    path = HOSTILE / "skip_one_length.S"
    found = shrunk(path, refuted(path, Case(74565, free(9), free(20)), ("O9", SUCCESS)))
    assert found.case == Case(74565, FREE, FREE)


@needs_cpu
def test_obligations_that_the_run_breaks_besides_are_told_too() -> None:
    path = ASM / "byte_retry_wrong_rounded.S"
    result = refuted(path, Case(32, hole(16), FREE, seed=2), ("O5", ".Lfix_half"))
    assert shrunk(path, result).obligations == ("O4", "O5")


@needs_cpu
def test_faults_that_the_proof_is_not_about_are_not_made() -> None:
    path = ASM / "words_bytes_wrong_order.S"
    asked: list[Case] = []
    result = refuted(path, Case(100, free(3), free(5)), ("O6", SUCCESS))
    original = Trials.broken

    def spying(self: Trials, cases: list[Case], keys: object) -> object:
        asked.extend(cases)
        return original(self, cases, keys)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trials, "broken", spying)
        shrunk(path, replace(result, domain=Domain(0, 100)))
    assert len(asked) > 100
    assert all(case.dst.first_bad is None and case.len <= 100 for case in asked)


def test_on_the_emulator_fewer_cases_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "available", lambda: "there is none")
    path = ASM / "rep_movsq_wrong_words.S"
    result = refuted(path, Case(91, hole(40), free(13), 18, seed=2), ("O3", ".Lfix_q"))
    found = shrunk(path, result)
    assert found.outcome.on == "emulator"
    assert found.case == Case(8, hole(0), FREE)


def test_with_rep_in_no_order_each_schedule_is_tried() -> None:
    path = ASM / "rep_movsb.S"
    key = ("O4", ".Lfix_rep")
    six_bad_bytes = Placement(Place.INSIDE, 4090)
    result = refuted(path, Case(70, six_bad_bytes, free(13), 18, seed=2), key, "unordered")
    found = shrunk(path, result, rep_model="unordered")
    assert found.outcome.schedule
    assert found.case.len <= 7
    assert found.case.dst == FREE
    assert "O4" in found.obligations


def test_what_only_the_accesses_show_is_shrunk_by_them() -> None:
    path = HOSTILE / "compare_exchange.S"
    image = image_of(path)
    [task] = tasks(image, ProveOptions())
    assert task.contract is not None
    witnesses = Witnesses(image, task.entry, task.contract, task.faults, "ordered", LEN_MAX)
    witnesses.footprints([Case(40, free(7), free(5), seed=3)])
    [key] = [key for key in witnesses.found if key[0] == "O8"]
    result = RoutineResult(
        task.name, str(path), task.contract, Verdict.REFUTED, Domain(0, LEN_MAX), (), (),
        (witnesses.found[key],), None, (), (), {}, 0.0, faults=task.faults, entry=task.entry,
    )  # fmt: skip
    found = shrunk(path, result)
    assert found.outcome.on == "emulator"
    assert (found.case.src, found.case.dst) == (FREE, FREE)
    assert found.case.len < 10


@needs_cpu
def test_past_the_deadline_a_counterexample_stays_as_it_is() -> None:
    path = ASM / "rep_movsb_wrong_count.S"
    result = refuted(path, Case(50, hole(30), free(3)), ("O4", ".Lfix_rep"))
    assert shrink(image_of(path), result, ProveOptions(), Deadline(0.0)) == result


def test_what_has_no_counterexample_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink_module, "trials_of", lambda *_: pytest.fail("nothing is to be run"))
    proved = RoutineResult(
        "x", "x.S", load_contract("status"), Verdict.PROVED, Domain(0, 1), (), (), (), None, (), (), {}, 0.0
    )
    image = load(ASM / "status.S")
    assert shrink(image, proved, ProveOptions(), NO_LIMIT) is proved

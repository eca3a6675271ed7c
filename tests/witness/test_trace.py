"""The trace of a counterexample says what the run did."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from asm_corpus.expectations import FILES

from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.runs import cpu
from mcverify.runs.case import Access, Case, Ending, Place, Placement
from mcverify.runs.cases import sample_cases
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.witness import trace as tracing
from mcverify.witness.trace import fold, trace
from mcverify.witness.walk import KEPT, Step, Walk, walk

from .found import ASM, WRONG, contract_of, found, walked

FREE = Placement(Place.FREE)
pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: no CPU to run on")


def run_of(name: str, case: Case, contract: str = "bytes_left") -> Walk:
    image, promised = load(ASM / f"{name}.S"), load_contract(contract)
    entry = image.functions[0].address
    (outcome,) = CpuRunner(image, entry, promised).run([case])
    run = walk(image, entry, promised, case, outcome)
    assert run is not None
    return run


def touched(accesses: Iterable[Access]) -> Counter[tuple[int, int, bool]]:
    """How often each instruction touches each byte: the emulator makes two accesses of one of 16 bytes.

    It knows the stack up to the return address only.
    """
    return Counter(
        (a.insn, a.offset + i, a.is_store)
        for a in accesses
        if a.buffer in ("src", "dst") or (a.buffer == "stack" and a.offset <= 0)
        for i in range(a.size)
    )


@pytest.mark.parametrize("name", WRONG)
def test_the_steps_account_for_what_the_run_did(name: str) -> None:
    """Accesses are those that the emulator carries out; bytes stored and faults are those of the outcome."""
    for image, result, example in found(ASM / f"{name}.S"):
        run = walked(image, result, example)
        assert run.is_consistent
        assert not run.skipped
        faults = [step.fault for step in run.steps if step.fault]
        assert tuple(faults) == example.outcome.faults
        if example.outcome.ending is not Ending.TIMEOUT:
            seen = [access for step in run.steps for access in step.accesses]
            _, accesses = EmulatorRunner(image, result.entry, contract_of(result)).footprint(example.case)
            assert touched(seen) == touched(accesses)
        prefix = example.outcome.written[-example.outcome.base :][: example.case.len].find(0)
        assert run.steps[-1].stored == (example.case.len if prefix < 0 else prefix)


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in WRONG], ids=lambda p: p.stem)
def test_accesses_are_those_that_an_emulator_makes(path: Path) -> None:
    image = load(path)
    for task in tasks(image, ProveOptions()):
        assert task.contract is not None
        emulator = EmulatorRunner(image, task.entry, task.contract)
        cases = sample_cases(task.contract, task.faults, count=30)
        outcomes = CpuRunner(image, task.entry, task.contract).run(cases)
        for case, outcome in zip(cases, outcomes, strict=True):
            run = walk(image, task.entry, task.contract, case, outcome)
            assert run is not None
            assert run.is_consistent
            _, accesses = emulator.footprint(case)
            assert touched(access for step in run.steps for access in step.accesses) == touched(accesses)
            assert run.steps[-1].right == run.steps[-1].stored


@pytest.mark.parametrize("name", WRONG)
def test_a_trace_reads_like_the_source(name: str) -> None:
    source = (ASM / f"{name}.S").read_text().splitlines()
    for image, result, example in found(ASM / f"{name}.S"):
        lines = trace(walked(image, result, example))
        assert lines
        assert sum(line.times for line in lines) == len(walked(image, result, example).steps)
        for line in lines:
            file, _, number = line.where.rpartition(":")
            if "(assumed)" in number:  # a routine in C that the file does not hold
                assert name.startswith("tail_in_c")
                continue
            assert file == str(ASM / f"{name}.S")
            written = " ".join(source[int(number) - 1].split())
            assert written.startswith(line.text) or line.text in written
            assert "/*" not in line.text


def test_a_step_shows_registers_accesses_and_fault() -> None:
    lines = trace(run_of("words_bytes", Case(9, Placement(Place.HOLE, 8), FREE)))
    shown = {line.label: line for line in lines if line.label}
    word, byte, fixup = shown[".Lread_w"], shown[".Lread_b"], shown[".Lfix_b"]
    assert [(a.buffer, a.offset, a.size, a.is_store) for a in word.accesses] == [("src", 0, 8, False)]
    assert set(word.registers) == {"rax"}
    assert word.fault is None
    assert byte.fault is not None
    assert (byte.fault.buffer, byte.fault.offset, byte.accesses) == ("src", 8, ())
    assert (word.stored, byte.stored) == (0, 8)
    assert fixup.registers == {"rax": 1}


def test_what_the_handler_sets_is_shown_at_the_fault() -> None:
    case = Case(1, Placement(Place.HOLE, 0), FREE, trap=18)
    lines = trace(run_of("memcpy_64", case, "mcsafe_ret"))
    (faulting,) = [line for line in lines if line.fault]
    assert faulting.registers == {"rax": 18}


def test_wrong_bytes_do_not_count_as_right() -> None:
    lines = trace(run_of("words_bytes_wrong_order", Case(9, FREE, FREE)))
    assert lines[-1].stored == 0


def test_older_iterations_are_folded_and_the_last_one_is_not() -> None:
    lines = trace(run_of("words_bytes", Case(80 + 3, FREE, FREE)))
    loads = [(line.label, line.times) for line in lines if line.label in (".Lread_w", ".Lread_b")]
    assert loads == [(".Lread_w", 9), (".Lread_w", 1), (".Lread_b", 2), (".Lread_b", 1)]
    folded = next(line for line in lines if line.times == 9)
    assert folded.accesses[0].offset == 64, "values are those of the last of them"


def test_an_iteration_cut_short_by_a_fault_stands_alone() -> None:
    lines = trace(run_of("words_bytes", Case(80, Placement(Place.HOLE, 72), FREE)))
    loads = [line for line in lines if line.label == ".Lread_w"]
    assert [(line.times, line.fault is None) for line in loads] == [(9, True), (1, False)]


def test_the_elements_of_a_rep_are_iterations() -> None:
    lines = trace(run_of("rep_movsb", Case(50, Placement(Place.HOLE, 33), FREE)))
    assert [(line.times, line.stored) for line in lines if "movsb" in line.text] == [(33, 33), (1, 33)]


def test_a_long_run_is_told_by_its_ends() -> None:
    case = Case(60_000, FREE, FREE)
    run = run_of("words_bytes", case)
    assert len(run.steps) == 2 * KEPT
    assert run.skipped + len(run.steps) == run.steps[-1].number + 1
    assert run.steps[-1].stored == 60_000
    lines = trace(run)
    assert len(lines) < 40
    assert sum(line.times for line in lines) == run.steps[-1].number + 1
    assert [line.text for line in lines if not line.address] == [f"{run.skipped} more instructions"]


def test_an_endless_run_is_folded() -> None:
    (example,) = [e for _, _, e in found(ASM / "mixed_loop_wrong_endless.S")]
    lines = trace(walked(*found(ASM / "mixed_loop_wrong_endless.S")[0]))
    assert example.outcome.ending is Ending.TIMEOUT
    assert len(lines) < 60
    assert max(line.times for line in lines) > 100


def test_a_trace_is_never_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "LONGEST", 10)
    lines = trace(run_of("words_bytes", Case(15, FREE, FREE)))
    assert len(lines) == 11
    (hidden,) = [line for line in lines if not line.address]
    assert re.fullmatch(r"\d+ more instructions", hidden.text)


def test_what_cannot_be_stepped_has_no_trace() -> None:
    image, contract = load(ASM / "words_bytes.S"), load_contract("bytes_left")
    entry = image.functions[0].address
    case = Case(1 << 33, Placement(Place.HOLE, 0), FREE)
    (outcome,) = CpuRunner(image, entry, contract).run([case])
    assert walk(image, entry, contract, case, outcome) is not None
    all_copied = Case(1 << 33, FREE, FREE)
    assert walk(image, entry, contract, all_copied, outcome) is None
    assert walk(image, entry, contract, case, replace(outcome, ending=Ending.REFUSED)) is None


def test_a_run_of_the_emulator_is_followed_there() -> None:
    image, contract = load(ASM / "words_bytes.S"), load_contract("bytes_left")
    entry, case = image.functions[0].address, Case(9, Placement(Place.HOLE, 8), FREE)
    (outcome,) = EmulatorRunner(image, entry, contract).run([case])
    run = walk(image, entry, contract, case, outcome)
    assert run is not None
    on_cpu = run_of("words_bytes", case)
    assert [(s.address, s.accesses, s.fault) for s in run.steps] == [
        (s.address, s.accesses, s.fault) for s in on_cpu.steps
    ]


def test_without_the_source_the_disassembly_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "words_bytes.S"
    path.write_text((ASM / "words_bytes.S").read_text())
    image, contract = load(path), load_contract("bytes_left")
    case = Case(1, FREE, FREE)
    entry = image.functions[0].address
    (outcome,) = CpuRunner(image, entry, contract).run([case])
    path.write_text("/* changed */\n" * 100)
    run = walk(image, entry, contract, case, outcome)
    assert run is not None
    texts = [line.text for line in trace(run)]
    assert "movb (%rsi), %al" in texts
    assert texts[-1] in ("retq", "ret")


def step(address: int) -> Step:
    return Step(0, address, {}, {}, (), None, 0, 0)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("abc", "a1 b1 c1"),
        ("ababab", "a2 b2 a1 b1"),
        ("abababa", "a3 b3 a1"),
        ("xabababy", "x1 a2 b2 a1 b1 y1"),
        ("aaaa", "a3 a1"),
        ("abacab", "a1 b1 a1 c1 a1 b1"),
        ("bababab", "b3 a3 b1"),
        ("aabaabaab", "a1 a1 b2 a2 a2 b1"),
        ("abcbcdabcbcd", "a1 b1 c1 b1 c1 d1 a1 b1 c1 b1 c1 d1"),
    ],
)
def test_folding(path: str, expected: str) -> None:
    folded = fold(step(ord(letter)) for letter in path)
    shown = " ".join(f"{chr(line.step.address)}{line.times}" for line in folded)
    assert shown == expected
    assert sum(line.times for line in folded) == len(path)

"""A wrong comparison that shows for one value of what was loaded, or of an address, is refuted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import Verdict
from mcverify.proof.values import valued_cases
from mcverify.runs import cpu
from mcverify.runs.case import Place
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.pattern import VALUE

ASM = Path(__file__).parents[2] / "asm"
needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


@needs_cpu
@pytest.mark.parametrize("register", ["r8d", "edi"])
@pytest.mark.slow
def test_a_trap_number_looked_for_in_another_register_is_refuted(register: str, tmp_path: Path) -> None:
    """Nothing is tried again if the data, or the low half of an address, is 18."""
    text = (ASM / "user_rounded.S").read_text()
    assert text.count("cmp	$18, %eax") == 1
    path = tmp_path / "user_rounded.S"
    path.write_text(text.replace("cmp	$18, %eax", f"cmp	$18, %{register}"))
    [result] = prove_file(path, ProveOptions(), lambda _: None)
    broken = {(o.id, o.exit) for o in result.obligations if o.verdict is not Verdict.PROVED}
    assert broken == {("O4", ".Lfix_pair"), ("O5", ".Lfix_pair")}
    assert result.verdict is Verdict.REFUTED
    for found in result.counterexamples:
        assert found.outcome.registers["r8" if register == "r8d" else "rdi"] & 0xFFFFFFFF == 18


@needs_cpu
def test_such_calls_are_the_same_on_the_cpu_and_in_the_emulator() -> None:
    image, contract = load(ASM / "user_rounded.S"), load_contract("uaccess_rounded")
    entry = image.functions[0].address
    cases = valued_cases(image, entry, contract, "both")
    assert len(cases) > 50
    runs = [runner(image, entry, contract).run(cases) for runner in (CpuRunner, EmulatorRunner)]
    for case, one, other in zip(cases, *runs, strict=True):
        for outcome in (one, other):
            for placement, register in ((case.dst, "rdi"), (case.src, "rsi")):
                low = outcome.initial[register] & 0xFFFFFFFF
                assert placement.place is not Place.FREE or low == case.seed - VALUE
        assert (one.written, one.correct, one.faults) == (other.written, other.correct, other.faults)
        assert [one.registers[r] for r in ("rax", "r8")] == [other.registers[r] for r in ("rax", "r8")]


@pytest.mark.parametrize(
    ("name", "contract", "expected"),
    [
        ("user_rcx", "uaccess_rcx", {8, 64}),
        ("rep_movsb", "bytes_left", set()),
        ("clear_words", "clear", set()),
    ],
)
def test_what_a_copy_compares_with_is_tried(name: str, contract: str, expected: set[int]) -> None:
    image = load(ASM / f"{name}.S")
    cases = valued_cases(image, image.functions[0].address, load_contract(contract), "both")
    assert {case.seed - VALUE for case in cases} == expected

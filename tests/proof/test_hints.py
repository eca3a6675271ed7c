"""Hints about a cache line: clwb and its like fault as a load of one byte does, and move nothing.

A proof asks that none can fault: that its line holds a good byte of a buffer.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import z3
from msgspec import structs
from support.forger import Forger

from mcverify.check.question import Asked
from mcverify.cli import run
from mcverify.image.load import load
from mcverify.machine.terms import word
from mcverify.paths.faults import is_harmless
from mcverify.proof.result import Verdict
from mcverify.runs import cpu, hints
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.runs.cpu import CpuRunner
from mcverify.silicon.compare import compare

from .conftest import prove

STORED = "mov (%rsi), %al\n.Lstore:\n	mov %al, (%rdi)"


def source(folder: Path, body: str, more: str = "") -> Path:
    path = folder / "flushed.S"
    path.write_text(
        f"""\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(flushed)	/* mcverify: contract bytes_left for flushed */
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Ldone
.Lload:
	{body}
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lload
.Ldone:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lload, .Ldone)
	_ASM_EXTABLE(.Lstore, .Ldone)
	{more}
SYM_FUNC_END(flushed)
"""
    )
    return path


@pytest.mark.parametrize(
    "hint",
    [
        ".byte 0x3e; clflush (%rdi); .byte 0x66; clflush (%rdi); .byte 0x66; xsaveopt (%rdi); clwb (%rsi)",
        "mov %rdi, %r8; and $-64, %r8; clwb (%r8)",
        "clwb -8(%rsp); cldemote (%rdi); prefetchwt1 99(%rdi)",
    ],
)
@pytest.mark.slow
def test_one_about_a_byte_that_was_accessed_is_proved(tmp_path: Path, hint: str) -> None:
    path = source(tmp_path, f"{STORED}\n	{hint}")
    (result,) = prove(path, faults="both", trap="pf", fault_model="persistent").values()
    assert result.verdict is Verdict.PROVED
    assert any("clwb" in sentence and "cache line" in sentence for sentence in result.assumptions)


def test_the_page_of_a_byte_that_was_accessed_may_vanish_before_one(tmp_path: Path) -> None:
    """It has no entry: the kernel dies of a fault, unless a bad address stays bad."""
    path = source(tmp_path, f"{STORED}\n	clwb (%rdi)")
    (result,) = prove(path, faults="both", trap="pf").values()
    assert ("O1", Verdict.REFUTED) in {(o.id, o.verdict) for o in result.obligations}


@pytest.mark.slow
def test_a_wrong_fixup_beside_one_is_refuted(tmp_path: Path) -> None:
    """One more byte is claimed than was copied."""
    path = source(tmp_path, f"{STORED}\n	clwb (%rdi)", ".Lwrong:\n	lea -1(%rcx), %rax\n	RET")
    path.write_text(path.read_text().replace("_ASM_EXTABLE(.Lload, .Ldone)", "_ASM_EXTABLE(.Lload, .Lwrong)"))
    (result,) = prove(path, faults="both", trap="pf", fault_model="persistent").values()
    assert result.verdict is Verdict.REFUTED
    assert {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.REFUTED} == {("O3", ".Lwrong")}


@pytest.mark.parametrize("hint", ["clwb 1(%rdi)"])
@pytest.mark.slow
def test_one_that_may_lie_elsewhere_is_unknown_and_named(
    tmp_path: Path, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the CPU some fault, where the emulator's do not: there is no second witness."""
    path = source(tmp_path, f"{STORED}\n	{hint}")
    assert run(["prove", str(path), "--faults", "loads", "--json", "-"]) == 3
    (result,) = json.loads(capsys.readouterr().out)["routines"]
    (said,) = result["unknowns"]
    assert "flushed.S" in said
    assert "may fault, which is not followed" in said


@pytest.mark.slow
def test_one_about_a_byte_that_is_not_stored_yet_may_fault_where_stores_do(tmp_path: Path) -> None:
    early = source(tmp_path, "clwb (%rdi)\n	mov (%rsi), %al\n.Lstore:\n	mov %al, (%rdi)")
    early.write_text(
        early.read_text().replace(".Lload:\n	clwb (%rdi)\n", ".Lagain:\n	clwb (%rdi)\n.Lload:\n")
    )
    early.write_text(early.read_text().replace("jnz	.Lload", "jnz	.Lagain"))
    (result,) = prove(early, faults="both", trap="pf", fault_model="persistent").values()
    assert result.verdict is not Verdict.PROVED
    (result,) = prove(early, faults="loads").values()
    assert result.verdict is Verdict.PROVED


@pytest.mark.slow
def test_an_entry_at_one_that_never_faults_changes_nothing(tmp_path: Path) -> None:
    path = source(tmp_path, f"{STORED}\n.Lhint:\n	clwb (%rdi)", "_ASM_EXTABLE(.Lhint, .Ldone)")
    (result,) = prove(path, faults="both", fault_model="persistent").values()
    assert result.verdict is Verdict.PROVED


def test_a_written_proof_is_checked_and_one_without_the_way_of_the_fault_is_not(tmp_path: Path) -> None:
    path, bundle = source(tmp_path, f"{STORED}\n	clwb (%rdi)"), tmp_path / "proof"
    staying = Asked(fault_model="persistent")
    assert run(["prove", str(path), "--proof", str(bundle), "-q", "--fault-model", "persistent"]) == 0
    from mcverify.check.bundle import read_bundle
    from mcverify.check.check import completed
    from mcverify.check.walk import gaps

    made = read_bundle(bundle)
    (found,) = completed(made, staying, seed="1").proofs
    routine, image, question = found.proof.routine, found.image, found.question
    assert list(gaps(routine, question, image)) == []
    assert any("-hint" in obligation.name for obligation in found.obligations)
    forger, content = Forger(bundle), read_bundle(bundle).files["manifest.json"].decode()
    (told,) = set(re.findall('"hint": "[^"]*"', content))
    for other in ("rsi@0", "rcx@0", "#x0000000000000000"):
        assert forger.accepts(forger.text.replace(told, f'"hint": "{other}"'), staying) is None
    without = structs.replace(routine, paths=tuple(p for p in routine.paths if p.end != "lost"))
    assert any("on which a hint faults is missing" in gap.says for gap in gaps(without, question, image))


@pytest.mark.parametrize("bad", [None, 3])
def test_harmless_is_what_it_says_of_small_numbers(bad: int | None) -> None:
    """Against the bytes of each line, with lines of 8 bytes: buffers at every place, the ends of the address
    space too."""
    top = 1 << 64
    for base in (0, 1, 7, 8, 13, top - 20, top - 9):
        for length in (0, 1, 5, 9):
            first = None if bad is None else min(bad, length)
            good = range(base, base + (length if first is None else first))
            lines = {byte // 8 for byte in good}
            for at in (*range(base - 12, base + 24), 0, 3, top - 1, top - 8):
                address = at % top
                term = is_harmless(
                    word(address), word(base), word(length), None if first is None else word(first), 8
                )
                said = z3.is_true(z3.simplify(term))
                assert not said or address // 8 in lines, (base, length, address)
                if address in good:
                    assert said


def test_they_fault_on_the_cpu_where_a_load_would() -> None:
    if cpu.available() is not None:
        pytest.skip(f"skipped: {cpu.available()}")
    codes = {"clflush": "0f ae 3f", "clflushopt": "66 0f ae 3f", "clwb": "66 0f ae 34 77"}
    for name, code in codes.items():
        if name in hints.cpu_flags():
            (result,) = compare({name: [bytes.fromhex(code)]}, 200, 7, lambda _: None)
            assert (result.cases, list(result.differences)) == (200, [])
            assert result.faults


def test_a_cpu_without_them_runs_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if cpu.available() is not None:
        pytest.skip(f"skipped: {cpu.available()}")
    monkeypatch.setattr(hints, "cpu_flags", frozenset)
    image = load(source(tmp_path, f"{STORED}\n	clwb (%rdi)"))
    from mcverify.contract import load_contract

    entry = image.address_of("flushed")
    assert entry is not None
    runner = CpuRunner(image, entry, load_contract("bytes_left"))
    (outcome,) = runner.run([Case(9, Placement(Place.FREE, 5), Placement(Place.FREE, 3))])
    assert outcome.ending is Ending.RETURNED
    assert outcome.registers["rax"] == 0

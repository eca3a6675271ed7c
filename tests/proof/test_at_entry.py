"""What a routine finds at entry and nobody promised: registers, flags, vector registers, the bytes of src.

Each of these goes wrong for one value of 2^64, or of one byte, and is right for all others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.cli import run
from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.proof.result import Verdict
from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement, Preset
from mcverify.runs.constants import Constant, compared_with, presets
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner

from .conftest import prove

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

BYTES = """\
	mov	%rdx, %rcx
	mov	%rsi, %r9
	{before}
	jrcxz	.Ldone
.Lload:
	movzbl	(%rsi), %r8d
.Lstore:
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lload
	{after}
.Ldone:
	mov	%rcx, %rax
	RET
.Lfix:
	{fixup}
	mov	%rcx, %rax
	RET
.Lnothing:
	xor	%eax, %eax
	RET
.Lone:
	mov	$1, %eax
	RET
"""
FIXUPS = {
    "a register that was never written": "cmp $18, %eax; je .Lnothing",
    "a byte of it": "cmp $0x12, %ah; je .Lnothing",
    "the last byte moved": "cmp $0x92, %r8d; je .Lnothing",
    "16 bits": "cmpw $0xbeef, %bp; je .Lnothing",
    "just below": "cmp $0x4711, %r10d; jne 1f; RET; 1: lea 1(%r10), %r11; cmp $0x4711, %r11d; je .Lnothing",
    "64 bits": "movabs $0x123456789abcdef0, %rax; cmp %rax, %r11; je .Lnothing",
}
BEFORE = {
    "the carry flag": "jc .Lnothing",
    "all bits of a vector register": "pcmpeqd %xmm5, %xmm5; ptest %xmm5, %xmm4; jc .Lnothing",
    "the signs in one": "pmovmskb %xmm4, %eax; cmp $0x1234, %eax; je .Lnothing",
}
AFTER = {
    "a byte of src": "cmpb $0x92, (%r9); je .Lone",
    "a word of src": "cmp $3, %rdx; jb .Ldone; imulw $7, 1(%r9), %ax; cmp $12345, %ax; je .Lone",
}


def source(folder: Path, *, before: str = "", after: str = "", fixup: str = "") -> Path:
    path = folder / "found.S"
    body = BYTES.format(before=before, after=after, fixup=fixup)
    head = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
    table = "\t_ASM_EXTABLE_UA(.Lload, .Lfix)\n\t_ASM_EXTABLE_UA(.Lstore, .Lfix)\n"
    mark = "/* mcverify: contract uaccess for found */"
    path.write_text(f"{head}SYM_FUNC_START(found)\t{mark}\n{body}{table}SYM_FUNC_END(found)\n")
    return path


def parameters() -> list:
    groups = (("fixup", FIXUPS), ("before", BEFORE), ("after", AFTER))
    return [pytest.param({key: code}, id=name) for key, group in groups for name, code in group.items()]


@needs_cpu
@pytest.mark.parametrize("place", parameters())
@pytest.mark.slow
def test_what_goes_wrong_for_one_value_is_refuted(place: dict[str, str], tmp_path: Path) -> None:
    (result,) = prove(source(tmp_path, **place), faults="both").values()
    assert result.verdict is Verdict.REFUTED
    assert all(o.verdict is not Verdict.UNKNOWN for o in result.obligations)


def test_the_routine_without_such_a_comparison_is_proved(tmp_path: Path) -> None:
    (result,) = prove(source(tmp_path), faults="both").values()
    assert result.verdict is Verdict.PROVED


@needs_cpu
@pytest.mark.parametrize("name", ["a register that was never written", "the last byte moved", "64 bits"])
def test_a_sweep_sees_it(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "-q", "--quick", str(source(tmp_path, fixup=FIXUPS[name]))]) == 1
    assert "O3" in capsys.readouterr().out


STALE = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(stale)	/* mcverify: contract mcsafe_ret for stale */
	mov	%rdx, %rcx
	jrcxz	.Ldone
.Lload:
	mov	(%rsi), %r8b
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lload
.Ldone:
	mov	%rcx, %rdx
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rax, %r11
.Lagain:
	mov	(%rsi), %r8b
	ud2
.Lfix_again:
	mov	%rcx, %rdx
	mov	%r11, %rax
	RET
	_ASM_EXTABLE_FAULT(.Lload, .Lfix)
	_ASM_EXTABLE_FAULT(.Lagain, .Lfix_again)
SYM_FUNC_END(stale)
"""


@needs_cpu
@pytest.mark.slow
def test_the_trap_number_of_an_earlier_fault_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "stale.S"
    path.write_text(STALE)
    (result,) = prove(path, faults="loads").values()
    broken = [c for c in result.counterexamples if "O9" in c.obligations]
    assert broken
    assert all(len(set(c.case.traps)) == 2 for c in broken)


def test_what_a_routine_compares_with_is_found(tmp_path: Path) -> None:
    image = load(source(tmp_path, fixup=FIXUPS["64 bits"], before="cmp $-2, %r9w; test $8, %cl"))
    entry = image.functions[0].address
    constants = compared_with(image, entry)
    assert {Constant(0xFFFE, 2), Constant(8, 1), Constant(0x123456789ABCDEF0, 8)} <= set(constants)
    assert constants[-1].width >= 4  # what is put into registers comes last
    assert Constant(8, 1).near() == (Constant(8, 1), Constant(7, 1), Constant(9, 1))
    assert Constant(0xFFFF, 2).near()[2] == Constant(0, 2)
    assert Constant(0x1234, 2).words == (0x1234, 0x1234123412341234)
    assert Constant(0x12, 4).words == (0x12, 0x1200000012, 0x1212121212121212)


def test_arguments_are_never_preset(tmp_path: Path) -> None:
    image = load(source(tmp_path, fixup="cmp $18, %eax; je .Lnothing"))
    found = presets(image, image.functions[0].address, load_contract("uaccess"))
    assert {name for preset in found for name, _ in preset.registers}.isdisjoint({"rdi", "rsi", "rdx", "rsp"})
    assert any(("rax", 18) in preset.registers for preset in found)
    assert any(preset.every == bytes([18] * 8) for preset in found)


@needs_cpu
def test_preset_runs_are_the_same_on_the_cpu_and_in_the_emulator(tmp_path: Path) -> None:
    image, contract = (
        load(source(tmp_path, before=BEFORE["the signs in one"])),
        load_contract("uaccess"),
    )
    entry = image.functions[0].address
    free, hole = Placement(Place.FREE, 3), Placement(Place.HOLE, 5)
    cases = [
        Case(9, src, free, seed=n % 7, preset=preset)
        for n, preset in enumerate((*presets(image, entry, contract), Preset(pieces=((8, b"\xff"),))))
        for src in (free, hole)
    ]
    runs = [runner(image, entry, contract).run(cases) for runner in (CpuRunner, EmulatorRunner)]
    for one, other in zip(*runs, strict=True):
        assert (one.written, one.correct, one.ending) == (other.written, other.correct, other.ending)
        assert [one.registers[r] for r in ("rax", "r8", "r10")] == [
            other.registers[r] for r in ("rax", "r8", "r10")
        ]


SPILLS = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(spills)	/* mcverify: contract bytes_left for spills */
	{spill}
	mov	%rdx, %rbx
	test	%rbx, %rbx
	jz	.Ldone
.Lload:
	mov	(%rsi), %r8b
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rbx
	jnz	.Lload
.Ldone:
	mov	%rbx, %rax
	{fill}
	RET
	_ASM_EXTABLE(.Lload, .Ldone)
SYM_FUNC_END(spills)
"""


@needs_cpu
@pytest.mark.slow
def test_a_register_that_is_kept_below_rsp_over_a_fault_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "spills.S"
    path.write_text(SPILLS.format(spill="mov %rbx, -8(%rsp)", fill="mov -8(%rsp), %rbx"))
    (result,) = prove(path, faults="loads").values()
    verdicts = {(o.id, o.exit): o.verdict for o in result.obligations if o.id == "O7"}
    assert verdicts["O7", "success"] is Verdict.UNKNOWN  # an interrupt is needed for that
    assert Verdict.REFUTED in verdicts.values()


@pytest.mark.slow
def test_one_that_is_pushed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "spills.S"
    path.write_text(SPILLS.format(spill="push %rbx", fill="pop %rbx"))
    (result,) = prove(path, faults="loads").values()
    assert result.verdict is Verdict.PROVED


@needs_cpu
@pytest.mark.slow
def test_a_result_that_hangs_on_the_value_of_rsp_is_refuted(tmp_path: Path) -> None:
    (result,) = prove(source(tmp_path, fixup="test $8, %spl; jz .Lnothing"), faults="both").values()
    assert result.verdict is Verdict.REFUTED

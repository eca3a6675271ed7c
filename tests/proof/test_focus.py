"""Routines out of a linked kernel: what they need is there; what is not is never taken for nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mcverify.image.load import load
from mcverify.proof.focus import focused
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Verdict
from mcverify.proof.select import tasks
from mcverify.proof.variants import variants
from mcverify.toolchain import find_compiler

from .conftest import prove
from .refuted import refuted

# A kernel of our own: RET is a jump to a thunk, a tail handler lies in another function, far away.
COPY = """
	.globl copy_mc_fragile
	.type copy_mc_fragile, @function
copy_mc_fragile:
	mov	%edx, %ecx
	test	%ecx, %ecx
	jz	3f
1:	movb	(%rsi), %al
	movb	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ecx
	jnz	1b
3:	xor	%eax, %eax
	jmp	__x86_return_thunk
fix:	jmp	tail
	.size copy_mc_fragile, .-copy_mc_fragile
	.section __ex_table, "a"
	.long	1b - ., fix - ., 1
	.previous
	.skip	4096, 0xcc
	.globl __x86_return_thunk
__x86_return_thunk:
	ud2
	.type tail, @function
tail:	call	left
	jmp	__x86_return_thunk
	.size tail, .-tail
	.type left, @function
left:	mov	%ecx, %eax
	jmp	__x86_return_thunk
	.size left, .-left
	.type unrelated, @function
unrelated:
	.rept 200
	nop
	.endr
	ret
	.size unrelated, .-unrelated
"""


@pytest.fixture
def linked(tmp_path: Path):
    def made(text: str, name: str = "vmlinux") -> Path:
        source, target = tmp_path / "kernel.s", tmp_path / name
        source.write_text(text)
        # Where a kernel is linked: a user process cannot have these addresses.
        where = "-Wl,-Ttext=0xffffffff81000000,--section-start=__ex_table=0xffffffff82000000"
        options = ["-nostdlib", "-static", "-no-pie", "-Wl,-e,0", "-Wl,--build-id=none", where]
        subprocess.run([*find_compiler(), "-g", *options, str(source), "-o", str(target)], check=True)
        return target

    return made


@pytest.mark.slow
def test_a_linked_routine_is_proved_with_what_it_calls(linked) -> None:
    (result,) = prove(linked(COPY)).values()
    assert result.verdict is Verdict.PROVED
    assert result.slack == 0
    assert result.exits[0].where.endswith(":15")
    assert "unrelated" not in {line.label for line in result.listing}


@pytest.mark.slow
def test_a_mistake_in_what_it_calls_is_refuted(linked) -> None:
    wrong = COPY.replace("mov	%ecx, %eax", "lea	-1(%rcx), %eax")
    assert wrong != COPY
    (result,) = prove(linked(wrong)).values()
    assert refuted(result) == {("O3", "fix")}


def test_what_is_too_far_is_named_and_never_proved(linked, monkeypatch) -> None:
    monkeypatch.setattr("mcverify.proof.focus._MOST", 13)
    (result,) = prove(linked(COPY)).values()
    assert result.verdict is Verdict.UNKNOWN
    assert any("left" in unknown for unknown in result.unknowns)


def test_only_what_can_be_reached_is_kept(linked) -> None:
    image = load(linked(COPY))
    part = focused(image, tasks(image, ProveOptions())[0].entry)
    assert {s.name for s in part.functions} == {"copy_mc_fragile", "tail", "left"}
    assert list(part.externals.values()) == ["__x86_return_thunk"]
    assert sum(len(s.data) for s in part.sections) < 200
    assert focused(part, part.functions[0].address) is part


def test_both_bodies_of_an_alternative_are_kept(linked) -> None:
    text = COPY.replace(
        "	mov	%edx, %ecx\n", "10:	mov	%edx, %ecx\n	nop\n	nop\n	nop\n11:\n"
    )
    text += """
	.type other, @function
other:	mov	%edx, %ecx
	jmp	__x86_return_thunk
	.size other, .-other
	.section .altinstr_replacement, "ax"
20:	jmp	other
21:
	.section .altinstructions, "a"
	.long	10b - ., 20b - .
	.word	9 * 32 + 9, 0
	.byte	11b - 10b, 21b - 20b
"""
    image = load(linked(text))
    entry = tasks(image, ProveOptions())[0].entry
    reached = {v.name: {s.name for s in v.image.functions} for v in variants(image, entry)}
    assert reached["ERMS"] == reached["!ERMS"] == {"copy_mc_fragile", "tail", "left", "other"}


def test_a_static_key_is_never_taken_for_what_stands_in_the_file(linked) -> None:
    text = COPY.replace("	mov	%edx, %ecx\n", "9:	nopl	0(%rax,%rax,1)\n	mov	%edx, %ecx\n")
    text += '	.section __jump_table, "aw"\n	.long	9b - ., 9b - .\n	.quad	0\n'
    (result,) = prove(linked(text)).values()
    assert result.verdict is Verdict.UNKNOWN
    assert any("__jump_table" in unknown for unknown in result.unknowns)


def constant(name: str, kind: str = "ptr", back: int = 8) -> str:
    text = COPY.replace(
        "	mov	%edx, %ecx\n", "	movabs	$0x123456789abcdef, %rax\n9:	mov	%edx, %ecx\n"
    )
    return f'{text}	.section runtime_{kind}_{name}, "a"\n	.long	9b - {back} - .\n'


@pytest.mark.slow
def test_a_constant_that_the_boot_code_writes_is_what_it_writes(linked) -> None:
    results = prove(linked(constant("USER_PTR_MAX")))
    assert {r.verdict for r in results.values()} == {Verdict.PROVED}
    assert {r.variant for r in results.values()} == {"LA57", "!LA57"}
    said = "\n".join(s for r in results.values() for s in r.assumptions)
    assert "the boot code writes USER_PTR_MAX there, where user memory ends: 0x7ffffffff000" in said
    assert "where user memory ends: 0xfffffffffff000" in said


@pytest.mark.parametrize(
    ("name", "kind", "back"), [("dentry_hashtable", "ptr", 8), ("USER_PTR_MAX", "shift", 1)]
)
def test_a_constant_of_which_nothing_is_known_makes_the_verdict_unknown(linked, name, kind, back) -> None:
    (result,) = prove(linked(constant(name, kind, back))).values()
    assert result.verdict is Verdict.UNKNOWN
    assert any(f"rewritten as the kernel boots or runs (runtime_{kind}_{name})" in u for u in result.unknowns)


# -- the kernel of the distribution

VMLINUX = sorted(Path("/usr/lib/debug/boot").glob("vmlinux-*-cloud-amd64"))


@pytest.mark.skipif(not VMLINUX, reason="needs linux-image-*-cloud-amd64-dbg")
@pytest.mark.parametrize("name", ["copy_mc_fragile", "copy_mc_enhanced_fast_string"])
def test_the_copy_routines_of_a_real_kernel_are_proved(name: str) -> None:
    (result,) = prove(VMLINUX[-1], routines=(name,)).values()
    assert result.verdict is Verdict.PROVED
    assert "arch/x86/lib/copy_mc_64.S" in result.exits[0].where

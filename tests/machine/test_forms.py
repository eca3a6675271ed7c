"""Forms of instructions, and which of them were compared with a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from asm_corpus.expectations import FILES

from mcverify.arch.x86_64.decoder import decoder
from mcverify.arch.x86_64.forms import form_of
from mcverify.image.load import load
from mcverify.machine.compared import AGREES, compared, not_compared
from mcverify.silicon.compare import encodings

from .conftest import assembled

PRIVILEGED = {"stac", "clac"}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("add %rcx, %rdx", "add r64, r64"),
        ("add $8, %rsi", "add i, r64"),
        ("mov %ah, %cl", "mov h8, r8"),
        ("shl %cl, %edx", "shl cl, r32"),
        ("mov %cl, %dl", "mov r8, r8"),
        ("shl %edx", "shl i, r32"),
        ("shlq %cl, (%rdi)", "shl cl, m64"),
        ("rclw %cl, (%rdi)", "rcl cl, m16"),
        ("shlq (%rdi)", "shl i, m64"),
        ("shld %cl, %rax, (%rdi)", "shld cl, r64, m64"),
        ("mov %ax, (%rdi)", "mov r16, m16"),
        ("mov (%rsi,%rcx,8), %rax", "mov m64i, r64"),
        ("mov 8(%rip), %rax", "mov m64p, r64"),
        ("mov %gs:8(%rsi), %rax", "mov m64s, r64"),
        ("lea (%esi,%ecx), %rax", "lea m64ia32, r64"),
        ("xor %eax, %eax", "xor r32, r32 (same)"),
        ("rep movsb", "rep movsb"),
        ("rep stosq", "rep stosq"),
        ("movsl", "movsd"),
        ("movsd %xmm0, (%rdi)", "movsd xmm, m64"),
        ("jne 1f\n1:", "jne label"),
        ("movdqu (%rsi), %xmm3", "movdqu m128, xmm"),
        ("vmovdqu %ymm1, (%rdi)", "vmovdqu ymm, m256"),
        ("lock decq (%rdi)", "lock dec m64"),
        ("ret", "ret"),
    ],
)
def test_a_form_has_what_decides_about_the_meaning(text: str, form: str, tmp_path: Path) -> None:
    image = assembled(tmp_path, text)
    code = image.code_at(image.functions[0].address)
    decoded = next(decoder().disasm(code, 0, 1))
    assert form_of(decoded) == form


def test_every_form_under_asm_was_compared_or_cannot_be() -> None:
    forms = encodings(load(path) for path in FILES)
    assert len(forms) > 60
    assert set(not_compared(forms)) == PRIVILEGED & forms.keys()


def test_a_form_that_is_not_in_the_table_was_not_compared() -> None:
    assert not_compared(["add r64, r64", "frobnicate r64", "clac"]) == ["clac", "frobnicate r64"]


def test_the_table_has_no_difference() -> None:
    results = set(compared().values())
    assert AGREES in results
    assert all(result == AGREES or result.startswith("not compared: ") for result in results)

"""Revisions proved to do the same by walking both at once, and those that must not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.results import PROVED

from mcverify.deadline import Deadline
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.review.equivalence import simulated
from mcverify.review.prove import Proved

ASM = Path("asm")
PAIRS = Path(__file__).parent / "pairs"
BYTES = (PAIRS / "bytes.S").read_text()


def _loaded(path: Path) -> Proved:
    image = load(path)
    (task,) = tasks(image, ProveOptions())
    return Proved(PROVED, image, task)


def _same(old: Path, new: Path, *, invariants: bool) -> str:
    """Why it was not proved that both do the same, "" where it was."""
    answer = simulated(_loaded(old), _loaded(new), ProveOptions(), Deadline(None), print, (invariants,))
    return "" if answer.proved else answer.why


def _edited(folder: Path, text: str, *edits: tuple[str, str]) -> Path:
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / "edited.S"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["registers", "scratch"])
def test_other_registers_make_no_difference(name: str) -> None:
    assert _same(PAIRS / "bytes.S", PAIRS / f"{name}.S", invariants=False) == ""


def test_counters_of_32_bits_are_the_same_as_long_as_the_length_fits() -> None:
    assert _same(PAIRS / "bytes.S", PAIRS / "far.S", invariants=True) == ""


@pytest.mark.parametrize(
    "edit",
    [
        ("test\t%edx, %edx", "and\t%edx, %edx"),
        ("lea\t(%rdx,%rcx,8), %rax", "shl\t$3, %rcx\n\tlea\t(%rcx,%rdx), %rax"),
        ("dec\t%edx", "sub\t$1, %edx"),
        ("\tmov\t(%rsi), %rax\n\tmov\t%rax, (%rdi)", "\tmov\t(%rsi), %r9\n\tmov\t%r9, (%rdi)"),
    ],
)
def test_the_same_said_otherwise_is_the_same(tmp_path: Path, edit: tuple[str, str]) -> None:
    path = ASM / "words_bytes.S"
    assert _same(path, _edited(tmp_path, path.read_text(), edit), invariants=False) == ""


@pytest.mark.parametrize("name", ["alignment", "status"])
def test_a_difference_for_one_alignment_or_one_exit_is_none_to_be_missed(name: str) -> None:
    assert "return different values" in _same(PAIRS / "bytes.S", PAIRS / f"{name}.S", invariants=False)


@pytest.mark.parametrize(
    "edit",
    [
        ("mov\t%al, (%rdi)", "mov\t%al, 1(%rdi)"),
        ("inc\t%rsi", "add\t$2, %rsi"),
        ("_ASM_EXTABLE(.Lread, .Lfix)", ""),
        ("mov\t%rcx, %rax\n\tRET\n\t_ASM", "mov\t%rcx, %rax\n\tmov\t%rax, %rbx\n\tRET\n\t_ASM"),
        ("mov\t%rcx, %rax\n\tRET\n\t_ASM", "mov\t%rcx, %rax\n\tstd\n\tRET\n\t_ASM"),
        ("xor\t%eax, %eax\n\tRET", "movb\t$0, (%rdi)\n\txor\t%eax, %eax\n\tRET"),
        ("dec\t%rcx", "sub\t$1, %cx"),
    ],
    ids=["other place", "other byte", "no entry", "kept register", "flag", "one more store", "16 bits"],
)
def test_whatever_a_caller_could_see_is_a_difference(tmp_path: Path, edit: tuple[str, str]) -> None:
    for invariants in (False, True):
        assert _same(PAIRS / "bytes.S", _edited(tmp_path, BYTES, edit), invariants=invariants) != ""


def test_data_from_elsewhere_are_a_difference_even_where_the_counts_agree() -> None:
    old, new = (ASM / f"retry_moved{which}.S" for which in ("", "_wrong_source"))
    for invariants in (False, True):
        assert "store different bytes" in _same(old, new, invariants=invariants)


def test_stores_in_another_order_are_the_same_where_only_loads_fault(tmp_path: Path) -> None:
    text = (ASM / "retry_moved.S").read_text()
    stores = "\tmov\t%rax, (%rdi)\n\tmov\t%rcx, 8(%rdi)\n"
    swapped = _edited(tmp_path, text, (stores, "\tmov\t%rcx, 8(%rdi)\n\tmov\t%rax, (%rdi)\n"))
    assert _same(ASM / "retry_moved.S", swapped, invariants=False) == ""


def test_stores_in_another_order_are_a_difference_where_stores_fault(tmp_path: Path) -> None:
    stores = (".Lone:\n\tmov\t%al, (%rdi)\n", ".Ltwo:\n\tmovb\t$0, 1(%rdi)\n")
    text = BYTES.replace("contract bytes_left", "contract uaccess")
    text = text.replace("\tmov\t%al, (%rdi)\n", "".join(stores))
    text = text.replace(
        "_ASM_EXTABLE(.Lread",
        "_ASM_EXTABLE(.Lone, .Lfix)\n\t_ASM_EXTABLE(.Ltwo, .Lfix)\n\t_ASM_EXTABLE(.Lread",
    )
    one, other = tmp_path / "one.S", tmp_path / "other.S"
    one.write_text(text)
    other.write_text(text.replace("".join(stores), "".join(reversed(stores))))
    assert _same(one, one, invariants=False) == ""
    assert _same(one, other, invariants=False) != ""

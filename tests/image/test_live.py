"""Which registers a routine is given, by what it reads first, and which contract of its name that means."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from mcverify.contract import all_contracts, contracts_for
from mcverify.image.live import borne, reads
from mcverify.kernels import overlap


@pytest.mark.parametrize(
    ("code", "register", "is_read"),
    [
        ("movl %ecx, %r8d\n\tret", "rcx", True),
        ("pushq %rcx\n\tret", "rcx", True),
        ("movl %edx, %ecx\n\tmovl %ecx, %eax\n\tret", "rcx", False),
        ("xorl %ecx, %ecx\n\tmovl %ecx, %eax\n\tret", "rcx", False),
        ("movb %dl, %cl\n\tmovl %ecx, %eax\n\tret", "rcx", True),  # the rest of it is still what was given
        ("testl %edx, %edx\n\tjz 1f\n\tmovl %edx, %ecx\n1:\tmovl %ecx, %eax\n\tret", "rcx", True),
        ("jmp 1f\n\tmovl %ecx, %eax\n1:\tret", "rcx", False),
        ("ret\n\tmovl %ecx, %eax", "rcx", False),
        ("call elsewhere\n\tmovl %ecx, %eax\n\tret", "rcx", False),  # a call leaves something else there
        ("movq %r8, (%rsp)\n\tret", "r8", True),
        ("movq (%r9), %rax\n\tret", "r9", True),
        ("xorl %r9d, %r9d\n\tadcq %r9, %rax\n\tret", "r9", False),
        ("movq %rdx, %rcx\n\trep movsb\n\tret", "rcx", False),
        ("rep movsb\n\tret", "rcx", True),
        ("1:\tjmp 1b", "rcx", False),
        (".byte 0x06", "rcx", False),
    ],
)
def test_what_is_read_before_it_is_written(load_text, code, register, is_read):
    image = load_text(f"copy:\n\t{code}\n")
    entry = next(s.address for s in image.symbols if s.name == "copy")
    assert reads(image, entry, register) is is_read


def test_a_fixup_may_be_the_one_that_reads(load_text):
    image = load_text(
        "copy:\n1:\tmovb (%rsi), %al\n\tret\n2:\tmovl %ecx, %eax\n\tret\n\t_ASM_EXTABLE(1b, 2b)\n"
    )
    entry = next(s.address for s in image.symbols if s.name == "copy")
    assert reads(image, entry, "rcx")


@pytest.mark.parametrize(
    ("name", "code", "contract"),
    [
        ("copy_user_generic_unrolled", "pushq %rcx\n\tpopq %rcx\n\tret", "uaccess_zero_flag"),
        ("copy_user_generic_unrolled", "movl %edx, %ecx\n\tret", "uaccess"),
        (
            "csum_partial_copy_generic",
            "movl %ecx, %eax\n\tmovq %r8, %r10\n\tmovq %r9, %r11\n\tret",
            "checksum_errors",
        ),
        ("csum_partial_copy_generic", "movl %ecx, %eax\n\tmovq %r8, %r10\n\tret", "checksum"),
        ("csum_partial_copy_generic", "movl %edx, %ecx\n\tret", "checksum"),
        ("copy_mc_fragile", "movl %ecx, %eax\n\tret", "bytes_left"),
        ("of_my_own", "movl %ecx, %eax\n\tret", None),
    ],
)
def test_the_code_tells_the_contract_of_its_name(load_text, name, code, contract):
    image = load_text(f"SYM_FUNC_START({name})\n\t{code}\nSYM_FUNC_END({name})\n")
    found = borne(image, name)
    assert (found.name if found else None) == contract


def test_a_name_that_is_not_in_the_file_has_no_contract_that_the_code_must_show(load_text):
    assert borne(load_text("copy:\tret\n"), "copy_user_generic_unrolled") is None


def test_a_name_has_one_contract_for_each_kernel():
    assert [c.name for c in contracts_for("csum_partial_copy_generic")] == ["checksum_errors", "checksum"]
    doubles = {name for c in all_contracts() for name in c.routines if len(contracts_for(name)) > 1}
    for name in doubles:
        spans = [c.routines[name] for c in contracts_for(name)]
        assert not any(overlap(one, other) for one, other in combinations(spans, 2)), name


def test_code_that_contradicts_its_kernel_has_no_contract(load_text):
    """A routine of 6.1 that looks at registers which it is not given."""
    text = (
        "SYM_FUNC_START(csum_partial_copy_generic)\n\tmovl %ecx, %eax\n\tmovq %r8, %r10\n"
        "\tmovq %r9, %r11\n\tret\nSYM_FUNC_END(csum_partial_copy_generic)\n"
    )
    image = replace(load_text(text), kernels="6.1")
    assert borne(image, "csum_partial_copy_generic") is None
    assert borne(replace(image, kernels="4.6 to 5.15"), "csum_partial_copy_generic").name == "checksum_errors"

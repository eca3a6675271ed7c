"""Stand-ins for the routines in C that fixups go on in."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.arch.known import X86_64
from mcverify.image.callees import ASSUMED, NESTED, assumed_at, callees, calling, calls_of, known
from mcverify.image.image import Image
from mcverify.image.load import load

BODY = """#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(copy)
.Lread:	mov	(%rsi), %al
	jmp	{first}
.Lfix:	jmp	{second}
SYM_FUNC_END(copy)
{table}
"""
TABLES = {
    "absolute": "\t.quad .Lread, .Lfix",
    "relative": "\t.long .Lread - ., .Lfix - .",
    "handler": "\t.long .Lread - ., .Lfix - ., ex_handler_default - .",
    "type": "\t.long .Lread - ., .Lfix - ., 1",
}


def made(folder: Path, first: str, layout: str | None = "handler") -> Image:
    path = folder / "routine.S"
    table = f'.section __ex_table, "a"\n{TABLES[layout]}' if layout else ""
    path.write_text(BODY.format(first=first, second="nowhere", table=table))
    image = load(path)
    assert image.layout == (layout or "none")
    return image


CALLING = """#include <linux/linkage.h>
SYM_FUNC_START({name})
.Lread:	mov	(%rsi), %al
.Lfix:	jmp	{helper}
SYM_FUNC_END({name})
	.section __ex_table, "a"
	.long .Lread - ., .Lfix - ., {third}
"""


def calling_itself(folder: Path, helper: str, layout: str) -> Image:
    path = folder / "routine.S"
    third = {"handler": "ex_handler_default - .", "type": "1"}[layout]
    path.write_text(CALLING.format(name=known()[helper].calls, helper=helper, third=third))
    return load(path)


def texts(image: Image, start: int) -> list[str]:
    found, at = [], start
    while code := image.code_at(at):
        found.append(X86_64.text(code, at))
        at += next(n for n in range(1, 16) if X86_64.text(code[:n], at))
    return found


@pytest.mark.parametrize("table", sorted(known()))
def test_a_routine_in_c_gets_a_stand_in_with_entries_of_its_own(tmp_path, table):
    name = known()[table].name
    image = made(tmp_path, name, known()[table].layouts[0])
    [(address, callee)] = callees(image).items()
    assert (callee.name, image.externals[address]) == (name, name)
    own = [e for e in image.entries if e.handler.name == ASSUMED]
    assert [(e.insn, image.label_at(e.fixup)) for e in own] == [
        (at, name) for at in (callee.load_at, callee.store_at, callee.zero_at) if at is not None
    ]
    code = texts(image, address)
    assert texts(image, callee.load_at)[:2] == ["movb (%rsi), %al", "movb %al, (%rdi)"]
    assert ("movb $0, (%rdi)" in code) == callee.callee.zeroes
    assert ("clac" in code) == callee.clears_ac
    assert code[-1] == "retq"
    assert assumed_at(image, address)
    assert not assumed_at(image, image.functions[0].address)


def test_a_stand_in_spoils_every_register_that_a_routine_in_c_may_change(tmp_path):
    image = made(tmp_path, "mcsafe_handle_tail")
    [address] = callees(image)
    spoiled = {text.rpartition("%")[2] for text in texts(image, address) if text.startswith("movl $")}
    assert spoiled == {"ecx", "edx", "esi", "edi", "r8d", "r9d", "r10d", "r11d"}


CALLERS = [(name, layout) for name, callee in known().items() if callee.calls for layout in callee.layouts]


@pytest.mark.parametrize(("name", "layout"), CALLERS)
def test_one_that_calls_the_routine_for_each_byte_does_so_in_its_stand_in(tmp_path, name, layout):
    image = calling_itself(tmp_path, name, layout)
    stand_in = calling(image)
    assert stand_in is not None
    entry = image.functions[0].address
    assert calls_of(image, entry) == (stand_in.address,)
    code = texts(image, stand_in.address)
    assert f"callq {entry:#x}" in code
    assert f"leaq -{NESTED:#x}(%rsp), %rsp" in code
    spoiled = {text.rpartition("%")[2] for text in code if text.startswith("movl $0x6d")}
    assert len(spoiled) == 8
    own = [e.insn for e in image.entries if e.handler.name == ASSUMED]
    assert own == [stand_in.load_at, stand_in.store_at]
    assert texts(image, stand_in.fixup_at)[0] == "movl %r12d, %eax"


def test_one_that_calls_a_routine_of_another_file_copies_by_itself(tmp_path):
    image = made(tmp_path, "mcsafe_handle_tail")
    assert calling(image) is None
    assert not calls_of(image, image.functions[0].address)


def test_other_symbols_outside_stay_unknown(tmp_path):
    image = made(tmp_path, "elsewhere")
    assert not callees(image)
    assert {e.handler.name for e in image.entries} == {"default"}


def test_nothing_is_assumed_of_the_routine_of_other_kernels(tmp_path):
    assert callees(made(tmp_path, "copy_mc_fragile_handle_tail", "type"))
    assert not callees(made(tmp_path, "copy_user_handle_tail", "type"))
    assert not callees(made(tmp_path, "mcsafe_handle_tail", "relative"))


def test_a_file_without_a_table_is_left_as_it_is(tmp_path):
    assert made(tmp_path, "mcsafe_handle_tail", None).entries == ()


def test_each_assumption_has_its_source():
    for said in X86_64.model("callees.toml").values():
        assert said["source"].startswith("arch/x86/lib/")
        assert said["kernels"]

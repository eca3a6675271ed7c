"""Stand-ins for the routines in C that fixups go on in."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.image.callees import ASSUMED, assumed_at, callees, known
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.models import read_toml
from mcverify.runs.code import text_of

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


def texts(image: Image, start: int) -> list[str]:
    found, at = [], start
    while code := image.code_at(at):
        found.append(text_of(code, at))
        at += next(n for n in range(1, 16) if text_of(code[:n], at))
    return found


@pytest.mark.parametrize("name", sorted(known()))
def test_a_routine_in_c_gets_a_stand_in_with_entries_of_its_own(tmp_path, name):
    image = made(tmp_path, name)
    [(address, callee)] = callees(image).items()
    assert (callee.name, image.externals[address]) == (name, name)
    own = [e for e in image.entries if e.handler.name == ASSUMED]
    assert [(e.insn, image.label_at(e.fixup)) for e in own] == [
        (callee.load_at(address), name),
        (callee.store_at(address), name),
    ]
    code = texts(image, address)
    assert code[3:5] == ["movb (%rsi), %al", "movb %al, (%rdi)"]
    assert ("clac" in code) == callee.clears_ac
    assert code[-1] == "retq"
    assert assumed_at(image, address)
    assert not assumed_at(image, image.functions[0].address)


def test_a_stand_in_spoils_every_register_that_a_routine_in_c_may_change(tmp_path):
    image = made(tmp_path, "mcsafe_handle_tail")
    [address] = callees(image)
    spoiled = {text.rpartition("%")[2] for text in texts(image, address) if text.startswith("movl $")}
    assert spoiled == {"ecx", "edx", "esi", "edi", "r8d", "r9d", "r10d", "r11d"}


def test_other_symbols_outside_stay_unknown(tmp_path):
    image = made(tmp_path, "elsewhere")
    assert not callees(image)
    assert {e.handler.name for e in image.entries} == {"default"}


def test_nothing_is_assumed_of_the_routine_of_other_kernels(tmp_path):
    assert callees(made(tmp_path, "copy_mc_fragile_handle_tail", "type"))
    assert not callees(made(tmp_path, "copy_user_handle_tail", "type"))
    assert not callees(made(tmp_path, "copy_user_handle_tail", "relative"))


def test_a_file_without_a_table_is_left_as_it_is(tmp_path):
    assert made(tmp_path, "mcsafe_handle_tail", None).entries == ()


def test_each_assumption_has_its_source():
    for said in read_toml("callees.toml").values():
        assert said["source"].startswith("arch/x86/lib/")
        assert said["kernels"]

"""The symbols that a stripped kernel still has in its own data: tables as scripts/kallsyms.c writes them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks

CODE = """
	.text
	.globl _text
	.type _text, @function
_text:	ret
	.size _text, .-_text
	.globl copy_mc_fragile
	.type copy_mc_fragile, @function
copy_mc_fragile:
1:	movb	(%rsi), %al
2:	ret
	.size copy_mc_fragile, .-copy_mc_fragile
	.globl last
	.type last, @function
last:	ret
	.size last, .-last
	.section __ex_table, "a"
	.long	1b - ., 2b - ., 1
"""
COMPRESSED = {1: "copy_", 2: "_fr", 200: "ag"}
"""Bytes that stand for more than one character; all others stand for themselves, or for nothing."""
EXPANDED = tuple(
    COMPRESSED.get(code, chr(code) if chr(code).isalnum() and code < 128 or code == 95 else "")
    for code in range(256)
)


def compressed(name: str) -> bytes:
    for code, word in COMPRESSED.items():
        name = name.replace(word, chr(code))
    return name.encode("latin-1")


def tables(names: Sequence[str], *, absolute: bool, old: bool) -> str:
    """The tables for symbols of these names, with nm's letter before each, that lie in this order."""
    stream = [compressed(name) for name in names]
    places = [sum(len(word) + 1 for word in stream[:i]) for i in range(0, len(stream), 256)]
    lines = [".byte " + ", ".join(map(str, (len(word), *word))) for word in stream]
    tokens = [f'.asciz "{word}"' for word in EXPANDED]
    starts = [sum(len(word) + 1 for word in EXPANDED[:code]) for code in range(256)]
    number = "_text - {0} - 1" if absolute else "{0} - _text"
    offsets = [".long " + number.format(name[1:]) for name in names]
    counted = [".balign 8", f".long {len(names)}", ".balign 8", *lines]
    counted += [".balign 8", *(f".long {place}" for place in places)]
    table = [".balign 8", *tokens, ".balign 8", *(f".short {start}" for start in starts)]
    addresses = [".balign 8", *offsets, ".balign 8", ".quad _text"]
    parts = [addresses, counted, table] if old else [counted, table, addresses]
    return '	.section .rodata, "a"\n' + "\n".join(line for part in parts for line in part) + "\n"


def stripped(make_object: Callable[..., Path], text: str) -> Path:
    path = make_object(text, name="vmlinux", link=True)
    subprocess.run(["strip", str(path)], check=True)
    return path


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("more", [0, 300])
def test_the_routines_are_found_again(
    make_object: Callable[..., Path], *, absolute: bool, old: bool, more: int
) -> None:
    names = ["T_text", "Tcopy_mc_fragile", "tlast", *["tlast"] * more]
    image = load(stripped(make_object, CODE + tables(names, absolute=absolute, old=old)))
    assert [s.name for s in image.functions] == [name[1:] for name in names]
    assert {(s.name, s.is_global) for s in image.functions} >= {("copy_mc_fragile", True), ("last", False)}
    (task,) = tasks(image, ProveOptions())
    assert (task.name, task.end - task.entry) == ("copy_mc_fragile", 3)
    assert any("its own kallsyms" in note for note in image.notes)


@pytest.mark.parametrize(("before", "after"), [(".short 0", ".short 1"), (".long 0", ".long 4")])
def test_tables_that_contradict_each_other_are_no_symbols(
    make_object: Callable[..., Path], before: str, after: str
) -> None:
    text = tables(["T_text", "Tcopy_mc_fragile", "tlast"], absolute=True, old=False)
    assert before in text
    assert load(stripped(make_object, CODE + text.replace(before, after, 1))).symbols == ()


def test_a_kernel_that_has_symbols_keeps_them(make_object: Callable[..., Path]) -> None:
    text = tables(["T_text", "Tcopy_mc_fragile", "tlast"], absolute=True, old=False)
    text = text.replace('.asciz "copy_"', '.asciz "kopy_"')
    assert load(stripped(make_object, CODE + text)).address_of("kopy_mc_fragile") is not None
    image = load(make_object(CODE + text, name="vmlinux", link=True))
    assert image.address_of("kopy_mc_fragile") is None
    assert not any("kallsyms" in note for note in image.notes)

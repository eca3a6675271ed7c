"""Every entry of an exception table is accounted for, without a proof."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asm_corpus.expectations import ROOT
from image import conftest as of_images
from jsonschema import Draft202012Validator
from rich.console import Console

from mcverify.cli import run
from mcverify.image.load import load
from mcverify.proof.scan import Access, Scan, scan
from mcverify.report.scan import print_scan

make_object = of_images.make_object
LARGE = """
	.globl copy
	.type copy, @function
copy:	nop
	.size copy, . - copy
1:	mov (%rsi), %al
2:	ret
	.section __ex_table, "a"
	.long 1b - ., 2b - .
"""
SCHEMA = json.loads((ROOT / "docs/schema/scan.schema.json").read_text())

# Two functions with entries, one with an alternative; a fixup elsewhere; an entry in no function.
SOURCE = """\
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
SYM_FUNC_START(rep_movs_alternative)
1:	mov (%rsi), %al
2:	mov %al, (%rdi)
3:	ALTERNATIVE "jmp .Lrest", "rep movsb", X86_FEATURE_ERMS
.Lrest:
4:	RET
	_ASM_EXTABLE_UA(1b, 4b)
	_ASM_EXTABLE_UA(2b, 4b)
	_ASM_EXTABLE_UA(3b, .Laside)
SYM_FUNC_END(rep_movs_alternative)

SYM_FUNC_START(mystery)
5:	rdmsr
6:	movnti %rax, (%rdi)
7:	RET
	_ASM_EXTABLE_TYPE(5b, 7b, EX_TYPE_RDMSR)
	_ASM_EXTABLE(6b, 7b)
SYM_FUNC_END(mystery)

SYM_FUNC_START(quiet)
	RET
SYM_FUNC_END(quiet)

.Lnowhere:
8:	testb $1, (%rsi)
.Laside:
	RET
	_ASM_EXTABLE(8b, .Laside)
"""


def scanned(folder: Path, text: str = SOURCE) -> Scan:
    path = folder / "copy.S"
    path.write_text(text)
    return scan(load(path))


def test_each_entry_is_counted_and_once(tmp_path: Path) -> None:
    found = scanned(tmp_path)
    assert (found.kind, found.layout, found.alternatives) == ("source", "type", 1)
    assert (found.entries, found.entry_bytes, found.table_bytes) == (6, 12, 72)
    assert found.handlers == {"uaccess": 3, "default": 2, "rdmsr": 1}
    assert found.sections == {".text": 6}
    assert found.accesses == {Access.LOAD: 2, Access.STORE: 2, Access.BOTH: 1, Access.NEITHER: 1}
    assert [(f.name, f.contract, f.entries) for f in found.functions] == [
        ("rep_movs_alternative", "uaccess_rcx", 3),
        ("mystery", "", 2),
    ]
    copy, mystery = found.functions
    assert copy.accesses == {Access.LOAD: 1, Access.STORE: 1, Access.BOTH: 1}
    assert (copy.features, copy.elsewhere) == (("ERMS",), 1)
    assert mystery.accesses == {Access.NEITHER: 1, Access.STORE: 1}
    assert [(s.index, s.handler) for s in found.strays] == [(5, "default")]


def test_the_bodies_of_an_alternative_count_together(tmp_path: Path) -> None:
    # A load with the one body, a store with the other.
    body = 'ALTERNATIVE "mov (%rsi), %al", "mov %al, (%rdi)", X86_FEATURE_ERMS'
    text = SOURCE.replace('ALTERNATIVE "jmp .Lrest", "rep movsb", X86_FEATURE_ERMS', body)
    assert scanned(tmp_path, text).functions[0].accesses == {Access.LOAD: 1, Access.STORE: 1, Access.BOTH: 1}
    alike = text.replace('mov %al, (%rdi)", X86', 'mov 1(%rsi), %al", X86')
    assert scanned(tmp_path, alike).functions[0].accesses == {Access.LOAD: 2, Access.STORE: 1}


def test_an_entry_lost_would_be_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcverify.proof.scan._entries", lambda image: list(image.entries[1:]))
    with pytest.raises(AssertionError, match=r"\{5\} entries are counted of 72 bytes"):
        scanned(tmp_path)


def test_a_linked_table_out_of_order_is_told(make_object: Callable[..., Path]) -> None:
    text = """
	.globl f
	.type f, @function
f:
1:	mov (%rsi), %al
2:	mov (%rsi), %bl
3:	ret
	.size f, .-f
	.section __ex_table, "a"
"""
    entries = ["	.long	1b - ., 3b - ., 1\n", "	.long	2b - ., 3b - ., 1\n"]
    said = "the exception table is not sorted"
    right = scan(load(make_object(text + "".join(entries), name="vmlinux", link=True)))
    assert (right.kind, right.entries, right.functions[0].entries) == ("kernel", 2, 2)
    assert not any(said in note for note in right.notes)
    wrong = text + "".join(reversed(entries))
    assert any(said in note for note in scan(load(make_object(wrong, name="wrong", link=True))).notes)
    # The linker sorts nothing: in an object the order says nothing.
    assert not any(said in note for note in scan(load(make_object(wrong))).notes)


@pytest.mark.slow
def test_a_hundred_thousand_entries(make_object: Callable[..., Path]) -> None:
    text = """
	.globl f
	.type f, @function
f:
	.rept 100000
	.byte 0x8a, 0x06
	.endr
.Lout:	ret
	.size f, .-f
	.section __ex_table, "a"
	.set i, 0
	.rept 100000
	.long	f + i - ., .Lout - ., 1
	.set i, i + 2
	.endr
"""
    found = scan(load(make_object(text, link=True)))
    assert (found.entries, found.accesses, found.functions[0].entries) == (10**5, {Access.LOAD: 10**5}, 10**5)


def test_on_a_narrow_terminal_each_function_has_lines_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=60, force_terminal=True, color_system=None)
    monkeypatch.setattr("mcverify.report.terminal.standard_output", lambda: console)
    path = tmp_path / "copy.S"
    path.write_text(SOURCE)
    print_scan(scan(load(path)))
    lines = shown.getvalue().splitlines()
    at = lines.index("rep_movs_alternative: contract uaccess_rcx")
    assert lines[at + 1].startswith("  3 entries: loads, stores, loads and stores; ")
    assert "mystery: no contract known" in lines
    assert max(map(len, lines)) <= 60


def test_the_command_writes_what_its_schema_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    path, target = tmp_path / "copy.S", tmp_path / "scan.json"
    path.write_text(SOURCE)
    assert run(["scan", str(path), str(tmp_path / "gone.S"), "--json", str(target)]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"mcverify: {tmp_path}/gone.S: error: there is no such file\n"
    rows = [line.split() for line in captured.out.splitlines()]
    assert rows[next(i for i, row in enumerate(rows) if row[:1] == ["rep_movs_alternative"])][:8] == [
        "rep_movs_alternative",
        "uaccess_rcx",
        "3",
        "loads,",
        "stores,",
        "loads",
        "and",
        "stores",
    ]
    assert any(row[:4] == ["mystery", "none", "known", "2"] for row in rows)
    assert (
        "6 entries = 72 bytes of 12 each: 5 in 2 functions and 1 in none; 3 in functions with a contract"
        in (captured.out)
    )
    document = json.loads(target.read_text())
    Draft202012Validator(SCHEMA).validate(document)
    assert document["failed"] == [
        {"file": f"{tmp_path}/gone.S", "error": f"{tmp_path}/gone.S: there is no such file"}
    ]
    assert document["scans"][0]["functions"][1]["contract"] is None
    # It is overwritten by the next, a file of the user's is not.
    assert run(["scan", str(path), "-q", "--json", str(target)]) == 0
    target.write_text("mine\n")
    assert run(["scan", str(path), "--json", str(target)]) == 2
    assert target.read_text() == "mine\n"


def test_a_file_without_a_table_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "copy.S"
    path.write_text("#include <linux/linkage.h>\nSYM_FUNC_START(f)\n\tRET\nSYM_FUNC_END(f)\n")
    assert run(["scan", str(path)]) == 0
    assert "a source without an exception table" in capsys.readouterr().out


def test_neither_angr_nor_z3_is_imported() -> None:
    code = (
        "import sys; from mcverify.cli import run; run(['scan', 'asm/memcpy_64.S']);"
        "print(sorted({'angr', 'z3', 'claripy', 'pyvex'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_of_a_large_kernel_only_the_lines_that_are_told_are_read(
    make_object: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line information of 7.3 has 30 MB: the unit of an entry that is in no function is read."""
    monkeypatch.setattr("mcverify.image.lines.MAX_LINE_BYTES", 10)
    monkeypatch.setattr("mcverify.image.load.MAX_LINE_BYTES", 10)
    found = scan(load(make_object(LARGE, flags=("-g",), link=True)))
    assert [stray.where.rpartition(":")[2] for stray in found.strays] == ["6"]
    assert not any("too large" in note for note in found.notes)
    without = scan(load(make_object(LARGE, link=True)))
    assert ": copy+0x1" in without.strays[0].where
    assert any("there is no line information" in note for note in without.notes)

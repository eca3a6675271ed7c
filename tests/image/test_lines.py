"""Addresses and the source lines they came from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mcverify.image.load import load

TEXT = """#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(copy)
	nop
1:	movb (%rsi), %al
	RET
SYM_FUNC_END(copy)
	.section .fixup, "ax"
2:	nop
	jmp copy
	.previous
	_ASM_EXTABLE(1b, 2b)
"""


@pytest.fixture(params=["gcc", "clang"])
def compiler(request, monkeypatch):
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param}")
    monkeypatch.setenv("CC", request.param)


@pytest.mark.usefixtures("compiler")
def test_text_and_fixup_have_lines_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "copy.S").write_text(TEXT)
    image = load(tmp_path.joinpath("copy.S").relative_to(tmp_path))
    (entry,) = image.entries
    assert image.where(entry.insn) == "copy.S:5"
    assert image.where(entry.fixup) == "copy.S:9"
    assert image.where(entry.fixup + 1) == "copy.S:10"
    assert image.where(entry.insn + 1) == "copy.S:5"


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("place", ["lib/copy.S", "./lib/copy.S", "lib/../lib/copy.S"])
def test_a_path_stays_as_it_was_given(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "copy.S").write_text(TEXT)
    image = load(Path(place))
    assert image.where(image.entries[0].insn) == f"{Path(place)}:5"


@pytest.mark.usefixtures("compiler")
def test_an_absolute_path_stays_absolute(load_text, tmp_path):
    image = load_text(TEXT, headers="")
    assert image.where(image.entries[0].insn) == f"{tmp_path}/routine.S:5"


@pytest.mark.usefixtures("compiler")
def test_labels_of_the_source_are_kept_and_the_compilers_own_are_not(load_text):
    image = load_text("copy:\n.Lread:\tmovb (%rsi), %al\n1:\tret\n\t_ASM_EXTABLE(.Lread, 1b)\n")
    assert {s.name for s in image.symbols} == {"copy", ".Lread"}
    assert image.label_at(image.entries[0].insn) == ".Lread"
    assert sorted(image.names_at(image.entries[0].insn)) == [".Lread", "copy"]


@pytest.mark.parametrize("version", [4, 5])
def test_both_versions_of_dwarf_are_read(make_object, version):
    path = make_object("copy:\n\tnop\n\tret\n", flags=("-g", f"-gdwarf-{version}"))
    image = load(path)
    at = image.sections[0].address
    assert [image.lines[at].line, image.lines[at + 1].line] == [2, 3]
    assert image.lines[at].file.endswith("routine.s")


def test_a_linked_file_has_lines_too(make_object):
    image = load(make_object("copy:\n\tnop\n\tret\n", flags=("-g",), link=True))
    copy = next(s.address for s in image.symbols if s.name == "copy")
    assert image.lines[copy + 1].line == 3


def test_the_line_table_of_a_whole_kernel_is_left_alone(load_text, monkeypatch):
    monkeypatch.setattr("mcverify.image.lines.MAX_LINE_BYTES", 10)
    monkeypatch.setattr("mcverify.image.load.MAX_LINE_BYTES", 10)
    image = load_text("copy:\tret\n")
    assert image.lines == {}
    assert "is too large to be read" in image.notes[0]

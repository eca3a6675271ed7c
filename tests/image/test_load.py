"""The way in: what is taken, and one clear sentence for what is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mcverify.errors import InputError
from mcverify.image.load import load


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no\.S: there is no such file$"):
        load(tmp_path / "no.S")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is a folder .*give an assembly source"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["a.S", "a.o", "vmlinux"])
def test_an_empty_file_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"{name}: the file is empty"):
        load(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / "a.S").write_text("ret\n")
    (tmp_path / "a.S").chmod(0)
    with pytest.raises(InputError, match=r"a\.S: it cannot be read: Permission denied"):
        load(tmp_path / "a.S")


def test_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="it cannot be read: Not a directory"):
        load(tmp_path / "a" / "b.S")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.c", b"int x;", "neither assembly nor an ELF file .*compile it first"),
        ("a.h", b"int x;", "neither assembly nor an ELF file .*give the .S file that includes it"),
        ("a.txt", b"hello", "neither assembly nor an ELF file .*give an assembly source"),
        ("vmlinux", b"\x1f\x8b", "neither assembly nor an ELF file"),
        ("lib.a", b"!<arch>\n", "neither assembly nor an ELF file .*ar x"),
        ("built-in", b"!<arch>\n", "neither assembly nor an ELF file .*ar x"),
        ("a.o", b"hello", "it is no ELF file, whatever its name says"),
        ("a.ko", b"hello", "it is no ELF file, whatever its name says"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        load(tmp_path / name)


def test_an_elf_file_is_known_by_its_contents(make_object, tmp_path):
    path = make_object("copy:\tret\n").rename(tmp_path / "whatever.S")
    assert load(path).sections[0].data == b"\xc3"


def test_a_source_that_is_no_text_does_not_assemble(tmp_path):
    (tmp_path / "a.S").write_bytes(b"\xff\xfe\x00\x01\n" * 10)
    with pytest.raises(InputError, match=r"a\.S"):
        load(tmp_path / "a.S")


def test_a_name_with_spaces_and_other_letters(load_text):
    assert load_text("copy:\tret\n", name="a b é.S").sections[0].data == b"\xc3"


def test_loading_imports_neither_the_lifter_nor_the_solver():
    heavy = ("angr", "z3", "claripy", "cle", "pyvex")
    code = f"import sys, mcverify.image.load; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Kernels, modules and trees that cannot be read as they are: one sentence each from `scan` and `prove`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from image import conftest as of_images

from mcverify.cli import run

make_object = of_images.make_object

TEXT = """
	.globl copy_mc_fragile
	.type copy_mc_fragile, @function
copy_mc_fragile:
1:	movb	(%rsi), %al
2:	ret
	.size copy_mc_fragile, .-copy_mc_fragile
	.section __ex_table, "a"
	.long	1b - ., 2b - ., 1
"""
ALTERNATIVE = """
	.section .altinstr_replacement, "ax"
3:	nop
	.section .altinstructions, "a"
	.long	{site}, 3b - ., 9*32+9
	.byte	1, 1
"""
MODULE = '	.section .modinfo, "a"\n	.asciz "name=f"\n'

Made = Callable[..., Path]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command on what is wrong; give its one sentence, without our name."""

    def call(*arguments: object) -> str:
        assert run([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert re.fullmatch(r"mcverify: [^\n]+\n", captured.err), captured.err
        return captured.err.removeprefix("mcverify: ").rstrip("\n")

    return call


def changed(path: Path, at: int, value: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("command", ["scan", "prove"])
@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (4, b"\x01", "it is a 32-bit ELF file (mcverify reads x86-64 code)"),
        (5, b"\x02", "it is a big-endian ELF file (mcverify reads x86-64 code)"),
        (18, b"\xb7\x00", "it is for another machine (ELF e_machine 183) (mcverify reads x86-64 code)"),
        (40, b"\xff\xff\xff\x00", "the file is cut off: its section headers are not inside it"),
        (60, b"\x00\x00", "it has no section headers (give the file before it was stripped of them)"),
    ],
)
def test_a_foreign_or_cut_file(
    make_object: Made,
    refused: Callable[..., str],
    command: str,
    at: int,
    value: bytes,
    sentence: str,
) -> None:
    path = changed(make_object(TEXT), at, value)
    assert refused(command, path) == f"{path}: error: {sentence}"


@pytest.mark.parametrize("command", ["scan", "prove"])
def test_an_alternative_that_points_outside(
    make_object: Made, refused: Callable[..., str], command: str
) -> None:
    # Nothing but a relocation says where it points in an object: this one has none.
    path = make_object(TEXT + ALTERNATIVE.format(site="0x7fff0000"), name="vmlinux", link=True)
    sentence = refused(command, path)
    assert re.search(r"alternative 0: its site, 1 bytes at 0x[0-9a-f]+, is not in executable code$", sentence)


def test_a_stripped_module_has_no_routine_to_be_named(make_object: Made, refused: Callable[..., str]) -> None:
    path = make_object(TEXT + MODULE, name="f.ko")
    subprocess.run(["strip", "--strip-unneeded", "-N", "copy_mc_fragile", str(path)], check=True)
    said = refused("prove", path)
    assert "give the file before it was stripped" in said
    # What is there is listed all the same, as entries in no function.
    assert run(["scan", str(path)]) == 0


def test_a_stripped_kernel_says_how_to_give_the_symbols(
    make_object: Made,
    refused: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make_object(TEXT, name="vmlinux", link=True)
    subprocess.run(["strip", str(path)], check=True)
    assert "--system-map FILE" in refused("prove", path)
    assert run(["scan", str(path)]) == 0
    out = capsys.readouterr().out
    assert "in no function: 1 entry\n" in out
    assert "--system-map" in out


def test_a_contract_without_a_routine_in_the_tree(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert refused("prove", "--kernel", tmp_path).startswith(f"{tmp_path}: error: it is no kernel tree")
    assert refused("prove", tmp_path) == (
        f"{tmp_path}: error: it is a folder (give an assembly source (.S, .s) or an ELF file"
        " (.o, .ko, vmlinux); `mcverify prove --kernel` takes a kernel's tree)"
    )


def test_a_configuration_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "f.S"
    path.write_text("f:	ret\n")
    gone = tmp_path / "config"
    assert refused("scan", path, "--config", gone) == (
        f"{gone}: error: the configuration cannot be read: No such file or directory"
    )


def test_a_header_that_neither_the_stand_ins_nor_a_folder_has(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "f.S"
    path.write_text("#include <asm/unheard_of.h>\nf:	ret\n")
    assert refused("scan", path).startswith(
        f"{path}:1: error: the header asm/unheard_of.h is neither among mcverify's stand-ins nor in a folder"
    )

"""What a source can do through its preprocessor and assembler."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.image import confined
from mcverify.image.confined import Mechanism
from mcverify.image.load import load
from mcverify.permit import PERMIT

from .conftest import SECRET, Mcverify

HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
BODY = "SYM_FUNC_START(copy)\n1:\tmovb (%rsi), %al\n2:\tRET\nSYM_FUNC_END(copy)\n"
COPY = HEAD + BODY + "_ASM_EXTABLE(1b, 2b)\n"


NAMES = ["@evil.S", "@evil.s", "-wrapper.S", "-o.S", "a b.S", "a\\b.S", "$x.S", "a'\".S"]


@pytest.fixture(params=["landlock", "bubblewrap", "listed"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to hold a source back that this machine has; the last is the look at what was taken in,
    alone."""
    name: str = request.param
    if name == "listed":
        monkeypatch.setenv(PERMIT, "1")
        monkeypatch.setattr(confined, "mechanism", lambda: Mechanism.NONE)
        return name
    if name == "landlock" and confined.mechanism() is not Mechanism.LANDLOCK:
        pytest.skip("this machine has no Landlock: what it holds back was not tested")
    if name == "bubblewrap":
        if not confined.has_bubblewrap():
            pytest.skip("this machine has no bubblewrap that works: what it holds back was not tested")
        monkeypatch.setattr(confined, "mechanism", lambda: Mechanism.BUBBLEWRAP)
    return name


@pytest.mark.parametrize("name", NAMES)
def test_attack_response_file(name: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tree / "w.sh"
    program.write_text(f'#!/bin/sh\ntouch {tree}/pwned\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tree)
    Path(name).write_text("-wrapper ./w.sh -c /dev/null\n")
    with pytest.raises(InputError):
        load(Path(name))
    Path(name).write_text("copy:\tret\n")
    assert load(Path(name)).sections[0].data == b"\xc3"
    assert not (tree / "pwned").exists()


def test_attack_response_file_by_every_command(tree: Path, mcverify: Mcverify) -> None:
    program = tree / "w.sh"
    program.write_text(f'#!/bin/sh\ntouch {tree}/pwned\nexec "$@"\n')
    program.chmod(0o755)
    (tree / "@evil.S").write_text("-wrapper ./w.sh\n")
    for command in (["sweep", "@evil.S"], ["prove", "./@evil.S"], ["scan", "@evil.S"]):
        assert mcverify(*command, cwd=tree).code == 2
    assert not (tree / "pwned").exists()


REFUSALS = ["outside the source's tree", "file not found", "neither among mcverify's stand-ins", "can't open"]
READS = [
    '.incbin "{secret}"',
    '.incbin "../home/secret.txt"',
    '.include "{secret}"',
    '#include "{secret}"',
    '#include "../home/secret.txt"',
    '#include_next "../home/secret.txt"',
    "#define S <{secret}>\n#include S",
    '.macro take n\n.incbin "\\n"\n.endm\ntake "{secret}"',
    '#include "link.h"',
    '.incbin "link.h"',
    '.incbin "folder/secret.txt"',
]


@pytest.mark.usefixtures("mechanism")
@pytest.mark.parametrize("line", READS)
def test_attack_foreign_file_in_a_source(line: str, tree: Path, secret: Path) -> None:
    (tree / "link.h").symlink_to(secret)
    (tree / "folder").symlink_to(secret.parent)
    source = tree / "read.S"
    source.write_text(COPY + "\n.section .rodata\n" + line.replace("{secret}", str(secret)) + "\n")
    with pytest.raises(InputError) as caught:
        load(source)
    said = str(caught.value)
    assert SECRET not in said
    assert said.startswith(f"{source}:")
    assert any(words in said for words in REFUSALS)


@pytest.mark.usefixtures("mechanism")
def test_attack_foreign_file_among_hidden_ones(tree: Path) -> None:
    """A checkout has a token in .git/config."""
    (tree / ".git").mkdir()
    (tree / ".git/config").write_text(f"token = {SECRET}\n")
    source = tree / "read.S"
    source.write_text(COPY + '\n.section .rodata\n.incbin ".git/config"\n')
    with pytest.raises(InputError) as caught:
        load(source)
    assert SECRET not in str(caught.value)


def test_attack_foreign_file_by_its_place(tree: Path, secret: Path) -> None:
    """Not only is it refused: the sentence has the line, and what to do."""
    source = tree / "read.S"
    source.write_text(COPY + f'\n.section .rodata\n.incbin "{secret}"\n')
    line = source.read_text().splitlines().index(f'.incbin "{secret}"') + 1
    with pytest.raises(InputError, match=rf"read\.S:{line}: .*{secret}"):
        load(source)
    source.write_text(COPY + '\n.section .rodata\n.incbin "/usr/include/stdio.h"\n')
    with pytest.raises(InputError, match=rf"read\.S:{line}: .*stdio\.h, which lies outside .*-I DIR"):
        load(source)


def test_attack_link_in_place_of_a_source(tree: Path, secret: Path) -> None:
    source = tree / "read.S"
    source.symlink_to(secret)
    with pytest.raises(InputError, match="a link that leads out of its folder") as caught:
        load(source)
    assert SECRET not in str(caught.value)


def test_attack_link_in_place_of_a_folder_of_headers(tree: Path, secret: Path) -> None:
    source, folder = tree / "read.S", tree / "include"
    folder.symlink_to(secret.parent)
    source.write_text(COPY + "#include <secret.txt>\n")
    with pytest.raises(InputError, match="a link that leads out of the source's tree"):
        load(source, include=[folder])


@pytest.mark.usefixtures("mechanism")
def test_what_a_source_may_read(tree: Path, tmp_path: Path) -> None:
    """Headers and data of its own, also by links that stay within, and in folders that the operator names."""
    (tree / "own").mkdir()
    (tree / "own/data.bin").write_bytes(b"\x90\x90")
    (tree / "own/own.h").write_text("nop\n")
    (tree / "near.h").symlink_to("own/own.h")
    given = tmp_path / "given"
    given.mkdir()
    (given / "given.h").write_text("nop\n")
    source = tree / "read.S"
    source.write_text(
        'copy:\n#include "near.h"\n#include <given.h>\n.incbin "data.bin"\n.incbin "own/data.bin"\n'
    )
    (tree / "data.bin").write_bytes(b"\xc3")
    here = Path.cwd()
    os.chdir(tree)  # the assembler looks for what it takes in from the working folder, and in -I folders
    try:
        assert load(source, include=[given]).sections[0].data == b"\x90\x90\xc3\x90\x90"
        assert load(Path("read.S"), include=[Path("../given")]).sections[0].data == b"\x90\x90\xc3\x90\x90"
    finally:
        os.chdir(here)


@pytest.mark.usefixtures("mechanism")
@pytest.mark.parametrize(
    "bomb",
    [
        ".fill 0x200000000,8,1",
        ".rept 0x7fffffff\n.rept 0x7fffffff\nnop\n.endr\n.endr",
        ".macro again\nnop\nagain\n.endm\nagain",
        '#include "bomb.S"',
    ],
)
def test_attack_bomb_in_a_source(bomb: str, tree: Path) -> None:
    source = tree / "bomb.S"
    source.write_text(COPY + bomb + "\n")
    before = time.monotonic()
    with pytest.raises(InputError):
        load(source)
    assert time.monotonic() - before < 60


def test_attack_loop_in_a_source(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "_SECONDS", 1)
    source = tree / "bomb.S"
    source.write_text(COPY + ".set n, 0\n.rept 200000000\n.set n, n + 1\n.endr\n")
    with pytest.raises(InputError, match="more memory, time or room"):
        load(source)


@pytest.mark.parametrize("said", [False, True])
def test_without_a_mechanism_the_operator_must_ask(
    said: bool, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "mechanism", lambda: Mechanism.NONE)
    monkeypatch.delenv(PERMIT, raising=False)
    source = tree / "copy.S"
    source.write_text(COPY)
    if said:
        monkeypatch.setenv(PERMIT, "1")
        assert any("without confinement" in note for note in load(source).notes)
    else:
        with pytest.raises(InputError, match="neither Landlock .* nor bubblewrap .*--unconfined"):
            load(source)


def test_where_there_is_a_mechanism_nothing_is_noted(tree: Path) -> None:
    if confined.mechanism() is Mechanism.NONE:
        pytest.skip("this machine has neither Landlock nor bubblewrap")
    source = tree / "copy.S"
    source.write_text(COPY)
    assert not any("confinement" in note for note in load(source).notes)


def test_the_compiler_sees_no_environment(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tree / "cc"
    compiler.write_text("#!/bin/sh\nenv >&2\nexit 1\n")
    compiler.chmod(0o755)
    source = tree / "copy.S"
    source.write_text(COPY)
    confined.mechanism()  # what confines is made by the compiler that the operator has
    monkeypatch.setenv("A_TOKEN", SECRET)
    reach = confined.Reach((tree,), (), (source,), tree)
    done = confined.run([str(compiler)], reach)
    assert SECRET not in done.stderr
    assert "LC_ALL=C" in done.stderr

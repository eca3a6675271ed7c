"""Names and texts that a stranger chooses, on a terminal, in a log and in reports."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from review.support import patch_between

from mcverify.cli.streams import Harmless
from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.report.words import harmless
from mcverify.review.mail import patches
from mcverify.review.series import revisions_of_patches
from mcverify.shown import printable, printable_text

from .conftest import Mcverify

BIDI, ZERO_WIDTH, ESCAPE = "\u202e", "\u200b", "\x1b[2J"
EVIL = f"cp\n::error::x{ESCAPE}{BIDI}{ZERO_WIDTH}\x9b31m\r\x00".rstrip("\0")

HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
# It says that nothing is left, whatever it copied: refuted, so that places, labels and traces are shown.
WRONG = """
	.globl "{0}"
	.type "{0}", @function
"{0}":
	movq %rdx, %rcx
{1}:	rep movsb
2:	xorl %eax, %eax
	RET
	.size "{0}", .-"{0}"
	_ASM_EXTABLE({1}, 2b)
"""


def is_clean(text: str, keep: str = "\n\t") -> bool:
    return printable(text, keep) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("é und 漢字", "é und 漢字"),
        (f"a{BIDI}b", "a\\u202eb"),
        (f"a{ZERO_WIDTH}b", "a\\u200bb"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\x85d", "a\\nb\\tc\\x85d"),
        ("a\u2066b\u2069\ufeff\u00ad\u061c", "a\\u2066b\\u2069\\ufeff\\xad\\u061c"),
        ("a\u115f\u3164\u034f\ufe0f\U000e0041b", "a\\u115f\\u3164\\u034f\\ufe0f\\U000e0041b"),
        ("no utf-8: \udc9b", "no utf-8: \udc9b"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert is_clean(harmless(text).replace("\udc9b", ""))


def test_lines_stay_lines() -> None:
    assert printable_text(f"one\n\ttwo{BIDI}") == "one\n\ttwo\\u202e"


@pytest.fixture
def evil(tree: Path) -> Path:
    """An object with a routine and a label of evil names."""
    source = tree / "evil.S"
    source.write_text(HEAD + WRONG.format("placeholder_of_routine", "placeholder_of_label"))
    made = tree / "made.o"
    image = load(source)
    made.write_bytes(image.object_code)
    renamed = tree / "evil.o"
    command = ["objcopy"]
    for old, new in (("placeholder_of_routine", EVIL), ("placeholder_of_label", EVIL + "L")):
        command.append(f"--redefine-sym={old}={new}")
    subprocess.run([*command, str(made), str(renamed)], check=True)
    return renamed


def test_attack_name_of_a_symbol(evil: Path) -> None:
    image = load(evil)
    names = [s.name for s in image.symbols] + [s.name for s in image.sections]
    assert any("::error::" in name for name in names)
    assert all(is_clean(name, "") for name in names)


def test_attack_name_in_every_report(evil: Path, tree: Path, inside: Mcverify) -> None:
    formats = ("json", "sarif", "ktap", "junit", "html", "mail")
    targets = [word for name in formats for word in (f"--{name}", tree / f"out.{name}")]
    ran = inside("prove", evil, "--all", "--contract", "bytes_left", "-v", *targets)
    assert "::error::" in ran.said
    assert is_clean(ran.said.replace("\x1b[0m", ""))
    for name in formats:
        text = (tree / f"out.{name}").read_text()
        assert is_clean(text), name
        assert "error" in text
    text = json.dumps(json.loads((tree / "out.json").read_text()), ensure_ascii=False)
    assert is_clean(text)


def test_attack_name_of_a_file(tree: Path, inside: Mcverify) -> None:
    path = tree / "a\n::stop-commands::x\n.S"
    path.write_text("copy:\tret\n")
    ran = inside("prove", path)
    assert ran.code == 2
    assert "its name holds characters that cannot be seen" in ran.said
    assert len(ran.said.splitlines()) == 1


def test_attack_text_in_an_error(tree: Path) -> None:
    """The compiler's complaint has the source's words."""
    source = tree / "a.S"
    source.write_text(f"movzz{BIDI}{ESCAPE} %rax\n")
    with pytest.raises(InputError) as caught:
        load(source)
    assert is_clean(str(caught.value), "")


def test_attack_subject_of_a_mail(tree: Path) -> None:
    change = patch_between(b"# _ASM_EXTABLE\na\n", f"# _ASM_EXTABLE{BIDI}\nb\n".encode(), "a.S")
    subject = f"[PATCH 1/1] x86:{ESCAPE}{BIDI} y"
    mail = f"From: A {ESCAPE} <a@x>\nSubject: {subject}\nMessage-ID: <1{ESCAPE}@x>\n\n".encode() + change
    (found,) = patches("a.mbox", mail)
    for text in (found.subject, found.heading, found.author, found.message_id):
        assert is_clean(text, "")
    (tree / "a.S").write_bytes(b"# _ASM_EXTABLE\na\n")
    gathered = revisions_of_patches([("a.mbox", mail)], str(tree), tree)
    newest = gathered.revisions[-1]
    assert is_clean(newest.patch)
    assert is_clean(newest.text("a.S") or "")
    assert BIDI.encode() in (newest.files["a.S"].decode().encode())  # what is assembled stays as it is


# -- the log of a GitHub job --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["::error::x\n"], ":\\:error::x\n"),
        (["  \t::stop-commands::t\n"], "  \t:\\:stop-commands::t\n"),
        ([":", ":error::x\n"], ":\\:error::x\n"),
        (["a\n:", "", ":", "error::x\n"], "a\n:\\:error::x\n"),
        (["text ::error::x\n"], "text ::error::x\n"),
        (["a ##[group]x\n"], "a #\\#[group]x\n"),
        (["a #", "#[group]x\n"], "a #\\#[group]x\n"),
        (["a\r::error::x\n"], "a\r:\\:error::x\n"),
        (["one\n", "::two\n::three"], "one\n:\\:two\n:\\:three"),
    ],
)
def test_attack_line_that_is_a_command(written: list[str], shown: str) -> None:
    below = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    stream = Harmless(below)
    for part in written:
        stream.write(part)
    stream.flush()
    below.seek(0)
    assert below.read() == shown


def test_attack_command_in_a_job(evil: Path, mcverify: Mcverify) -> None:
    """No line of a log begins with ::, but for those that --github asks for."""
    environment = {"GITHUB_ACTIONS": "true", "COLUMNS": "60"}
    arguments = ["prove", evil, "--all", "--contract", "bytes_left"]
    lines = mcverify(*arguments, environment=environment).said.splitlines()
    assert any("error" in line for line in lines)
    assert not any(line.lstrip().startswith("::") for line in lines)
    asked = mcverify(*arguments, "-q", "--github", environment=environment).said.splitlines()
    commands = [line for line in asked if line.startswith("::")]
    assert commands
    assert all(line.startswith(("::error file=", "::warning file=")) for line in commands)

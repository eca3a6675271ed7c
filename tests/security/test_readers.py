"""Floods, bombs and files without an end, for everything that reads what a stranger wrote."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from mcverify.contract import load_contract
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.image.source import Source
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.review.apply import applied, changes
from mcverify.review.gather import gathered
from mcverify.review.mail import patches
from mcverify.witness.file import read_witnesses

from . import fuzzer
from .conftest import Mcverify

PATCH = "--- a/x.S\n+++ b/x.S\n@@ -1,1 +1,1 @@\n-a\n+b\n"


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """What hangs ends the test, not all of them."""

    def late(_: int, __: FrameType | None) -> None:
        raise AssertionError("it hangs")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)


def cpu_seconds(what: Callable[[], object]) -> float:
    start = time.process_time()
    what()
    return time.process_time() - start


def refused(what: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        what()
    return str(caught.value)


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_attack_file_without_an_end(kind: str, tree: Path) -> None:
    path = tree / "endless"
    if kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    for suffix, read in (
        (".toml", load_contract),
        (".json", read_witnesses),
        (".S", load),
        (".o", load),
        (".patch", lambda path: gathered([str(path)], None, str(tree))),
    ):
        named = path.with_suffix(suffix)
        if kind == "device":
            named.symlink_to("/dev/zero")
        else:
            os.mkfifo(named)
        assert "no regular file" in refused(lambda: read(named))  # noqa: B023 -- called at once


@pytest.mark.parametrize(
    "content",
    [
        b"From " * 20_000,
        b"From a 12:34 " * 8_000 + b"\nx:",
        b"\n\nFrom a 12:34\n" * 8_000,
        b"From: a\nSubject: " + b"[" * 200_000 + b"\n\n" + PATCH.encode(),
        b"From: a\nSubject: [PATCH " + b"9" * 20_000 + b"/1]\n\n" + PATCH.encode(),
        b"From: a\nSubject: " + b"=?utf-8?q?" * 20_000 + b"\n\n" + PATCH.encode(),
        b"From: a\n" + b"X-A: b\n" * 50_000 + b"\n" + PATCH.encode(),
    ],
    ids=["from", "times", "mails", "brackets", "digits", "encoded", "headers"],
)
def test_attack_flood_in_a_mail(content: bytes) -> None:
    def read() -> None:
        with suppress(InputError):
            patches("a.mbox", content)

    assert cpu_seconds(read) < fuzzer.SECONDS


def test_attack_parts_within_parts() -> None:
    depth = 2_000
    lines = [f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(depth)]
    content = ("From: a\nSubject: b\n" + "".join(lines) + "\n" + PATCH).encode()
    said: list[str] = []
    assert cpu_seconds(lambda: said.append(refused(lambda: patches("a.mbox", content)))) < fuzzer.SECONDS
    assert "too deep" in said[0] or "holds no patch" in said[0]


def test_attack_flood_of_hunks() -> None:
    hunks = "".join(f"@@ -{n},1 +{n},1 @@\n-a\n+b\n" for n in range(1, 16_001))
    assert (
        cpu_seconds(lambda: refused(lambda: changes(f"--- a/x.S\n+++ b/x.S\n{hunks}", "x"))) < fuzzer.SECONDS
    )
    # As many as there may be, for a file in which each could be anywhere.
    some = "".join(f"@@ -{n},1 +{n},1 @@\n-a\n+b\n" for n in range(1, 3_001))
    (change,) = changes(f"--- a/x.S\n+++ b/x.S\n{some}", "x")
    assert cpu_seconds(lambda: applied(change, b"a\n" * 5_000, "x")) < 3 * fuzzer.SECONDS


@pytest.mark.parametrize(
    "text",
    [
        '"\\' + '"\\' * 50_000,
        '"/' * 50_001,
        "/* mcverify:" + " " * 100_000 + "x",
        "mcverify: " + " x" * 50_000,
        "/*" * 50_000,
        "#if 1\n" * 20_000 + "SYM_FUNC_START(f)\n" * 5_000,
        "#if 1\n" + "#elif 1\n" * 20_000 + "SYM_FUNC_START(f)\n",
        "".join(f"SYM_FUNC_START(f{n})\n" for n in range(20_000)),
        " " * 200_000,
    ],
    ids=["quotes", "slashes", "spaces", "words", "comments", "nested", "elif", "routines", "blank"],
)
def test_attack_flood_in_a_source(text: str) -> None:
    def read() -> None:
        source = Source("a.S", text)
        for read in (source.code, source.configs, source.stand_ins, source.missing_routines(())):
            assert read is not None
        assert source.annotations is not None

    assert cpu_seconds(read) < fuzzer.SECONDS


def test_the_quick_way_to_comments_is_the_right_one() -> None:
    text = 'a "b // c" // d\n"e /* f\n/* g " */ "h" # i\n.byte \'"\' /* mcverify: faults loads */\n" // j\n'
    source = Source("a.S", text)
    assert [a.value for a in source.annotations] == ["loads"]
    assert '"b // c"' in source.code
    assert '"h"' in source.code
    for comment in ("d", "g", "i", "j", "mcverify"):
        assert comment not in source.code.replace("e /* f", "")


@pytest.mark.parametrize(
    "content",
    [
        "a." * 100_000 + "b = 1",
        "a = " + "[" * 100_000,
        "a = " + "9" * 20_000,
        "name = 1\n" * 50_000,
        "a = 1e999999",
    ],
    ids=["dots", "brackets", "digits", "lines", "exponent"],
)
def test_attack_flood_in_a_contract(content: str, tree: Path) -> None:
    path = tree / "own.toml"
    path.write_text(content)
    said: list[str] = []
    assert cpu_seconds(lambda: said.append(refused(lambda: load_contract(path)))) < fuzzer.SECONDS
    assert len(said[0]) < 5_000


def test_attack_flood_of_routines(tree: Path) -> None:
    """20,000 routines, each with a comment of its own: what is chosen does not grow with the square."""
    one = "/* mcverify: contract bytes_left for f{0} */\n\t.globl f{0}\n\t.type f{0}, @function\nf{0}:\tret\n"
    path = tree / "many.s"
    path.write_text("".join(one.format(n) for n in range(20_000)))
    image = load(path)
    spent = cpu_seconds(lambda: tasks(image, ProveOptions(routines=("f7",))))
    assert spent < fuzzer.SECONDS


def test_attack_time_while_reading(tree: Path, mcverify: Mcverify) -> None:
    """--timeout holds while the assembler is at work, too."""
    path = tree / "slow.S"
    path.write_text(".set n, 0\n.rept 2000000000\n.set n, n + 1\n.endr\n")
    start = time.monotonic()
    ran = mcverify("prove", path, "--timeout", "1")
    assert ran.code in (2, 3)
    assert time.monotonic() - start < 60
    with pytest.raises((OutOfTime, InputError)):
        ProveOptions().image(path)


def test_attack_flood_of_complaints(tree: Path) -> None:
    path = tree / "loud.S"
    path.write_text(".rept 300000\nmovzz %rax\n.endr\n")
    before = fuzzer.grown()
    assert "no such instruction" in refused(lambda: load(path))
    assert fuzzer.grown() - before < fuzzer.MEGABYTES


def test_attack_fuzz() -> None:
    """Ten thousand damaged inputs: a sentence, or what is there; nothing else, soon, in little memory."""
    before = fuzzer.grown()
    failures = [found for one in fuzzer.inputs(20_240_607, count=10_000) if (found := fuzzer.failure(*one))]
    assert not failures, failures[0]
    assert fuzzer.grown() - before < fuzzer.MEGABYTES


def test_the_fuzzer_finds_what_is_wrong() -> None:
    slow = fuzzer.Reader("slow", lambda: [b"x"], lambda _: too_long())
    wrong = fuzzer.Reader("wrong", lambda: [b"x"], lambda content: content[1_000_000])
    right = fuzzer.Reader("right", lambda: [b"x"], lambda content: refuse())
    assert "it took" in str(fuzzer.failure(slow, b""))
    assert "IndexError" in str(fuzzer.failure(wrong, b""))
    assert fuzzer.failure(right, b"") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def too_long() -> None:
    end = time.process_time() + fuzzer.SECONDS + 0.1
    while time.process_time() < end:
        pass


def refuse() -> None:
    raise InputError("it is refused")


@pytest.mark.parametrize("coding", [b"x\0y", b"zip", b"undefined", b"\xff", b"utf-8"])
def test_a_commit_may_name_any_encoding(coding: bytes) -> None:
    found = fuzzer._commit(b"author A <a@b> 1 +0000\nencoding " + coding + b"\n\nsubject\n")
    assert found.subject == "subject"


@pytest.mark.parametrize("after", range(5))
def test_the_limit_of_time_holds_between_the_parts_of_a_file(
    after: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reached while one part of an object is read, the next one is not begun."""
    path = tmp_path / "a.o"
    path.write_bytes(fuzzer._objects()[0])
    phases: list[str] = []

    def check(self: Deadline, phase: str) -> None:
        phases.append(phase)
        if len(phases) > after:
            raise OutOfTime(phase)

    monkeypatch.setattr(Deadline, "check", check)
    with pytest.raises(OutOfTime, match="in phase reading"):
        load(path, deadline=Deadline(1))
    assert phases == ["reading"] * (after + 1)

"""The command: what it reads, how it ends, and one clear sentence for each wrong input."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from mcverify.errors import ExitCode
from mcverify.image.assemble import assembled
from mcverify.image.config import Config
from mcverify.proof.prove import Job
from mcverify.review.gather import gathered
from review.conftest import Ran, Reviewed
from review.support import PAIRS, SERIES, patch_between

Mcverify = Callable[..., Ran]

BYTES = (PAIRS / "bytes.S").read_bytes()
SCRATCH = (PAIRS / "scratch.S").read_bytes()
STATUS = (PAIRS / "status.S").read_bytes()
GONE = b"""\
diff --git a/lib/copy.S b/lib/copy.S
deleted file mode 100644
--- a/lib/copy.S
+++ /dev/null
@@ -1,%d +0,0 @@
%s"""


def _mbox(*patches: bytes) -> bytes:
    total = len(patches)
    mails = (
        b"From x@y Thu Jan  1 00:00:00 1970\nSubject: [PATCH %d/%d] number %d\n\n%s\n" % (n, total, n, patch)
        for n, patch in enumerate(patches, 1)
    )
    return b"".join(mails)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with lib/copy.S, beside which the tests work."""
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib/copy.S").write_bytes(BYTES)
    monkeypatch.chdir(tmp_path)
    return tree


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def set_to(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return set_to


def _written(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


# -- what it reads ------------------------------------------------------------------------------------------


def test_a_series_is_applied_patch_by_patch_in_memory(base: Path) -> None:
    one = patch_between(BYTES, SCRATCH, "lib/copy.S")
    two = patch_between(SCRATCH, STATUS, "lib/copy.S")
    name = _written("series.mbox", _mbox(one, two))
    found = gathered([name], None, str(base)).revisions
    assert [(r.name, r.files) for r in found] == [
        ("base", {"lib/copy.S": BYTES}),
        ("1/2", {"lib/copy.S": SCRATCH}),
        ("2/2", {"lib/copy.S": STATUS}),
    ]
    assert (base / "lib/copy.S").read_bytes() == BYTES


def test_each_of_several_series_is_one_revision_as_a_whole(base: Path) -> None:
    one = _written("v1.mbox", _mbox(patch_between(BYTES, SCRATCH, "lib/copy.S")))
    two = _written(
        "v2.mbox",
        _mbox(patch_between(BYTES, SCRATCH, "lib/copy.S"), patch_between(SCRATCH, STATUS, "lib/copy.S")),
    )
    found = gathered([one, two], None, str(base)).revisions
    assert [(r.name, r.files["lib/copy.S"]) for r in found] == [
        ("base", BYTES),
        ("v1", SCRATCH),
        ("v2", STATUS),
    ]


def test_one_patch_from_standard_input(
    base: Path, stdin: Callable[[bytes], None], mcverify: Mcverify
) -> None:
    stdin(patch_between(BYTES, SCRATCH, "lib/copy.S"))
    ran = mcverify("-", "--base", base)
    assert (ran.code, ran.err) == (0, "")
    assert "equivalent for all inputs (proved)" in ran.out
    assert "may change r9, which it left alone before" in ran.out


def test_a_patch_that_renames_file_and_routine(base: Path, mcverify: Mcverify) -> None:
    new = BYTES.replace(b"copy)", b"copy_bytes)")
    patch = patch_between(BYTES, new, "lib/copy.S").replace(b"b/lib/copy.S", b"b/lib/bytes.S")
    head = b"diff --git a/lib/copy.S b/lib/bytes.S\n"
    moved = (
        head + b"similarity index 90%\nrename from lib/copy.S\nrename to lib/bytes.S\n" + patch[len(head) :]
    )
    ran = mcverify(_written("a.patch", moved), "--base", base)
    assert (ran.code, ran.err) == (0, "")
    assert "the same code and table: nothing can differ" in ran.out
    assert "copy_bytes in lib/bytes.S" in ran.out


def test_crlf_and_other_encodings_apply(base: Path) -> None:
    latin = BYTES.replace(b"Bytes,", b"Octets \xe9gaux,")
    (base / "lib/copy.S").write_bytes(latin)
    patch = patch_between(latin, latin.replace(b"xor\t%eax, %eax", b"sub\t%eax, %eax"), "lib/copy.S")
    for text in (patch, patch.replace(b"\n", b"\r\n")):
        (_, found) = gathered([_written("a.patch", text)], None, str(base)).revisions
        assert found.files["lib/copy.S"] == latin.replace(b"xor\t%eax, %eax", b"sub\t%eax, %eax")


def test_a_revision_that_does_not_assemble_is_named_and_the_others_are_reviewed(
    base: Path, mcverify: Mcverify
) -> None:
    broken = BYTES.replace(b"dec\t%rcx", b"decc\t%rcx")
    series = _mbox(patch_between(BYTES, broken, "lib/copy.S"), patch_between(broken, SCRATCH, "lib/copy.S"))
    ran = mcverify(_written("s.mbox", series), "--base", base)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "1/2: lib/copy.S:16: " in " ".join(ran.out.split()), ran.out
    assert "base -> 2/2" in ran.out
    assert "equivalent for all inputs" in ran.out


@pytest.mark.slow
def test_objects_are_compared_by_their_instructions(mcverify: Mcverify, tmp_path: Path) -> None:
    for name in ("bytes", "status"):
        with assembled(PAIRS / f"{name}.S", Config.of((), ())) as made:
            shutil.copy(made, tmp_path / f"{name}.o")
    page = tmp_path / "review.html"
    ran = mcverify(tmp_path / "bytes.o", tmp_path / "status.o", "--contract", "bytes_left", "--html", page)
    assert (ran.code, ran.err) == (1, "")
    assert "differ at .Lfix in what is returned" in ran.out
    assert re.search(r'class="ins">[^<]*leaq? 1\(%rcx\), %rax', page.read_text())


# -- how it ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "fail_on", "code"),
    [
        (("bytes", "scratch"), (), ExitCode.PROVED),
        (("bytes", "status"), (), ExitCode.REFUTED),
        (("status", "bytes"), (), ExitCode.PROVED),
        (("bytes", "status"), ("unknown",), ExitCode.PROVED),
        (("bytes", "status"), ("broken",), ExitCode.REFUTED),
        (("status", "status"), ("broken",), ExitCode.PROVED),
        (("status", "status"), ("refuted",), ExitCode.REFUTED),
    ],
)
def test_the_exit_code_says_what_got_worse_or_is_refuted(
    mcverify: Mcverify, tmp_path: Path, names: Iterable[str], fail_on: Iterable[str], code: ExitCode
) -> None:
    files = [tmp_path / f"{n}.S" for n, _ in enumerate(names)]
    for file, name in zip(files, names, strict=True):
        file.write_bytes((PAIRS / f"{name}.S").read_bytes())
    options = [word for name in fail_on for word in ("--fail-on", name)]
    assert mcverify(*files, "-q", "--no-differences", *options).code == code


def test_the_unknown_has_a_code_of_its_own(mcverify: Mcverify, tmp_path: Path) -> None:
    division = b"mov\t$7, %eax\n\txor\t%edx, %edx\n\tmov\t$2, %r8d\n\tdiv\t%r8"  # has no model
    for name in ("new.S", "newer.S"):
        (tmp_path / name).write_bytes(BYTES.replace(b"mov\t%rdx, %rcx", b"mov\t%rdx, %rcx\n\t" + division))
    ran = mcverify(PAIRS / "bytes.S", tmp_path / "new.S", "-q", "--no-differences")
    assert (ran.code, "worse" in ran.out) == (1, True)
    unknown = (tmp_path / "new.S", tmp_path / "newer.S", "-q")
    assert mcverify(*unknown).code == 3
    assert mcverify(*unknown, "--fail-on", "broken").code == 0
    assert mcverify(tmp_path / "new.S", PAIRS / "bytes.S", "-q", "--no-differences").code == 0


def test_only_what_changed_is_proved_again_and_nothing_is_kept_where_that_is_asked(
    mcverify: Mcverify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reviewed: Reviewed
) -> None:
    result = reviewed(PAIRS / "bytes.S", PAIRS / "scratch.S").routines[0].results[0]
    asked: list[str] = []

    def proved(plans: Sequence[Sequence[Job]], *_: object) -> list[list[object]]:
        asked.extend(job.variant.image.path.name for jobs in plans for job in jobs)
        return [[result]]

    monkeypatch.setattr("mcverify.review.prove.proved", proved)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a.S", "b.S"):
        (tmp_path / name).write_bytes(BYTES)
    arguments = (tmp_path / "a.S", tmp_path / "b.S", "-q")
    ran = mcverify(*arguments, "--no-cache")
    assert (ran.code, "1 proof of 2 used again" in ran.out) == (0, True)
    assert asked == ["b.S"]  # the newest first; the other one has the same code
    assert not (tmp_path / "cache/mcverify/proofs").exists()
    assert mcverify(*arguments).code == 0
    assert asked == ["b.S", "b.S"]
    (kept,) = (tmp_path / "cache/mcverify/proofs").iterdir()
    assert "2 proofs of 2 used again" in mcverify(*arguments).out
    kept.write_bytes(kept.read_bytes()[:-9])
    assert "1 proof of 2 used again" in mcverify(*arguments).out
    assert asked == ["b.S", "b.S", "b.S"]


def test_what_changes_no_routine_can_be_let_pass(base: Path, mcverify: Mcverify) -> None:
    name = _written("a.patch", _C)
    assert mcverify(name, "--base", base).code == 2
    ran = mcverify(name, "--base", base, "--allow-empty")
    assert (ran.code, "no assembly file with exception-table entries" in ran.error) == (0, True)


# -- what cannot be reviewed --------------------------------------------------------------------------------

_CODE = patch_between(BYTES, SCRATCH, "lib/copy.S")
_C = b"diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-int x;\n+int y;\n"
_HEAD = b"diff --git a/lib/copy.S b/lib/copy.S\nindex 1111111..2222222 100644\n"
_BINARY = _HEAD + b"Binary files a/lib/copy.S and b/lib/copy.S differ\n"
_LITERAL = _HEAD + (b"GIT binary patch\nliteral 3\nKc${NkU|;|M00aO5\n\nliteral 4\nLc${NkU|;|M00aO5\n\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_mbox(b"just words\n"), "no patch"),
        (_mbox(_C), "it changes x.c: no assembly file with exception-table entries"),
        (_mbox(*[_CODE] * 500), "it holds 500 mails, more than the 200 of one series"),
        (_BINARY, "binary"),
        (_LITERAL, "binary"),
        (_CODE.replace(b"lib/copy.S", b"lib/nowhere.S"), "lib/nowhere.S, which is not in"),
        (
            _CODE.replace(b" \tjnz\t.Lread", b" \tjne\t.Lread"),
            "hunk 2 of lib/copy.S does not apply: at line 17 it expects 'jne",
        ),
        (_CODE.replace(b"lib/copy.S", b"../copy.S"), "does not lie in the tree"),
        (GONE % (BYTES.count(b"\n"), b"".join(b"-" + x for x in BYTES.splitlines(True))), "has none of the"),
        (b"\x00\x01\x02 no text at all", "no patch"),
    ],
    ids=["no patch", "c", "500", "binary", "literal", "no file", "hunk", "outside", "deleted", "bytes"],
)
def test_a_patch_that_cannot_be_reviewed(base: Path, mcverify: Mcverify, content: bytes, words: str) -> None:
    ran = mcverify(_written("a.mbox", content), "--base", base)
    assert ran.code == 2
    assert words in ran.error
    assert ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there is nothing to review"),
        ((PAIRS / "bytes.S",), "one file is no change"),
        ((PAIRS / "bytes.S", PAIRS / "bytes.S"), "is named twice"),
        ((PAIRS / "bytes.S", "nowhere.S"), "nowhere.S: error: there is no such file"),
        ((PAIRS / "bytes.S", SERIES), "is code and"),
        ((PAIRS, PAIRS / "bytes.S"), "it is a folder"),
        ((SERIES, "--base", "nowhere"), "nowhere"),
        ((PAIRS / "bytes.S", PAIRS / "far.S", "--base", "."), "--base goes with a patch"),
        (("--git", "HEAD", "--base", "."), "--base goes with a patch"),
        ((PAIRS / "bytes.S", PAIRS / "far.S", "--json", PAIRS / "far.S"), "would overwrite"),
        ((PAIRS / "bytes.S", PAIRS / "far.S", "--routine", "nothing"), "nothing"),
        ((PAIRS / "bytes.S", PAIRS / "far.S", "--json", "-", "--html", "-"), "name the same place"),
        ((PAIRS / "bytes.S", PAIRS / "far.S", "--mail", "nowhere/reply.txt"), "--mail cannot be written"),
    ],
)
def test_a_command_that_cannot_be_followed(
    tmp_path: Path,
    mcverify: Mcverify,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Iterable[object],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = mcverify(*arguments)
    assert ran.code == 2
    assert words in ran.error


def test_an_empty_or_foreign_input(base: Path, stdin: Callable[[bytes], None], mcverify: Mcverify) -> None:
    stdin(b"")
    assert "standard input: error: it is empty" in mcverify("-", "--base", base).error
    stdin(b"hello\n")
    assert "standard input: error: it holds no patch" in mcverify("-", "--base", base).error

"""The commits of a range as revisions, and that nothing of the user's is touched on the way."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.review.gather import gathered
from mcverify.review.result import Review
from review.conftest import Ran, Reviewed
from review.support import PAIRS, git, history, patch_between

FILE = "arch/x86/lib/memcpy_64.S"
BYTES = (PAIRS / "bytes.S").read_bytes()
LABELS = BYTES.replace(b".Lread", b".Lload")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The series as commits."""
    return history(tmp_path_factory.mktemp("history"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with two revisions of a small routine, and a commit between that is about other things."""
    git(tmp_path, "init", "-q", "-b", "main", ".")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/copy.S").write_bytes(BYTES)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    (tmp_path / "lib/other.c").write_text("int x;\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "something else")
    (tmp_path / "lib/copy.S").write_bytes(LABELS)
    git(tmp_path, "commit", "-q", "-a", "-m", "second")
    return tmp_path


def test_each_commit_of_a_range_is_a_column(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    found = gathered((), "HEAD~6..HEAD", None)
    assert len(found.revisions) == 7
    for age, revision in zip(range(6, -1, -1), found.revisions, strict=True):
        assert revision.files == {FILE: git(repository, "show", f"HEAD~{age}:{FILE}").encode()}
        assert revision.title == git(repository, "log", "-1", "--format=%s", f"HEAD~{age}").strip()
    assert found.notes == ()


@pytest.mark.slow
def test_a_history_has_the_verdicts_of_the_mails_it_was_made_from(
    series: Review, reviewed: Reviewed, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (routine,) = reviewed(git="HEAD~2..HEAD~1", key="history", differences=False).routines
    (expected,) = series.routines
    assert [r.verdict for r in routine.results if r] == [r.verdict for r in expected.results[4:6] if r]
    (step,) = routine.steps
    assert [(o.change, o.obligation) for o in step.obligations] == [
        (o.change, o.obligation) for o in expected.steps[4].obligations
    ]


def test_paths_limit_a_range_and_other_commits_are_left_out(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small)
    for paths in ((), ("lib",), ("lib/copy.S",)):
        assert [r.title for r in gathered(paths, "HEAD~2..HEAD", None).revisions] == ["first", "second"]
    monkeypatch.chdir(small / "lib")
    assert [r.title for r in gathered(("copy.S",), "HEAD~2..", None).revisions] == ["first", "second"]
    with pytest.raises(InputError, match=r"no commit in HEAD~2..HEAD under other.c changes an assembly file"):
        gathered(("other.c",), "HEAD~2..HEAD", None)


def test_one_commit_is_a_range_from_its_parent(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small)
    assert [len(gathered((), "HEAD", None).revisions)] == [2]


def test_a_renamed_file_goes_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(small, "mv", "lib/copy.S", "lib/moved.S")
    git(small, "commit", "-q", "-m", "moved")
    monkeypatch.chdir(small)
    found = gathered((), "HEAD^..HEAD", None)
    assert [list(r.files) for r in found.revisions] == [["lib/copy.S"], ["lib/moved.S"]]


def test_what_a_source_includes_comes_from_its_own_commit(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("#define N 1\n", "#define N 2\n"):
        (small / "lib/copy.S").write_bytes(b'#include "n.h"\n' + BYTES)
        (small / "lib/n.h").write_text(text)
        git(small, "add", ".")
        git(small, "commit", "-q", "-m", text)
    monkeypatch.chdir(small)
    found = gathered((), "HEAD~2..HEAD", None)
    assert [dict(r.others) for r in found.revisions] == [
        {},
        {"lib/n.h": b"#define N 1\n"},
        {"lib/n.h": b"#define N 2\n"},
    ]


# -- what cannot be reviewed --------------------------------------------------------------------------------


def test_a_range_that_does_not_exist(
    small: Path, mcverify: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small)
    for text in ("HEAD~9..HEAD", "nothing..HEAD", "--all..HEAD"):
        ran = mcverify("--git", text)
        assert ran.code == 2
        assert "there is no commit" in ran.error


def test_a_range_without_a_direction(
    small: Path, mcverify: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small)
    ran = mcverify("--git", "HEAD~2...HEAD")
    assert (ran.code, "no range with a direction" in ran.error) == (2, True)


def test_no_repository(tmp_path: Path, mcverify: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    ran = mcverify("--git", "HEAD~1..HEAD")
    assert (ran.code, "lies in no git repository" in ran.error) == (2, True)


def test_a_shallow_clone_without_the_base(
    small: Path,
    tmp_path_factory: pytest.TempPathFactory,
    mcverify: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clone = tmp_path_factory.mktemp("shallow")
    git(clone, "clone", "-q", "--depth", "1", f"file://{small}", "c")
    monkeypatch.chdir(clone / "c")
    ran = mcverify("--git", "HEAD~1..HEAD")
    assert ran.code == 2
    assert "shallow" in ran.error
    assert "--unshallow" in ran.error


# -- nothing is touched -------------------------------------------------------------------------------------


def _everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """Content, mode and times of change of all files and folders, those of git among them."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(folder))] = (content, stat.st_mode, stat.st_mtime_ns, stat.st_ctime_ns)
    return found


def _state(folder: Path) -> tuple[str, ...]:
    asked = (
        ("status", "--porcelain=v2", "--branch", "--untracked-files=all"),
        ("stash", "list", "-p"),
        ("diff",),
        ("diff", "--cached"),
        ("for-each-ref",),
        ("reflog", "--all"),
    )
    return tuple(git(folder, "--no-optional-locks", *command) for command in asked)


@pytest.mark.parametrize("how", ["range", "mbox", "stdin", "refused"])
def test_nothing_of_tree_index_and_repository_is_touched(
    small: Path, mcverify: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """With a stash, staged and unstaged changes, and files that git does not know; times too."""
    (small / "lib/other.c").write_text("int stashed;\n")
    git(small, "stash")
    (small / "lib/other.c").write_text("int staged;\n")
    git(small, "add", "lib/other.c")
    (small / "lib/other.c").write_text("int unstaged;\n")
    (small / "lib/unknown.S").write_text("not known to git\n")
    patch = patch_between(LABELS, BYTES, "lib/copy.S")
    if how == "refused":
        patch = patch.replace(b"\n-", b"\n-not there ", 2)
    series = small.parent / f"{small.name}.mbox"
    series.write_bytes(b"From x@y Thu Jan  1 00:00:00 1970\nSubject: [PATCH] again\n\n" + patch)
    arguments = {"range": ["--git", "HEAD~2..HEAD"], "stdin": ["-"]}.get(how, [series, "--base", "HEAD"])
    state = _state(small)
    os.utime(small / "lib/copy.S", (1_000_000_000, 1_000_000_000))  # git would like to refresh its index
    before = _everything(small)
    monkeypatch.chdir(small)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(patch)))
    ran = mcverify(*arguments)
    assert ran.code == (2 if how == "refused" else 0), ran.err
    assert ("the same code and table" in ran.out) is (how != "refused")
    assert _everything(small) == before
    assert _state(small) == state

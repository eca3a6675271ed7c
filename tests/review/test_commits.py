"""Histories made by a script: what a name is, which file a routine lies in, which commits are looked at."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcverify.errors import InputError
from mcverify.review.gather import Gathered, gathered
from review.conftest import Ran
from review.support import git

Mcverify = Callable[..., Ran]

CASES = Path(__file__).parents[1] / "cases" / "review"
RIGHT = (CASES / "unlabelled_old.S").read_bytes()
WRONG = (CASES / "unlabelled_new.S").read_bytes()
FILE = "lib/copy.S"


def commit(folder: Path, title: str, **files: bytes | None) -> str:
    """Commit files of lib/, by their names without .S, None for one that goes; the new commit."""
    (folder / "lib").mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / "lib" / f"{name}.S"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    git(folder, "add", "-A", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", title)
    return git(folder, "rev-parse", "HEAD").strip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, the current folder."""
    git(tmp_path, "init", "-q", "-b", "main", ".")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def _verdicts(document: dict[str, Any]) -> dict[str, list[str | None]]:
    return {routine["name"]: routine["verdicts"] for routine in document["routines"]}


# -- names of exits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["range", "patch", "mbox", "applied"])
@pytest.mark.slow
def test_an_exit_without_a_label_keeps_its_obligations(
    here: Path, mcverify: Mcverify, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    commit(here, "right", copy=RIGHT)
    commit(here, "wrong", copy=WRONG)
    mail = git(here, "format-patch", "-1", "--stdout", "HEAD").encode()
    diff = git(here, "diff", "HEAD~1", "HEAD").encode()
    (here / "one.mbox").write_bytes(mail)
    arguments: dict[str, list[str]] = {
        "range": ["--git", "HEAD~1..HEAD"],
        "patch": ["-", "--base", "HEAD~1"],
        "mbox": ["one.mbox", "--base", "HEAD~1"],
        "applied": ["one.mbox"],
    }
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(diff)))
    ran = mcverify(*arguments[how], "--fail-on", "broken", "--json", "out.json")
    text = (here / "out.json").read_text()
    document = json.loads(text)
    assert ran.code == 1, ran.err
    (step,) = document["routines"][0]["steps"]
    broken = {(o["exit"], o["id"]) for o in step["obligations"] if o["change"] == "broken"}
    assert broken == {("copy.S:15/7", "O3"), ("copy.S:15/8", "O3")}
    assert "/tmp" not in text
    assert str(here) not in text
    said = "the change is in HEAD already, so the file before it is the base"
    assert any(said in note for note in document["notes"]) is (how == "applied")


@pytest.mark.slow
def test_two_equal_runs_give_equal_documents(here: Path, mcverify: Mcverify) -> None:
    commit(here, "right", copy=RIGHT)
    commit(here, "wrong", copy=WRONG)
    for name, more in (("one", ()), ("two", ("--no-cache",))):
        mcverify("--git", "HEAD~1..HEAD", *more, "--json", f"{name}.json")
    assert (here / "one.json").read_text() == (here / "two.json").read_text()


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_files_may_define_one_name(here: Path, mcverify: Mcverify) -> None:
    commit(here, "both right", a=RIGHT, b=RIGHT)
    commit(here, "one wrong", a=WRONG, b=RIGHT + b"\n")
    ran = mcverify("--git", "HEAD~1..HEAD", "--fail-on", "broken", "--json", "-")
    assert ran.code == 1
    assert _verdicts(json.loads(ran.out)) == {
        "copy_user_generic_unrolled (lib/a.S)": ["proved", "refuted"],
        "copy_user_generic_unrolled (lib/b.S)": ["proved", "proved"],
    }


def test_a_routine_that_moves_goes_on_beside_another_of_its_name(here: Path, mcverify: Mcverify) -> None:
    commit(here, "two", a=RIGHT, b=WRONG)
    commit(here, "one moved", a=None, c=RIGHT, b=WRONG + b"\n")
    ran = mcverify("--git", "HEAD~1..HEAD", "--fail-on", "broken", "--json", "-")
    assert ran.code == 0
    assert _verdicts(json.loads(ran.out)) == {
        "copy_user_generic_unrolled (lib/c.S)": ["proved", "proved"],
        "copy_user_generic_unrolled (lib/b.S)": ["refuted", "refuted"],
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("lib/getu_32.S", "it is for kernels of 32 bits (i386)"),
        ("arch/i386/lib/getuser.S", "it is for the architecture i386 (32 bits)"),
        ("arch/arm64/lib/copy_user.S", "it is for the architecture arm64"),
        ("tools/arch/powerpc/lib/copy_user.S", "it is for the architecture powerpc"),
        ("lib/real.S", "its code is not for 64 bits"),
    ],
)
def test_what_is_not_64_bit_code_is_left_out_and_told(here: Path, path: str, said: str) -> None:
    content = (CASES / "getu_32.S").read_bytes()
    content = b"\t.code32\n" + content if "real" in path else content
    git(here, "commit", "-q", "--allow-empty", "-m", "before")
    for n, text in enumerate((content, content.replace(b"-14", b"-22"))):
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_bytes(text)
        commit(here, f"{n}", copy=RIGHT + b"\n" * n)
    found = gathered((), "HEAD~1..HEAD", None)
    assert [list(r.files) for r in found.revisions] == [[FILE], [FILE]]
    assert found.notes == (f"{path} is left out: {said}",)
    (here / "one.patch").write_text(git(here, "diff", "HEAD~1", "HEAD", "--", path))
    with pytest.raises(InputError, match=r"no assembly file with exception-table entries \(.* left out"):
        gathered(["one.patch"], None, "HEAD~1")
    with pytest.raises(InputError, match=r"changes an assembly file with .* entries \(.* left out"):
        gathered((path,), "HEAD~1..HEAD", None)


def test_of_many_files_that_are_left_out_some_are_named(here: Path) -> None:
    content = (CASES / "getu_32.S").read_bytes()
    commit(here, "first", copy=RIGHT)
    commit(here, "more", copy=WRONG, **{f"n{n:02}_32": content for n in range(12)})
    notes = gathered((), "HEAD~1..HEAD", None).notes
    assert len(notes) == 9
    assert notes[0].startswith("lib/n00_32.S is left out: ")
    assert notes[-1] == "4 more files are left out, which hold no 64-bit code of x86"


# -- commits ------------------------------------------------------------------------------------------------


def _columns(found: Gathered) -> dict[str, list[str]]:
    titles = [revision.title for revision in found.revisions]
    return {revision.title: [titles[n] for n in (revision.parents or ())] for revision in found.revisions}


@pytest.mark.slow
def test_a_merged_branch_is_walked_from_where_it_began(here: Path, mcverify: Mcverify) -> None:
    commit(here, "first", copy=RIGHT)
    git(here, "checkout", "-q", "-b", "topic")
    commit(here, "breaks", copy=WRONG)
    commit(here, "mends", copy=RIGHT)
    git(here, "checkout", "-q", "main")
    commit(here, "elsewhere", other=b"nop\n")
    git(here, "merge", "-q", "--no-ff", "-m", "merged", "topic")
    commit(here, "nothing")
    found = gathered((), "HEAD~2..HEAD", None)
    assert _columns(found) == {"elsewhere": [], "breaks": ["elsewhere"], "mends": ["breaks"]}
    ran = mcverify("--git", "HEAD~2..HEAD", "--fail-on", "broken", "-q")
    assert ran.code == 1
    assert "2 worse" in ran.out


@pytest.mark.slow
def test_a_merge_that_takes_a_repair_back_is_compared_with_both(here: Path, mcverify: Mcverify) -> None:
    commit(here, "first", copy=WRONG)
    git(here, "checkout", "-q", "-b", "topic")
    commit(here, "other line", copy=WRONG.replace(b"9:\txorl", b"9:\txorl "))
    git(here, "checkout", "-q", "main")
    commit(here, "repairs", copy=RIGHT)
    git(here, "merge", "-q", "-s", "ours", "--no-ff", "--no-commit", "topic")
    commit(here, "merged", copy=WRONG.replace(b"9:\txorl", b"9:\txorl "))
    assert _columns(gathered((), "HEAD~2..HEAD", None)) == {
        "first": [],
        "repairs": ["first"],
        "other line": ["first"],
        "merged": ["repairs", "other line"],
    }
    ran = mcverify("--git", "HEAD~2..HEAD", "--fail-on", "broken", "-q")
    assert (ran.code, ran.out.count("2 worse")) == (1, 1)


def test_an_octopus_has_a_column_only_where_it_changes_something(here: Path) -> None:
    commit(here, "first", copy=RIGHT)
    for name in ("one", "two", "three"):
        git(here, "checkout", "-q", "-b", name, "main")
        commit(here, name, **{name: RIGHT})
    git(here, "checkout", "-q", "main")
    git(here, "merge", "-q", "--no-ff", "-m", "all", "one", "two", "three")
    found = _columns(gathered((), "HEAD~1..HEAD", None))
    assert all(found[title] == ["first"] for title in ("one", "two", "three"))
    assert sorted(found["all"]) == ["one", "three", "two"]


def test_what_a_source_includes_has_commits_of_its_own(here: Path) -> None:
    commit(here, "first", copy=b'#include "n.h"\n' + RIGHT)
    for text in ("1", "2"):
        (here / "lib/n.h").write_text(f"#define N {text}\n")
        commit(here, f"header {text}")
    commit(here, "last", copy=b'#include "n.h"\n\n' + RIGHT)
    found = gathered((), "HEAD~3..HEAD", None)
    assert [r.title for r in found.revisions] == ["first", "header 1", "header 2", "last"]


@pytest.mark.parametrize("kind", ["created", "deleted", "renamed", "twice"])
def test_a_patch_that_is_applied_already_is_taken_from_the_file_before_it(here: Path, kind: str) -> None:
    """Of any kind: also one that would apply once more."""
    first = {"created": {}, "twice": {"copy": RIGHT}}.get(kind, {"copy": RIGHT, "kept": b"nop\n"})
    commit(here, "before", **first)
    then: dict[str, bytes | None] = {
        "created": {"copy": RIGHT},
        "deleted": {"copy": None},
        "renamed": {"copy": None, "moved": RIGHT.replace(b"byte copy", b"copy of bytes")},
        "twice": {"copy": RIGHT + b"\tnop\n"},
    }[kind]
    commit(here, "after", **then)
    (here / "one.mbox").write_text(git(here, "format-patch", "-1", "--stdout", "-M", "HEAD"))
    found = gathered(["one.mbox"], None, None)
    applied = gathered(["one.mbox"], None, "HEAD~1")
    assert [r.files for r in found.revisions] == [r.files for r in applied.revisions]
    assert any("is in HEAD already" in note for note in found.notes)
    shutil.rmtree(here / ".git")
    if kind != "created":  # that can be told without the file before it
        with pytest.raises(InputError, match=r"does not apply|not there|not in|leaves the routines' files"):
            gathered(["one.mbox"], None, None)


# -- odd histories ------------------------------------------------------------------------------------------


def _gathered(git_range: str) -> list[tuple[str, dict[str, bytes]]]:
    return [(r.title, dict(r.files)) for r in gathered((), git_range, None).revisions]


def test_commits_that_leave_the_text_alone_have_no_column(here: Path) -> None:
    """One that is empty, one that changes a file's mode, one that is taken back, one for another file."""
    commit(here, "first", copy=RIGHT)
    commit(here, "empty")
    (here / FILE).chmod(0o755)
    commit(here, "mode")
    commit(here, "other", other=b"nop\n")
    commit(here, "wrong", copy=WRONG)
    git(here, "revert", "--no-edit", "HEAD")
    found = gathered((), "HEAD~5..HEAD", None)
    titles = [revision.title for revision in found.revisions]
    assert titles == ["first", "wrong", 'Revert "wrong"']
    assert found.notes == ("3 commits of the range left the files as they were",)


def test_a_file_that_becomes_a_link_is_gone_and_not_followed(here: Path) -> None:
    commit(here, "first", copy=RIGHT)
    (here / FILE).unlink()
    (here / FILE).symlink_to("/etc/passwd")
    commit(here, "link")
    assert _gathered("HEAD~1..HEAD") == [("first", {FILE: RIGHT}), ("link", {})]


def test_ends_of_lines_are_those_of_the_commit(here: Path) -> None:
    windows = RIGHT.replace(b"\n", b"\r\n")
    git(here, "config", "core.autocrlf", "false")
    commit(here, "first", copy=RIGHT)
    commit(here, "second", copy=windows)
    assert _gathered("HEAD~1..HEAD") == [("first", {FILE: RIGHT}), ("second", {FILE: windows})]


def test_a_file_may_go_and_come_back(here: Path) -> None:
    commit(here, "first", copy=RIGHT)
    commit(here, "gone", copy=None)
    commit(here, "back", copy=WRONG)
    assert [files for _, files in _gathered("HEAD~2..HEAD")] == [{FILE: RIGHT}, {}, {FILE: WRONG}]


def test_a_branch_without_a_common_beginning_is_walked_from_nothing(here: Path) -> None:
    commit(here, "first", copy=RIGHT)
    git(here, "checkout", "-q", "--orphan", "other")
    git(here, "rm", "-q", "-r", "-f", ".")
    commit(here, "another beginning", copy=WRONG)
    git(here, "checkout", "-q", "main")
    git(here, "merge", "-q", "--allow-unrelated-histories", "-s", "ours", "-m", "joined", "other")
    columns = _columns(gathered((), "HEAD~1..HEAD", None))
    assert columns == {"first": [], "another beginning": [], "joined": ["first", "another beginning"]}


def test_the_first_commit_has_none_before_it(here: Path) -> None:
    commit(here, "first", copy=RIGHT)
    with pytest.raises(InputError, match=r"there is no commit HEAD\^ in this repository"):
        gathered((), "HEAD", None)

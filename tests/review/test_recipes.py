"""The commands of the recipes in docs/review.md, run as they stand there.

`b4` is a stand-in that gives an mbox: the network is not here. That standard input is read like a file, as
the recipe for patchwork needs it, is tested elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from review.support import PAIRS, git, patch_between

DOCS = (Path(__file__).parents[2] / "docs/review.md").read_text()
BYTES, RENAMED, STATUS = ((PAIRS / f"{name}.S").read_bytes() for name in ("bytes", "renamed", "status"))
LABELS = BYTES.replace(b".Lread", b".Lload")


def _blocks(heading: str, language: str) -> list[str]:
    section = DOCS.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository with lib/copy.S on its branch master."""
    upstream = tmp_path / "upstream"
    (upstream / "lib").mkdir(parents=True)
    (upstream / "lib/copy.S").write_bytes(BYTES)
    git(upstream, "init", "-q", "-b", "master", ".")
    git(upstream, "add", ".")
    git(upstream, "commit", "-q", "-m", "first")
    git(tmp_path, "clone", "-q", str(upstream), "clone")
    return tmp_path / "clone"


def _commit(clone: Path, name: str, content: bytes) -> None:
    (clone / name).write_bytes(content)
    git(clone, "add", name)
    git(clone, "commit", "-q", "-m", f"change {name}")


@pytest.fixture
def sh(clone: Path, tmp_path: Path, user_cache: Path):  # type: ignore[no-untyped-def]
    """Runs shell lines in the clone, with mcverify and the stand-ins in the path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    mbox = b"From x@y Thu Jan  1 00:00:00 1970\nSubject: [PATCH] rename\nMessage-ID: <1@x>\n\n"
    (tmp_path / "new.mbox").write_bytes(mbox + patch_between(BYTES, RENAMED, "lib/copy.S"))
    (tmp_path / "old.mbox").write_bytes(mbox + patch_between(BYTES, LABELS, "lib/copy.S"))
    give = f'case "$*" in *" 13 "*) cat {tmp_path}/old.mbox ;; *) cat {tmp_path}/new.mbox ;; esac'
    scripts = {"mcverify": f'exec {sys.executable} -m mcverify "$@"', "b4": give}
    for name, line in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"

    def run(
        script: str, *arguments: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-e", "-c", script, "sh", *arguments],
            cwd=clone,
            env={**os.environ, "PATH": path, "XDG_CACHE_HOME": str(user_cache), **variables},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _yaml(heading: str) -> Any:
    (block,) = _blocks(heading, "yaml")
    return YAML(typ="safe", pure=True).load(block)


@pytest.mark.parametrize(
    ("heading", "schema", "needed"),
    [("GitHub Actions", "github-workflows", "runs-on:"), ("GitLab", "gitlab-ci", "  script:")],
)
def test_the_files_fit_their_schemas(tmp_path: Path, heading: str, schema: str, needed: str) -> None:
    (block,) = _blocks(heading, "yaml")
    files = [tmp_path / "good.yml", tmp_path / "bad.yml"]
    assert block.count(needed) == 1
    for path, text in zip(files, (block, block.replace(needed, f"not-{needed.strip()}")), strict=True):
        path.write_text(text)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    ran = [subprocess.run([*check, path], capture_output=True, text=True, check=False) for path in files]
    assert ran[0].returncode == 0, ran[0].stdout
    assert ran[1].returncode == 1


@pytest.mark.slow
def test_the_github_action(clone: Path, sh) -> None:  # type: ignore[no-untyped-def]
    """The base may have gone on since: that is no change of the pull request."""
    git(clone, "checkout", "-q", "-b", "topic")
    _commit(clone, "lib/copy.S", STATUS)
    git(clone, "checkout", "-q", "master")
    _commit(clone, "lib/copy.S", LABELS)
    git(clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", "topic")
    install, command = [
        step["run"] for step in _yaml("GitHub Actions")["jobs"]["review"]["steps"] if "run" in step
    ]
    assert install == "pip install mcverify"
    ran = sh(command, GITHUB_BASE_REF="main")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "first" in ran.stdout
    assert "change lib/copy.S" in ran.stdout
    assert '"baselineState": "new"' in (clone / "review.sarif").read_text()
    (ran,) = json.loads((clone / "review.sarif").read_text())["runs"][0]["invocations"]
    assert ran["arguments"][:2] == ["review", "--git"]
    assert "--sarif" not in ran["arguments"]
    assert (clone / "review.html").read_text().startswith("<!DOCTYPE html>")


def test_the_gitlab_job_of_a_change_without_routines(clone: Path, sh) -> None:  # type: ignore[no-untyped-def]
    _commit(clone, "lib/other.c", b"int x;\n")
    job = _yaml("GitLab")["review"]
    assert job["before_script"] == ["pip install mcverify"]
    (command,) = job["script"]
    base, head = (git(clone, "rev-parse", name).strip() for name in ("HEAD^", "HEAD"))
    ran = sh(command, CI_MERGE_REQUEST_DIFF_BASE_SHA=base, CI_COMMIT_SHA=head)
    assert ran.returncode == 0
    assert "changes an assembly file with exception-table entries" in ran.stderr
    assert not (clone / "review.html").exists()


@pytest.mark.slow
def test_the_hook_lets_nothing_out_that_breaks_something(clone: Path, sh) -> None:  # type: ignore[no-untyped-def]
    (hook,) = _blocks("A git hook", "sh")
    zero, old = "0" * 40, git(clone, "rev-parse", "HEAD").strip()
    _commit(clone, "lib/copy.S", RENAMED)
    new = git(clone, "rev-parse", "HEAD").strip()
    assert sh(hook, "origin", stdin=f"refs/heads/a {new} refs/heads/a {old}\n").returncode == 0
    assert sh(hook, "origin", stdin=f"(delete) {zero} refs/heads/a {old}\n").returncode == 0
    _commit(clone, "lib/copy.S", STATUS)
    new = git(clone, "rev-parse", "HEAD").strip()
    ran = sh(hook, "origin", stdin=f"refs/heads/b {new} refs/heads/b {zero}\n")
    assert ran.returncode == 1
    assert "2 worse" in ran.stdout


@pytest.mark.slow
def test_what_b4_and_patchwork_give(clone: Path, sh) -> None:  # type: ignore[no-untyped-def]
    one, two, patchwork = _blocks("b4 and patchwork", "sh")
    ran = sh(one)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "In-Reply-To: <1@x>" in (clone / "reply.txt").read_text()
    ran = sh(two)
    assert (ran.returncode, "v13 -> v14" in ran.stdout) == (0, True)
    assert "curl -sL https://patchwork.kernel.org/series/NUMBER/mbox/ | mcverify review - " in patchwork

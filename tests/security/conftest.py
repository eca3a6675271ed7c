"""A command line in a process of its own, and a secret that must not come out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcverify.cli import run

SECRET = "hunter2-is-the-secret"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and all that it said."""

    code: int
    said: str


Mcverify = Callable[..., Ran]


@pytest.fixture
def mcverify(tmp_path: Path) -> Mcverify:
    """Run mcverify in the folder of the test, or in `cwd`, with more environment."""

    def call(*arguments: object, cwd: Path = tmp_path, environment: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "mcverify", *map(str, arguments)],
            cwd=cwd,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    return call


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str]) -> Mcverify:
    """Run mcverify in this process."""

    def call(*arguments: object) -> Ran:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out + captured.err)

    return call


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the operator's, beside the folders of a test."""
    folder = tmp_path / "home"
    folder.mkdir()
    path = folder / "secret.txt"
    path.write_text(SECRET * 20 + "\n")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of the stranger's."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder

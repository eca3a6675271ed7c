"""The command line with a fake engine, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import fake_engine
from support.results import PROVED

from mcverify.cli import run


@dataclass
class Engine:
    """What it returns (or raises), and what it was asked."""

    answer: Any = field(default_factory=lambda: [PROVED])
    asked: list[tuple[Path, fake_engine.ProveOptions]] = field(default_factory=list)

    def prove_file(self, file: Path, options: Any, progress: Callable[[str], None], _: object) -> Any:
        self.asked.append((file, options))
        progress("working")
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    fake = Engine()
    monkeypatch.setitem(sys.modules, "mcverify.proof.prove", fake_engine.module(fake.prove_file))
    monkeypatch.setattr("mcverify.cli.prove.quieten_libraries", lambda: None)
    return fake


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def mcverify(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def call(*arguments: object) -> Ran:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call

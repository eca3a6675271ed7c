"""The whole hostile corpus, by the commands that would meet it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.shown import printable

from . import corpus
from .conftest import Mcverify


def _state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_attack_corpus(tmp_path: Path, inside: Mcverify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry ends as it should, shows no secret and no control character, and leaves the operator's
    files."""
    wrong: list[str] = []
    monkeypatch.setenv("A_TOKEN", corpus.SECRET)
    for entry in corpus.entries(tmp_path):
        before = _state(tmp_path / "home")
        monkeypatch.chdir(entry.folder)
        ran = inside(*entry.arguments)
        problems = [
            ran.code not in entry.codes and f"it ended with {ran.code}",
            corpus.SECRET in ran.said and "it shows the secret",
            printable(ran.said, "\n") != ran.said and "it shows what cannot be seen",
            _state(tmp_path / "home") != before and "it changed what is not its own",
            "internal error" in ran.said and "it is an internal error",
        ]
        wrong += [f"{entry.name}: {problem}: {ran.said[:300]}" for problem in problems if problem]
    assert not wrong, "\n".join(wrong)

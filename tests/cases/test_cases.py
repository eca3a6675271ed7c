"""Small inputs with their right answers, each through the command line: `expected.toml` is the table."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mcverify.cli import run
from mcverify.runs import cpu

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = tomllib.loads((HERE / "expected.toml").read_text())["case"]

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def parameters() -> list[Any]:
    """One for each row; a row with `open` says what is not done yet."""
    found = []
    for case in CASES:
        marks = [pytest.mark.xfail(reason=case["open"], strict=True)] if "open" in case else []
        name = " ".join([case["file"].removesuffix(".S"), *case["command"]])
        found.append(pytest.param(case, marks=marks, id=case.get("name", name)))
    return found


@pytest.mark.parametrize("case", parameters())
@pytest.mark.slow
def test_the_answer_is_right(
    case: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path in (*HERE.glob("*.S"), *HERE.glob("*.toml"), *HERE.glob("*.h")):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    command, *options = case["command"]
    code = run([command, case["file"], *options])
    said = capsys.readouterr()
    words = " ".join((said.out + said.err).split())
    assert code == case["exit"], words
    for text in case.get("says", []):
        assert text in words
    for text in case.get("never", []):
        assert text not in words


def test_every_input_has_a_row() -> None:
    rows = {case["file"] for case in CASES}
    assert {path.name for path in HERE.glob("*.S")} <= rows

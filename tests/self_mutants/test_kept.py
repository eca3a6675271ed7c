"""What `make self-mutants` keeps from one run to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from self_mutants import kept
from self_mutants.kept import Kept
from self_mutants.operators import Mutant

ONE, OTHER = Mutant("f: Add -> Sub", 3, "a - b"), Mutant("f: Sub -> Add", 4, "a + b")


def test_what_was_noticed_is_known_while_the_test_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    test = tmp_path / "test_f.py"
    test.write_text("first")
    file = tmp_path / "findings"
    Kept(file).add("f.py", ONE, "test_f.py::test_sum")
    Kept(file).add("f.py", OTHER, "")
    with file.open("a") as cut_off:
        cut_off.write('{"key": "')
    again = Kept(file)
    assert again.killer(ONE) == "test_f.py::test_sum"
    assert again.killer(OTHER) == "", "what survived is tried again"
    assert again.killer(Mutant(ONE.name, ONE.line, "a - c")) == ""
    test.write_text("second")
    assert Kept(file).killer(ONE) == ""
    assert Kept(None).killer(ONE) == ""


def test_seconds_are_those_of_the_tests_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that was added to a folder since is not left out."""
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_f.py").write_text("first")
    file = tmp_path / "findings"
    Kept(file).add_seconds("tests", {"tests/test_f.py::test_sum": 0.5})
    assert Kept(file).seconds("tests") == {"tests/test_f.py::test_sum": 0.5}
    (tmp_path / "tests" / "test_g.py").write_text("second")
    assert Kept(file).seconds("tests") is None

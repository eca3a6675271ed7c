"""The process that runs the tests of a mutant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from self_mutants.worker import Worker

TESTS = """
from thing import VALUE

def test_small():
    assert VALUE < 3

def test_odd():
    assert VALUE % 2 == 1
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    started = Worker(tmp_path_factory.mktemp("root"))
    yield started
    started.close()


def package(folder: Path, text: str) -> Path:
    """A folder with the module that the tests watch over, and the tests."""
    (folder / "thing.py").write_text(text)
    (folder / "test_thing.py").write_text(TESTS)
    return folder


def test_each_change_is_seen_by_the_first_test_that_fails(tmp_path: Path, worker: Worker) -> None:
    tests = [f"{tmp_path}/test_thing.py"]
    passed = worker.run(package(tmp_path, "VALUE = 1"), tests)
    assert passed.noticed == ""
    assert [name.rpartition("::")[2] for name in passed.each] == ["test_small", "test_odd"]
    assert worker.run(package(tmp_path, "VALUE = 2"), tests).noticed.endswith("::test_odd")
    assert worker.run(package(tmp_path, "VALUE = 3"), tests).noticed.endswith("::test_small")
    assert worker.cpu_seconds > 0


def test_a_module_that_does_not_load_is_noticed(tmp_path: Path, worker: Worker) -> None:
    noticed = worker.run(package(tmp_path, "VALUE = absent"), [f"{tmp_path}/test_thing.py"]).noticed
    assert noticed.endswith("test_thing.py")


def test_tests_that_are_not_there_are_no_finding(tmp_path: Path, worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="exit code 4"):
        worker.run(tmp_path, [f"{tmp_path}/test_absent.py"])


def test_without_an_end_the_tests_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELF_MUTANTS_CPU_SECONDS", "2")
    endless = Worker(tmp_path)
    found = endless.run(package(tmp_path, "while True: pass"), [f"{tmp_path}/test_thing.py"])
    endless.close()
    assert found.noticed == "no end within 2 CPU seconds"

"""Which tests `--quick` runs, and what is remembered in a test run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import memo as remembering
from support.memo import Memo
from support.once import Once
from support.quick import chosen, without_any

from mcverify.runs.child import Answer, Children, Job


@dataclass(frozen=True)
class Item:
    """A test as far as it is looked at."""

    nodeid: str
    is_slow: bool = False

    def get_closest_marker(self, name: str) -> object:
        return name if self.is_slow and name == "slow" else None


def names(items: list[Any]) -> list[str]:
    return [item.nodeid for item in chosen(items)]


def test_of_many_parameters_the_first_one_in_the_middle_and_the_last_are_run() -> None:
    many = [Item(f"tests/a/test_a.py::test_a[{n}]") for n in range(7)]
    assert names(many) == [f"tests/a/test_a.py::test_a[{n}]" for n in (0, 3, 6)]
    assert names(many[:2]) == [item.nodeid for item in many[:2]]
    assert names(many[:1]) == [many[0].nodeid]


def test_what_is_slow_is_left_out() -> None:
    items = [Item("tests/a/test_a.py::test_a"), Item("tests/a/test_a.py::test_b", is_slow=True)]
    assert names(items) == ["tests/a/test_a.py::test_a"]


def test_a_room_of_which_nothing_is_left_is_named() -> None:
    items: list[Any] = [Item("tests/a/test_a.py::test_a"), Item("tests/b/test_b.py::test_b", is_slow=True)]
    assert without_any(items, list(chosen(items))) == ["tests/b"]
    assert without_any(items, items) == []


JOB, OTHER = Job(b"run it", 1 << 10, 1.0), Job(b"run it otherwise", 1 << 10, 1.0)


class Asked:
    """Stands in for the harness: tells how often it was asked."""

    def __init__(self, *, died: bool) -> None:
        self.died, self.times = died, 0

    def __call__(self, _: Children, jobs: list[Job], *__: object) -> list[Answer]:
        self.times += 1
        return [_answer(died=self.died) for _ in jobs]


def _answer(*, died: bool) -> Answer:
    return Answer(b"output", bytes(16), died)


def _ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked, *jobs: Job, is_on: bool = True
) -> int:
    """How often the harness was asked for these jobs, one after the other."""
    monkeypatch.setattr(remembering, "_asked", asked)
    monkeypatch.setattr(Children, "ask", None)  # given back afterwards
    memo = Memo()
    memo.install(Once(tmp_path))
    memo.is_on = is_on
    for job in jobs:
        (answer,) = Children.ask(Children(), [job], 1.0)
        assert answer == _answer(died=asked.died)
    return asked.times


def test_the_same_job_is_asked_once_and_another_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _ask(tmp_path, monkeypatch, Asked(died=False), JOB, JOB, OTHER, JOB) == 2


def test_a_child_that_died_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ask(tmp_path, monkeypatch, Asked(died=True), JOB, JOB) == 2


def test_where_runs_are_tested_each_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ask(tmp_path, monkeypatch, Asked(died=False), JOB, JOB, is_on=False) == 2

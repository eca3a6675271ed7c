"""What the native harness answers to a job, asked once in a test run.

A proof asks the same runs again and again: with and without a look at them, with one goal left out, with
another report. The answer follows from the harness and the job alone, which are the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcverify.runs.child import Answer, Children, Job
from mcverify.runs.native import harness
from support.once import Once

_asked = Children.ask


class _NotKept(Exception):
    """Holds answers that another run might not give: a child died, or its time was over."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers


class Memo:
    """Stands in for `Children.ask` between `install` and `remove`, where it is switched on."""

    def __init__(self) -> None:
        self.is_on = True

    def install(self, once: Once) -> None:
        memo = self

        def ask(self: Children, jobs: Sequence[Job], *rest: Any, **more: Any) -> list[Answer]:
            def made() -> list[Answer]:
                found = _asked(self, jobs, *rest, **more)
                if any(answer.died or answer.expired or answer.flooded for answer in found):
                    raise _NotKept(found)
                return found

            if not memo.is_on:
                return _asked(self, jobs, *rest, **more)
            try:
                return once.make(_key(jobs), made)
            except _NotKept as error:
                return error.answers

        Children.ask = ask  # type: ignore[method-assign]

    def remove(self) -> None:
        Children.ask = _asked  # type: ignore[method-assign]


def _key(jobs: Sequence[Job]) -> bytes:
    """The harness and each job, each part with its length before it."""
    parts = (harness().read_bytes(), *(job.most.to_bytes(8, "little") + job.words for job in jobs))
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)

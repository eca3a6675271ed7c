"""What can go wrong, and the exit code that says so.

Every room raises :class:`InputError` for what the user gave us and leaves everything
else to propagate: `mcverify.cli` turns the first into one sentence and exit code 2, the
rest into a report of our own fault and exit code 4. :class:`Disagreement` is such a fault that
mcverify finds by itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

from mcverify.shown import printable


class ExitCode(IntEnum):
    """Process exit codes; the same for every sub-command."""

    PROVED = 0
    REFUTED = 1
    USAGE = 2
    UNKNOWN = 3
    INTERNAL = 4


_LONGEST = 4000
"""Characters of a message: what it quotes may be as long as a file."""


class InputError(Exception):
    """The input or the command is wrong.

    `where` is ``file`` or ``file:line`` (or None when no file is involved); `message` is one
    sentence without the location; `hint`, if given, says what to do about it. All three may quote what a
    stranger wrote, and are made fit to be shown.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = printable(message if len(message) <= _LONGEST else f"{message[:_LONGEST]} ...")
        self.where = None if where is None else printable(where)
        self.hint = None if hint is None else printable(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        prefix = f"{self.where}: " if self.where else ""
        suffix = f" ({self.hint})" if self.hint else ""
        return f"{prefix}{self.message}{suffix}"


class ElsewhereError(Exception):
    """What went wrong in another process of ours, in the words that would have been said in this one.

    `traceback` is the whole text of where it happened.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message, traceback)
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return self.message


class LostProcess(ElsewhereError):
    """A process of ours was killed, or ended by itself, with the piece of work that it was at: for lack of
    memory, or by a fault in a library. What others do is not touched by it."""


def in_words(error: BaseException) -> str:
    """A fault of our own in one line: its type, its place, and what it says."""
    if isinstance(error, ElsewhereError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{place}" + (f": {text}" if text else "")


class Disagreement(Exception):
    """What a run did is not what the proof's model of the code says of it: one of the two is wrong.

    The message is one sentence; `states` has the case, what was executed and what was predicted, as values
    for JSON. `kept` names the file into which they were written.
    """

    def __init__(self, message: str, states: Mapping[str, Any], kept: str | None = None) -> None:
        super().__init__(message)
        self.states = states
        self.kept = kept

    def __reduce__(self) -> tuple[type[Disagreement], tuple[str, Mapping[str, Any], str | None]]:
        return type(self), (str(self), self.states, self.kept)

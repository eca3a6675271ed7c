"""The three standard streams, whatever the caller made of them."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_COMMAND = re.compile(r"\A\s*(?=::)|(?=##\[)")
_LINE_ENDS = tuple("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
"""What ends a line for `str.splitlines`."""


@contextmanager
def indifferent_to_readers() -> Iterator[None]:
    """What is printed inside may find its reader gone (`| head`); the exit code stays what it was."""
    try:
        yield
    except BrokenPipeError:
        silence_stdout()


def silence_stdout() -> None:
    """Let the interpreter's last flush of a closed pipe go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Harmless(io.TextIOBase):
    """A stream for people in the log of a GitHub job, where a line may be a command: none is, of what is
    written here.

    Lines that begin with ``::``, and ``##[`` anywhere, are commands (actions/runner,
    src/Runner.Common/ActionCommand.cs); a backslash within makes them text. `commands` is the stream below
    it.
    """

    def __init__(self, commands: io.TextIOWrapper) -> None:
        self.commands = commands
        self._line = ""

    def write(self, text: str) -> int:
        """Write text, of which no line becomes a command, together with what stands on the line already."""
        for part in text.splitlines(keepends=True):
            self.commands.write(self._guarded(part))
            self._line = "" if part.endswith(_LINE_ENDS) else self._line + part
        return len(text)

    def _guarded(self, part: str) -> str:
        whole, written = self._line + part, len(self._line)
        places = {m.end() + 1 for m in _COMMAND.finditer(whole)}
        for place in sorted(places, reverse=True):
            if place >= written:
                part = f"{part[: place - written]}\\{part[place - written :]}"
        return part

    def flush(self) -> None:
        """Hand on what is written."""
        self.commands.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.commands, name)

    def fileno(self) -> int:
        """That of the stream below."""
        return self.commands.fileno()

    def isatty(self) -> bool:
        """Whether the stream below goes to a terminal."""
        return self.commands.isatty()

    def writable(self) -> bool:
        """It is."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self.commands.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream below does with what its encoding has not."""
        return self.commands.errors


def write_commands(text: str) -> None:
    """Write commands for a GitHub job to standard output."""
    out = sys.stdout
    stream = out.commands if isinstance(out, Harmless) else out
    stream.write(text)
    stream.flush()


def mend_streams() -> None:
    """Let every standard stream be there and take any text.

    A closed one (`<&-`) becomes /dev/null: otherwise the next file that is opened would get its number.
    What the locale cannot write (a file name that is no UTF-8, a line of a table) is written escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        sys.stdout = _harmless(sys.stdout)
        sys.stderr = _harmless(sys.stderr)


def _harmless(stream: TextIO) -> TextIO:
    return cast("TextIO", Harmless(stream)) if isinstance(stream, io.TextIOWrapper) else stream

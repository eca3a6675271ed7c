"""Talk with a process that runs a stranger's code: what it is given, and how much it may say.

The process is one of our small C programs (`jail.h`). Nothing that it says is believed to be of any form:
its length is bounded here, its words are checked by who reads them.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
"""All that the process gets. Without restartable sequences (rseq(2)) a signal costs the kernel a tenth
less."""

_LOOK = 0.2
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` of time until the end, so many `most` bytes of output."""

    seconds: float
    most: int


@dataclass(frozen=True, slots=True)
class Said:
    """All that the process said, its exit code (minus the signal that killed it), and whether it was killed
    because its time was over or it said too much."""

    output: bytes
    code: int
    expired: bool = False
    flooded: bool = False


def start(program: Path, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """The process: no environment, no files but its pipes and `pass_fds`, no folder of the user's."""
    return subprocess.Popen(
        ["mcverify", *arguments],
        executable=str(program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        pass_fds=tuple(pass_fds),
        env=_ENVIRONMENT,
    )


def converse(
    process: subprocess.Popen[bytes],
    job: bytes,
    limits: Limits,
    is_stuck: Callable[[], bool] = lambda: False,
) -> Said:
    """Give the process its job and take what it says, until it ends. It is killed when a limit is reached,
    and when `is_stuck` says so, which is asked a few times a second."""
    talk = _Talk(process, job, limits)
    try:
        while talk.goes_on():
            if is_stuck():
                process.kill()
        return talk.said()
    finally:
        talk.close()


class _Talk:
    def __init__(self, process: subprocess.Popen[bytes], job: bytes, limits: Limits) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._left, self._limits = process, memoryview(job), limits
        self._end = time.monotonic() + limits.seconds
        self._stdin, self._stdout = process.stdin, process.stdout
        self._output = bytearray()
        self._expired = self._flooded = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        os.set_blocking(self._stdin.fileno(), False)

    def goes_on(self) -> bool:
        """Pass on what can be passed on for a moment; False when the process has said its last word."""
        wait = max(0.0, min(_LOOK, self._end - time.monotonic()))
        for key, _ in self._selector.select(wait):
            if key.fileobj is self._stdin:
                self._give()
            elif not self._take():
                return False
        if time.monotonic() >= self._end and not self._expired:
            self._expired = True
            self._process.kill()
        return True

    def _give(self) -> None:
        try:
            self._left = self._left[os.write(self._stdin.fileno(), self._left[: 1 << 20]) :]
        except BlockingIOError:
            return
        except OSError:  # it has ended before it had read its job
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._stdin)
            with suppress(OSError):
                self._stdin.close()

    def _take(self) -> bool:
        piece = os.read(self._stdout.fileno(), _PIECE)
        room = self._limits.most - len(self._output)
        self._output += piece[:room]
        if len(piece) > room and not self._flooded:
            self._flooded = True
            self._process.kill()
        return bool(piece)

    def said(self) -> Said:
        code = self._process.wait()
        return Said(bytes(self._output), code, self._expired, self._flooded)

    def close(self) -> None:
        self._selector.close()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used; 0 if it is gone."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
        )
    except (OSError, IndexError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

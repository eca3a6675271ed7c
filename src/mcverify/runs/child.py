"""One child process that runs the harness: started, fed, watched, and gone at the end."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mcverify.errors import InputError
from mcverify.runs.jailed import Limits, Said, converse, cpu_seconds, start
from mcverify.runs.native import NO_FILTER, NO_RIGHTS, harness

SHARED_BYTES = 256 << 10
"""Size of the memory shared with a child; more than harness.c's struct needs."""

_LOOK = 0.2
_READY = 0x79646165726D2121.to_bytes(8, "little")
"""What a child says before it lets the routine run (READY in harness.c)."""
_MORE_CPU = 60
"""Seconds of CPU beyond the time limit, for a child that no parent watches any more."""

_NO_MEMORY = 3
_WHY = {
    5: "a section of the image lies where the host cannot map it",
    6: NO_RIGHTS,
    7: NO_FILTER,
}


@dataclass(frozen=True, slots=True)
class Job:
    """What one child is to do: the words of it, at most so many bytes of answer, and the seconds of CPU
    after which one case is held to be stuck, whatever became of its own limit."""

    words: bytes
    most: int
    stuck: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child left: its output and the memory it shared. `died` if it did not come to its end,
    `expired` if that was because its time was over, `flooded` because it said more than the job has to say.

    The routine may have written all of it.
    """

    output: bytes
    shared: bytes
    died: bool
    expired: bool = False
    flooded: bool = False

    @property
    def serial(self) -> int:
        """Number of the case it was at, or after it for a grid."""
        return int.from_bytes(self.shared[:8], "little")


@dataclass
class Children:
    """Children that run side by side. Whatever happens, none outlives the `with` block."""

    _started: list[_Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for child in self._started:
            child.close()

    def ask(
        self, jobs: Sequence[Job], seconds: float, watch: Callable[[int], None] | None = None
    ) -> list[Answer]:
        """Run each job in a child of its own, all at once, and wait at most `seconds` for each.

        `watch` is told now and then the sum of the numbers of the cases under way. Raises MemoryError where
        there is none for a job, InputError where the routine cannot be run on this host.
        """
        children = [_Child(job, seconds) for job in jobs]
        self._started += children
        while watch is not None and any(child.wait(_LOOK) for child in children):
            watch(sum(child.serial for child in children))
        return [child.answer() for child in children]


class _Child:
    def __init__(self, job: Job, seconds: float) -> None:
        self._job, self._seconds = job, seconds
        self._shared = os.memfd_create("mcverify", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._shared, SHARED_BYTES)
        fcntl.fcntl(
            self._shared, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
        most = str(int(seconds) + _MORE_CPU)
        self._process = start(harness(), str(self._shared), most, pass_fds=(self._shared,))
        self._said: Said | None = None
        self._error: Exception | None = None
        self._last = (0, 0.0)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        words = self._job.words
        try:
            self._said = converse(
                self._process,
                len(words).to_bytes(8, "little") + words,
                Limits(self._seconds, len(_READY) + self._job.most),
                self._is_stuck,
            )
        except Exception as error:  # it is raised again where the answer is asked for
            self._error = error

    def _is_stuck(self) -> bool:
        """Whether one case takes more of the CPU than its own limit allows: the routine has masked the
        signal."""
        serial, used = self._serial_now(), cpu_seconds(self._process.pid)
        if serial != self._last[0]:
            self._last = serial, used
        return used - self._last[1] > self._job.stuck

    def _serial_now(self) -> int:
        return int.from_bytes(os.pread(self._shared, 8, 0), "little")

    @property
    def serial(self) -> int:
        """Number of the case under way, as the child says."""
        return self._serial_now()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; whether it still runs."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def answer(self) -> Answer:
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._said is not None
        said, ready = self._said, self._said.output[: len(_READY)] == _READY
        if not ready and not said.expired:
            raise _own_failure(said)
        shared = os.pread(self._shared, SHARED_BYTES, 0)
        died = said.code != 0 or shared[8:16] == bytes(8)
        output = said.output[len(_READY) :] if ready else b""
        return Answer(output, shared, died, said.expired and died, said.flooded)

    def close(self) -> None:
        self._process.kill()
        self._thread.join()
        self._process.wait()
        os.close(self._shared)


def _own_failure(said: Said) -> Exception:
    """Why a child ended before it let the routine run."""
    if said.code == _NO_MEMORY:
        return MemoryError("there is not enough memory to lay out the buffers of a run")
    how = f"was killed by signal {-said.code}" if said.code < 0 else f"ended with exit code {said.code}"
    return InputError(f"the routine cannot be run on this CPU: {_WHY.get(said.code, f'its process {how}')}")

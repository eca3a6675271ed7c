"""One child process that runs the harness: started, fed, watched, and gone at the end."""

from __future__ import annotations

import mmap
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mcverify.errors import InputError
from mcverify.runs.native import NO_RIGHTS, harness

SHARED_BYTES = 256 << 10
"""Size of the memory shared with a child; more than harness.c's struct needs."""

_NO_RSEQ = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
"""Without restartable sequences (rseq(2)) a signal costs the kernel a tenth less."""

_LOOK = 0.2

_WHY = {
    3: "there is not enough memory to lay out the buffers",
    5: "a section of the image lies where the host cannot map it",
    6: NO_RIGHTS,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child left: its output and the memory it shared. `died` if it did not come to its end,
    `expired` if that was because its time was over."""

    output: bytes
    shared: bytes
    died: bool
    expired: bool = False

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
        self, jobs: Sequence[bytes], seconds: float, watch: Callable[[int], None] | None = None
    ) -> list[Answer]:
        """Run each job in a child of its own, all at once, and wait at most `seconds` for each.

        `watch` is told now and then the sum of the numbers of the cases under way.
        """
        children = [_Child(job, seconds) for job in jobs]
        self._started += children
        while watch is not None and any(child.wait(_LOOK) for child in children):
            watch(sum(child.serial for child in children))
        return [child.answer() for child in children]


class _Child:
    def __init__(self, job: bytes, seconds: float) -> None:
        self._shared = os.memfd_create("mcverify")
        os.ftruncate(self._shared, SHARED_BYTES)
        self._process = subprocess.Popen(
            [str(harness()), str(self._shared)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._shared,),
            env=os.environ | _NO_RSEQ,
        )
        self._output = b""
        self._error: Exception | None = None
        self._expired = False
        self._thread = threading.Thread(target=self._talk, args=(job, seconds), daemon=True)
        self._thread.start()

    def _talk(self, job: bytes, seconds: float) -> None:
        try:
            self._output, _ = self._process.communicate(job, timeout=seconds)
        except subprocess.TimeoutExpired:
            self._expired = True
            self._process.kill()
            self._output, _ = self._process.communicate()
        except Exception as error:  # it is raised again where the answer is asked for
            self._error = error

    @property
    def serial(self) -> int:
        """Number of the case under way."""
        return int.from_bytes(os.pread(self._shared, 8, 0), "little")

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; whether it still runs."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def answer(self) -> Answer:
        self._thread.join()
        if self._error is not None:
            raise self._error
        code = self._process.returncode
        if code in _WHY:
            raise InputError(f"the routine cannot be run on this CPU: {_WHY[code]}")
        with mmap.mmap(self._shared, SHARED_BYTES, prot=mmap.PROT_READ) as memory:
            shared = bytes(memory)
        died = code != 0 or shared[8:16] == bytes(8)
        return Answer(self._output, shared, died, self._expired and died)

    def close(self) -> None:
        self._process.kill()
        self._thread.join()
        os.close(self._shared)

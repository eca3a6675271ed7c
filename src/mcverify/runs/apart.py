"""A value of ours in a process of its own, where it can be asked: the emulator, which ends the process it is
in when it gets no memory, and runs a stranger's code.

The process is a copy of this one (fork), made when it is first asked, with the pipes for questions and
answers and no other file. Answers are values of `runs.case` and plain ones; anything else is refused.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import select
import signal
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from mcverify.deadline import Deadline, OutOfMemory, OutOfTime
from mcverify.errors import ElsewhereError, InputError, LostProcess, in_words
from mcverify.runs import case

_ANSWERS = {"mcverify.runs.case": {"Outcome", "Ending", "Fault", "Visit", "Access"}}
_LARGEST = 1 << 30
"""Bytes of an answer."""
_GRACE = 30.0
"""Seconds that an answer may be late, which should have come when the time was over."""
_LOOK = 0.5
_LAST_FD = 1 << 16
_HEAD = 8


class Apart:
    """What `make` gives, in a process of its own, which ends with this value.

    `ask` raises what the method asked raises, of OutOfTime, InputError and ValueError; LostProcess where the
    process has ended by itself, and ElsewhereError for anything else.
    """

    def __init__(self, make: Callable[[], object], deadline: Deadline) -> None:
        self._make = make
        self._deadline = deadline
        self._process: _Process | None = None

    def ask(self, method: str, *arguments: object) -> Any:
        """What the method gives."""
        if self._process is None:
            self._process = _Process(self._make)
            weakref.finalize(self, self._process.end)
        try:
            kind, found = self._process.ask((method, arguments), self._deadline.remaining)
        except BaseException:
            self._process.end()
            self._process = None
            raise
        if kind == "gives":
            return found
        raise _raised(kind, found)


def _raised(kind: str, text: str) -> Exception:
    made: dict[str, Callable[[str], Exception]] = {
        "OutOfTime": OutOfTime,
        "OutOfMemory": OutOfMemory,
        "InputError": InputError,
        "ValueError": ValueError,
        "MemoryError": lambda _: LostProcess("there is not enough memory for the emulator"),
    }
    return made.get(kind, ElsewhereError)(text)


class _Process:
    """The other process, from here."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._owner = os.getpid()
        theirs, self._to = os.pipe()
        self._from, answers = os.pipe()
        with warnings.catch_warnings():
            # The copy has this thread alone, and takes no lock that another could hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid: int | None = os.fork()
        if self._pid == 0:
            _serve(make, theirs, answers)
        os.close(theirs)
        os.close(answers)
        os.set_blocking(self._from, False)

    def ask(self, question: object, remaining: Callable[[], float | None]) -> tuple[str, Any]:
        """The answer to a question, which should come while there is time."""
        data = pickle.dumps(question)
        try:
            _write(self._to, len(data).to_bytes(_HEAD, "little") + data)
        except BrokenPipeError:
            raise self._lost() from None
        size = int.from_bytes(self._read(_HEAD, remaining), "little")
        if size > _LARGEST:
            raise LostProcess("the emulator said more than it can have to say")
        answer = _Answers(io.BytesIO(self._read(size, remaining))).load()
        match answer:
            case (str(kind), found):
                return kind, found
        raise pickle.UnpicklingError("the emulator gave no answer")

    def _read(self, count: int, remaining: Callable[[], float | None]) -> bytes:
        found, late = bytearray(), 0.0
        while len(found) < count:
            if not select.select([self._from], [], [], _LOOK)[0]:
                late += _LOOK if remaining() == 0.0 else 0.0
                if late > _GRACE:
                    raise OutOfTime("runs")
                continue
            piece = os.read(self._from, min(count - len(found), 1 << 20))
            if not piece:
                raise self._lost()
            found += piece
        return bytes(found)

    def _lost(self) -> LostProcess:
        status = self._reap()
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return LostProcess(f"the emulator was killed by signal {-code} ({signal.strsignal(-code)})")
        # What Unicorn does where it gets no memory for the code that it makes.
        return LostProcess(f"the emulator ended with exit code {code}, for lack of memory most likely")

    def _reap(self) -> int:
        pid, self._pid = self._pid, None
        assert pid is not None
        return os.waitpid(pid, 0)[1]

    def end(self) -> None:
        """Let it be gone. In a copy of this process there is nothing to do: it is no child of that."""
        if os.getpid() != self._owner or self._from < 0:
            return
        if self._pid is not None:
            with suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(OSError):
                self._reap()
        for end in (self._to, self._from):
            with suppress(OSError):
                os.close(end)
        self._from = -1


def _member(kind: object, name: object) -> Enum:
    """A member of an enumeration, which Python before 3.11.4 writes down as an attribute of it."""
    if isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__:
        return kind.__members__[str(name)]
    raise pickle.UnpicklingError(f"{name} is no part of an answer")


class _Answers(pickle.Unpickler):
    """Reads values, and makes none but those that a run gives."""

    def find_class(self, module: str, name: str) -> Any:
        if name in _ANSWERS.get(module, ()):
            return getattr(case, name)
        if (module, name) == ("builtins", "getattr"):
            return _member
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")


def _write(to: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(to, left) :]


# -- in the other process


def _serve(make: Callable[[], object], questions: int, answers: int) -> None:
    """Its whole life. It ends by itself when nobody can ask any more."""
    try:
        _alone(questions, answers)
        made = None
        while (head := _whole(questions, _HEAD)) is not None:
            question = _whole(questions, int.from_bytes(head, "little"))
            if question is None:
                break
            method, arguments = pickle.loads(question)
            try:
                made = made or make()
                answer = "gives", getattr(made, method)(*arguments)
            except Exception as error:
                answer = _told(error)
            data = pickle.dumps(answer)
            _write(answers, len(data).to_bytes(_HEAD, "little") + data)
    finally:
        os._exit(0)


def _alone(questions: int, answers: int) -> None:
    """No file but the two, no output, no handler of ours, no look for garbage in what was copied."""
    gc.freeze()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    first, second = sorted((questions, answers))
    for start, end in ((3, first), (first + 1, second), (second + 1, _LAST_FD)):
        os.closerange(start, end)


def _whole(source: int, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        piece = os.read(source, count - len(found))
        if not piece:
            return None
        found += piece
    return found


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, OutOfTime):
        return type(error).__name__, error.phase
    if isinstance(error, MemoryError):
        return "MemoryError", ""
    if isinstance(error, InputError | ValueError):
        return ("InputError" if isinstance(error, InputError) else "ValueError"), str(error)
    return "failure", in_words(error)

"""Pieces of work, done one after the other in this process or side by side in others.

Either way they are begun in the order in which they were given, and a result is there when it is asked for.
What a piece is given, and gives, goes through pickle; its function lies in a module.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from mcverify.deadline import resident
from mcverify.errors import Disagreement, ElsewhereError, InputError, LostProcess, in_words
from mcverify.interrupt import (
    GRACE,
    INTERRUPTED,
    helpers,
    kill_children,
    leave_on_interrupt,
    prepare_processes,
)
from mcverify.quiet import quieten_libraries

Progress = Callable[[str], None]
"""Is told in a few words what is being done."""

LARGEST = 600 << 20
"""A process that holds so many bytes after a piece of work does no other."""

_LOOK = 0.2
"""Seconds after which a Ctrl-C is noticed at the latest where nothing happens."""

_TOLD = 0.1
"""Seconds between two words of one process on what it does."""

_Given = TypeVar("_Given", covariant=True)


class Pending(Protocol[_Given]):
    """A piece of work that was submitted."""

    def result(self) -> _Given:
        """What it gives. Waits for it, and raises what it raised; KeyboardInterrupt if it was interrupted."""
        ...


class Crew(Protocol):
    """Does pieces of work. Whatever happens, none of its processes outlives the `with` block."""

    def submit(self, function: Callable[..., _Given], *arguments: object) -> Pending[_Given]:
        """Have `function` called with the arguments and, as the last, a `Progress`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def crew(jobs: int, pieces: int, progress: Progress) -> Crew:
    """At most `jobs` processes for so many pieces of work; none but this one where one would be enough.

    `progress` is told what they do, all in one line.
    """
    size = min(jobs, pieces)
    return Alone(progress) if size < 2 else Processes(size, progress)


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


# -- in this process


class Alone:
    """Does each piece of work in this process, when its result is asked for."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., _Given], *arguments: object) -> Pending[_Given]:
        """As `Crew.submit`."""
        return _Later(lambda: function(*arguments, self._progress))


class _Later(Generic[_Given]):
    def __init__(self, call: Callable[[], _Given]) -> None:
        self.result = call


# -- in others


class _Piece(Generic[_Given]):
    """A piece of work; `work` is dropped when it is done."""

    def __init__(self, crew: Processes, work: tuple[Callable[..., _Given], tuple[object, ...]]) -> None:
        self._crew = crew
        self.work: tuple[Callable[..., _Given], tuple[object, ...]] | None = work
        self.given: Any = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.work is None

    def end(self, given: object = None, error: BaseException | None = None) -> None:
        self.work, self.given, self.error = None, given, error

    def result(self) -> _Given:
        while not self.is_done:
            self._crew.look()
        if self.error is not None:
            raise self.error
        found: _Given = self.given
        return found


class _Hand:
    """One process, and the piece of work that it is at."""

    def __init__(self, largest: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, largest), daemon=True)
        self.process.start()
        theirs.close()
        assert self.process.pid is not None
        self.pid = self.process.pid
        helpers.add(self.pid)
        self.piece: _Piece[Any] | None = None
        self.says = ""

    def begin(self, piece: _Piece[Any]) -> None:
        self.piece = piece
        self.connection.send(piece.work)

    def stop(self) -> None:
        """Let it end: at once if it waits for work, else as on Ctrl-C."""
        self.connection.close()
        if self.piece is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)

    def bury(self, until: float) -> int | None:
        """Wait for its end until then and make sure of it; its exit code."""
        self.process.join(max(0.0, until - time.monotonic()))
        if self.process.is_alive():
            kill_children(self.pid)
            self.process.kill()
            self.process.join()
        helpers.discard(self.pid)
        return self.process.exitcode


class Processes:
    """Does pieces of work in up to `size` processes, which are started as they are needed.

    One that holds more than `largest` bytes after a piece of work makes room for another.
    """

    def __init__(self, size: int, progress: Progress, largest: int = LARGEST) -> None:
        prepare_processes()
        self._size = size
        self._largest = largest
        self._progress = progress
        self._waiting: deque[_Piece[Any]] = deque()
        self._hands: list[_Hand] = []
        self._submitted = 0
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self._hands:
            hand.stop()
        until = time.monotonic() + GRACE
        for hand in self._hands:
            hand.bury(until)

    def submit(self, function: Callable[..., _Given], *arguments: object) -> Pending[_Given]:
        """As `Crew.submit`."""
        piece = _Piece(self, (function, arguments))
        self._submitted += 1
        self._waiting.append(piece)
        self._distribute()
        return piece

    def look(self) -> None:
        """Wait for news of any of the processes, for a moment."""
        busy = {hand.connection: hand for hand in self._hands if hand.piece is not None}
        for connection in wait(list(busy), timeout=_LOOK):
            self._hear(busy[connection])  # type: ignore[index]
        self._distribute()

    def _distribute(self) -> None:
        while self._waiting:
            hand = next((h for h in self._hands if h.piece is None), None)
            if hand is None:
                if len(self._hands) >= self._size:
                    return
                hand = _Hand(self._largest)
                self._hands.append(hand)
            try:
                hand.begin(self._waiting.popleft())
            except ConnectionError:  # it has ended while it had nothing to do
                self._lose(hand)

    def _hear(self, hand: _Hand) -> None:
        assert hand.piece is not None
        try:
            kind, what = hand.connection.recv()
        except (EOFError, ConnectionError):
            self._lose(hand)
            return
        if kind == "says":
            hand.says = what
            self._tell()
            return
        result, is_last = what
        if kind == "gives":
            hand.piece.end(result)
        else:
            hand.piece.end(error=result)
        hand.piece, hand.says = None, ""
        self._done += 1
        self._tell()
        if is_last:
            self._hands.remove(hand)
            hand.stop()
            hand.bury(time.monotonic() + GRACE)

    def _lose(self, hand: _Hand) -> None:
        """A process has ended by itself before its work was done."""
        self._hands.remove(hand)
        hand.connection.close()
        code = hand.bury(time.monotonic() + GRACE)
        assert hand.piece is not None
        was_interrupted = code == INTERRUPTED
        hand.piece.end(error=KeyboardInterrupt() if was_interrupted else LostProcess(_how(code, hand.says)))

    def _tell(self) -> None:
        said = [hand.says for hand in self._hands if hand.says]
        self._progress("; ".join([f"{self._done} of {self._submitted} done", *said]))


def _how(code: int | None, at: str) -> str:
    """In which way a process ended that should not have, and what it was at."""
    if code is not None and code < 0:
        end = f"was killed by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
    else:
        end = f"ended with exit code {code}"
    return f"a process of its own {end}" + (f" ({at})" if at else "")


# -- what the others do


def _serve(connection: Connection[Any, Any], largest: int) -> None:
    """The life of one process: pieces of work, until the connection ends or Ctrl-C does."""
    leave_on_interrupt(silently=True)
    quieten_libraries()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    tell = _teller(connection)
    try:
        while (work := _received(connection)) is not None:
            outcome = _outcome(*work, tell)
            is_last = resident() > largest
            try:
                connection.send((outcome[0], (outcome[1], is_last)))
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                connection.send(("fails", (_to_send(error), is_last)))
    except ConnectionError:  # nobody waits for it any more
        pass
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    os._exit(0)


def _received(connection: Connection[Any, Any]) -> tuple[Callable[..., object], tuple[object, ...]] | None:
    """The next piece of work, None if there is no more."""
    try:
        work: tuple[Callable[..., object], tuple[object, ...]] = connection.recv()
    except EOFError:
        return None
    return work


def _outcome(
    function: Callable[..., object], arguments: tuple[object, ...], tell: Progress
) -> tuple[str, object]:
    try:
        return "gives", function(*arguments, tell)
    except Exception as error:
        return "fails", _to_send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)


def _teller(connection: Connection[Any, Any]) -> Progress:
    last = 0.0

    def tell(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TOLD:
            last = now
            connection.send(("says", text))

    return tell


def _to_send(error: Exception) -> Exception:
    """The error itself if it is one that is told, else what would have been said of it here."""
    if isinstance(error, InputError | Disagreement | LostProcess):
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    text = "".join(traceback.format_exception(error))
    return ElsewhereError(in_words(error), text)

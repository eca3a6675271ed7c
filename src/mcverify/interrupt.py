"""Ctrl-C ends the process soon and with its children, whatever it is busy with.

A solver is C code that may run for seconds, and Z3 even puts a SIGINT handler of its own in place of
Python's. So SIGINT is blocked and a thread waits for it. SIGTERM counts as Ctrl-C, and is waited for alike.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mcverify.scratch import remove_all

GRACE = 1.0
"""Seconds in which the main thread may still clean up (temporary folders, the status line)."""

_LOOK = 0.02
"""Seconds between two looks at the main thread as it ends."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells count it: 128 + SIGINT."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_TO_TELL = 15.0
"""Seconds that a main thread which tells what is known may take for it."""

_telling = threading.Event()
"""Set while the main thread tells what is known, before it ends."""

helpers: set[int] = set()
"""Children that end in this way themselves: they are interrupted, and killed only if they stay."""


def leave_on_interrupt(*, silently: bool = False) -> None:
    """From now on SIGINT ends this process within about a second.

    First the main thread gets a KeyboardInterrupt and the children are killed, so that it can clean up;
    if it does not come back (it is in the solver), the process ends without it, with a word if not
    `silently`.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.register_at_fork(after_in_child=_unblock)
    sys.unraisablehook = _note_if_lost
    threading.Thread(target=_wait, args=(silently,), name="interrupt", daemon=True).start()


def take_time() -> None:
    """Let this thread, the main one, tell what is known before it ends; another Ctrl-C ends it at once."""
    _telling.set()


def prepare_processes() -> None:
    """Start what `multiprocessing` starts along with its first process, and keep SIGINT as it is.

    Else it would be unblocked in the thread that does so (CPython, Lib/multiprocessing/resource_tracker.py).
    """
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_children(pid: int | None = None, spared: Collection[int] = ()) -> None:
    """Kill all descendants of process `pid` (this one unless given) but those `spared`, with theirs."""
    for child in _children(os.getpid() if pid is None else pid):
        if child in spared:
            continue
        kill_children(child)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


_lost = threading.Event()
"""Set when Python has ignored a KeyboardInterrupt."""


def _note_if_lost(ignored: sys.UnraisableHookArgs) -> None:
    """A KeyboardInterrupt that strikes in a destructor (Z3's terms have them) goes no further, and Python
    prints it. It is to be raised again, elsewhere."""
    if isinstance(ignored.exc_value, KeyboardInterrupt):
        _lost.set()
    else:
        sys.__unraisablehook__(ignored)


def _see_off() -> None:
    """Give the main thread its time to end; until it is interrupted, Z3 gives up what it is at."""
    began = time.monotonic()
    while threading.main_thread().is_alive() and time.monotonic() < began + _time_to_end():
        _interrupt_solver()
        threading.main_thread().join(_LOOK)
        again = signal.sigtimedwait(_SIGNALS, 0)
        if again is not None and time.monotonic() > began + GRACE:  # timeout(1) sends one twice at once
            return
        if _lost.is_set():
            _lost.clear()
            _thread.interrupt_main()


def _time_to_end() -> float:
    return _TO_TELL if _telling.is_set() else GRACE


def _interrupt_solver() -> None:
    """Have Z3 give up, if it is there: the main thread hears of nothing while it waits for it."""
    z3 = sys.modules.get("z3")
    with suppress(Exception):
        if z3 is not None:
            z3.main_ctx().interrupt()


def _wait(silently: bool) -> None:
    signal.sigwait(_SIGNALS)
    _thread.interrupt_main()
    own = helpers.copy()
    for helper in own:
        with suppress(ProcessLookupError):
            os.kill(helper, signal.SIGINT)
    kill_children(spared=own)
    _see_off()
    kill_children()
    if threading.main_thread().is_alive():
        _end(silently)


def _end(silently: bool) -> None:
    if not silently:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K\x1b[?25h")  # the status line goes, the cursor comes back
        sys.stderr.write("mcverify: interrupted\n")
        sys.stderr.flush()
    remove_all()
    os._exit(INTERRUPTED)


def _children(pid: int) -> list[int]:
    """The children of a process; none of one that has ended meanwhile."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                listed = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                found += [int(child) for child in listed.split()]
    return found

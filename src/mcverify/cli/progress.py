"""A status line while the work goes on: on a terminal only, never in a pipe or a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Give a function that shows one line of what is being done, on standard error.

    Where that is no terminal (or a dumb one) the function does nothing. The line is gone afterwards.
    """
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield lambda text: status.update(escape(text))

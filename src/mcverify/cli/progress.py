"""A status line while the work goes on: on a terminal only, never in a pipe or a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SPINNER = 3
"""Columns in front of the line, and the last one, where some terminals begin a new line."""


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Give a function that shows one line of what is being done, on standard error.

    Where that is no terminal (or a dumb one) the function does nothing. The line is gone afterwards.
    """
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield lambda text: None
        return

    def line(text: str) -> Text:
        shown = Text(text)
        shown.truncate(console.width - _SPINNER, overflow="ellipsis")
        return shown

    with console.status("starting") as status:
        yield lambda text: status.update(line(text))

"""A C program that makes a system call over a buffer with a bad page: a kernel shows what a model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jinja2

from mcverify import __version__
from mcverify.errors import InputError
from mcverify.runs.case import PAGE, Case, Place

TEMPLATE = Path(__file__).with_name("syscall.c.jinja")
Name = Literal["write", "read"]
SECONDS = 3
"""Time that a call has. A copy of what such a program asks for takes microseconds."""

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A `call` of `n` bytes at `offset` of a file, with a buffer of which the first `good` can be accessed;
    the next one begins a page that is not mapped; `good` == `n`: all can be."""

    call: Name
    n: int
    good: int
    offset: int = 0


def call_of(case: Case, call: Name) -> SystemCall:
    """The system call whose copy is the run of `case`, with its bad page at the same byte of the buffer, and
    the other side at the same place of a page. Raises InputError where no such call makes that copy."""
    user, file, side = (case.src, case.dst, "src") if call == "write" else (case.dst, case.src, "dst")
    if file.first_bad is not None:
        raise InputError(
            f"no {call}(2) makes this copy: it meets a bad byte in the kernel's own buffer", hint=_OTHER
        )
    if user.first_bad is None or case.flicker:
        raise InputError(f"no {call}(2) shows it: no byte of {side} is bad throughout this run", hint=_OTHER)
    if case.len > _LARGEST:
        raise InputError(f"the run copies {case.len} bytes, and a program is made for at most {_LARGEST}")
    offset = (
        file.at % PAGE if file.place is Place.FREE else -case.len % PAGE if file.place is Place.END else 0
    )
    # What lies past a page would be a copy of its own: within the page where 64 bytes see no difference.
    if offset + case.len > PAGE >= offset % 64 + case.len:
        offset %= 64
    return SystemCall(call, case.len, min(user.first_bad, case.len), offset)


def program(calls: Sequence[SystemCall], about: str, seconds: int = SECONDS) -> str:
    """The text of the program, `about` a line on where the calls come from. Raises InputError for calls that
    cannot be."""
    for call in calls:
        if not (1 <= call.n <= _LARGEST and 0 <= call.good <= call.n and 0 <= call.offset <= _LARGEST):
            raise InputError(
                f"there is no such call: {call.n} bytes, {call.good} of them good, at {call.offset}"
            )
    environment = jinja2.Environment(
        variable_start_string="@<",
        variable_end_string=">@",
        line_statement_prefix="//%",
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    harmless = about.replace("*/", "* /").replace("\n", " ")
    return template.render(calls=calls, about=harmless, seconds=seconds, version=__version__)


_OTHER = (
    "replay --exit or --routine chooses another counterexample, and prove --faults loads or stores makes some"
)

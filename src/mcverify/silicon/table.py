"""The results of a comparison as the table that `models/x86_64/silicon.tsv` is."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcverify import __version__
from mcverify.machine.compared import COLUMNS
from mcverify.silicon.compare import FormResult

FIRST = "# Lifted instructions compared with a CPU, form by form; written by `mcverify silicon --table`."


def to_table(results: Sequence[FormResult], seed: int) -> str:
    """One row for each form, tab-separated, after comments that say where and by what it was made."""
    lines = [*_head(seed), "\t".join(COLUMNS)]
    lines += ["\t".join(map(str, (r.form, r.encodings, r.cases, r.faults, r.result))) for r in results]
    return "\n".join(lines) + "\n"


def _head(seed: int) -> Iterator[str]:
    yield FIRST
    yield "# Each case is one execution from a random state: all general and vector registers, flags and the"
    yield "# bytes of two pages are compared; of a fault, the state that it leaves."
    yield f"# mcverify {__version__}, seed {seed}, on: {cpu_name()}"


def cpu_name() -> str:
    """The CPU's name for itself."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()

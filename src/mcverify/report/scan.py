"""What a scan found: as tables on the terminal, and as JSON (docs/json.md, docs/schema/scan.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mcverify import __version__
from mcverify.errors import InputError
from mcverify.proof.scan import Access, Function, Scan

SCHEMA = 1
_NONE = "none known"
_SHOWN = 20
"""Entries outside of functions that are listed on the terminal."""

Failed = tuple[str, InputError]
"""A file that could not be read, and why."""


def to_json(scans: Sequence[Scan], failed: Sequence[Failed]) -> str:
    """The scans, and the files that could not be read, as one JSON document."""
    document = {
        "schema": SCHEMA,
        "mcverify": __version__,
        "scans": [_scan(found) for found in scans],
        "failed": [{"file": file, "error": str(error)} for file, error in failed],
    }
    return json.dumps(document, indent=2) + "\n"


def _scan(found: Scan) -> dict[str, Any]:
    return {
        "file": found.file,
        "sha256": found.sha256,
        "kind": found.kind,
        "layout": found.layout,
        "entries": found.entries,
        "entry_bytes": found.entry_bytes,
        "table_bytes": found.table_bytes,
        "handlers": dict(found.handlers),
        "sections": dict(found.sections),
        "accesses": dict(found.accesses),
        "alternatives": found.alternatives,
        "functions": [_function(function) for function in found.functions],
        "strays": [
            {"index": s.index, "insn": hex(s.insn), "where": s.where, "handler": s.handler}
            for s in found.strays
        ],
        "notes": list(found.notes),
    }


def _function(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "section": function.section,
        "address": hex(function.address),
        "size": function.size,
        "contract": function.contract or None,
        "entries": function.entries,
        "handlers": dict(function.handlers),
        "accesses": dict(function.accesses),
        "fixups_elsewhere": function.elsewhere,
        "features": list(function.features),
    }


def print_scan(found: Scan, *, quiet: bool = False) -> None:
    """Print the functions, those with a contract first, and the counts; `quiet`: the counts alone."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    from mcverify.report.terminal import print_trimmed, standard_output

    out = standard_output()

    def line(text: str) -> None:
        print_trimmed(Text(text), out, soft_wrap=True)

    line(f"\n{found.file}: {_heading(found)}")
    if found.functions and not quiet:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("function", "contract", "entries", "they fault at", "handlers", "alternatives"):
            table.add_column(name, no_wrap=True, justify="right" if name == "entries" else "left")
        for function in sorted(found.functions, key=lambda f: not f.contract):
            table.add_row(*(Text(cell) for cell in _cells(function)))
        table.width = Measurement.get(out, out.options.update(max_width=1000), table).maximum
        line("")
        print_trimmed(table, out, soft_wrap=True)
    if found.strays:
        line(f"\nin no function: {len(found.strays)} entries")
        for stray in found.strays[:_SHOWN]:
            line(f"  {stray.where}: entry {stray.index}, {stray.handler}")
        if len(found.strays) > _SHOWN:
            line(f"  and {len(found.strays) - _SHOWN} more (--json has them all)")
    if found.entries:
        line("")
        line(f"by handler  {_words(found.handlers)}")
        line(f"by section  {_words(found.sections)}")
        line(f"by access   {_words(found.accesses)}")
        line(f"in all      {_sum(found)}")
    for note in found.notes:
        line(f"note        {note}")


def _heading(found: Scan) -> str:
    kind = f"{'an' if found.kind[0] in 'aeiou' else 'a'} {found.kind}"
    if not found.entries:
        return f"{kind} without an exception table"
    return f"{kind}, exception table of layout {found.layout}, {found.alternatives} alternatives"


def _cells(function: Function) -> Iterable[str]:
    yield function.name
    yield function.contract or _NONE
    yield str(function.entries)
    yield _faults(function.accesses)
    yield _words(function.handlers)
    yield " ".join(function.features)


_ACCESSES = {
    Access.LOAD: "loads",
    Access.STORE: "stores",
    Access.BOTH: "loads and stores",
    Access.NEITHER: "no memory access",
    Access.UNKNOWN: "what is not known",
}


def _faults(accesses: Mapping[Access, int]) -> str:
    return ", ".join(words for kind, words in _ACCESSES.items() if accesses.get(kind))


def _words(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _sum(found: Scan) -> str:
    inside = sum(f.entries for f in found.functions)
    having = sum(1 for f in found.functions if f.entries)
    known = sum(f.entries for f in found.functions if f.contract)
    outside = f" and {len(found.strays)} in none" if found.strays else ""
    return (
        f"{found.entries} entries = {found.table_bytes} bytes of {found.entry_bytes} each:"
        f" {inside} in {having} functions{outside}; {known} in functions with a contract"
    )

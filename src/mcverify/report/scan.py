"""What a scan found: as tables on the terminal, and as JSON (docs/json.md, docs/schema/scan.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcverify import __version__
from mcverify.errors import InputError
from mcverify.proof.scan import Access, Function, Scan
from mcverify.report.words import counted

if TYPE_CHECKING:
    from rich.console import Console

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
    from mcverify.report.terminal import standard_output
    from mcverify.report.wide import print_hanging

    out = standard_output()

    def line(label: str, text: str) -> None:
        print_hanging(label, text, out)

    line("", "")
    line("", f"{found.file}: {_heading(found)}")
    if found.functions and not quiet:
        line("", "")
        _print_functions(sorted(found.functions, key=lambda f: not f.contract), out)
    if found.strays:
        line("", "")
        line("", f"in no function: {counted(len(found.strays), 'entry')}")
        for stray in found.strays[:_SHOWN]:
            line("  ", f"{stray.where}: entry {stray.index}, {stray.handler}")
        if len(found.strays) > _SHOWN:
            line("  ", f"and {len(found.strays) - _SHOWN} more (--json has them all)")
    if found.entries:
        line("", "")
        line("by handler  ", _words(found.handlers))
        line("by section  ", _words(found.sections))
        line("by access   ", _words(found.accesses))
        line("in all      ", _sum(found))
    for note in found.notes:
        line("note        ", note)


def _print_functions(functions: Sequence[Function], out: Console) -> None:
    """A table; on a terminal that is too narrow for it each function has lines of its own."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mcverify.report.wide import fits, print_hanging, print_whole

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("function", "contract", "entries", "they fault at", "handlers", "alternatives"):
        table.add_column(name, no_wrap=True, justify="right" if name == "entries" else "left")
    for function in functions:
        table.add_row(*(Text(cell) for cell in _cells(function)))
    if fits(table, out):
        print_whole(table, out)
        return
    for function in functions:
        name, contract, _, faults, handlers, features = _cells(function)
        print_hanging(f"{name}: ", f"contract {contract}" if function.contract else "no contract known", out)
        alternatives = f"; alternatives {features}" if features else ""
        print_hanging("  ", f"{counted(function.entries, 'entry')}: {faults}; {handlers}{alternatives}", out)


def _heading(found: Scan) -> str:
    kind = f"{'an' if found.kind[0] in 'aeiou' else 'a'} {found.kind}"
    if not found.entries:
        return f"{kind} without an exception table"
    alternatives = counted(found.alternatives, "alternative")
    return f"{kind}, exception table of layout {found.layout}, {alternatives}"


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
        f"{counted(found.entries, 'entry')} = {found.table_bytes} bytes of {found.entry_bytes} each:"
        f" {inside} in {counted(having, 'function')}{outside}; {known} in functions with a contract"
    )

"""A plain-text report to send as an answer to a patch: what is wrong and where, the run that shows it, why,
what to change. It speaks of nothing but refutations, each of which was executed; never of the unknown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from mcverify import __version__
from mcverify.proof.result import RoutineResult
from mcverify.report.account import drawn, executed_on, labelled
from mcverify.report.counterexample import describe, explain, reach
from mcverify.report.finding import Finding, refutations
from mcverify.report.invocation import Invocation
from mcverify.report.obligations import OBLIGATIONS

WIDTH = 75
"""Columns; only what cannot be broken (a path, a line of code, a command) is longer."""

_INDENT = "    "
_TEXT = WIDTH - len(_INDENT) - 10
"""Columns beside a label."""

_MARK = re.compile(r"^Found by mcverify \d\S*, ", re.MULTILINE)


def to_mail(results: Sequence[RoutineResult], invocation: Invocation) -> str | None:
    """The report, or None where no run broke anything: then there is nothing to say."""
    found = [f for result in results for f in refutations(result) if f.run is not None]
    if not found:
        return None
    lines = [line for together in _by_run(found) for line in (*_refutation(together), "")]
    lines += ["To see it again:", "", f"    {invocation.command}", ""]
    lines += _paragraph(f"Found by mcverify {__version__}, which executed each of these runs.")
    lines += [f"sha256 {digest}  {file}" for file, digest in _digests(found).items()]
    return "\n".join(lines) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` is a report of :func:`to_mail`."""
    return _MARK.search(text) is not None


def _by_run(found: Sequence[Finding]) -> list[tuple[Finding, ...]]:
    """The findings of each run together: what one run breaks is told once."""
    runs: dict[int, list[Finding]] = {}
    for finding in found:
        runs.setdefault(id(finding.run), []).append(finding)
    return [tuple(findings) for findings in runs.values()]


def _refutation(together: Sequence[Finding]) -> Iterator[str]:
    """The lines on one run and all that it breaks, its place and its fault in the first of them."""
    first, run = together[0], together[0].run
    assert run is not None
    yield from _paragraph(f"{first.place}: {first.headline}")
    yield ""
    for finding in together:
        if finding.id in OBLIGATIONS:
            broken = OBLIGATIONS[finding.id]
            yield from _paragraph(f"{broken.sentence}. Where it is broken, {broken.cost}.", _INDENT)
    yield from ("", f"The run, {executed_on(run)}:", "")
    yield from labelled(describe(run, first.routine), _wrapped, _INDENT)
    yield ""
    yield from (f"{_INDENT}{line}".rstrip() for line in drawn(run, first.routine, WIDTH - len(_INDENT)))
    further = labelled([*explain(run), *reach(run)], _wrapped, _INDENT)
    yield from ("", *further) if further else ()


def _paragraph(text: str, indent: str = "", width: int = WIDTH) -> list[str]:
    """`text` wrapped; a word that is too long stays whole, a hyphen breaks no label or path."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(line: str) -> list[str]:
    """A line beside a label; what a patch removes and adds stays as it is."""
    return [line] if line.startswith(("- ", "+ ")) else _paragraph(line, width=_TEXT)


def _digests(found: Sequence[Finding]) -> dict[str, str]:
    """Digest of each file in which something was refuted, by its name."""
    return {f.routine.file: f.routine.sha256 for f in found if f.routine.sha256}

"""A plain-text report to send as an answer to a patch: what is wrong and where, the run that shows it, why,
what to change. It speaks of nothing but refutations, each of which was executed; never of the unknown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from mcverify import __version__
from mcverify.proof.result import RoutineResult
from mcverify.report.account import drawn, executed_on, labelled
from mcverify.report.cause import also_at, also_repaired, cause_of
from mcverify.report.counterexample import describe, explain, reach
from mcverify.report.finding import Finding, refutations
from mcverify.report.invocation import Invocation
from mcverify.report.obligations import OBLIGATIONS, in_order
from mcverify.report.words import harmless

WIDTH = 75
"""Columns; only what cannot be broken (a path, a line of code, a command) is longer."""

_MOST_RUNS = 3
"""So many runs are told in full."""

_INDENT = "    "
_TEXT = WIDTH - len(_INDENT) - 10
"""Columns beside a label."""

_MARK = re.compile(r"^Found by mcverify \d\S*, ", re.MULTILINE)


def to_mail(results: Sequence[RoutineResult], invocation: Invocation) -> str | None:
    """The report, or None where no run broke anything: then there is nothing to say."""
    found = [f for result in results for f in refutations(result) if f.run is not None]
    if not found:
        return None
    runs = _by_cause(found)
    lines = [*_listed(found), *_broken(found)]
    for together in runs[:_MOST_RUNS]:
        lines += ["", *_run(together, alone=len(runs) == 1)]
    if len(runs) > _MOST_RUNS:
        lines += [
            "",
            *_paragraph(
                f"These are the {_MOST_RUNS} smallest of {len(runs)} runs, one for each way to fail."
            ),
        ]
    lines += ["", "To see it again:", "", *(f"{_INDENT}{command}" for command in invocation.again), ""]
    lines += _paragraph(f"Found by mcverify {__version__}, which executed each of these runs.")
    lines += [f"sha256 {digest}  {file}" for file, digest in _digests(found).items()]
    return harmless("\n".join(lines)) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` is a report of :func:`to_mail`."""
    return _MARK.search(text) is not None


def _by_cause(found: Sequence[Finding]) -> list[tuple[Finding, ...]]:
    """What the first run of each mistake breaks: the others show the same at other places."""
    runs: dict[int, list[Finding]] = {}
    for finding in found:
        if finding.run is not None and cause_of(finding.routine, finding.run).runs[0] is finding.run:
            runs.setdefault(id(finding.run), []).append(finding)
    return [tuple(findings) for findings in runs.values()]


def _listed(found: Sequence[Finding]) -> Iterator[str]:
    """What is wrong and where, in the order of the file."""
    hanging = "  " if len(found) > 1 else ""
    for finding in sorted(found, key=lambda f: (f.place.file, f.place.line or 0)):
        yield from _paragraph(f"{finding.place}: {finding.headline}", hanging=hanging)


def _broken(found: Sequence[Finding]) -> Iterator[str]:
    """What the broken obligations ask for, each once."""
    for identifier in in_order(finding.id for finding in found):
        if identifier in OBLIGATIONS:
            broken = OBLIGATIONS[identifier]
            yield ""
            yield from _paragraph(f"{broken.sentence}. Where it is broken: {broken.cost}.", _INDENT)


def _run(together: Sequence[Finding], *, alone: bool) -> Iterator[str]:
    """One run: what happened, the bytes, why, when else, what to change."""
    first, run = together[0], together[0].run
    assert run is not None
    broken = "" if alone else f" for {', '.join(finding.name for finding in together)}"
    yield from (f"The run{broken}, {executed_on(run)}:", "")
    owed = [("rule", run.explanation.rule)] if run.explanation and run.explanation.rule else []
    also = also_at(cause_of(first.routine, run))
    yield from labelled([*owed, *describe(run, first.routine), *also], _wrapped, _INDENT)
    yield ""
    yield from (f"{_INDENT}{line}".rstrip() for line in drawn(run, first.routine, WIDTH - len(_INDENT)))
    likewise = also_repaired(cause_of(first.routine, run))
    further = labelled([*explain(run), *likewise, *reach(run)], _wrapped, _INDENT)
    yield from ("", *further) if further else ()


def _paragraph(text: str, indent: str = "", width: int = WIDTH, hanging: str = "") -> list[str]:
    """`text` wrapped; a word that is too long stays whole, a hyphen breaks no label or path."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(line: str) -> list[str]:
    """A line beside a label; what a patch removes and adds stays as it is."""
    return [line] if line.startswith(("- ", "+ ")) else _paragraph(line, width=_TEXT)


def _digests(found: Sequence[Finding]) -> dict[str, str]:
    """Digest of each file in which something was refuted, by its name."""
    return {f.routine.file: f.routine.sha256 for f in found if f.routine.sha256}

"""For a GitHub Actions job: annotations on the lines of a change, and the job's summary.

Workflow commands and their escapes are those of the runner (docs.github.com, "Workflow commands";
actions/toolkit, packages/core/src/command.ts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report.finding import gaps, not_understood, undecided
from mcverify.report.mistake import Mistake, mistakes
from mcverify.report.obligations import title
from mcverify.report.place import Place, shared
from mcverify.report.summary import verdict_words
from mcverify.report.words import counted, harmless

_MARKS = {Verdict.PROVED: "✅ proved", Verdict.REFUTED: "❌ refuted", Verdict.UNKNOWN: "❔ unknown"}


def to_annotations(results: Sequence[RoutineResult]) -> str:
    """Workflow commands, one per line: an error for what was refuted, a warning for what is unknown."""
    return "".join(f"{line}\n" for result in results for line in _annotations(result))


def to_summary(results: Sequence[RoutineResult]) -> str:
    """The results as Markdown for the job's summary page."""
    rows = ["| routine | file | verdict | what |", "| --- | --- | --- | --- |"]
    rows += [_row(result) for result in results]
    details = [_details(mistake) for result in results for mistake in mistakes(result)]
    return "\n".join(["### mcverify", "", *rows, "", *details]) + "\n"


def _annotations(result: RoutineResult) -> Iterator[str]:
    for mistake in mistakes(result):
        first = mistake.first
        text = "\n".join([first.headline, *mistake.lines])
        yield _command("error", first.place, title(first.id), text)
    for gap in gaps(result):
        yield _command(
            "warning", gap.place, "not understood", f"{result.title} is not proved: {gap.sentence}"
        )
    for finding in undecided(result):
        yield _command("warning", finding.place, f"{title(finding.id)}: unknown", finding.headline)


def _command(command: str, place: Place, headline: str, message: str) -> str:
    properties = {"file": shared(place.file).path}
    if place.line is not None:
        properties["line"] = str(place.line)
    properties["title"] = f"mcverify: {headline}"
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{command} {listed}::{_data(message)}"


def _data(text: str) -> str:
    return harmless(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -- the summary ------------------------------------------------------------------------------------------


def _row(result: RoutineResult) -> str:
    cells = [
        _code(result.title),
        _code(shared(result.file).path),
        _MARKS[result.verdict],
        _cell(_what(result)),
    ]
    return f"| {' | '.join(cells)} |"


def _what(result: RoutineResult) -> str:
    match result.verdict:
        case Verdict.PROVED:
            return verdict_words(result)
        case Verdict.REFUTED:
            return ", ".join(map(_named, mistakes(result)))
        case Verdict.UNKNOWN:
            reasons = [*not_understood(result), *(f"{f.name}: {f.sentence}" for f in undecided(result))]
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            return (reasons[0] if reasons else "") + more


def _named(mistake: Mistake) -> str:
    others = len(mistake.findings) - 1
    more = f" (and {counted(others, 'more place')})" if others else ""
    return mistake.first.name + more


def _details(mistake: Mistake) -> str:
    """A mistake as a block that does not read its content as Markdown."""
    first = mistake.first
    lines = harmless("\n".join([f"{first.place}: {first.headline}", "", *mistake.lines])).split("\n")
    fence = "`" * max(3, 1 + max((len(m) for line in lines for m in re.findall("`+", line)), default=0))
    return "\n".join([f"{fence}text", *lines, fence, ""])


def _code(text: str) -> str:
    """`text` in a table as code: nothing in it is markup, `|` ends no cell."""
    return f"<code>{_cell(text)}</code>"


def _cell(text: str) -> str:
    escaped = re.sub(r"[\\`*_{}\[\]()#+!|<>&~-]", lambda m: f"&#{ord(m[0])};", harmless(text))
    return " ".join(escaped.split())

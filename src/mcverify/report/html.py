"""The results as one HTML page that stands by itself: no script, nothing from elsewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mcverify import __version__
from mcverify.proof.result import SUCCESS, Counterexample, Exit, ListingLine, RoutineResult, Verdict
from mcverify.report.bytemap import ByteMap, byte_map
from mcverify.report.cause import also_at, cause_of
from mcverify.report.counterexample import claim, describe, for_which, smallest_first
from mcverify.report.obligations import title
from mcverify.report.summary import (
    breaks_words,
    columns,
    counts,
    everywhere,
    exit_name,
    goes_on,
    reasons,
    refuted_by_others,
    second_words,
    slack_words,
    time_words,
    verdict_at,
    verdict_words,
)
from mcverify.report.svg import class_of, edges, glyph_of, svg
from mcverify.report.trace import Gap, TraceLine, trace_lines
from mcverify.report.words import counted, number, register_value, short
from mcverify.shown import printable_text

_OURS = re.compile(r'<!DOCTYPE html>\s*<html lang="en">\s*<head>\s*<meta name="generator" content="mcverify ')

_MARKS = {Verdict.PROVED: "ok", Verdict.REFUTED: "FAIL", Verdict.UNKNOWN: "?"}

_NAMED = 3
"""So many routines stand in the title of a page, or else how many there are."""


def to_html(results: Sequence[RoutineResult], command: str = "") -> str:
    """All results as one page. `command` is how mcverify was called, without the options for reports."""
    routines = [Routine(result, f"r{index}", command) for index, result in enumerate(results, 1)]
    names = ", ".join(result.title for result in results) if len(results) <= _NAMED else counts(results)
    page = (
        environment()
        .get_template("report.html.jinja")
        .render(routines=routines, title=names or "no routine", counts=counts(results), version=__version__)
    )
    return harmless_page(page)


def harmless_page(page: str) -> str:
    """The page without what must not stand in HTML, with a newline at its end."""
    return printable_text(page).encode("utf-8", "backslashreplace").decode() + "\n"


def is_ours(text: str) -> bool:
    """Whether a file that begins with `text` is a report of ours, which may be overwritten."""
    return _OURS.match(text) is not None


@dataclass(frozen=True)
class Routine:
    """A result as the page shows it; `ident` begins the ids of everything about it."""

    result: RoutineResult
    ident: str
    command: str

    @property
    def contract(self) -> str:
        """The contract's name and what it says."""
        known = self.result.contract
        return (known.name + (f": {known.summary}" if known.summary else "")) if known else "none is known"

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """Labelled sentences on the whole of the routine."""
        result = self.result
        facts = [("File", result.file), ("Contract", self.contract), ("May fault", result.faults)]
        facts.append(("Lengths", f"{number(result.domain.len_min)} to {number(result.domain.len_max)} bytes"))
        if result.domain.breaks_at is not None:
            facts.append(("Beyond", breaks_words(result.domain)))
        if result.slack is not None:
            facts.append(("Slack", slack_words(result.slack)))
        if result.second is not None:
            facts.append(("Confirmed", second_words(result.second)))
        facts.append(("Time", time_words(result)))
        if result.sha256:
            facts.append(("SHA-256", result.sha256))
        return facts

    @property
    def about(self) -> str:
        """What the verdict is about."""
        return verdict_words(self.result)

    @cached_property
    def columns(self) -> list[tuple[str, str]]:
        """Ids of the obligations that are asked at exits, with their titles."""
        return [(identifier, title(identifier)) for identifier in columns(self.result)]

    @cached_property
    def rows(self) -> list[tuple[Exit, str, list[tuple[str, str]]]]:
        """The exits, each with its count and a mark and a style for each column."""
        return [
            (row, self._count(row), [self._cell(i, row) for i, _ in self.columns])
            for row in self.result.exits
        ]

    @property
    def elsewhere(self) -> list[tuple[str, str, str]]:
        """The obligations that belong to no exit: title, mark and style."""
        return [(name, _MARKS[verdict], str(verdict)) for name, verdict in everywhere(self.result)]

    @property
    def reasons(self) -> list[str]:
        """Why something is neither proved nor refuted."""
        return reasons(self.result)

    @property
    def refuted_by_others(self) -> list[str]:
        """What is refuted by other runs than those that are shown."""
        return refuted_by_others(self.result)

    @cached_property
    def counterexamples(self) -> list[Shown]:
        """The counterexamples, the smallest first."""
        found = smallest_first(self.result.counterexamples)
        return [Shown(c, self, index) for index, c in enumerate(found, 1)]

    @cached_property
    def addresses(self) -> frozenset[int]:
        """The addresses that have a row in the listing, so that they can be linked to."""
        return frozenset(line.address for line in self.result.listing)

    def row_id(self, address: int) -> str:
        """Id of the listing's row for an instruction."""
        return f"{self.ident}-i{address:x}"

    def label(self, address: int) -> str:
        """The label of an instruction, else its address."""
        return next(
            (i.label for i in self.result.listing if i.address == address and i.label), f"{address:#x}"
        )

    def remarks(self, line: ListingLine) -> Iterator[tuple[Shown, str]]:
        """What counterexamples did at an instruction: which, and in two words."""
        for shown in self.counterexamples:
            if line.address in shown.faulting:
                yield shown, "faults here"
            if line.address in shown.fixups:
                yield shown, "continues here"

    def _count(self, row: Exit) -> str:
        return "(tries again)" if goes_on(row, self.result) else row.count

    def _cell(self, identifier: str, row: Exit) -> tuple[str, str]:
        verdict = verdict_at(self.result, identifier, row)
        return ("-", "unasked") if verdict is None else (_MARKS[verdict], str(verdict))


@dataclass(frozen=True)
class Shown:
    """A counterexample as the page shows it."""

    found: Counterexample
    routine: Routine
    index: int

    @property
    def ident(self) -> str:
        """Begins the ids of everything about it."""
        return f"{self.routine.ident}-c{self.index}"

    @property
    def headline(self) -> str:
        """`O3 no over-claim at .Lfix_w`."""
        obligations = ", ".join(map(title, self.found.obligations))
        return f"{obligations} at {exit_name(self.found.exit)}"

    @property
    def claim(self) -> list[tuple[str, str]]:
        """The rule, and how it is broken."""
        return claim(self.found)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What was called and what came back."""
        also = [] if self.is_repeated else also_at(cause_of(self.routine.result, self.found))
        return [*describe(self.found, self.routine.result), *also]

    @cached_property
    def is_repeated(self) -> bool:
        """Whether it shows the mistake of a simpler one, at another place."""
        return cause_of(self.routine.result, self.found).runs[0] is not self.found

    @cached_property
    def drawn(self) -> ByteMap:
        """What became of each byte."""
        return byte_map(self.found, self.routine.result.contract)

    @property
    def pictures(self) -> list[tuple[str, Markup]]:
        """The byte map for wide and for narrow windows."""
        sizes = {"wide": 32, "narrow": 16}
        return [
            (name, Markup(svg(self.drawn, f"{self.ident}-{name}", cells))) for name, cells in sizes.items()
        ]

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """The classes and the boundaries that occur: style, letter and words."""
        classes = [(class_of(kind), glyph_of(kind), str(kind)) for kind in self.drawn.kinds]
        words = {"line": "a 64-byte line begins", "page": "a page begins"}
        return classes + [(f"edge {name}", "", words[name]) for name in edges(self.drawn)]

    @cached_property
    def faulting(self) -> frozenset[int]:
        """Addresses of the instructions that faulted."""
        return frozenset(fault.insn for fault in self.found.outcome.faults)

    @cached_property
    def fixups(self) -> frozenset[int]:
        """Addresses at which the kernel continued."""
        listing = self.routine.result.listing
        return frozenset(i.fixup for i in listing if i.address in self.faulting and i.fixup is not None)

    @cached_property
    def trace(self) -> list[TraceLine | Gap]:
        """All steps."""
        return trace_lines(self.found, self.routine.result)

    @property
    def instructions(self) -> str:
        """How many instructions the trace tells of."""
        return counted(sum(line.instructions for line in self.trace), "instruction")

    @property
    def runs(self) -> int:
        """How many runs were made to find out which inputs matter."""
        return sum(r.runs for r in self.found.relevance)

    @property
    def others(self) -> str:
        """How many more cases fail alike."""
        return counted(self.found.others, "more case")

    @property
    def registers(self) -> list[tuple[str, str, str, bool]]:
        """Each register before and after, and whether it differs."""
        before, after = self.found.outcome.initial, self.found.outcome.registers
        return [
            (r, _register(r, before.get(r, 0)), _register(r, after[r]), before.get(r) != after[r])
            for r in after
        ]

    @property
    def relevance(self) -> list[tuple[str, str]]:
        """Each input with the values of it for which the same breaks."""
        return [(r.input, for_which(r)) for r in self.found.relevance]

    @property
    def commands(self) -> list[str]:
        """What to type to see the same run again."""
        result = self.routine.result
        prove = self.routine.command or shlex.join(
            ["mcverify", "prove", result.file, "--routine", result.name]
        )
        replay = ["mcverify", "replay", "witness.json", "--routine", result.name, "--exit", self.found.exit]
        return [f"{prove} --json witness.json", shlex.join(replay)]


def _register(name: str, value: int) -> str:
    return register_value(name, value) if name == "rflags" else f"{value:#x}"


@cache
def environment() -> Environment:
    """Templates that escape everything, and stop at a name that does not exist."""
    made = Environment(
        loader=PackageLoader("mcverify.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": short, "number": number}
    made.globals |= {"SUCCESS": SUCCESS}
    return made

"""A review as one HTML page that stands by itself: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mcverify import __version__
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report import html
from mcverify.report.review_diff import DiffLine, hunks, sheet
from mcverify.report.review_words import (
    at_once,
    beyond,
    called,
    clobbered,
    contract_words,
    exit_by_exit,
    folded,
    is_constant,
    kinds,
    mark,
    present,
    reasons,
    relation,
    sides,
    unchanged,
)
from mcverify.report.words import counted
from mcverify.review.result import Cell, Change, Difference, Relation, Review, RoutineReview, Row, Step

_GOOD = (Relation.IDENTICAL, Relation.EQUIVALENT)


def to_html(review: Review, exit_code: int) -> str:
    """The review as one page."""
    routines = [_Routine(routine, review, f"r{n}") for n, routine in enumerate(review.routines, 1)]
    page = html.environment().get_template("review.html.jinja").render(
        review=review,
        routines=routines,
        title=", ".join(routine.name for routine in review.routines),
        failures=[
            (review.revisions[n].name, said)
            for found in (review.failures, review.cut)
            for n, said in found.items()
        ],
        exit_code=int(exit_code),
        version=__version__,
    )  # fmt: skip
    return html.harmless_page(page)


def is_ours(text: str) -> bool:
    """Whether a file that begins with `text` is such a page."""
    return html.is_ours(text) and "<title>mcverify review: " in text


@dataclass(frozen=True)
class _Routine:
    """A routine as the page shows it; `ident` begins the ids of everything about it."""

    routine: RoutineReview
    review: Review
    ident: str

    @property
    def title(self) -> str:
        return self.routine.name

    @property
    def names(self) -> list[str]:
        """The revisions' names."""
        return [revision.name for revision in self.review.revisions]

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        """Per revision: words and style."""
        found = zip(self.routine.standings, self.routine.results, strict=True)
        return [
            (str(standing.state), str(result.verdict) if result is not None else "unasked")
            for standing, result in found
        ]

    @property
    def reasons(self) -> list[str]:
        """Why it is undecided, or not assembled, in which revisions."""
        return [f"{self.names[number]}: {why}" for number, why in reasons(self.routine)]

    @property
    def newest(self) -> str:
        """Verdict of the newest revision."""
        return self.verdicts[-1][0]

    @property
    def file(self) -> str:
        """The file of the newest revision that has the routine."""
        return self._newest().file

    @property
    def contract(self) -> str:
        """Name and summary of its contract."""
        known = self._newest().contract
        return f"{known.name}: {known.summary}" if known is not None else "none is known"

    def _newest(self) -> RoutineResult:
        return next(result for result in reversed(self.routine.results) if result is not None)

    @cached_property
    def rows(self) -> list[tuple[str, str, list[tuple[str, str, str]], bool]]:
        """Id and name of each exit, its cells (count, mark, style), and whether all are the same."""
        there = present(self.routine)
        return [
            (
                self.row_id(row.name),
                row.name,
                [self._cell(row, n, there) for n in range(len(row.cells))],
                is_constant(row, there),
            )
            for row in self.routine.rows
        ]

    @property
    def same(self) -> str:
        """How many exits are the same in all revisions."""
        return counted(sum(constant for *_, constant in self.rows), "exit")

    def row_id(self, name: str) -> str:
        """Id of the row of an exit; "" where there is none."""
        numbers = {row.name: n for n, row in enumerate(self.routine.rows)}
        return f"{self.ident}-x{numbers[name]}" if name in numbers else ""

    def _cell(self, row: Row, number: int, there: Sequence[int]) -> tuple[str, str, str]:
        cell: Cell | None = row.cells[number]
        if number not in there:
            return "", "", "unasked"
        return (cell.returns if cell is not None else ""), mark(cell), _style(cell)

    @cached_property
    def steps(self) -> list[_Step]:
        """The steps, the newest first: that is what a reviewer came for."""
        return [_Step(step, self, f"{self.ident}-s{step.new}") for step in reversed(self.routine.steps)]


def _style(cell: Cell | None) -> str:
    if cell is None or not cell.verdicts:
        return "unasked"
    found = set(cell.verdicts.values())
    worst = next(v for v in (Verdict.REFUTED, Verdict.UNKNOWN, Verdict.PROVED) if v in found)
    return str(worst)


@dataclass(frozen=True)
class _Step:
    """One step as the page shows it."""

    step: Step
    of: _Routine
    ident: str

    @property
    def heading(self) -> tuple[str, str]:
        """The names of the two revisions."""
        return self.of.names[self.step.old], self.of.names[self.step.new]

    @property
    def subject(self) -> str:
        """What the newer revision says of itself."""
        return self.of.review.revisions[self.step.new].title

    @property
    def lists(self) -> list[tuple[str, str, list[str]]]:
        """What changed: label, style, and sentences; the worse first."""
        step, worse = self.step, self.step.worse
        returns = [f"{c.row}: {c.before or '?'} → {c.after or '?'}" for c in step.counts]
        asked = [] if step.contract is None else [contract_words(step.contract)]
        found = [
            ("contract", "refuted", asked),
            ("worse", "refuted", folded(worse)),
            ("better", "proved", folded(step.of(Change.FIXED))),
            ("undecided", "unknown", folded([c for c in step.of(Change.UNDECIDED) if c not in worse])),
            ("new", "", folded([c for c in step.of(Change.NEW) if c not in worse])),
            ("gone", "", folded([c for c in step.of(Change.GONE) if c not in worse])),
            ("returns", "", returns),
            ("same", "unasked", [unchanged(step)]),
        ]
        return [(label, style, lines) for label, style, lines in found if lines]

    @property
    def relation(self) -> tuple[str, str]:
        """How the two stand to each other, and its style."""
        found = self.step.behaviour
        style = "proved" if found.relation in _GOOD else "unknown"
        return relation(found), style

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """What else there is to say of their behaviour: label and text."""
        found = self.step.behaviour
        besides = (("beyond", beyond(found)), ("registers", clobbered(found)))
        exits = (("by exit" if n == 0 else "", line) for n, line in enumerate(exit_by_exit(found)))
        return [*exits, *((label, said) for label, said in besides if said)]

    @cached_property
    def differences(self) -> list[_Difference]:
        """The runs that differ, the smallest first."""
        return [
            _Difference(rows, d, self, f"{self.ident}-d{n}")
            for n, (rows, d) in enumerate(at_once(self.step.behaviour.differences))
        ]

    @cached_property
    def hunks(self) -> list[list[DiffLine]]:
        """The diff."""
        return hunks(self.of.review, self.of.routine, self.step)

    @property
    def sheets(self) -> tuple[str, str]:
        """The names of the two texts."""
        old, new = (sheet(self.of.review, self.of.routine, n) for n in (self.step.old, self.step.new))
        return old.name, new.name

    def target(self, row: str) -> str:
        """Where a link to an exit leads: to the run that differs there, else to its row."""
        runs = (d.ident for d in self.differences if row in d.rows.split(", "))
        return next(runs, self.of.row_id(row))


@dataclass(frozen=True)
class _Difference:
    """Two runs of one case as the page shows them."""

    rows: str
    found: Difference
    of: _Step
    ident: str

    @property
    def heading(self) -> tuple[str, str]:
        """The exits, and in what the runs differ."""
        return self.rows, kinds(self.found)

    @property
    def called(self) -> str:
        """The call."""
        results = self.of.of.routine.results
        result = results[self.of.step.new]
        assert result is not None
        return f"{called(self.found, result)}, run on {self.found.after.on}"

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Label, and what came of each run."""
        results = self.of.of.routine.results
        old, new = results[self.of.step.old], results[self.of.step.new]
        assert old is not None
        assert new is not None
        before, after = sides(self.found, old, new)
        return [(label, one, other) for (label, one), (_, other) in zip(before, after, strict=True)]

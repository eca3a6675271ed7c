"""A review as a reply to the patch, at most a page: what is wrong, at which line of the patch, the run that
shows it; then what was proved. It is silent on what is unknown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcverify import __version__
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report.account import executed_on, labelled
from mcverify.report.counterexample import describe
from mcverify.report.finding import Finding, refutations
from mcverify.report.place import Place, parse
from mcverify.report.review_diff import DiffLine, hunks, names_labels
from mcverify.report.review_quote import patch_between, quoted
from mcverify.report.review_words import called, kinds, sides
from mcverify.report.words import counted, harmless
from mcverify.review.changes import EVERYWHERE
from mcverify.review.result import Cell, Change, Difference, Relation, Review, RoutineReview, Step
from mcverify.review.revision import PATCHED, Revision

WIDTH = 75
LINES = 66
"""Columns and lines of the body; what would be more is counted."""

_MOST = 4
"""So many findings are told; one of them with its run."""
_STUB = 5
"""So many lines behind the first one of a fixup are quoted at most."""
_INDENT = "    "
_MARK = re.compile(r"^Reviewed with mcverify \d\S*\.", re.MULTILINE)


def to_mail(review: Review, exit_code: int) -> str | None:
    """The reply, with headers where the patch was a mail; None where there is nothing to be said."""
    broken = [_Wrong(review, r, f) for r in review.routines for f in _refuted(r.results[-1])]
    parts = [*_wrong(broken), *_contracts(review), *_on_the_way(review), *_proved(review)]
    if not parts:
        return None
    body = [line for part in parts for line in (*part, "")]
    if len(body) > LINES - 2:
        cut = len(body) - (LINES - 4)
        body = [*body[: LINES - 4], f"[{counted(cut, 'more line')}: mcverify review --json has all]", ""]
    body.append(f"Reviewed with mcverify {__version__}.")
    answered = broken[0].revision if broken else review.revisions[-1]
    return harmless("\n".join([*_headers(answered), *body])) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` is a reply of :func:`to_mail`."""
    return _MARK.search(text) is not None


def _headers(revision: Revision) -> list[str]:
    """What makes it a reply to the mail that brought a revision; nothing where none did."""
    if not revision.message_id:
        return []
    to = [f"To: {revision.author}"] if revision.author else []
    about = [f"In-Reply-To: {revision.message_id}", f"References: {revision.message_id}"]
    answered = re.sub(r"^(?:Re:\s*)+", "", revision.subject, flags=re.I)
    return [*to, f"Subject: Re: {answered}", *about, ""]


# -- what is wrong ------------------------------------------------------------------------------------------


def _refuted(result: RoutineResult | None) -> list[Finding]:
    return [f for f in refutations(result) if f.run is not None] if result is not None else []


@dataclass(frozen=True)
class _Wrong:
    """Something that is refuted in the newest revision."""

    review: Review
    routine: RoutineReview
    finding: Finding

    @cached_property
    def row(self) -> str:
        """Name of its exit's row."""
        names = (r.name for r in self.routine.rows if _is_at(r.cells[-1], self.finding.obligation.exit))
        return next(names, EVERYWHERE)

    @cached_property
    def step(self) -> Step | None:
        """The step that broke it, None if it was never right."""
        key = self.row, self.finding.id
        steps = [s for s in self.routine.steps if any((o.row, o.obligation) == key for o in s.worse)]
        return steps[-1] if steps else None

    @cached_property
    def number(self) -> int:
        """The number of the revision that is to be answered: the one that broke it, or, if it was never
        right, the one that brought it."""
        if self.step is not None:
            return self.step.new
        cells = next((row.cells for row in self.routine.rows if row.name == self.row), ())
        number = last = len(self.review.revisions) - 1
        while number > 0 and number <= len(cells) and _is_wrong(cells[number - 1], self.finding.id):
            number -= 1
        return number if self.review.revisions[number].patch else last

    @property
    def revision(self) -> Revision:
        """The revision that is to be answered."""
        return self.review.revisions[self.number]

    @cached_property
    def place(self) -> tuple[Place, list[str]]:
        """The line that is wrong, in the file as it is behind the patch, and how a reply quotes it: where the
        patch that broke it changes what the exit does, else where it is broken."""
        line = next(iter(self._changed()), None)
        result = self.routine.results[self.number]
        assert result is not None
        if line is not None and self.step is not None:
            old = self.routine.results[self.step.old]
            assert old is not None
            at = Place(result.file, line.new) if line.new else self._broken_at()
            if line.new:
                return at, self._quoted(result.file, line.new)
            return at, self._quoted(old.file, line.old, removed=True)
        place = self._broken_at()
        return place, self._quoted(place.file, place.line or 0, behind=self._behind(place))

    def _changed(self) -> list[DiffLine]:
        """The lines of the step that broke it which concern its exit: those of the table first where an entry
        is missed, then those that are there now, else those that are gone."""
        if self.step is None:
            return []
        own = [line for hunk in hunks(self.review, self.routine, self.step) for line in hunk]
        found = [line for line in own if line.changed and self.row in line.exits]
        is_table = self.finding.id == "O1"
        return sorted(
            found,
            key=lambda line: (is_table and not names_labels(line.before + line.after), not line.new),
        )

    @property
    def _cell(self) -> Cell | None:
        """The exit in the revision that is answered."""
        return next((row.cells[self.number] for row in self.routine.rows if row.name == self.row), None)

    def _broken_at(self) -> Place:
        """Where it is broken, in the revision that is answered."""
        cell = self._cell
        if self.number == len(self.review.revisions) - 1 or cell is None:
            return self.finding.place
        return parse(cell.where or cell.access) or self.finding.place

    def _behind(self, place: Place) -> int:
        """How many of the lines behind a place belong to the exit."""
        cell = self._cell
        own = cell.lines if cell is not None and place.line else ()
        return next(
            n
            for n in range(_STUB + 1)
            if n == _STUB or f"{place.file}:{(place.line or 0) + n + 1}" not in own
        )

    def _quoted(self, path: str, number: int, *, removed: bool = False, behind: int = 0) -> list[str]:
        """The line as it stands in the patch; nothing where the patch does not have it."""
        old = self.review.revisions[self.step.old] if self.step is not None else None
        before = _lines(old, path) if old is not None else []
        after = _lines(self.revision, path)
        text = before if removed else after
        if not 0 < number <= len(text):
            return []
        patch = self.revision.patch or patch_between(before, after, path)
        found = quoted(patch, path, number, text[number - 1], removed=removed, behind=behind)
        return found or ([] if self.revision.patch else [f"> {text[number - 1]}".rstrip()])

    @property
    def since(self) -> str:
        """Which revision broke it, if it was right before."""
        if self.step is None:
            return ""
        return f"It was right before {_named(self.revision)}."

    @property
    def difference(self) -> Difference | None:
        """The run of that step at this exit."""
        found = self.step.behaviour.differences if self.step is not None else ()
        return next((d for d in found if d.row == self.row), None)


def _wrong(broken: Sequence[_Wrong]) -> Iterator[list[str]]:
    for number, wrong in enumerate(broken[:_MOST]):
        place, quote = wrong.place
        lines = [*quote]
        lines += _paragraph(f"{place}: {wrong.finding.headline}.")
        lines += _paragraph(wrong.since)
        if number == 0:
            lines += ["", *_run(wrong)]
        yield lines
    if len(broken) > _MOST:
        yield [f"And {counted(len(broken) - _MOST, 'more finding')} of this kind."]


def _is_wrong(cell: Cell | None, obligation: str) -> bool:
    return cell is not None and cell.verdicts.get(obligation) is Verdict.REFUTED


def _is_at(cell: Cell | None, exit_id: str) -> bool:
    return cell is not None and exit_id in (cell.exit, cell.access)


def _lines(revision: Revision, path: str) -> list[str]:
    """The lines of a source; nothing of an object."""
    text = revision.text(path) if path.endswith((".S", ".s")) else None
    return text.split("\n") if text is not None else []


def _named(revision: Revision) -> str:
    name = "this patch" if revision.name == PATCHED else revision.name
    return f'{name} ("{revision.title}")' if revision.title else name


def _run(wrong: _Wrong) -> Iterator[str]:
    """What happened, side by side with the revision before where that did otherwise."""
    found, step = wrong.difference, wrong.step
    if found is None or step is None:
        run = wrong.finding.run
        assert run is not None
        yield f"The run, {executed_on(run)}:"
        yield ""
        yield from labelled(describe(run, wrong.finding.routine), _wrapped, _INDENT)
        return
    old, new = wrong.routine.results[step.old], wrong.routine.results[step.new]
    assert old is not None
    assert new is not None
    yield from _paragraph(f"Run with both, {called(found, new)}; they differ in {kinds(found)}:")
    yield ""
    pairs = zip(*sides(found, old, new), strict=True)
    told = [(label, one if one == two else f"before: {one}\nnow: {two}") for (label, one), (_, two) in pairs]
    yield from labelled(told, _wrapped, _INDENT)


# -- what went wrong on the way, what was proved ---------------------------------------------------------


def _contracts(review: Review) -> Iterator[list[str]]:
    """The patches that ask for another contract."""
    for routine in review.routines:
        for step in routine.steps:
            if step.contract is not None and not step.contract.accepted:
                name = _named(review.revisions[step.new])
                what = f"{name} changes what is asked of {routine.name}: {step.contract.sentence}."
                yield list(_paragraph(what, hanging="  "))


def _on_the_way(review: Review) -> Iterator[list[str]]:
    """What a patch of the series breaks and a later one repairs: a bisection would stop there."""
    lines = []
    for routine in review.routines:
        for step in routine.steps[:-1]:
            broken = [o for o in step.worse if o.change in (Change.BROKEN, Change.NEW)]
            mended = [o for o in broken if _repaired(routine, step, o.row, o.obligation)]
            if mended:
                what = ", ".join(f"{o.obligation} at {o.row}" for o in mended[:3])
                more = f" and {len(mended) - 3} more" if len(mended) > 3 else ""
                name = _named(review.revisions[step.new])
                lines += _paragraph(f"{name} breaks {what}{more}, which a later patch repairs.", hanging="  ")
    if lines:
        yield lines


def _repaired(routine: RoutineReview, broken: Step, row: str, obligation: str) -> bool:
    return any(
        o.change is Change.FIXED and (o.row, o.obligation) == (row, obligation)
        for step in routine.steps
        if step.new > broken.new
        for o in step.obligations
    )


def _proved(review: Review) -> Iterator[list[str]]:
    lines: list[str] = []
    for routine in review.routines:
        result = routine.results[-1]
        if result is None:
            continue
        verdicts = [o.verdict for o in result.obligations]
        domain = f"every length up to {result.domain.len_max:#x}, every alignment and fault point"
        if result.verdict is Verdict.PROVED:
            lines += _paragraph(f"Proved of {result.title}: the contract {_contract(result)}, for {domain}.")
        elif proved := verdicts.count(Verdict.PROVED):
            what = counted(proved, "obligation")
            lines += _paragraph(f"Proved of {result.title}: {what} of {_contract(result)}, for {domain}.")
        lines += _equivalent(review, routine)
    if lines:
        yield lines


def _contract(result: RoutineResult) -> str:
    return result.contract.name if result.contract is not None else "none"


def _equivalent(review: Review, routine: RoutineReview) -> Iterator[str]:
    words = {
        Relation.IDENTICAL: "changes no byte of its code",
        Relation.EQUIVALENT: "changes its code, and is proved to do the same for all inputs",
    }
    for step in routine.steps:
        if step.behaviour.relation in words:
            name = re.sub("^this", "This", _named(review.revisions[step.new]))
            yield from _paragraph(f"{name} {words[step.behaviour.relation]}.", hanging="  ")


def _paragraph(text: str, hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH - len(_INDENT) - 10, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]

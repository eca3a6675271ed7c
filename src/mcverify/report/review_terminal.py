"""A review as tables on the terminal: one column per revision, then step by step what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcverify.proof.result import RoutineResult, Verdict
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
    places,
    present,
    reasons,
    refuted_at,
    relation,
    sides,
    unchanged,
)
from mcverify.report.terminal import print_trimmed, standard_output
from mcverify.report.words import counted
from mcverify.review.result import Change, Difference, Relation, Review, RoutineReview, Row, State, Step

_STATES = {
    State.PROVED: "bold green",
    State.REFUTED: "bold red",
    State.UNDECIDED: "bold yellow",
    State.NOT_ASSEMBLED: "bold yellow",
    State.ABSENT: "dim",
}
_STYLES = {Verdict.PROVED: "bold green", Verdict.REFUTED: "bold red", Verdict.UNKNOWN: "bold yellow"}
_MARKS = {"ok": "green", "FAIL": "bold red", "?": "bold yellow"}
_RELATIONS = {
    Relation.IDENTICAL: "green",
    Relation.EQUIVALENT: "bold green",
    Relation.DIFFERENT: "bold yellow",
    Relation.OPEN: "yellow",
    Relation.UNASKED: "dim",
}
_SHOWN = 3
"""So many differences of a step are shown with both runs, the others in a line or two."""
_NAMES, _COLUMN = 24, 13
"""Columns of a terminal for the names of exits, at most, and for each revision beside them."""


def print_review(review: Review, console: Console | None = None) -> None:
    """Print every routine of a review, and what could not be read."""
    out = console if console is not None else standard_output()
    print_trimmed(_head(review), out)
    for routine in review.routines:
        print_trimmed(_routine(routine, review, out.width), out)
    print_trimmed(_tail(review), out)


def print_lines(review: Review, console: Console | None = None) -> None:
    """Print one line for each step of each routine, or for the routine where it has none; below it what is
    refuted or undecided in the newest revision."""
    out = console if console is not None else standard_output()
    for routine in review.routines:
        lines = [*_step_lines(routine, review)] or [
            _line(routine, len(routine.results) - 1, "no other to compare")
        ]
        for line in lines:
            print_trimmed(line, out, soft_wrap=True)
        for said in refuted_at(routine.results[-1]):
            print_trimmed(Text(f"  refuted: {said}"), out, soft_wrap=True)
        for number, why in reasons(routine)[-1:]:
            if number == len(routine.results) - 1:
                print_trimmed(Text(f"  {why}"), out, soft_wrap=True)
    print_trimmed(_tail(review), out)


def _step_lines(routine: RoutineReview, review: Review) -> Iterator[Text]:
    for step in routine.steps:
        names = f"{review.revisions[step.old].name} -> {review.revisions[step.new].name}"
        yield _line(routine, step.new, f"{names}  {_summary(step)}; {relation(step.behaviour)}")


def _line(routine: RoutineReview, number: int, text: str) -> Text:
    state = routine.standings[number].state
    return Text.assemble((f"{state:<9}", _STATES[state]), " ", f"{routine.name}  {text}")


_CONTRACT = {True: "yellow", False: "bold red"}


def _summary(step: Step) -> str:
    changed = "" if step.contract is None else f"{contract_words(step.contract)}; "
    counts = [
        (len(step.worse), "worse"),
        (len(step.of(Change.FIXED)), "better"),
        (len(step.of(Change.NEW)), "new"),
        (len([o for o in step.of(Change.GONE) if o not in step.worse]), "gone"),
    ]
    said = ", ".join(f"{count} {word}" for count, word in counts if count) or "no verdict changed"
    return changed + said


def _head(review: Review) -> RenderableType:
    titled = [(r.name, r.title) for r in review.revisions if r.title]
    if not titled:
        return Text()
    grid = Table.grid(padding=(0, 2))
    for name, title in titled:
        grid.add_row(Text(name, "bold"), Text(title))
    return Group(Text(), Padding(grid, (0, 0, 0, 2)))


def _routine(routine: RoutineReview, review: Review, width: int) -> RenderableType:
    newest = next(result for result in reversed(routine.results) if result is not None)
    names = [revision.name for revision in review.revisions]
    contract = newest.contract.name if newest.contract else "none"
    parts: list[RenderableType] = [
        Text(),
        Text.assemble("  ", (newest.title, "bold"), f"  in {newest.file}, contract {contract}"),
    ]
    parts += [Text(f"  {name}: {place}", "dim") for name, place in places(routine, review.revisions)]
    parts += [Padding(table, (1, 0, 0, 2)) for table in _tables(routine, names, width)]
    why = [Text(f"{names[number]}: {said}", "yellow") for number, said in reasons(routine)]
    parts += [Padding(Group(*why), (1, 0, 0, 2))] if why else []
    parts += [Padding(part, (1, 0, 0, 2)) for step in routine.steps for part in _step(step, routine, names)]
    return Group(*parts)


def _tables(routine: RoutineReview, names: Sequence[str], width: int) -> Iterator[Table]:
    first_column = min(_NAMES, max([len("99 exits the same"), *(len(row.name) for row in routine.rows)]))
    beside = max(2, (width - 2 - first_column) // _COLUMN)
    for first in range(0, len(names), beside):
        yield _table(routine, names, range(first, min(len(names), first + beside)), first_column)


def _table(routine: RoutineReview, names: Sequence[str], shown: range, first_column: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("exit", overflow="fold", width=first_column)
    for number in shown:
        table.add_column(Text(names[number]), overflow="fold")
    there = present(routine)
    constant = [row for row in routine.rows if is_constant(row, there)]
    for row in routine.rows:
        if row not in constant:
            table.add_row(Text(row.name), *(_cell(row, number, there) for number in shown))
    everywhere = [_everywhere(routine, number, there) for number in range(len(names))]
    if len({text.plain for n, text in enumerate(everywhere) if n in there}) > 1:
        table.add_row(Text("everywhere"), *(everywhere[number] for number in shown))
    if constant:
        table.add_row(Text(_the_same(constant), "dim"), *([Text("")] * len(shown)))
    table.add_row(Text("verdict", "bold"), *(_verdict(routine, number) for number in shown))
    return table


def _the_same(rows: Sequence[Row]) -> str:
    """How many exits are the same throughout, and how many of these are not proved."""
    bad = sum(mark(row.cells[-1]).startswith(("FAIL", "?")) for row in rows)
    return f"{counted(len(rows), 'exit')} the same" + (f", {bad} not proved" if bad else "")


def _cell(row: Row, number: int, there: Sequence[int]) -> Text:
    if number not in there:
        return Text("")
    cell = row.cells[number]
    count, signs = cell.returns if cell is not None else "", mark(cell)
    return Text.assemble(
        count, " " if count and signs else "", (signs, _MARKS.get(signs.split(" ")[0], "dim"))
    )


def _everywhere(routine: RoutineReview, number: int, there: Sequence[int]) -> Text:
    if number not in there:
        return Text("")
    wrong = [(i, v) for i, v in routine.everywhere[number].items() if v is not Verdict.PROVED]
    if not wrong:
        return Text("ok", "green")
    words = [f"{'FAIL' if v is Verdict.REFUTED else '?'} {i}" for i, v in wrong]
    return Text(", ".join(words), _STYLES[wrong[0][1]])


def _verdict(routine: RoutineReview, number: int) -> Text:
    state = routine.standings[number].state
    return Text(state if state is State.ABSENT else state.upper(), _STATES[state])


def _step(step: Step, routine: RoutineReview, names: Sequence[str]) -> Iterator[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    worse = step.worse
    better = step.of(Change.FIXED)
    new = [c for c in step.of(Change.NEW) if c not in worse]
    rest = [c for c in step.of(Change.UNDECIDED) if c not in worse]
    if step.contract is not None:
        grid.add_row("contract", Text(contract_words(step.contract), _CONTRACT[step.contract.accepted]))
    _add(grid, "worse", folded(worse), "bold red")
    _add(grid, "better", folded(better), "green")
    _add(grid, "undecided", folded(rest), "yellow")
    _add(grid, "new", folded(new))
    _add(grid, "gone", folded([c for c in step.of(Change.GONE) if c not in worse]))
    _add(grid, "returns", [f"{c.row}: {c.before or '?'} -> {c.after or '?'}" for c in step.counts])
    grid.add_row("same", Text(unchanged(step)))
    grid.add_row("behaviour", Text(relation(step.behaviour), _RELATIONS[step.behaviour.relation]))
    _add(grid, "by exit", exit_by_exit(step.behaviour))
    if said := beyond(step.behaviour):
        grid.add_row("beyond", Text(said))
    if said := clobbered(step.behaviour):
        grid.add_row("registers", Text(said))
    yield Group(Text(f"{names[step.old]} -> {names[step.new]}", "bold"), grid)
    runs = at_once(step.behaviour.differences)
    for rows, difference in runs[:_SHOWN]:
        yield _difference(rows, difference, step, routine, names)
    if len(runs) > _SHOWN:
        result = routine.results[step.new]
        assert result is not None
        told = (_told(rows, difference, result) for rows, difference in runs[_SHOWN:])
        yield Group(*told, Text("(--html shows these side by side, too)", "dim"))


def _told(rows: str, difference: Difference, result: RoutineResult) -> Text:
    return Text.assemble(
        "differ at ", (rows, "bold"), f": {difference.sentence}; {called(difference, result)}"
    )


def _add(grid: Table, label: str, lines: Sequence[str], style: str = "") -> None:
    for number, line in enumerate(lines):
        grid.add_row(label if number == 0 else "", Text(line, style))


def _difference(
    rows: str, difference: Difference, step: Step, routine: RoutineReview, names: Sequence[str]
) -> RenderableType:
    old, new = routine.results[step.old], routine.results[step.new]
    assert old is not None
    assert new is not None
    before, after = sides(difference, old, new)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column(Text(names[step.old]), overflow="fold")
    table.add_column(Text(names[step.new]), overflow="fold")
    for (label, one), (_, other) in zip(before, after, strict=True):
        style = "" if one == other else "bold"
        table.add_row(Text(label, "dim"), Text(one, style), Text(other, style))
    heading = Text.assemble(
        "differ at ",
        (rows, "bold"),
        f" in {kinds(difference)}: {called(difference, new)}, run on {difference.after.on}",
    )
    return Group(heading, Padding(table, (0, 0, 0, 2)))


def _tail(review: Review) -> RenderableType:
    lines = [
        Text.assemble((f"{review.revisions[number].name}: ", "bold"), (sentence, "bold red"))
        for number, sentences in review.failures.items()
        for sentence in sentences
    ]
    lines += [
        Text.assemble((f"{review.revisions[number].name}: ", "bold"), (f"undecided: {said}", "bold yellow"))
        for number, sentences in review.cut.items()
        for said in sentences
    ]
    lines += [Text(f"note: {note}", "dim") for note in review.notes]
    if review.interrupted:
        lines.append(Text("interrupted: what was not decided by then is undecided", "bold yellow"))
    if review.reused:
        proofs = counted(review.reused, "proof")
        lines.append(Text(f"{proofs} of {review.reused + review.proved} used again, of the same code", "dim"))
    return Padding(Group(*lines), (1, 0, 1, 2)) if lines else Text()

"""What is shown of a replay: on the terminal, and as a JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcverify import __version__
from mcverify.proof.result import Counterexample, Domain, RoutineResult, Verdict
from mcverify.report import json as result_json
from mcverify.report.summary import exit_name
from mcverify.report.terminal import print_trimmed, standard_output
from mcverify.report.terminal_counterexample import render_counterexample
from mcverify.report.terminal_map import glyphs_for
from mcverify.witness.emit_c import command
from mcverify.witness.replay import Replay

SCHEMA = 1
"""Counts up when a field changes its meaning or goes away; new fields do not change it."""

_MOST_DIFFERENCES = 6

# ---- On the terminal -------------------------------------------------------------------


def print_replays(replays: Sequence[Replay], console: Console | None = None) -> None:
    """Print each replay: the counterexample as of now, and whether it still is one."""
    out = console if console is not None else standard_output()
    for replay in replays:
        print_trimmed(Group(*_parts(replay, out), Text()), out)


def print_emitted(replay: Replay, target: str, console: Console | None = None) -> None:
    """Say what the C file `target` shows, and how it is used."""
    out = console if console is not None else standard_output()
    at = exit_name(replay.witness.counterexample.exit)
    what = f"{', '.join(replay.witness.counterexample.obligations)} at {at}"
    said = f"{target}, the case for {what}; to see it:\n{'':12}{command(target)}\n"
    print_trimmed(Text.assemble(("  wrote     ", "dim"), said), out, soft_wrap=True)  # to be pasted


def _parts(replay: Replay, out: Console) -> Iterator[RenderableType]:
    name, path = replay.witness.title, replay.subject.image.path
    yield Text()
    yield Text.assemble("  ", (name, "bold"), f"  in {path}, contract {replay.contract.name}")
    if replay.found is not None:
        drawn = render_counterexample(
            replay.found,
            _as_result(replay, replay.found),
            glyphs_for(out.encoding),
            out.width,
            verbose=bool(replay.steps),
        )
        yield Padding(drawn, (1, 0, 0, 2))
    yield Padding(_grid(_rows(replay)), (1, 0, 0, 2))


def _grid(rows: Iterable[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=8)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, text)
    return grid


def _rows(replay: Replay) -> Iterator[tuple[str, Text]]:
    yield "replay", _verdict(replay)
    if replay.found is not None:
        yield "recorded", Text(recorded_sentence(replay))
    for change in replay.subject.changes:
        yield "since", Text(change)
    for note in notes(replay):
        yield "note", Text(note)


def _verdict(replay: Replay) -> Text:
    style = "bold yellow" if replay.found is None else "bold red" if replay.breaks else "bold green"
    head, _, rest = verdict_sentence(replay).partition(":")
    return Text.assemble((head, style), f":{rest}" if rest else "")


def verdict_sentence(replay: Replay) -> str:
    """Whether the case still breaks its obligation."""
    recorded = ", ".join(replay.witness.counterexample.obligations)
    if replay.found is None:
        return f"NOT RUN: {replay.problem}"
    if replay.as_recorded:
        return f"STILL BROKEN: {recorded}"
    if replay.breaks:
        now = "; ".join(f"{f.obligation} at {exit_name(f.exit)}: {f.sentence}" for f in replay.failures)
        return f"BROKEN OTHERWISE: not {recorded}, but {now}"
    return f"NOT BROKEN ANY MORE: the run keeps the contract, {recorded} included"


def recorded_sentence(replay: Replay) -> str:
    """How the run compares with the recorded one."""
    if not replay.differences:
        return "the same registers, bytes and faults as on record"
    shown = [f"{d.what}: {d.recorded} on record, now {d.now}" for d in replay.differences[:_MOST_DIFFERENCES]]
    more = len(replay.differences) - len(shown)
    return "; ".join(shown) + (f"; and {more} more differences" if more else "")


def notes(replay: Replay) -> list[str]:
    """What a reader must know besides."""
    schedule = replay.witness.counterexample.outcome.schedule
    found = list(replay.subject.notes)
    if schedule and replay.on == "cpu":
        found.append("recorded with REP in no order (--rep-model unordered), which a CPU keeps")
    elif schedule:
        found.append(f"REP does its elements in the order '{schedule}', as recorded: no CPU does so")
    if replay.steps == ():
        found.append("the run is too long to be followed step by step")
    return found


def _as_result(replay: Replay, found: Counterexample) -> RoutineResult:
    """The replay as the result that reports of counterexamples are made from."""
    subject = replay.subject
    return RoutineResult(
        name=subject.name,
        file=str(subject.image.path),
        contract=subject.contract,
        verdict=Verdict.REFUTED,
        domain=Domain(0, replay.witness.options.len_max),
        exits=(),
        obligations=(),
        counterexamples=(found,),
        slack=None,
        assumptions=(),
        unknowns=(),
        phases={},
        seconds=0.0,
        faults=subject.faults,
        entry=subject.entry,
        listing=subject.listing,
        table=subject.table,
        sha256=subject.image.sha256,
    )


# ---- As JSON ---------------------------------------------------------------------------


def to_json(replays: Sequence[Replay]) -> str:
    """All replays as one JSON document, indented, with a newline at its end."""
    return json.dumps(document(replays), indent=2) + "\n"


def document(replays: Sequence[Replay]) -> dict[str, Any]:
    """All replays as plain dicts, lists, strings and numbers."""
    return {"schema": SCHEMA, "mcverify": __version__, "replays": [_document(replay) for replay in replays]}


def _document(replay: Replay) -> dict[str, Any]:
    witness, recorded = replay.witness, replay.witness.counterexample
    return {
        "routine": witness.routine,
        "variant": witness.variant,
        "file": str(replay.subject.image.path),
        "contract": replay.contract.name,
        "obligations": list(recorded.obligations),
        "exit": recorded.exit,
        "case": result_json.case_document(recorded.case),
        "on": replay.on,
        "outcome": result_json.outcome_document(replay.found.outcome) if replay.found else None,
        "problem": replay.problem,
        "breaks": replay.breaks if replay.found else None,
        "as_recorded": replay.as_recorded if replay.found else None,
        "violations": [{"id": f.obligation, "exit": f.exit, "sentence": f.sentence} for f in replay.failures],
        "differences": [{"what": d.what, "recorded": d.recorded, "now": d.now} for d in replay.differences],
        "changes": list(replay.subject.changes),
        "notes": notes(replay),
        "steps": [result_json.step_document(step) for step in replay.steps or ()],
    }

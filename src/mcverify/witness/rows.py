"""The verdicts on obligations, brought up to what the counterexamples show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import (
    EVERYWHERE,
    Counterexample,
    ObligationResult,
    RoutineResult,
    Row,
    Verdict,
)
from mcverify.witness.model.compare import Difference
from mcverify.witness.predict import disagreement


def refute_what_is_shown(
    _image: Image, result: RoutineResult, _options: ProveOptions, _deadline: Deadline
) -> RoutineResult:
    """`result`, in which each obligation that a counterexample names is refuted at its exit.

    A simpler case may break an obligation that the search had not seen broken there. Raises Disagreement
    where the proof holds what a run breaks.
    """
    for found in result.counterexamples:
        refuse_contradiction(result, found)
    shown = {(o, c.exit): c.sentence for c in result.counterexamples for o in c.obligations}
    rows = [_refuted(row, shown.pop((row.id, row.exit), None)) for row in result.obligations]
    rows += [ObligationResult(o, e, Verdict.REFUTED, 0.0, sentence) for (o, e), sentence in shown.items()]
    return replace(result, obligations=tuple(rows))


def _refuted(row: ObligationResult, sentence: str | None) -> ObligationResult:
    if sentence is None or row.verdict is Verdict.REFUTED:
        return row
    return replace(row, verdict=Verdict.REFUTED, reason=sentence)


def refuse_contradiction(result: RoutineResult, found: Counterexample) -> None:
    """Raise Disagreement if a run that the model predicts breaks what was proved of its end."""
    denied = [
        Difference(f"{obligation} at {exit_id}", "broken", "proved")
        for obligation, exit_id in _in_the_proof(found)
        if (obligation, exit_id) in result.held
    ]
    if denied:
        error = disagreement(found.case, found.outcome, denied, {})
        names = {"routine": result.name, "file": result.file, "sha256": result.sha256}
        raise type(error)(f"{result.name}: {error}", {**error.states, **names})


def _in_the_proof(found: Counterexample) -> Iterator[Row]:
    """What the run breaks, by the rows of the proof. Of a run that the model cannot follow nobody knows."""
    if found.prediction is not None and found.prediction.exit:
        for obligation in found.obligations:
            yield obligation, EVERYWHERE if obligation == "O8" else found.prediction.exit

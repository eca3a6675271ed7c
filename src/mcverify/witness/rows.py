"""The verdicts on obligations, brought up to what the counterexamples show."""

from __future__ import annotations

from dataclasses import replace

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import ObligationResult, RoutineResult, Verdict


def refute_what_is_shown(
    _image: Image, result: RoutineResult, _options: ProveOptions, _deadline: Deadline
) -> RoutineResult:
    """`result`, in which each obligation that a counterexample names is refuted at its exit.

    A simpler case may break an obligation that the search had not seen broken there. A run decides.
    """
    shown = {(o, c.exit): c.sentence for c in result.counterexamples for o in c.obligations}
    rows = [_refuted(row, shown.pop((row.id, row.exit), None)) for row in result.obligations]
    rows += [ObligationResult(o, e, Verdict.REFUTED, 0.0, sentence) for (o, e), sentence in shown.items()]
    return replace(result, obligations=tuple(rows))


def _refuted(row: ObligationResult, sentence: str | None) -> ObligationResult:
    if sentence is None or row.verdict is Verdict.REFUTED:
        return row
    return replace(row, verdict=Verdict.REFUTED, reason=sentence)

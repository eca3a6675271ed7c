"""What makes a refutation believable, step by step: from what a proof found to what is reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.witness.confirm import check_predictions

Step = Callable[[Image, RoutineResult, ProveOptions, Deadline], RoutineResult]
"""Each gives the result with more about its counterexamples."""

STEPS: tuple[tuple[str, Step], ...] = (("comparing with the model", check_predictions),)
"""What is done, in this order, each with the words that are shown meanwhile. Whatever executes or changes
a counterexample's case goes before the comparison."""


def study(
    image: Image,
    result: RoutineResult,
    options: ProveOptions,
    deadline: Deadline,
    progress: Callable[[str], None],
) -> RoutineResult:
    """`result` with its counterexamples confirmed and explained; a result without any as it is.

    Past the deadline what is not found out is left out. Raises Disagreement where the model of the proof
    contradicts a run.
    """
    start = time.monotonic()
    for words, step in STEPS:
        if result.verdict is Verdict.REFUTED:
            progress(f"{result.name}: {words}")
            result = step(image, result, options, deadline)
    seconds = time.monotonic() - start
    if not result.counterexamples:
        return result
    return replace(result, phases={**result.phases, "study": seconds}, seconds=result.seconds + seconds)

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
from mcverify.witness.explain import all_explained
from mcverify.witness.origins import one_each
from mcverify.witness.relevance import relevant
from mcverify.witness.repair import all_repaired
from mcverify.witness.rows import refute_what_is_shown
from mcverify.witness.shrink import shrink

Step = Callable[[Image, RoutineResult, ProveOptions, Deadline], RoutineResult]
"""Each gives the result with more about its counterexamples."""


def shrink_confirmed(
    image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline
) -> RoutineResult:
    """`result` with each counterexample as simple as the model confirms it; one whose simpler case has no
    second witness stays as it is."""
    small = shrink(image, result, options, deadline)
    pairs = list(zip(result.counterexamples, small.counterexamples, strict=True))
    changed = tuple(after for before, after in pairs if after.case != before.case)
    if not changed:
        return small
    checked = check_predictions(image, replace(small, counterexamples=changed), options, deadline)
    confirmed = {(c.exit, c.obligations, c.case): c for c in checked.counterexamples}
    chosen = (confirmed.get((after.exit, after.obligations, after.case), before) for before, after in pairs)
    return replace(result, counterexamples=tuple(chosen))


STEPS: tuple[tuple[str, Step], ...] = (
    ("comparing with the model", check_predictions),
    ("looking for the origins", one_each),
    ("shrinking", shrink_confirmed),
    ("bringing the verdicts up to date", refute_what_is_shown),
    ("asking which inputs matter", relevant),
    ("explaining", all_explained),
)
"""What is done, in this order, each with the words that are shown meanwhile. What is refuted is compared with
the model while there still is a run for each obligation; whatever changes a case compares it again."""


def study(
    image: Image,
    result: RoutineResult,
    options: ProveOptions,
    deadline: Deadline,
    progress: Callable[[str], None],
    *,
    repair: bool = True,
) -> RoutineResult:
    """`result` with its counterexamples confirmed and explained; a result without any as it is. With `repair`
    a change of the source is looked for that makes the routine proved, which takes the time of a few proofs.

    Past the deadline what is not found out is left out. Raises Disagreement where the model of the proof
    contradicts a run.
    """
    start = time.monotonic()
    for words, step in STEPS:
        if result.verdict is Verdict.REFUTED:
            progress(f"{result.name}: {words}")
            result = step(image, result, options, deadline)
    if repair and result.verdict is Verdict.REFUTED:
        result = all_repaired(image, result, options, deadline, progress)
    seconds = time.monotonic() - start
    if not result.counterexamples:
        return result
    return replace(result, phases={**result.phases, "study": seconds}, seconds=result.seconds + seconds)

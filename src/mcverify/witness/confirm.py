"""No refutation without a second witness: each counterexample is held against the model of the proof.

Where the model cannot follow the run, the emulator may stand in for it. A counterexample for which there is
no second witness is taken back, and its obligations are unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import Disagreement
from mcverify.image.image import Image
from mcverify.proof.exits import EVERYWHERE, OF_NO_EXIT
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, ObligationResult, Prediction, RoutineResult, Verdict
from mcverify.runs import emulator
from mcverify.runs.case import Ending
from mcverify.runs.code import reachable
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.hints import missing_hints
from mcverify.runs.judge import judge
from mcverify.runs.wire import is_long
from mcverify.witness.compare import differences
from mcverify.witness.model.compare import Difference, Predicted
from mcverify.witness.model.memory import Unpredictable
from mcverify.witness.predict import Predictor, Trace, disagreement
from mcverify.witness.rows import refuse_contradiction


class Unconfirmed(Exception):
    """There is no second witness; the message says why, without a full stop."""


def check_predictions(
    image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline
) -> RoutineResult:
    """`result` with the prediction of each counterexample, without those that nothing else confirms.

    Raises Disagreement where the model, or what is proved of it, contradicts a run.
    """
    if result.contract is None:
        return result
    confirmer = _Confirmer(image, result, result.contract, options, deadline)
    kept: list[Counterexample] = []
    taken_back: list[tuple[Counterexample, str]] = []
    for found in result.counterexamples:
        try:
            kept.append(replace(found, prediction=confirmer.confirmed(found)))
            refuse_contradiction(result, kept[-1])
        except Unconfirmed as why:
            taken_back.append((found, str(why)))
    return without(replace(result, counterexamples=tuple(kept)), taken_back)


def without(result: RoutineResult, taken_back: Sequence[tuple[Counterexample, str]]) -> RoutineResult:
    """`result`, in which counterexamples were taken back, each for a reason: what only they refute becomes
    unknown."""
    if not taken_back:
        return result
    obligations = tuple(_judged(o, result.counterexamples, taken_back) for o in result.obligations)
    verdict = Verdict.REFUTED if result.counterexamples else Verdict.UNKNOWN
    return replace(result, obligations=obligations, verdict=verdict)


def _judged(
    obligation: ObligationResult,
    kept: Iterable[Counterexample],
    taken_back: Iterable[tuple[Counterexample, str]],
) -> ObligationResult:
    if obligation.verdict is not Verdict.REFUTED or any(_refutes(found, obligation) for found in kept):
        return obligation
    reason = next((_reason(found, why) for found, why in taken_back if _refutes(found, obligation)), None)
    if reason is None:
        return obligation
    return replace(obligation, verdict=Verdict.UNKNOWN, reason=reason)


def _refutes(found: Counterexample, obligation: ObligationResult) -> bool:
    anywhere = obligation.exit == EVERYWHERE and obligation.id in OF_NO_EXIT
    return obligation.id in found.obligations and (anywhere or found.exit == obligation.exit)


def _reason(found: Counterexample, why: str) -> str:
    return (
        f"a run with len = {found.case.len} on the {found.outcome.on} breaks it ({found.sentence}),"
        f" but no second witness confirms that run: {why}"
    )


class _Routine(NamedTuple):
    """What a prediction depends on; the same if the image is the very same."""

    image: Image
    entry: int
    contract: Contract
    faults: str
    rep_model: str

    def __hash__(self) -> int:
        return hash((id(self.image), self.entry, self.faults, self.rep_model))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Routine) and self.image is other.image and self[1:] == other[1:]


@lru_cache(maxsize=2)
def _predictor(routine: _Routine) -> Predictor:
    """Explores a routine once, however often its runs are asked of."""
    image, entry, contract, faults, rep_model = routine
    return Predictor(image, entry, contract, faults, rep_model=rep_model)


class _Confirmer:
    """Confirms the counterexamples of one routine."""

    def __init__(
        self,
        image: Image,
        result: RoutineResult,
        contract: Contract,
        options: ProveOptions,
        deadline: Deadline,
    ) -> None:
        self._image, self._result, self._contract, self._deadline = image, result, contract, deadline
        self._predictor = _predictor(
            _Routine(image, result.entry, contract, result.faults, options.rep_model)
        )
        self._predictor.deadline = deadline

    def confirmed(self, found: Counterexample) -> Prediction:
        """What confirms the run. Raises Unconfirmed and Disagreement."""
        try:
            return self._by_model(found)
        except Disagreement as contradiction:
            result = self._result
            names = {"routine": result.name, "file": result.file, "sha256": result.sha256}
            raise Disagreement(
                f"{result.name}: {contradiction}", {**contradiction.states, **names}
            ) from contradiction
        except (Unpredictable, OutOfTime) as gap:
            return self._by_emulator(found, str(gap))

    def _by_model(self, found: Counterexample) -> Prediction:
        case, outcome = found.case, found.outcome
        predicted = self._predictor.predict(case, outcome)
        prediction = self._predictor.compare(case, outcome, predicted, self._trace(found))
        unseen = _unseen(found, predicted)
        if unseen is not None:
            raise disagreement(case, outcome, [unseen], predicted)
        return prediction

    def _trace(self, found: Counterexample) -> Trace | None:
        if is_long(found.case) or found.outcome.schedule:
            return None
        routine = self._image, self._result.entry, self._contract
        if found.outcome.on == "cpu":
            return lambda: CpuRunner(*routine, self._deadline).trace(found.case)
        return lambda: EmulatorRunner(*routine).trace(found.case)

    def _by_emulator(self, found: Counterexample, why: str) -> Prediction:
        """The emulator's run of the same case, which must be the same and break the same."""
        if found.outcome.on == "emulator":
            raise Unconfirmed(f"{why}, and the emulator made it")
        if missing_hints(self._image, reachable(self._image, self._result.entry)):
            raise Unconfirmed(f"{why}, and this CPU has not the hints of the code, whose faults nobody sees")
        missing = emulator.available()
        if missing is not None:
            raise Unconfirmed(f"{why}, and {missing}")
        runner = EmulatorRunner(self._image, self._result.entry, self._contract)
        (again,) = runner.run([found.case])
        if again.ending is Ending.REFUSED:
            raise Unconfirmed(f"{why}, and its buffers are too long for the emulator")
        other = differences(self._contract, found.case, found.outcome, again, {})
        if other:
            raise Unconfirmed(
                f"{why}, and the emulator's run is another"
                f" ({other[0].what}: {other[0].now} instead of {other[0].recorded})"
            )
        broken = {v.obligation for v in judge(self._contract, found.case, again) if v.certain}
        if not broken.issuperset(found.obligations):
            raise Unconfirmed(f"{why}, and the emulator's run alone does not show what it breaks")
        return Prediction(len(X86_64.general) + 2, len(again.written), "emulator", why)


def _unseen(found: Counterexample, predicted: Predicted) -> Difference | None:
    """What the run was seen to do that leaves no trace in its state, and that the model denies."""
    if "O8" in found.obligations and not predicted.strays:
        return Difference("an access outside the buffers", "made", "not made")
    if "O10" in found.obligations and not predicted.unfenced:
        return Difference("the last non-temporal store", "without a fence behind it", "followed by a fence")
    return None

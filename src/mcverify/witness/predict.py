"""The second witness of a run: what the segments of the paths say of it, compared with what happened.

This is no other emulator: a prediction is made of the very terms that the proof reasons with, so a run that
contradicts it shows a mistake in the lifter, the fork at faults, the effects of the handlers or the form of
REP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.errors import Disagreement
from mcverify.image.callees import callees
from mcverify.image.image import Image
from mcverify.machine.lifter import Lifts, lifter_of
from mcverify.paths.explore import Explorer, Options, TooManyPaths
from mcverify.paths.segment import Ending as PathEnding
from mcverify.paths.segment import Paths
from mcverify.proof.exits import EVERYWHERE, exit_of_segment
from mcverify.proof.result import Prediction
from mcverify.runs.case import Case, Ending, Fault, Outcome
from mcverify.runs.code import reachable
from mcverify.runs.layout import bias_of, needed
from mcverify.witness.model.compare import (
    Difference,
    Predicted,
    bytes_compared,
    differences,
    registers_compared,
)
from mcverify.witness.model.flags import defined_flags
from mcverify.witness.model.memory import Unpredictable
from mcverify.witness.model.states import states
from mcverify.witness.model.walk import Arrival, Walker, WrongPaths
from mcverify.witness.model.way import RETURNED_TO

Steps = Sequence[tuple[int, Mapping[str, int]]]
Trace = Callable[[], Steps]
"""Gives every step of a run: address, and registers before it."""

_ENDINGS = {
    PathEnding.RETURN: Ending.RETURNED,
    PathEnding.UNCOVERED: Ending.OOPS,
    PathEnding.TRAP: Ending.TRAPPED,
    PathEnding.OUTSIDE: Ending.ESCAPED,
}
_RETURNS = ("ret", "rep ret", "repz ret", "bnd ret")
_NOTHING_LEFT = (Ending.REFUSED, Ending.DIED)


class Predictor:
    """Predicts runs of the routine at `entry`, called as `contract` says, where `faults` ("loads", "stores",
    "both") may fault.

    Its paths are explored when they are first needed; `lifter` may be one that is in use already. A call
    is given up when `deadline` is reached.
    """

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        faults: str,
        *,
        rep_model: str = "ordered",
        deadline: Deadline | None = None,
        lifter: Lifts | None = None,
    ) -> None:
        self._image, self._entry, self._contract = image, entry, contract
        self._options = Options.of(contract, faults, rep_model)
        self.deadline = deadline or Deadline(None)
        self._lifter = lifter
        self._too_many = ""
        self._bias = bias_of(needed(image, reachable(image, entry)))

    @cached_property
    def walker(self) -> Walker:
        """Walks the routine's paths. Raises Unpredictable where there are too many, and OutOfTime."""
        if self._too_many:
            raise Unpredictable(self._too_many)
        try:
            recursive = tuple(s for s in callees(self._image).values() if s.calls == self._entry)
            return Walker(self._paths(), self._contract, self._options, recursive)
        except TooManyPaths as many:
            self._too_many = str(many)
            raise Unpredictable(self._too_many) from many

    def _paths(self) -> Paths:
        return Explorer(
            image=self._image,
            entry=self._entry,
            contract=self._contract,
            options=self._options,
            deadline=self.deadline,
            progress=lambda _: None,
            lifter=self._lifter or lifter_of(self._image),
        ).explore()

    def agree(self, case: Case, outcome: Outcome, trace: Trace | None = None) -> Prediction:
        """How much of the outcome was predicted, all of it rightly.

        `trace` is asked where the run does not end. Raises Disagreement; Unpredictable where the model says
        less than the contract speaks of; OutOfTime.
        """
        return self.compare(case, outcome, self.predict(case, outcome), trace)

    def predict(self, case: Case, outcome: Outcome) -> Predicted:
        """What the model says of `case`, begun as the run was that gave `outcome`.

        Raises Unpredictable where it says nothing, Disagreement where it contradicts itself, OutOfTime.
        """
        if case.flicker:
            raise Unpredictable("the model of bad addresses has none that come and go")
        return self._predicted(self._arrival(case, outcome))

    def compare(
        self, case: Case, outcome: Outcome, predicted: Predicted, trace: Trace | None = None
    ) -> Prediction:
        """As `agree`, of a prediction that was made already.

        Where the routine was called again for single bytes, the prediction holds only if these are copied as
        the model assumes: a run that differs behind such a call shows no mistake in the model.
        """
        self._refuse_incomparable(predicted, outcome)
        found = differences(predicted, outcome, self._bias)
        if found and predicted.rests_on_itself:
            raise Unpredictable(
                "it calls itself for single bytes, and they are not copied as is assumed of them"
            )
        if found:
            raise disagreement(case, outcome, found, predicted)
        registers = len(registers_compared(predicted, outcome))
        if predicted.ending is Ending.TIMEOUT and trace is not None:
            registers = self._compared_cycle(case, outcome, trace())
        return Prediction(registers, bytes_compared(predicted), exit=predicted.exit)

    # -- predicting -------------------------------------------------------------------------------

    def _arrival(self, case: Case, outcome: Outcome) -> Arrival:
        if outcome.ending in _NOTHING_LEFT or not outcome.initial:
            raise Unpredictable("the run left nothing to compare with")
        try:
            faulted_at = [self._address(fault, outcome) for fault in outcome.faults]
            return self.walker.walk(case, outcome.initial, faulted_at, self.deadline)
        except WrongPaths as wrong:
            raise disagreement(case, outcome, [Difference(str(wrong), "", "")], wrong.values) from wrong

    def _address(self, fault: Fault, outcome: Outcome) -> int:
        register = {"src": self._contract.src, "dst": self._contract.dst}.get(fault.buffer)
        return fault.offset + (outcome.initial[register] if register is not None else 0)

    def _predicted(self, arrival: Arrival) -> Predicted:
        memory, segment = arrival.memory, arrival.segment
        written, correct, sure = (b"", b"", b"") if memory.is_long else memory.maps()
        stored, wrong = memory.runs() if memory.is_long else (None, None)
        ending, left_at = self._left(arrival)
        return Predicted(
            ending=ending,
            left_at=left_at,
            registers=self._promised(arrival),
            faults=arrival.faults,
            written=written,
            correct=correct,
            sure=sure,
            base=memory.base,
            stored=stored,
            wrong=wrong,
            extent=sum(end - first for first, end in memory.dst.spans),
            frame_intact=arrival.frame_intact,
            unfenced=segment is not None and segment.unfenced,
            strays=arrival.stray is not None,
            exit=exit_of_segment(self._image, segment) if segment is not None else EVERYWHERE,
            rests_on_itself=arrival.called_itself,
        )

    def _left(self, arrival: Arrival) -> tuple[Ending, int | None]:
        """How the routine was left and, if the model says that, at which address."""
        segment = arrival.segment
        if segment is None:
            return Ending.TIMEOUT, arrival.cycle
        if RETURNED_TO in arrival.values:
            to = arrival.values[RETURNED_TO]
            if self._image.code_at(to, 1):
                raise Unpredictable(f"it returns into the code, to {to:#x}")
            return Ending.WILD, to
        assert isinstance(segment.target, PathEnding)
        ending = _ENDINGS[segment.target]
        if ending is Ending.OOPS and self.walker.paths.instructions[segment.at].startswith(_RETURNS):
            ending = Ending.WILD  # where a return finds no address there is no table entry to look for
        return ending, None if ending in (Ending.RETURNED, Ending.ESCAPED) else segment.at

    def _promised(self, arrival: Arrival) -> Mapping[str, int]:
        """The registers and flags at the end, without arithmetic flags that the manual leaves undefined."""
        segment, values = arrival.segment, arrival.values
        if segment is None:
            return {name: values[name] for name in self._image.architecture.general if name in values}
        faulted = {fault.access.at for fault in segment.faults}
        executed = [address for address in segment.trail[:-1] if address not in faulted]
        names = [
            *self._image.architecture.general,
            *sorted(defined_flags(self._image, executed)),
            *self._image.architecture.modes,
        ]
        return {name: values[name] for name in names if name in values}

    # -- comparing --------------------------------------------------------------------------------

    def _refuse_incomparable(self, predicted: Predicted, outcome: Outcome) -> None:
        """Raise Unpredictable where the run cannot contradict the model, or the model says too little."""
        if outcome.ending is Ending.ILLEGAL is not predicted.ending:
            raise Unpredictable("an instruction was refused to the user process that ran it")
        if outcome.ending is Ending.TIMEOUT is not predicted.ending and outcome.on != "cpu":
            raise Unpredictable("the run was stopped at the limit of its steps")
        if any(
            self._may_be_one_access(*pair) for pair in zip(outcome.faults, predicted.faults, strict=False)
        ):
            raise Unpredictable("whether a read-modify-write faults as a load or as a store is not modelled")
        if predicted.ending is not Ending.RETURNED:
            return  # a contract speaks of returns only
        contract = self._contract
        architecture = self._image.architecture
        fixed = (architecture.stack_pointer, *architecture.modes)
        spoken_of = (*contract.kept, *contract.results, *fixed)
        missing = [name for name in spoken_of if name not in predicted.registers]
        if missing:
            raise Unpredictable(f"the model does not know {', '.join(missing)} at the end")

    def _may_be_one_access(self, done: Fault, said: Fault) -> bool:
        """Whether two faults differ by their kind only, and the instruction both loads and stores."""
        kinds = {
            point.transfer.kind for point in self.walker.paths.accesses if point.transfer.at == done.insn
        }
        return done != said == replace(done, is_store=said.is_store) and len(kinds) == 2

    def _compared_cycle(self, case: Case, outcome: Outcome, steps: Steps) -> int:
        """How many registers of an endless run were compared: where its `steps` pass the place to which the
        model comes in the same state again and again."""
        if not steps:
            return 0
        # Where the buffers lie depends on what else is run: the case that was traced was run alone.
        predicted = self.predict(case, replace(outcome, initial=steps[0][1]))
        visits = [registers for address, registers in steps if address == predicted.left_at]
        if any(all(visit[n] == value for n, value in predicted.registers.items()) for visit in visits):
            return len(predicted.registers)
        if len({tuple(visit.values()) for visit in visits}) == len(visits):
            return 0  # the steps end before the run has come round
        if predicted.rests_on_itself:
            return 0
        difference = Difference("the state to which it returns", "another", "one that it never has")
        raise disagreement(case, outcome, [difference], predicted)


def disagreement(
    case: Case,
    outcome: Outcome,
    found: Sequence[Difference],
    predicted: Predicted | Mapping[str, int],
) -> Disagreement:
    """The error that says the first of the differences that were `found`, with both states."""
    first = found[0]
    more = f" (and {len(found) - 1} more differences)" if len(found) > 1 else ""
    values = (
        f" is {first.executed} on the {outcome.on}, {first.predicted} in the model" if first.executed else ""
    )
    sentence = f"with len = {case.len}, seed {case.seed}: {first.what}{values}{more}"
    return Disagreement(sentence, states(case, outcome, found, predicted))

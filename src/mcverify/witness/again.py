"""Whether a failure shows again, in the same case or in others: asked of the CPU by the thousand.

Most failures are seen in how a run ends and what it leaves. A load outside a buffer may be seen in the
accesses only, a missing fence in the order of the instructions, an endless loop in a state that comes back:
each kind is asked in its own way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from enum import Enum
from functools import partial
from typing import cast

from mcverify.contract import Contract, Faults
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.proof.exits import EVERYWHERE
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, RoutineResult
from mcverify.proof.trials import STALE, Failure, Key, Trials, other_contents
from mcverify.runs.case import Case, Outcome
from mcverify.runs.code import keeps_hidden
from mcverify.runs.wire import is_long

_MOST_BYTES = 1 << 30
"""What the long cases that one `Again` runs copy together, but for the last of them: some seconds."""

_SET_UP = 32 << 20
"""The time in which so many bytes are copied goes into the mappings of a long case."""

Shown = tuple[Outcome, tuple[Failure, ...]]
"""A run, and what it breaks for certain."""


def trials_of(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> Trials:
    """The runs of a routine that has a contract."""
    contract = cast("Contract", result.contract)
    return Trials(image, result.entry, contract, cast("Faults", result.faults), options.rep_model, deadline)


def again_for(image: Image, trials: Trials, found: Counterexample, len_max: int) -> Again | None:
    """The way in which the counterexample's case shows its failure; None if it shows it in no way."""
    keys = frozenset((obligation, found.exit) for obligation in found.obligations)
    unfaulted = "O8" in found.obligations and not any(map(trials.is_stray(found.case), found.outcome.faults))
    ways: list[Again] = [ByOutcome(image, trials, keys, len_max, looks_up_accesses=unfaulted)]
    if "O8" in found.obligations:
        ways.append(ByAccesses(image, trials, keys, len_max))
    if "O10" in found.obligations:
        ways.append(BySteps(image, trials, keys, len_max))
    if ("O9", EVERYWHERE) in keys:
        ways.append(ByStates(image, trials, keys, len_max))
    return next((way for way in ways if way.all_of([found.case]) == [True]), None)


class Pace(Enum):
    """What a case takes: microseconds, some hundred of them where it is single-stepped, milliseconds."""

    FAST = "fast"
    STEPPED = "stepped"
    DEAR = "dear"


class Again(ABC):
    """One way to ask whether `keys` are broken. `runs` counts the cases that were asked of."""

    def __init__(self, image: Image, trials: Trials, keys: Collection[Key], len_max: int) -> None:
        self.image = image
        self.trials = trials
        self.keys = frozenset(keys)
        self.runs = 0
        self._len_max = len_max
        self._bytes = _MOST_BYTES

    @property
    def pace(self) -> Pace:
        """What a case takes."""
        return Pace.DEAR

    def all_of(self, cases: Sequence[Case]) -> list[bool]:
        """Whether each case breaks all the obligations."""
        return [broken == self.keys for broken in self._asked(cases)]

    def any_of(self, cases: Sequence[Case]) -> list[bool | None]:
        """Whether each case breaks at least one of them; None for a case that was not run: it is not one that
        the proof is about (longer than `len_max`, or with other faults), cannot be run in this way, or is
        so long that the time for such cases is over."""
        return [None if broken is None else bool(broken) for broken in self._asked(cases)]

    def _asked(self, cases: Sequence[Case]) -> list[frozenset[Key] | None]:
        allowed = [case for case in cases if self._admits(case)]
        self.runs += len(allowed)
        answers = dict(zip(allowed, self._broken(allowed), strict=True)) if allowed else {}
        return [answers.get(case) for case in cases]

    def _admits(self, case: Case) -> bool:
        return case.len <= self._len_max and self.trials.may_happen(case) and self._affords(case)

    def _affords(self, case: Case) -> bool:
        """Whether there is time for a case; that of a long one is taken from what is left."""
        if not is_long(case):
            return True
        if self._bytes <= 0:
            return False
        self._bytes -= case.good_bytes + _SET_UP
        return True

    @abstractmethod
    def _broken(self, cases: Sequence[Case]) -> list[frozenset[Key] | None]:
        """Which of the keys each case breaks; None where it was not run."""

    @abstractmethod
    def show(self, case: Case) -> Shown:
        """Run one case that breaks the keys, for its outcome and sentences."""


class ByOutcome(Again):
    """By how a run ends, and what it leaves. `looks_up_accesses`: the instruction that stored outside dst is
    found on the emulator."""

    def __init__(
        self,
        image: Image,
        trials: Trials,
        keys: Collection[Key],
        len_max: int,
        *,
        looks_up_accesses: bool = False,
    ) -> None:
        super().__init__(image, trials, keys, len_max)
        self._looks_up_accesses = looks_up_accesses

    @property
    def pace(self) -> Pace:
        """Dear where the emulator is needed."""
        return Pace.DEAR if self.trials.cpu is None or self._looks_up_accesses else Pace.FAST

    def _broken(self, cases: Sequence[Case]) -> list[frozenset[Key] | None]:
        found = self.trials.broken(cases, self.keys)
        if self.trials.cpu is not None:
            return found  # the harness has looked at other contents of dst itself
        stale = [
            i
            for i, keys in enumerate(found)
            if self.trials.is_ordered and any(obligation in STALE for obligation, _ in keys or ())
        ]
        others = self.trials.broken([other_contents(cases[i]) for i in stale], self.keys) if stale else []
        for i, other in zip(stale, others, strict=True):
            keys = found[i] or frozenset()
            found[i] = frozenset(key for key in keys if key[0] not in STALE or key in (other or ()))
        return found

    def show(self, case: Case) -> Shown:
        """The first run of the case that breaks all keys; with REP unordered there are several."""
        shown: Shown | None = None
        for _, outcome in self.trials.outcomes([case]):
            failures = self.trials.sure_failures(case, outcome)
            shown = shown or (outcome, failures)
            if self.keys <= {failure.key for failure in failures}:
                return outcome, failures
        assert shown is not None
        return shown


class ByAccesses(Again):
    """By every access of a run on the emulator."""

    def _broken(self, cases: Sequence[Case]) -> list[frozenset[Key] | None]:
        return [self.keys & {failure.key for failure in self.show(case)[1]} for case in cases]

    def _admits(self, case: Case) -> bool:
        return super()._admits(case) and not is_long(case)

    def show(self, case: Case) -> Shown:
        """One run on the emulator."""
        return self.trials.footprint(case)


class BySteps(Again):
    """By the order of stores and fences in a run that is single-stepped."""

    def _admits(self, case: Case) -> bool:
        return super()._admits(case) and not is_long(case)

    @property
    def pace(self) -> Pace:
        """The harness steps for itself; the emulator's steps are told one by one."""
        return Pace.DEAR if self.trials.cpu is None else Pace.STEPPED

    def _broken(self, cases: Sequence[Case]) -> list[frozenset[Key] | None]:
        if self.trials.cpu is not None:
            return self.trials.broken(cases, self.keys, stepped=True)
        return [
            self.keys & {failure.key for failure in self._failures(case, outcome)}
            for case, outcome in zip(cases, self.trials.runner.run(cases), strict=True)
        ]

    def show(self, case: Case) -> Shown:
        """One run, with what its outcome breaks besides."""
        (outcome,) = self.trials.runner.run([case])
        return outcome, self._failures(case, outcome)

    def _failures(self, case: Case, outcome: Outcome) -> tuple[Failure, ...]:
        unfenced = self.trials.unfenced(case, outcome)
        return self.trials.sure_failures(case, outcome) + ((unfenced,) if unfenced is not None else ())


class ByStates(Again):
    """By a state that comes back in a run that does not end."""

    def _admits(self, case: Case) -> bool:
        return super()._admits(case) and not is_long(case)

    def _broken(self, cases: Sequence[Case]) -> list[frozenset[Key] | None]:
        found: list[frozenset[Key] | None] = []
        for case in cases:
            failure = self.trials.endless(case, partial(keeps_hidden, self.image))
            found.append(self.keys & {failure.key} if failure is not None else frozenset())
        return found

    def show(self, case: Case) -> Shown:
        """One run, until it is stopped."""
        (outcome,) = self.trials.runner.run([case])
        failure = self.trials.endless(case, partial(keeps_hidden, self.image))
        return outcome, self.trials.sure_failures(case, outcome) + ((failure,) if failure is not None else ())


def shown_again(found: Counterexample, again: Again, case: Case) -> Counterexample | None:
    """The counterexample with another case, run and judged anew; None if that breaks less than before.

    Obligations that the case breaks at the same exit besides are told too. What was found out about the old
    case (a trace, a prediction) is not said of the new one.
    """
    outcome, failures = again.show(case)
    here = {failure.obligation: failure for failure in failures if failure.exit == found.exit}
    if not set(found.obligations) <= set(here):
        return None
    obligations = tuple(sorted(here, key=lambda obligation: int(obligation[1:])))
    return Counterexample(
        obligations, found.exit, case, outcome, here[obligations[0]].sentence, others=found.others
    )

"""A caller's loop carried out in numbers, with the routine itself run for each of its copies.

This is the second witness of a claim that fails: what Z3 says may happen is seen to happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mcverify.callers.model import CONSTANTS, OLD, RIGHT, WRONG, Claim, Loop, Step
from mcverify.contract import Contract
from mcverify.proof.result import CallRound, CallShown
from mcverify.runs.case import PAGE, Case, Ending, Outcome, Place, Placement

_MOST_ROUNDS = 1000
_MOST_RUNS = 4000
_SHOWN = 6
_AROUND = 8
"""Bytes before and behind the call's own that are looked at."""

Bad = Literal["src", "dst"]


@dataclass(frozen=True, slots=True)
class Call:
    """A system call of `n` bytes, 1 at least. The buffer `bad` has its first bad byte at `first_bad`, where a
    page begins (n: none); the other one begins at `offset` in its page. `like` has the rest of the input.
    `chosen` names, for a choice of the loop, which of its values is taken in each round, the last for all
    that follow; without it, and where that value is none that is allowed, the first.
    """

    n: int
    first_bad: int
    offset: int
    bad: Bad
    like: Case
    chosen: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def case(self, at: int, asked: int) -> Case:
        """The run of the routine for `asked` bytes from byte `at` on."""
        hole = self.first_bad - at
        bad = Placement(Place.HOLE, hole) if hole < asked else Placement(Place.FREE, -hole % PAGE)
        free = Placement(Place.FREE, (self.offset + at) % PAGE)
        src, dst = (bad, free) if self.bad == "src" else (free, bad)
        return replace(self.like, len=asked, src=src, dst=dst, flicker="")


@dataclass(frozen=True, slots=True)
class Copied:
    """What the routine did: how many bytes its count says were copied, what stands at bytes of dst by their
    offset, as far as they changed; `lost`: why the caller does not go on ("": it does)."""

    copied: int
    changed: Mapping[int, int]
    lost: str
    on: str


_LOST = (Ending.OOPS, Ending.WILD, Ending.TRAPPED, Ending.OVERFLOW)


class Undecided(Exception):
    """A run of the routine shows nothing of which its caller could be sure."""


def copied(contract: Contract, case: Case, outcome: Outcome) -> Copied:
    """A run as its caller sees it. Raises Undecided."""
    if outcome.ending not in (*_LOST, Ending.RETURNED):
        raise Undecided(outcome.ending.value)
    if outcome.stored is not None:
        raise Undecided("too long to be seen byte by byte")
    if outcome.ending is not Ending.RETURNED:
        return Copied(0, {}, f"the routine ended by {outcome.ending.value}", outcome.on)
    count = case.len - contract.result("left", outcome.registers)
    changed = {
        outcome.base + i: RIGHT if outcome.correct[i] else WRONG
        for i, written in enumerate(outcome.written)
        if written
    }
    lost = "the count is larger than the length" if count < 0 else ""
    return Copied(count, changed, lost, outcome.on)


Routine = Callable[[Case], Copied]


@dataclass
class _Running:
    """A call while it is carried out; `at_k` is what stands at each byte that is looked at."""

    loop: Loop
    call: Call
    routine: Routine
    values: dict[str, int]
    at_k: dict[int, int]
    new_k: dict[int, int] = field(default_factory=dict)
    last: Copied | None = None
    copy: tuple[int, int, int] = (0, 0, 0)
    failed: int = 0
    result: int | None = None
    lost: str = ""
    number: int = -1

    def round(self) -> bool:
        """Carry out a round; whether another one follows."""
        self.number += 1
        for step in self.loop.rounds:
            if step.when is not None and not step.when.holds(self.values):
                continue
            self._do(step)
            if self.result is not None or self.lost:
                return False
            if step.again:
                return True
        return True

    def _do(self, step: Step) -> None:
        if step.choose:
            self._choose(step)
        elif step.copy is not None:
            self._copy(step)
        elif step.end is not None:
            self.failed = int(step.failed)
            self.result = step.end.number(self.values)
        else:
            self._set(step)

    def _choose(self, step: Step) -> None:
        assert step.where is not None
        order = self.call.chosen.get(step.choose, (0,))
        wanted = step.values[order[min(self.number, len(order) - 1)]]
        for value in (wanted, step.values[0]):
            self.values[step.choose] = value.number(self.values)
            if step.where.holds(self.values):
                return
        raise AssertionError(f"the first value of {step.choose} is none that it allows")

    def _set(self, step: Step) -> None:
        if "at_k" in step.set:
            value = step.set["at_k"]
            self.at_k = {
                k: value.number({**self.values, "k": k, "at_k": old, "new_k": self.new_k.get(k, old)})
                for k, old in self.at_k.items()
            }
        new = {n: v.number(self.values) for n, v in step.set.items() if n != "at_k"}
        self.values.update(new)

    def _copy(self, step: Step) -> None:
        assert step.copy is not None
        assert step.at is not None
        assert step.ok is not None
        asked, at, ok = (part.number(self.values) for part in (step.copy, step.at, step.ok))
        if asked < 1 or at < 0 or not 0 <= ok <= asked:
            self.lost = f"the loop asks for {asked} bytes from byte {at} on"
            return
        done = self.routine(self.call.case(at, asked))
        self.last, self.copy, self.lost = done, (asked, ok, done.copied), done.lost
        self.new_k = {k: done.changed.get(k - at, old) for k, old in self.at_k.items()}
        self.values["copied"] = done.copied


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that was carried out: what is shown of it, the values at its end, what stands at each byte, and
    why it was `lost`, if it was."""

    shown: CallShown
    values: Mapping[str, int]
    at_k: Mapping[int, int]
    failed: int
    lost: str

    def breaks(self, claim: Claim, slack: int | None) -> bool:
        """Whether it breaks the claim; of what speaks of the slack, no call does where there is none."""
        if slack is None and claim.formula is not None and "slack" in claim.formula.names:
            return bool(self.lost)
        if claim.formula is None:
            return bool(self.lost) or self.shown.back_at is not None
        if self.lost:
            return True
        if self.shown.returned is None:
            return False
        end = {**self.values, "result": self.shown.returned, "failed": self.failed, "slack": slack or 0}
        return not all(claim.formula.holds({**end, "k": k, "at_k": at}) for k, at in self.at_k.items())


def carry_out(loop: Loop, call: Call, routine: Routine) -> Ended:
    """The call, to its end or until a state of the loop comes back: then it goes on for ever, since every
    round does what the same one did before."""
    given = {
        **CONSTANTS,
        "n": call.n,
        "first_bad": call.first_bad,
        "offset": call.offset,
        "max_folio": PAGE,
        "k": 0,
    }
    first = {name: value.number(given) for name, value in loop.state.items()}
    places = range(-_AROUND, call.n + _AROUND)
    run = _Running(
        loop, call, routine, {**given, **first, "at_k": OLD, "new_k": OLD}, dict.fromkeys(places, OLD)
    )
    seen: dict[tuple[int, ...], int] = {}
    rounds: list[CallRound] = []
    back_at = None
    goes_on = True
    settled = max((len(order) for order in call.chosen.values()), default=1) - 1
    while goes_on and len(seen) < _MOST_ROUNDS:
        state = {name: run.values[name] for name in loop.state}
        key = (min(len(rounds), settled), *state.values())
        if key in seen:
            back_at = seen[key]
            break
        seen[key] = len(seen) + 1
        run.copy = (0, 0, 0)
        goes_on = run.round()
        rounds.append(CallRound(state, *run.copy))
    on = run.last.on if run.last is not None else ""
    bad = call.bad if call.first_bad < call.n else ""
    shown = CallShown(
        call.n, call.first_bad, call.offset, bad, on, tuple(rounds[:_SHOWN]), len(rounds), run.result, back_at
    )
    return Ended(shown, dict(run.values), run.at_k, run.failed, run.lost)


def memoized(contract: Contract, run: Callable[[Sequence[Case]], Sequence[Outcome]]) -> Routine:
    """The routine by a runner, which is asked once for each case, and for so many at most."""
    known: dict[Case, Copied] = {}

    def routine(case: Case) -> Copied:
        if case not in known:
            if len(known) == _MOST_RUNS:
                raise Undecided("too many runs")
            known[case] = copied(contract, case, run([case])[0])
        return known[case]

    return routine

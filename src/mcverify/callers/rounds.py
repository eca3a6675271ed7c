"""One round of a caller's loop as a relation of Z3's unbounded integers.

It leads from a state at the start of a round to the ends of the call, and to the states at which the next
round starts. What the loop does not decide, and what the routine does as far as nothing is known of it, are
symbols of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import z3

from mcverify.callers.model import Loop, Step
from mcverify.callers.premises import Copy, Premises

State = dict[str, z3.ArithRef]
"""The values of the names of a model."""


@dataclass(frozen=True, slots=True)
class End:
    """A way in which the call ends, under `condition`: with the values `state`; `is_lost`: not by its own
    doing, as the routine brought the kernel down, wrote elsewhere, never came back or counted below 0."""

    condition: z3.BoolRef
    state: State
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """A round from `start`: what is `assumed` of choices and copies, the `ends`, and the conditions and
    values with which the `next` one starts. `choices`: under a condition, that the model's own
    value for a choice is one that it allows, and the choice's name."""

    start: State
    assumed: tuple[z3.BoolRef, ...]
    ends: tuple[End, ...]
    next: tuple[tuple[z3.BoolRef, State], ...]
    choices: tuple[tuple[z3.BoolRef, z3.BoolRef, str], ...]
    copies: tuple[Copy, ...]


@dataclass
class _Run:
    """A round while it is worked out."""

    tag: str
    premises: Premises
    values: State
    active: z3.BoolRef
    assumed: list[z3.BoolRef] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    next: list[tuple[z3.BoolRef, State]] = field(default_factory=list)
    choices: list[tuple[z3.BoolRef, z3.BoolRef, str]] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)

    def step(self, number: int, step: Step) -> None:
        """Do one step where the round is still going and its condition holds."""
        here = self.active if step.when is None else z3.And(self.active, step.when.term(self.values))
        if step.choose:
            self._choose(number, step, here)
        elif step.copy is not None:
            self._copy(number, step, here)
        elif step.end is not None:
            final = {
                **self.values,
                "result": step.end.term(self.values),
                "failed": z3.IntVal(int(step.failed)),
            }
            self.ends.append(End(here, final))
            self.active = z3.And(self.active, z3.Not(here))
            return
        self._set(step, here)
        if step.again:
            self.next.append((here, dict(self.values)))
            self.active = z3.And(self.active, z3.Not(here))

    def _set(self, step: Step, here: z3.BoolRef) -> None:
        new = {name: value.term(self.values) for name, value in step.set.items()}
        for name, value in new.items():
            self.values[name] = z3.If(here, value, self.values[name]) if name in self.values else value

    def _choose(self, number: int, step: Step, here: z3.BoolRef) -> None:
        assert step.where is not None
        chosen = z3.Int(f"{step.choose}.{self.tag}.{number}")
        usual = step.where.term({**self.values, step.choose: step.values[0].term(self.values)})
        self.choices.append((z3.And(*self.assumed, here), usual, step.choose))
        self.values[step.choose] = chosen
        self.assumed.append(z3.Implies(here, step.where.term(self.values)))

    def _copy(self, number: int, step: Step, here: z3.BoolRef) -> None:
        assert step.copy is not None
        assert step.at is not None
        assert step.ok is not None
        at = step.at.term(self.values)
        copy = Copy.fresh(
            f"{self.tag}.{number}",
            step.copy.term(self.values),
            step.ok.term(self.values),
            self.values["k"] - at,
        )
        # Nothing is known of a routine that is asked for nothing, or for a piece that cannot be.
        asked = z3.And(copy.len >= 1, copy.ok >= 0, copy.ok <= copy.len)
        self.assumed.append(z3.Implies(z3.And(here, asked), copy.allowed(self.premises)))
        lost = z3.And(here, z3.Not(z3.And(asked, copy.survives)))
        self.ends.append(End(lost, dict(self.values), is_lost=True))
        self.active = z3.And(self.active, z3.Not(lost))
        self.copies.append(copy)
        self.values["copied"] = copy.copied
        self.values["new_k"] = copy.new_at(self.values["at_k"])


def round_from(loop: Loop, premises: Premises, start: State, tag: str) -> Round:
    """The round of a loop that starts with the values `start`; `tag` makes its own symbols unique."""
    run = _Run(tag, premises, dict(start), z3.BoolVal(True))
    for number, step in enumerate(loop.rounds):
        run.step(number, step)
    run.next.append((run.active, dict(run.values)))
    kept = start.keys()
    following = tuple((condition, {name: state[name] for name in kept}) for condition, state in run.next)
    return Round(
        dict(start), tuple(run.assumed), tuple(run.ends), following, tuple(run.choices), tuple(run.copies)
    )

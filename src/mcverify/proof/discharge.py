"""Discharging the obligations of one routine: every goal is asked, and every answer kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import z3

from mcverify.contract import Contract
from mcverify.image.image import Image
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.solver import Answer, Reply
from mcverify.logic.standpoint import Standpoint
from mcverify.paths.explore import Options
from mcverify.paths.segment import AccessPoint, Ending, Location, Paths, Segment
from mcverify.proof.answers import LOOPS, Question, obligation_of
from mcverify.proof.exits import EVERYWHERE, exit_of_segment, place
from mcverify.proof.hints import Hint, found_by, terms_of
from mcverify.proof.obligations import Goal, access_goal, exit_goals
from mcverify.proof.result import Row
from mcverify.proof.termination import Falling, termination
from mcverify.scopes import Scope, needs_transient

StandpointAt = Callable[[Location], Standpoint]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one goal: obligation, exit, whether it was proved, seconds, and if not, why not.

    `at` is an instruction's address that the reason is about; `hint` is a call in which the goal fails.
    `by_address`: the proof needed that faults belong to addresses. `answers` are the questions that it is
    an answer to; `is_staying`: it was asked with invariants that hold if bad addresses stay bad.
    """

    id: str
    exit: str
    proved: bool
    seconds: float
    reason: str = ""
    at: int | None = None
    hint: Hint | None = None
    by_address: bool = False
    answers: tuple[Question, ...] = ()
    is_staying: bool = False


_BROKEN = "a run breaks it"


def _without_facts(goal: Goal) -> Goal:
    """The goal in the form that does not rest on faults being a property of addresses."""
    return goal if goal.sooner is None else replace(goal, term=goal.sooner)


def _stands_alone(goal: Goal) -> bool:
    """Whether the goal has a form that does not rest on faults being a property of addresses."""
    return not goal.bad_bytes or goal.sooner is not None


def _asked(identifier: str, scope: Scope, number: int) -> tuple[Question, ...]:
    return ((identifier, scope, number),)


class Discharger:
    """Asks the goals of a routine from what is known at its locations: those of the questions in `only`, or
    all. `falling` are the measures of its loops once all has been asked.

    Where faults are not taken to stay, and an obligation may rest on that, it is given up after its first
    failure: it is asked again when they are. Of a row that runs have `refuted` one goal that is not proved is
    enough (it must be there, or proof and run contradict each other); those with one before are `failed`.
    """

    def __init__(
        self,
        image: Image,
        paths: Paths,
        assumptions: Assumptions,
        options: Options,
        standpoint: StandpointAt,
        progress: Callable[[str], None],
        only: frozenset[Question] | None = None,
        refuted: Collection[Row] = (),
        failed: Collection[Row] = (),
    ) -> None:
        self._only = only
        self._refuted = refuted
        self._failed = set(failed)
        self._given_up: set[str] = set()
        self._image = image
        self._paths = paths
        self._assumptions = assumptions
        self._options = options
        self._standpoint = standpoint
        self._progress = progress
        self.falling: tuple[Falling, ...] = ()

    def findings(self) -> Iterator[Finding]:
        """Every goal's answer, the exits first, then what belongs to no exit."""
        total = len(self._paths.segments)
        for number, segment in enumerate(self._paths.segments):
            self._progress(f"proof: segment {number + 1} of {total}")
            if segment.target is Ending.RETURN:
                for found in self._return(segment, number):
                    if not found.proved:
                        self._failed.add((found.id, found.exit))
                    yield replace(found, answers=_asked(found.id, "exit", number))
            elif isinstance(segment.target, Ending):
                end = _asked(obligation_of(segment), "end", number)
                if self._is_asked(end[0]):
                    yield from (replace(found, answers=end) for found in self._dead_end(segment))
        yield from map(self._rested_on, self._own_frame())
        yield from map(self._rested_on, self._footprint())
        if self._is_asked(LOOPS):
            yield from map(self._rested_on, self._termination())

    @property
    def _contract(self) -> Contract:
        return self._assumptions.contract

    def _is_asked(self, question: Question) -> bool:
        return self._only is None or question in self._only

    def _is_final(self, identifier: str, scope: Scope) -> bool:
        """Whether nothing more is known when the question is asked again."""
        persistent = self._assumptions.persistent
        return persistent or needs_transient(identifier, scope, self._contract)

    def _rested_on(self, finding: Finding) -> Finding:
        """The finding; where the contract does not ask for it, as something that every other proof rests
        on."""
        if finding.id in self._contract.obligations:
            return finding
        reason = f"{finding.id}, on which every proof here rests, is not proved: {finding.reason}"
        return replace(finding, id="", reason="" if finding.proved else reason)

    # -- exits ----------------------------------------------------------------------------------

    def _return(self, segment: Segment, number: int) -> Iterator[Finding]:
        standpoint, exit_id = self._standpoint(segment.source), exit_of_segment(self._image, segment)
        asked = [
            goal
            for goal in exit_goals(segment, self._assumptions, self._options)
            if self._is_asked((goal.id, "exit", number)) and goal.id not in self._given_up
        ]
        goals = [goal for goal in asked if not self._has_failed(goal, exit_id)]
        for goal in asked:
            if self._has_failed(goal, exit_id):
                yield Finding(goal.id, exit_id, False, 0.0, _BROKEN, segment.at)
        # Where faults stay the facts are there anyway: all is asked together.
        together = [n for n, goal in enumerate(goals) if self._assumptions.persistent or _stands_alone(goal)]
        plain = {n: _without_facts(goals[n]) for n in together}
        rest = {n: goal for n, goal in enumerate(goals) if n not in plain}
        for n, found in self._ask_together(standpoint, segment, plain, bad_bytes=False):
            if found.proved or goals[n].sooner is None or not self._may_use_facts(goals[n]):
                yield found
            else:
                rest[n] = goals[n]
        allowed = {n: goal for n, goal in rest.items() if self._may_use_facts(goal)}
        for _, found in self._ask_together(standpoint, segment, allowed, bad_bytes=True):
            yield found
        for goal in (goal for n, goal in rest.items() if n not in allowed):
            reason = "nothing tells where the first bad byte is, if it does not stay bad"
            yield Finding(goal.id, exit_id, False, 0.0, reason, segment.at)

    def _may_use_facts(self, goal: Goal) -> bool:
        """Whether the goal is about the first bad byte, and may rest on that staying bad."""
        persistent = self._assumptions.persistent
        return goal.bad_bytes and (persistent or not needs_transient(goal.id, "exit", self._contract))

    def _ask_together(
        self, standpoint: Standpoint, segment: Segment, goals: Mapping[int, Goal], *, bad_bytes: bool
    ) -> Iterator[tuple[int, Finding]]:
        """One question for all goals; if that fails one for those that its model leaves, or one each. Each
        answer comes with the number of its goal."""
        exit_id = exit_of_segment(self._image, segment)
        terms = {n: standpoint.with_ghost(segment, goal.term) for n, goal in goals.items()}
        final = {n: bad_bytes or self._is_final(goal.id, "exit") for n, goal in goals.items()}
        ask = partial(standpoint.ask_at_end, segment, bad_bytes=bad_bytes)
        by_address = bad_bytes or self._assumptions.persistent
        waiting = dict(goals)
        while True:
            whole = ask(
                z3.And(*(terms[n] for n in waiting), z3.BoolVal(True)),
                briefly=len(waiting) > 1 or [final[n] for n in waiting] == [False],
            )
            if whole.answer is Answer.PROVED:
                share = whole.seconds / max(1, len(waiting))
                for n, goal in waiting.items():
                    yield n, Finding(goal.id, exit_id, True, share, by_address=by_address)
                return
            # Of what is refuted, or asked again, nobody needs a model of its own.
            shown = self._shown(whole, waiting, terms, final, exit_id)
            for n in shown:
                goal = waiting.pop(n)
                self._give_up(goal, is_final=final[n])
                is_known = (goal.id, exit_id) in self._refuted
                hint = None if is_known else self._hint(whole, standpoint, terms[n], ask, segment)
                yield n, self._finding(goal.id, exit_id, whole, segment.at, hint, by_address=by_address)
            if not shown or not waiting:
                break
        for n, goal in waiting.items():
            reply = whole if len(waiting) == 1 else ask(terms[n], briefly=not final[n])
            if reply.answer is not Answer.PROVED:
                self._give_up(goal, is_final=final[n])
            hint = self._hint(reply, standpoint, terms[n], ask, segment)
            yield n, self._finding(goal.id, exit_id, reply, segment.at, hint, by_address=by_address)

    def _shown(
        self,
        reply: Reply,
        goals: Mapping[int, Goal],
        terms: Mapping[int, z3.BoolRef],
        final: Mapping[int, bool],
        exit_id: str,
    ) -> list[int]:
        """The numbers of the goals that fail in the model of `reply`, of those that runs have refuted or that
        are not `final`."""
        if reply.model is None:
            return []
        asked = [n for n, goal in goals.items() if not final[n] or (goal.id, exit_id) in self._refuted]
        return [n for n in asked if not z3.is_true(reply.value(terms[n]))]

    def _give_up(self, goal: Goal, *, is_final: bool) -> None:
        """Ask no more for an obligation that was not proved and is asked again when faults stay."""
        if not is_final and not goal.bad_bytes:
            self._given_up.add(goal.id)

    def _has_failed(self, goal: Goal, exit_id: str) -> bool:
        """Whether runs refute the goal's row, and one of its goals was not proved either."""
        return (goal.id, exit_id) in self._refuted and (goal.id, exit_id) in self._failed

    def _finding(
        self,
        identifier: str,
        exit_id: str,
        reply: Reply,
        at: int,
        hint: Hint | None,
        *,
        by_address: bool = False,
    ) -> Finding:
        reason = {
            Answer.PROVED: "",
            Answer.FAILED: "does not follow from the invariants that were found",
            Answer.TIMEOUT: "Z3 did not decide it in time",
            Answer.UNCONFIRMED: "Z3 proves it, but the second solver did not decide it in time",
        }[reply.answer]
        proved = reply.answer is Answer.PROVED
        return Finding(identifier, exit_id, proved, reply.seconds, reason, at, hint, by_address)

    def _hint(
        self,
        reply: Reply,
        standpoint: Standpoint,
        goal: z3.BoolRef,
        ask: Callable[..., Reply],
        segment: Segment | None = None,
    ) -> Hint | None:
        """The call of the model in which `goal` fails, if there is one; `ask` asks it again."""
        if reply.model is None:
            return None
        terms = terms_of(self._assumptions.contract, self._assumptions.length, segment)
        conditions, transfers = (segment.conditions, segment.transfers) if segment is not None else ((), ())
        said = [standpoint.here(term) for term in (goal, *conditions)]
        return Hint(
            reply,
            {name: standpoint.here(term) for name, term in terms.items()},
            lambda condition: ask(z3.Or(goal, z3.Not(condition)), briefly=True),
            found_by(self._assumptions.contract, terms["src"], said, transfers, standpoint.here),
        )

    # -- ends that must not be reached ----------------------------------------------------------

    def _dead_end(self, segment: Segment) -> Iterator[Finding]:
        """A path that must be impossible: an uncovered fault, an exception, something not understood."""
        standpoint, impossible = self._standpoint(segment.source), z3.BoolVal(False)
        ask = partial(standpoint.ask_at_end, segment)
        reply = ask(impossible)
        by_address = self._assumptions.persistent
        identifier = obligation_of(segment)
        if reply.answer is not Answer.PROVED and not needs_transient(identifier, "end", self._contract):
            ask, by_address = partial(ask, bad_bytes=True), True
            reply = ask(impossible)
        exit_id = place(self._image, segment.at) if identifier == "O1" else EVERYWHERE
        reason = segment.reason or "an access that may fault has no exception-table entry"
        finding = Finding(
            identifier,
            exit_id,
            reply.answer is Answer.PROVED,
            reply.seconds,
            "" if reply.answer is Answer.PROVED else f"{self._image.where(segment.at)}: {reason}",
            segment.at,
            self._hint(reply, standpoint, impossible, ask, segment),
            by_address,
        )
        yield self._rested_on(finding) if identifier == "O9" else finding

    # -- everywhere -----------------------------------------------------------------------------

    def _own_frame(self) -> Iterator[Finding]:
        """Stack accesses that leave the own frame: part of O7, since they may reach the return address."""
        by_address = self._assumptions.persistent
        for number, stray in enumerate(self._paths.strays):
            if not self._is_asked(("O7", "frame", number)):
                continue
            reply = self._standpoint(stray.source).ask(z3.BoolVal(False), stray.conditions)
            pointer = self._image.architecture.stack_pointer
            reason = (
                f"{self._image.where(stray.at)}: reaches the stack at {pointer}{stray.offset:+d} of the entry"
            )
            proved, asked = reply.answer is Answer.PROVED, _asked("O7", "frame", number)
            yield Finding("O7", EVERYWHERE, proved, reply.seconds, reason, stray.at, None, by_address, asked)

    def _footprint(self) -> Iterator[Finding]:
        groups: dict[tuple[Location, tuple[int, ...]], list[tuple[int, AccessPoint]]] = {}
        for number, point in enumerate(self._paths.accesses):
            if not self._is_asked(("O8", "access", number)):
                continue
            key = point.source, tuple(c.get_id() for c in point.conditions)
            groups.setdefault(key, []).append((number, point))
        for points in groups.values():
            yield from self._inside(points)

    def _inside(self, numbered: Sequence[tuple[int, AccessPoint]]) -> Iterator[Finding]:
        """O8 of accesses that happen under the same conditions, each with its number in `Paths`."""
        points = [point for _, point in numbered]
        asked: list[Question] = [("O8", "access", number) for number, _ in numbered]
        standpoint = self._standpoint(points[0].source)
        goals = [standpoint.here(access_goal(point, self._assumptions)) for point in points]
        reply = standpoint.ask(z3.And(goals), points[0].conditions, briefly=len(goals) > 1)
        if reply.answer is Answer.PROVED:
            by_address = self._assumptions.persistent
            yield Finding("O8", EVERYWHERE, True, reply.seconds, by_address=by_address, answers=tuple(asked))
            return
        for point, goal, question in zip(points, goals, asked, strict=True):
            ask = partial(standpoint.ask, conditions=point.conditions)
            reply = ask(goal)
            hint = self._hint(reply, standpoint, goal, ask)
            by_address = self._assumptions.persistent
            found = self._finding("O8", EVERYWHERE, reply, point.transfer.at, hint, by_address=by_address)
            at, kind = self._image.where(point.transfer.at), point.transfer.kind.value
            where = f"{at}: the {kind} may lie outside its buffer: "
            yield replace(found, reason=where + found.reason if found.reason else "", answers=(question,))

    def _termination(self) -> Iterator[Finding]:
        found = termination(self._paths, self._assumptions, self._standpoint)
        self.falling = found.falling
        where = [self._image.where(location.address) for location in found.endless]
        reason = f"no measure that falls was found for the loop at {', '.join(where)}" if where else ""
        by_address = self._assumptions.persistent
        yield Finding("O9", EVERYWHERE, not where, 0.0, reason, by_address=by_address, answers=(LOOPS,))

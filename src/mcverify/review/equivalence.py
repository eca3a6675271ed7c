"""Whether two revisions of a routine are proved to do the same: what is explored, what must be known
before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import z3

from mcverify.contract import Contract, faults_by_entry
from mcverify.deadline import Deadline, OutOfMemory
from mcverify.image.image import Image
from mcverify.invariants.guess import guesses
from mcverify.invariants.houdini import Houdini
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.solver import Reply, Solver
from mcverify.logic.standpoint import Invariant
from mcverify.machine.instruction import Kind
from mcverify.machine.lifter import lifter_of
from mcverify.paths.explore import Explorer, Options, TooManyPaths, address_of
from mcverify.paths.faults import FIRST_BAD
from mcverify.paths.segment import Location, Paths
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import EVERYWHERE, RoutineResult, Verdict
from mcverify.proof.samples import NothingSeen, sampled
from mcverify.proof.trials import Trials
from mcverify.review.access import fault_points
from mcverify.review.answer import Answer, Hint
from mcverify.review.kept import LastTwo
from mcverify.review.prove import Progress, Proved
from mcverify.review.relation import Failure, NotProved, Side, Simulation, Walk
from mcverify.review.ways import Ways

_QUERY_SECONDS = 5.0
_EXACT = ("O2", "O3", "O4", "O6", "O7", "O8", "O9")

_MOST_HINTS = 24

RowOf = Callable[[int, int], str]


def _address(_: int, address: int) -> str:
    return f"{address:#x}"


@dataclass
class Equivalence:
    """What may be asked of two revisions. `row_of` names the exit that serves an access of the old (0) or the
    new (1) one; at those in `different` they are known to differ."""

    old: Proved
    new: Proved
    options: ProveOptions
    deadline: Deadline
    progress: Progress
    explored: LastTwo[Explored]
    row_of: RowOf = _address
    different: frozenset[str] = frozenset()

    def answer(self) -> Answer:
        """Try to prove that both do the same for all inputs of the domain, or at which exits. Raises
        OutOfTime."""
        try:
            return self._answer()
        except z3.Z3Exception as failed:
            if "out of memory" not in str(failed):
                raise
            raise OutOfMemory("review") from failed

    def _answer(self) -> Answer:
        old, new = self.old.result, self.new.result
        if not _same_terms(old, new):
            return Answer("their contracts differ")
        determined = all(_is_determined(p.result) and _may_all_fault(p) for p in (self.old, self.new))
        if determined and not self.different:
            why = "both are proved to copy every good byte, and the contract leaves nothing open"
            return Answer(why, frozenset())
        missing = _missing(old) or _missing(new)
        return Answer(missing) if missing else self.simulated()

    def simulated(self, attempts: tuple[bool, ...] = (False, True)) -> Answer:
        """Try to prove it by walking both at once, in `attempts` without and with the invariants of each.

        Both must be known to stay within their buffers and stack frames. Raises OutOfTime.
        """
        try:
            sides = [self.explored.of(p, partial(self._explore, p)) for p in (self.old, self.new)]
        except TooManyPaths as many:
            return Answer(str(many))
        for side in sides:  # it may have been explored for another comparison, which had its own
            side.deadline = self.deadline
        ways = [Ways(side.paths, self._rows(number)) for number, side in enumerate(sides)]
        still_open: frozenset[str] | None = None
        hints: list[Hint] = []
        why = ""
        for with_invariants in attempts:
            self.progress("proving that nothing else changed")
            try:
                walk = self._walk(sides, ways, with_invariants)
            except (NotProved, NothingSeen) as failed:
                why = str(failed)
                continue
            still_open = walk.open if still_open is None else still_open & walk.open
            if not still_open:
                places = "place" if walk.places == 1 else "places"
                why = f"they keep step at {walk.places} {places}, with the same stores and results"
                return Answer(why, still_open)
            if still_open <= self.different:
                break
            why = next(f.why for f in walk.failures if not f.rows <= self.different)
            hints += [hint for f in walk.failures if (hint := self._hint(f)) is not None]
        return Answer(why, still_open, tuple(hints[:_MOST_HINTS]))

    def _explore(self, proved: Proved) -> Explored:
        return Explored.of(proved, self.options, self.deadline)

    def _rows(self, side: int) -> Callable[[int], str]:
        return lambda address: self.row_of(side, address)

    def _walk(self, sides: Sequence[Explored], ways: Sequence[Ways], with_invariants: bool) -> Walk:
        one, other = (
            Side(way, side.invariants(self.progress) if with_invariants else {})
            for side, way in zip(sides, ways, strict=True)
        )
        contract = self.new.task.contract
        assert contract is not None
        assumptions = _assumptions(self.new.image, contract, self.options)
        solver = Solver(_QUERY_SECONDS, self.deadline)
        return Simulation(one, other, contract, assumptions, solver, self.deadline, self.different).walk()

    def _hint(self, failed: Failure) -> Hint | None:
        """The inputs that a failed goal's model has, None where there is none, or no need of it."""
        if failed.rows <= self.different:
            return None
        contract = self.new.task.contract
        assert contract is not None
        return _hint(failed.reply, _assumptions(self.new.image, contract, self.options))


def _hint(reply: Reply | None, assumptions: Assumptions) -> Hint | None:
    if reply is None or reply.model is None:
        return None
    contract = assumptions.contract
    terms = {
        "len": assumptions.length,
        "bad_src": FIRST_BAD[Kind.LOAD],
        "bad_dst": FIRST_BAD[Kind.STORE],
        "fault_src": FIRST_BAD[Kind.LOAD],
        "fault_dst": FIRST_BAD[Kind.STORE],
        "dst": address_of(contract.dst or contract.src),
        "src": address_of(contract.src or contract.dst),
    }
    values = {name: int(reply.value(term).as_long()) for name, term in terms.items()}
    return lambda name: values[name]


def _assumptions(image: Image, contract: Contract, options: ProveOptions) -> Assumptions:
    return Assumptions(contract, options.len_max, image.architecture.granularity, persistent=True)


def _same_terms(old: RoutineResult, new: RoutineResult) -> bool:
    return old.contract == new.contract and old.faults == new.faults


def _missing(result: RoutineResult) -> str:
    """What the proof by steps needs to know and was not proved of a revision; "" if nothing is missing."""
    if result.contract is None:
        return "no contract is known"
    if result.unknowns:
        return f"not all of it is understood: {result.unknowns[0]}"
    spread = {o.id: o.verdict for o in result.obligations if o.exit == EVERYWHERE}
    for identifier, what in (("O7", "its own stack frame"), ("O8", "its buffers")):
        if spread.get(identifier, Verdict.PROVED) is not Verdict.PROVED:
            return f"it is not proved to stay within {what}"
    return ""


def _is_determined(result: RoutineResult) -> bool:
    """Whether all that a caller can see of the routine follows from what was proved of it: every good byte
    before the first bad one is copied, nothing behind it, the count is exact."""
    contract = result.contract
    if contract is None or result.verdict is not Verdict.PROVED or result.slack != 0:
        return False
    if contract.left is None or contract.told != "left" or contract.status is not None:
        return False
    exact = contract.over_report == contract.over_report_on_machine_check == 0
    asked = all(o in contract.obligations and o in contract.on_machine_check for o in _EXACT)
    # An access of several bytes may meet bad ones of both kinds, and which trap it raises is not ours to say.
    one_trap = contract.trap is None or len({*contract.load_traps, *contract.store_traps}) == 1
    return exact and asked and one_trap and "O10" not in contract.obligations


def _may_all_fault(proved: Proved) -> bool:
    """Whether no access is taken not to fault for want of an entry: of two revisions that differ in that,
    each keeps its promise, and they do not do the same."""
    kind = faults_by_entry(proved.task.faults)
    points = fault_points(proved.result, proved.image) if kind is not None else []
    return all(
        point.line.fixup is not None for point in points if (point.stores if kind == "store" else point.loads)
    )


@dataclass
class Explored:
    """One revision, explored; its invariants are sought when they are first needed."""

    proved: Proved
    paths: Paths
    options: ProveOptions
    deadline: Deadline
    _known: Mapping[Location, Invariant] | None = None

    @classmethod
    def of(cls, proved: Proved, options: ProveOptions, deadline: Deadline) -> Explored:
        """Explore a revision. Raises TooManyPaths and OutOfTime."""
        contract = proved.task.contract
        assert contract is not None
        explorer = Explorer(
            image=proved.image,
            entry=proved.task.entry,
            contract=contract,
            options=Options.of(contract, proved.task.faults, options.rep_model),
            deadline=deadline,
            progress=lambda _: None,
            lifter=lifter_of(proved.image),
        )
        return cls(proved, explorer.explore(), options, deadline)

    def invariants(self, progress: Progress) -> Mapping[Location, Invariant]:
        """What is proved of its locations."""
        if self._known is None:
            self._known = self._invariants(progress)
        return self._known

    def _invariants(self, progress: Progress) -> Mapping[Location, Invariant]:
        contract, faults = self.proved.task.contract, self.proved.task.faults
        assert contract is not None
        paths, len_max = self.paths, self.options.len_max
        trials = Trials(self.proved.image, self.proved.task.entry, contract, faults, deadline=self.deadline)
        cases, visits = sampled(paths, contract, faults, trials.runner, len_max)
        guessed = guesses(paths, contract, cases, visits, len_max, persistent=False)
        granularity = self.proved.image.architecture.granularity
        assumptions = Assumptions(contract, len_max, granularity, persistent=False)
        Houdini(paths, guessed, assumptions, Solver(_QUERY_SECONDS, self.deadline)).run(progress)
        return {location: found.invariant() for location, found in guessed.items()}

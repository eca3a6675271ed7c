"""Whether two revisions of a routine are proved to do the same: what is explored, what must be known
before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.invariants.guess import guesses
from mcverify.invariants.houdini import Houdini
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.solver import Solver
from mcverify.logic.standpoint import Invariant
from mcverify.machine.instruction import Kind
from mcverify.machine.lift import Lifter
from mcverify.models import read_toml
from mcverify.paths.explore import Explorer, Options, TooManyPaths, address_of
from mcverify.paths.faults import FIRST_BAD
from mcverify.paths.segment import Location, Paths
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import EVERYWHERE, RoutineResult, Verdict
from mcverify.proof.samples import sampled
from mcverify.proof.trials import Trials
from mcverify.review.prove import Progress, Proved
from mcverify.review.relation import NotProved, Side, Simulation

_QUERY_SECONDS = 5.0
_EXACT = ("O2", "O3", "O4", "O6", "O7", "O8", "O9")

Hint = Callable[[str], int]


@dataclass(frozen=True)
class Answer:
    """Whether equivalence is proved, why (a sentence), and inputs on which the two may differ."""

    proved: bool
    why: str
    hints: tuple[Hint, ...] = ()


def equivalent(
    old: Proved, new: Proved, options: ProveOptions, deadline: Deadline, progress: Progress
) -> Answer:
    """Try to prove that both do the same for all inputs of the domain. Raises OutOfTime."""
    if _is_determined(old.result) and _is_determined(new.result) and _same_terms(old.result, new.result):
        return Answer(True, "both are proved to copy every good byte, and the contract leaves nothing open")
    missing = _missing(old.result) or _missing(new.result)
    if missing:
        return Answer(False, missing)
    if not _same_terms(old.result, new.result):
        return Answer(False, "their contracts differ")
    return simulated(old, new, options, deadline, progress)


def simulated(
    old: Proved,
    new: Proved,
    options: ProveOptions,
    deadline: Deadline,
    progress: Progress,
    attempts: tuple[bool, ...] = (False, True),
) -> Answer:
    """Try to prove it by walking both at once, in `attempts` without and with the invariants of each.

    Both must be known to stay within their buffers and stack frames. Raises OutOfTime.
    """
    contract = new.task.contract
    assert contract is not None
    hints: list[Hint] = []
    why = ""
    try:
        sides = [_Explored.of(proved, options, deadline) for proved in (old, new)]
        for with_invariants in attempts:
            progress("proving that nothing else changed")
            one, other = (explored.side(with_invariants, progress) for explored in sides)
            assumptions = _assumptions(contract, options)
            solver = Solver(_QUERY_SECONDS, deadline)
            simulation = Simulation(one, other, contract, assumptions, solver, deadline)
            try:
                count = simulation.prove()
            except NotProved as failed:
                why = str(failed)
                hints += _hint(failed, assumptions)
                continue
            places = "place" if count == 1 else "places"
            return Answer(True, f"they keep step at {count} {places}, with the same stores and results")
    except TooManyPaths as many:
        why = str(many)
    return Answer(False, why, tuple(hints))


def _hint(failed: NotProved, assumptions: Assumptions) -> list[Hint]:
    reply = failed.reply
    if reply is None or reply.model is None:
        return []
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
    return [lambda name: values[name]]


def _assumptions(contract: Contract, options: ProveOptions) -> Assumptions:
    granularity = read_toml("x86_64.toml")["faults"]["granularity"]
    return Assumptions(contract, options.len_max, granularity, persistent=True)


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
    if contract.left is None or contract.status is not None:
        return False
    exact = contract.over_report == contract.over_report_on_machine_check == 0
    asked = all(o in contract.obligations and o in contract.on_machine_check for o in _EXACT)
    # An access of several bytes may meet bad ones of both kinds, and which trap it raises is not ours to say.
    one_trap = contract.trap is None or len({*contract.load_traps, *contract.store_traps}) == 1
    return exact and asked and one_trap and "O10" not in contract.obligations


@dataclass
class _Explored:
    """One revision, explored; its invariants are sought when they are first needed."""

    proved: Proved
    paths: Paths
    options: ProveOptions
    deadline: Deadline

    @classmethod
    def of(cls, proved: Proved, options: ProveOptions, deadline: Deadline) -> _Explored:
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
            lifter=Lifter(proved.image),
        )
        return cls(proved, explorer.explore(), options, deadline)

    def side(self, with_invariants: bool, progress: Progress) -> Side:
        """What the simulation needs of it."""
        return Side(self.paths, self._invariants(progress) if with_invariants else {})

    def _invariants(self, progress: Progress) -> dict[Location, Invariant]:
        contract, faults = self.proved.task.contract, self.proved.task.faults
        assert contract is not None
        paths, len_max = self.paths, self.options.len_max
        trials = Trials(self.proved.image, self.proved.task.entry, contract, faults, deadline=self.deadline)
        cases, visits = sampled(paths, contract, faults, trials.runner, len_max)
        guessed = guesses(paths, contract, cases, visits, len_max, persistent=False)
        granularity = read_toml("x86_64.toml")["faults"]["granularity"]
        assumptions = Assumptions(contract, len_max, granularity, persistent=False)
        Houdini(paths, guessed, assumptions, Solver(_QUERY_SECONDS, self.deadline)).run(progress)
        return {location: found.invariant() for location, found in guessed.items()}

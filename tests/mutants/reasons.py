"""Why a mutant that is proved may stand: what the change cannot alter, or what the contract leaves open.

Each reason is checked. First come those that the code and the proofs tell; then the two routines are taken
together: proved to do the same, or run until they differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mcverify.contract import MACHINE_CHECK, Contract
from mcverify.image.image import Image, TableEntry
from mcverify.review.result import Behaviour, Difference, Kind, Relation
from mutants.continuation import Change, changes, is_dead, stores_nothing, usual_code


class Reason(StrEnum):
    """The texts are those of the report."""

    SAME_CODE = "same code"
    SAME_EFFECT = "same effect"
    NOT_READ = "not read"
    ONE_COUNT = "one count"
    EVERY_GOOD_BYTE = "every good byte"
    ANOTHER_FAILURE = "another failure"
    SAME_STEPS = "same steps"
    MORE_LEFT = "more left"
    LEFT_OPEN = "left open"
    MACHINE_CHECK = "machine check"


RIGHT_NOT_SAME = frozenset((Reason.MORE_LEFT, Reason.LEFT_OPEN, Reason.MACHINE_CHECK))
"""Reasons of mutants that do something else, which the contract allows."""

MEANING = {
    Reason.SAME_CODE: "the code behind every fault is the same, instruction by instruction",
    Reason.SAME_EFFECT: "the entry names another type of handler, and the same code; both types change the"
    " registers alike (models/x86_64/extable.toml)",
    Reason.NOT_READ: "the trap number that the handler puts into rax, or no longer puts there, is overwritten"
    " before anything reads it (liveness over the code behind the fault)",
    Reason.ONE_COUNT: "the code behind the fault neither loads nor stores, before and after the change: the"
    " bytes stored are the same. For these the contract admits one count only (O3 and O4, no allowance),"
    " and that is proved",
    Reason.EVERY_GOOD_BYTE: "the code behind the fault tries again, and of both routines a slack of 0 is"
    " proved: every byte before the bad one is stored, so the bytes stored are the same, and the count too",
    Reason.ANOTHER_FAILURE: "the bytes stored are the same, and the contract promises a status other than"
    " zero, which is proved, not which one",
    Reason.SAME_STEPS: "both routines, walked at once on the same inputs, are proved to store the same and to"
    " return the same, for every len, address and set of bad bytes (the proof of `mcverify review`)",
    Reason.MORE_LEFT: "not the same, but right: more good bytes before the bad one are left uncopied (the"
    " slack that is proved is greater), the count is exact, and the contract does not ask for progress (O5)",
    Reason.LEFT_OPEN: "not the same, but right: a run after a fault shows that one copies more good bytes"
    " than the other. How many is open, as the contract does not ask for progress (O5); the count is exact"
    " (O2 to O4, no allowance), and that is proved",
    Reason.MACHINE_CHECK: "not the same, but right: they differ in a run after a machine check. The contract"
    " then admits any count that claims no byte too many and leaves at most so many stored ones out, which is"
    " proved. If all faults are page faults, one of the reasons of those that do the same holds",
}


@dataclass(frozen=True, slots=True)
class Proved:
    """A routine that was proved: its image and name, the contract it was proved against, and its slack."""

    image: Image
    name: str
    contract: Contract
    slack: int | None


def reason(right: Proved, mutant: Proved) -> Reason | None:
    """Why the mutant is as good as the right routine; None if no reason holds.

    Both have been proved, and their code is the same up to the first fault.
    """
    assert usual_code(right.image) == usual_code(mutant.image), "code that runs without a fault was changed"
    changed = [change for change in changes(right.image, mutant.image) if _is_within(right, change)]
    if not changed:
        return Reason.SAME_CODE
    if all(_has_same_effect(change) for change in changed):
        return Reason.SAME_EFFECT
    if all(_is_overwritten(right, mutant, change) for change in changed):
        return Reason.NOT_READ
    if all(_stores_nothing(right, mutant, change) for change in changed):
        return _same_bytes(mutant.contract)
    return _tries_again(right, mutant)


def _is_within(routine: Proved, change: Change) -> bool:
    """Whether the instruction that faults is one of this routine."""
    function = next(f for f in routine.image.functions if f.name == routine.name)
    entry = change.right or change.mutant
    return entry is not None and function.address <= entry.insn < function.address + function.size


def _has_same_effect(change: Change) -> bool:
    """Whether only the handlers' names differ."""
    if not change.handler_only or change.right is None or change.mutant is None:
        return False
    one, other = change.right.handler, change.mutant.handler
    return (one.effects, one.register, one.imm) == (other.effects, other.register, other.imm)


def _is_overwritten(right: Proved, mutant: Proved, change: Change) -> bool:
    """Whether only the handlers differ, and what they do to rax is not read."""
    if not change.handler_only or change.right is None or change.mutant is None:
        return False
    effects = {*change.right.handler.effects, *change.mutant.handler.effects}
    dead = (is_dead(p.image, e.fixup, "rax", p.contract) for p, e in _both(right, mutant, change))
    return effects <= {"ax = trap"} and all(dead)


def _stores_nothing(right: Proved, mutant: Proved, change: Change) -> bool:
    return all(stores_nothing(p.image, entry) for p, entry in _both(right, mutant, change))


def _both(right: Proved, mutant: Proved, change: Change) -> list[tuple[Proved, TableEntry]]:
    """The two routines with their entries; one without an entry has no code behind the fault."""
    return [(p, e) for p, e in ((right, change.right), (mutant, change.mutant)) if e is not None]


def _same_bytes(contract: Contract) -> Reason | None:
    """What the contract leaves open where the bytes stored are the same."""
    if _admits_one_count(contract):
        return Reason.ONE_COUNT
    return Reason.ANOTHER_FAILURE if contract.status is not None else None


def _tries_again(right: Proved, mutant: Proved) -> Reason | None:
    if not _admits_one_count(mutant.contract) or right.slack is None or mutant.slack is None:
        return None
    if right.slack == mutant.slack == 0:
        return Reason.EVERY_GOOD_BYTE
    asks_for_progress = "O5" in mutant.contract.obligations
    return Reason.MORE_LEFT if mutant.slack > right.slack and not asks_for_progress else None


def _admits_one_count(contract: Contract) -> bool:
    """Whether the bytes stored determine the count: it claims all of them and no other."""
    return contract.left is not None and all(
        contract.over_report_after(trap) == 0 and {*contract.binding(trap)} >= _EXACT
        for trap in {*contract.load_traps, *contract.store_traps}
    )


_EXACT = {"O2", "O3", "O4"}


# -- both together ------------------------------------------------------------------------------------


def compared(
    contract: Contract, behaviour: Behaviour, after_page_faults: Callable[[], Reason | None]
) -> Reason | None:
    """Why the mutant may stand, by how it behaves beside the right routine; None if no reason holds.

    `after_page_faults` gives the reason where no other faults happen.
    """
    if behaviour.relation is Relation.EQUIVALENT:
        return Reason.SAME_STEPS
    differences = behaviour.differences
    if behaviour.relation is not Relation.DIFFERENT or not all(map(_is_of_what_is_left, differences)):
        return None
    if _admits_one_count(contract):
        stops_elsewhere = all(Kind.BYTES in d.kinds for d in differences)
        return Reason.LEFT_OPEN if stops_elsewhere and "O5" not in contract.obligations else None
    if not _is_relaxed_after_machine_checks(contract) or not any(map(_is_after_machine_check, differences)):
        return None
    reason = after_page_faults()
    return None if reason is None or reason in RIGHT_NOT_SAME else Reason.MACHINE_CHECK


def _is_of_what_is_left(difference: Difference) -> bool:
    """Whether both return after a fault, with other counts or other bytes stored, and that is all."""
    after_faults = difference.before.faults and difference.after.faults
    return bool(after_faults) and {*difference.kinds} <= {Kind.COUNT, Kind.BYTES}


def _is_after_machine_check(difference: Difference) -> bool:
    faults = difference.before.faults[-1:] + difference.after.faults[-1:]
    return difference.case.trap == MACHINE_CHECK and not any(fault.is_store for fault in faults)


def _is_relaxed_after_machine_checks(contract: Contract) -> bool:
    """Whether the contract asks for less after a machine check, and for exact counts else."""
    return _admits_one_count(contract.restricted("pf")) and MACHINE_CHECK in contract.load_traps

"""Why a mutant that is proved may stand: what the change cannot alter. Each reason is checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mcverify.contract import Contract
from mcverify.image.image import Image, TableEntry
from mutants.continuation import Change, changes, is_dead, stores_nothing, usual_code


class Reason(StrEnum):
    """The texts are those of the report."""

    SAME_CODE = "same code"
    NOT_READ = "not read"
    ONE_COUNT = "one count"
    EVERY_GOOD_BYTE = "every good byte"
    ANOTHER_FAILURE = "another failure"
    MORE_LEFT = "more left"


MEANING = {
    Reason.SAME_CODE: "the code behind every fault is the same, instruction by instruction",
    Reason.NOT_READ: "the trap number that the handler puts into rax, or no longer puts there, is overwritten"
    " before anything reads it (liveness over the code behind the fault)",
    Reason.ONE_COUNT: "the code behind the fault neither loads nor stores, before and after the change: the"
    " bytes stored are the same. For these the contract admits one count only (O3 and O4, no allowance),"
    " and that is proved",
    Reason.EVERY_GOOD_BYTE: "the code behind the fault tries again, and of both routines a slack of 0 is"
    " proved: every byte before the bad one is stored, so the bytes stored are the same, and the count too",
    Reason.ANOTHER_FAILURE: "the bytes stored are the same, and the contract promises a status other than"
    " zero, which is proved, not which one",
    Reason.MORE_LEFT: "not the same, but right: more good bytes before the bad one are left uncopied (the"
    " slack that is proved is greater), the count is exact, and the contract does not ask for progress (O5)",
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
    bound = {*contract.obligations} & {*contract.on_machine_check}
    return contract.left is not None and contract.over_report == 0 and {"O2", "O3", "O4"} <= bound

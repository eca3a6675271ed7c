"""Where the routine's own account of what is left and the bytes in memory part.

The account at an access is what would be returned if a fault struck there: handler and fixup of its
table entry, run on the registers of that moment. It is held against the number of bytes of dst that are not
stored by then. A fixup can be asked at any other moment of the run too, for what it would return with the
registers as they are: the last moment at which that was right is where the two part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mcverify.image.callees import assumed_at
from mcverify.proof.exits import SUCCESS, exit_of_fault
from mcverify.runs.case import Case, Outcome, Place, Placement
from mcverify.runs.code import reachable
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import Judged, judge
from mcverify.witness.walk import Step, Walk, walk

_MOST_QUESTIONS = 4000
_FURTHER_RUNS = 3
_STRETCHES = (1, 7, 8, 16, 24, 64, 120)


@dataclass(frozen=True, slots=True)
class Parting:
    """The step `at` which account and memory part.

    Before it the fixup of the instruction `asked` would have returned `before` bytes; `due` were missing, as
    many, or as many less as the contract allows. After it `after` would be returned, and `missing` are.
    Where that fixup was right at no moment of the run, `before` is None: `at` is then the access whose fault
    it miscounts, and `right` the last access before it whose fault would have been counted right.
    """

    at: Step
    asked: int
    before: int | None
    after: int
    missing: int
    due: int = 0
    right: Step | None = None


class Accounts:
    """Asks the fixups of a run for their counts."""

    def __init__(self, run: Walk) -> None:
        self._run = run
        self._emulator = EmulatorRunner(run.image, run.entry, run.contract)
        self._questions = 0
        self._answers: dict[tuple[object, ...], int | None] = {}

    @property
    def exhausted(self) -> bool:
        """Whether no more is to be asked: what is known by now has to do."""
        return self._questions >= _MOST_QUESTIONS

    def at(self, insn: int, step: Step) -> int | None:
        """The bytes left that would be returned if `insn` had faulted with the registers before `step`; None
        where its fixup returns no count at once."""
        entry = self._run.image.entry_at(insn)
        # Entries with one handler and one fixup give one answer: in a long copy most have.
        shared = (insn,) if entry is None else (entry.fixup, entry.handler)
        asked = (*shared, *step.before.values())
        if asked not in self._answers:
            if self._run.contract.left is None or self.exhausted:
                return None
            self._questions += 1
            self._answers[asked] = self._asked(insn, step)
        return self._answers[asked]

    def _asked(self, insn: int, step: Step) -> int | None:
        found = self._emulator.after_fault(insn, step.before, self._run.return_slot, self._trap)
        run = self._run
        return None if found is None else run.contract.left_of(found, run.outcome.initial, run.case.len)

    def is_right(self, insn: int, index: int) -> bool | None:
        """Whether the account of `insn` before step number `index` fits memory; None without an account."""
        account = self.at(insn, self._run.steps[index])
        if account is None:
            return None
        missing = self._run.missing_before(index)
        allowed = self._run.contract.over_report_after(self._trap)
        return missing <= account <= missing + allowed

    @cached_property
    def _trap(self) -> int:
        """The trap number of the run's last fault, by which its count is judged."""
        run = self._run
        last = Judged(run.contract, run.case, run.outcome, (), hex).last_trap
        return run.case.trap if last is None else last


def parting(run: Walk, obligation: str, exit_id: str) -> Parting | None:
    """Where account and memory part in a run that breaks `obligation` at the exit; None if nobody can say.

    Numbers may agree by chance: an instruction is named only if another run that breaks the same obligation
    at the same exit parts there too, as far as one is found; else the access whose fault is miscounted is.
    """
    if run.contract.left is None or not run.is_consistent:
        return None
    found = _parting(run)
    if found is None or found.before is None:
        return found
    others = [_parting(other) for other in _alike(run, obligation, exit_id)]
    if not others or any(other is not None and _place(other) == _place(found) for other in others):
        return found
    return _miscounted(run, Accounts(run))


def _place(found: Parting) -> tuple[int, bool]:
    return found.at.address, found.before is None


def _parting(run: Walk) -> Parting | None:
    accounts = Accounts(run)
    code = reachable(run.image, run.entry)
    own = (entry.insn for entry in run.image.entries if entry.insn in code)
    # A routine outside the file counts right, what it is handed: `handed`.
    entries = [insn for insn in own if not assumed_at(run.image, insn)]
    miscounted = _miscounted(run, accounts)
    if miscounted is None:
        latest = _latest_right(accounts, entries, len(run.head))
    else:
        end = miscounted.at.number
        latest = _latest_right(accounts, [miscounted.asked], end)
        if latest is not None:
            # This fixup was right once. Another one may have been right for longer: that of a later loop
            # has nothing to say of a count that an earlier one keeps.
            latest = _latest_right(accounts, [miscounted.asked, *entries], end)
    if latest is None or accounts.exhausted:
        return miscounted
    return _after(run, accounts, *latest)


def _miscounted(run: Walk, accounts: Accounts) -> Parting | None:
    """The first access whose fault would be, or was, miscounted by the fixup at which the run ended; by any,
    if it ended without a fault."""
    fixups = {entry.insn: entry.fixup for entry in reversed(run.image.entries)}
    own = None if run.last_fault is None else fixups.get(run.last_fault.address)
    right = None
    for index, step in enumerate(run.head):
        if step.address not in fixups or not step.touched:
            continue
        answer = accounts.is_right(step.address, index)
        if answer is False and own in (None, fixups[step.address]):
            account = accounts.at(step.address, step)
            if account is None:
                return None
            return Parting(step, step.address, None, account, run.missing_before(index), right=right)
        right = step if answer else right
    return None


def _latest_right(accounts: Accounts, asked: Sequence[int], end: int) -> tuple[int, int] | None:
    """The last step before number `end` at which the account of one of the instructions `asked` was right,
    and that instruction, the first of several; None if none ever was."""
    latest = None
    for insn in asked:
        start = -1 if latest is None else latest[0]
        index = next((i for i in range(end - 1, start, -1) if accounts.is_right(insn, i)), None)
        latest = latest if index is None else (index, insn)
    return latest


def _after(run: Walk, accounts: Accounts, index: int, insn: int) -> Parting | None:
    """The parting at step number `index`, behind which the account of `insn` is no longer right."""
    step = run.steps[index]
    before, missing = accounts.at(insn, step), run.case.len - step.stored
    behind = replace(step, before=step.after)
    after = accounts.at(insn, behind) if step.after else None
    if before is None or after is None:
        return None
    return Parting(step, insn, before, after, missing, run.missing_before(index))


# ---- Other runs that break the same ----------------------------------------------------


def _alike(run: Walk, obligation: str, exit_id: str) -> Iterator[Walk]:
    """A few longer runs that break the same obligation at the same exit."""
    if run.outcome.on != "cpu":
        return
    runner = CpuRunner(run.image, run.entry, run.contract)
    cases = [case for stretch in _STRETCHES for case in _stretched(run.case, stretch)]
    kept = 0
    for case, outcome in zip(cases, runner.run(cases), strict=True):
        if kept == _FURTHER_RUNS:
            return
        if _exit(run, outcome) != exit_id:
            continue
        if obligation in {v.obligation for v in judge(run.contract, case, outcome)}:
            other = walk(run.image, run.entry, run.contract, case, outcome)
            if other is not None and other.is_consistent:
                kept += 1
                yield other


def _stretched(case: Case, by: int) -> Sequence[Case]:
    """The case with `by` bytes more behind the fault, and with them before it, and other contents."""
    seed = case.seed + by
    same = replace(case, len=case.len + by, seed=seed)
    moved = replace(same, src=_later(case.src, by), dst=_later(case.dst, by))
    return (moved, same)


def _later(placement: Placement, by: int) -> Placement:
    return Placement(Place.HOLE, placement.at + by) if placement.place is Place.HOLE else placement


def _exit(run: Walk, outcome: Outcome) -> str:
    return exit_of_fault(run.image, outcome.faults[-1].insn) if outcome.faults else SUCCESS

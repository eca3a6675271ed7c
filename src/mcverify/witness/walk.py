"""A counterexample's run step by step: registers as the runner saw them, accesses from the operands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.runs.case import Access, Case, Ending, Fault, Outcome
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.operands import Operands, Touched
from mcverify.runs.rep import SCHEDULES
from mcverify.runs.wire import is_long

KEPT = 4000
"""Of a longer run only so many steps are looked at from its beginning, and as many before its end."""

_FOLLOWED = 1 << 16
"""Of a buffer too long for a map only so many bytes are followed; a run that stores more is not."""

_NEAR = 1 << 24
"""An address this close to a buffer (bytes) is told by its offset from it; buffers lie further apart."""
_DEEPEST = 1 << 16
_WORD_MASK = (1 << 64) - 1

_NumberedStep = tuple[int, int, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Step:
    """One executed instruction, `number` counted from 0 on.

    `before` and `after` are the registers around it (for a fault, `after` is behind the exception handler),
    `touched` is what it accesses in memory; if it faulted, that did not happen. `stored` counts the bytes
    of dst that have been stored from its start on without a gap, after the step; `right` those of them
    that hold the right value at the end.
    """

    number: int
    address: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    touched: tuple[Access, ...]
    fault: Fault | None
    stored: int
    right: int

    @property
    def accesses(self) -> tuple[Access, ...]:
        """The accesses that were carried out."""
        return () if self.fault is not None else self.touched

    def changed(self, register: str) -> bool:
        """Whether `register` has another value after the step."""
        return self.after.get(register) != self.before.get(register)


@dataclass(frozen=True)
class Walk:
    """The steps of one run in order. `skipped` is how many are missing in the middle of a long one, from
    position `gap` of `steps` on. `is_consistent` tells that the stores seen on the way account for what
    the run left in memory; otherwise `accesses` and `stored` are not to be used."""

    image: Image
    entry: int
    contract: Contract
    case: Case
    outcome: Outcome
    steps: tuple[Step, ...]
    gap: int
    skipped: int
    is_consistent: bool

    @property
    def return_slot(self) -> int:
        """The address of the return address."""
        return self.outcome.initial["rsp"]

    @cached_property
    def head(self) -> tuple[Step, ...]:
        """The steps before the gap: all, where nothing is missing."""
        return self.steps[: self.gap] if self.skipped else self.steps

    @property
    def last_fault(self) -> Step | None:
        """The step that faulted last."""
        return next((step for step in reversed(self.steps) if step.fault is not None), None)

    @property
    def behind_fault(self) -> tuple[Step, ...]:
        """What ran after the last fault: all of the run, if there was none."""
        last = self.last_fault
        return tuple(s for s in self.steps if last is None or s.number > last.number)

    @cached_property
    def cycle(self) -> tuple[Step, ...]:
        """The steps between two moments with the same registers and flags at the same address, from the
        first such moment on; empty if none comes back."""
        seen: dict[tuple[int, tuple[int, ...]], int] = {}
        for step in self.head:
            state = step.address, tuple(step.before.values())
            if state in seen:
                return self.steps[seen[state] : step.number]
            seen[state] = step.number
        return ()

    def missing_before(self, index: int) -> int:
        """Bytes of dst not yet stored, counted behind the prefix that is, before step number `index` of
        `steps`."""
        return self.case.len - (self.steps[index - 1].stored if index else 0)


def walk(
    image: Image,
    entry: int,
    contract: Contract,
    case: Case,
    outcome: Outcome,
    deadline: Deadline | None = None,
) -> Walk | None:
    """The run of `case` with its `outcome`, single-stepped where it was made; None if it cannot be."""
    if outcome.ending in (Ending.REFUSED, Ending.DIED) or not _can_be_followed(case, outcome):
        return None
    for runner in _runners(image, entry, contract, outcome, deadline):
        # Where the buffers lie depends on what else is run: here the case is run alone.
        (again,) = runner.run([case])
        if _is_same(again, outcome):
            return _walk(image, entry, contract, case, again, runner.ends(case, KEPT))
    return None


def _can_be_followed(case: Case, outcome: Outcome) -> bool:
    """Whether the run is short, or at least stores only where a map of a short buffer would be."""
    if not is_long(case):
        return True
    stored = outcome.stored or ()
    return outcome.on == "cpu" and case.good_bytes <= _FOLLOWED and all(end <= _FOLLOWED for _, end in stored)


def _runners(
    image: Image, entry: int, contract: Contract, outcome: Outcome, deadline: Deadline | None
) -> Iterator[CpuRunner | EmulatorRunner]:
    """Those that may have made the run."""
    if outcome.on == "cpu":
        yield CpuRunner(image, entry, contract, deadline)
        return
    yield EmulatorRunner(image, entry, contract)
    for schedule in SCHEDULES:
        yield EmulatorRunner(image, entry, contract, rep_model="unordered", schedule=schedule)


def _is_same(a: Outcome, b: Outcome) -> bool:
    """Whether two outcomes are those of one run, wherever the buffers were."""
    return _seen(a) == _seen(b)


def _seen(outcome: Outcome) -> tuple[object, ...]:
    memory = outcome.written, outcome.correct, outcome.stored, outcome.wrong
    return (outcome.ending, outcome.faults, *memory)


def _walk(
    image: Image,
    entry: int,
    contract: Contract,
    case: Case,
    outcome: Outcome,
    recorded: Sequence[_NumberedStep],
) -> Walk | None:
    if not recorded:
        return None
    numbers = [number for number, _, _ in recorded]
    gap = next((i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1] + 1), len(numbers))
    skipped = numbers[gap] - numbers[gap - 1] - 1 if gap < len(numbers) else 0
    follower = _Follower(image, contract, case, outcome)
    steps = [*follower.steps(recorded[:gap], recorded[gap : gap + 1])]
    if skipped:
        follower.guess_stored(recorded[gap:])
        steps += follower.steps(recorded[gap:], ())
    is_consistent = bool(skipped) or follower.accounts_for_memory()
    return Walk(image, entry, contract, case, outcome, tuple(steps), gap, skipped, is_consistent)


class _Follower:
    """Keeps book of the bytes of dst while it goes through the steps of a run."""

    def __init__(self, image: Image, contract: Contract, case: Case, outcome: Outcome) -> None:
        self._image, self._case, self._outcome = image, case, outcome
        self._operands = Operands(image)
        self._fixups = {entry.insn: entry.fixup for entry in reversed(image.entries)}
        named = (("dst", contract.dst), ("src", contract.src))
        self._buffers = {name: outcome.initial[r] for name, r in named if r is not None}
        self._length = min(case.len, _FOLLOWED) if is_long(case) else case.len
        self._zeroes = contract.rest_zeroed
        self._written, self._correct = _maps(outcome, self._length)
        self._marks = bytearray(self._length)
        self._stored = self._right = 0

    def steps(self, recorded: Sequence[_NumberedStep], following: Sequence[_NumberedStep]) -> Iterator[Step]:
        """The steps of one uninterrupted part; `following` is empty at the end of the run."""
        ends_here = not following
        for index, (number, address, before) in enumerate(recorded):
            later = recorded[index + 1 : index + 2]
            at_end = self._outcome.registers if ends_here else {}
            after: Mapping[str, int] = later[0][2] if later else at_end
            touched = self._operands.touched(address, before)
            goes_to_fixup = later[0][1] == self._fixups.get(address) if later else ends_here
            fault = self._fault(address, touched) if goes_to_fixup else None
            accesses = tuple(self._access(address, t) for t in touched)
            if fault is None:
                self._store(accesses)
            yield Step(number, address, before, after, accesses, fault, self._stored, self._right)

    def accounts_for_memory(self) -> bool:
        """Whether every byte that the run changed was seen to be stored."""
        return all(mark or not changed for mark, changed in zip(self._marks, self._written, strict=True))

    def guess_stored(self, rest: Iterable[_NumberedStep]) -> None:
        """Behind a gap, take for stored what is at the end and is not stored by one of the `rest`."""
        self._marks[:] = bytes(map(bool, self._written))
        for _, address, before in rest:
            for touched in self._operands.touched(address, before):
                first, end = self._within_dst(self._access(address, touched))
                self._marks[first:end] = bytes(end - first)
        self._stored = self._right = 0
        self._advance()

    def _fault(self, insn: int, touched: Sequence[Touched]) -> Fault | None:
        """The fault of the run that lies within what the instruction touches."""
        for fault in self._outcome.faults:
            at = (fault.offset + self._buffers.get(fault.buffer, 0)) & _WORD_MASK
            if fault.insn == insn and any(t.address <= at < t.address + t.size for t in touched):
                return fault
        return None

    def _access(self, insn: int, touched: Touched) -> Access:
        for name, start in self._buffers.items():
            if -_NEAR <= touched.address - start < self._case.len + _NEAR:
                return Access(insn, name, touched.address - start, touched.size, touched.is_store)
        slot = touched.address - self._outcome.initial["rsp"]
        if -_DEEPEST <= slot < _DEEPEST:
            return Access(insn, "stack", slot, touched.size, touched.is_store)
        return Access(insn, "", touched.address, touched.size, touched.is_store)

    def _store(self, accesses: Iterable[Access]) -> None:
        for access in accesses:
            first, end = self._within_dst(access)
            # What was zeroed, and may be, is not stored: the outcome tells it from what was copied.
            is_copied = self._written[first:end] if self._zeroes else b"\1" * (end - first)
            self._marks[first:end] = bytes(map(bool, is_copied))
        self._advance()

    def _within_dst(self, access: Access) -> tuple[int, int]:
        if access.buffer != "dst" or not access.is_store:
            return 0, 0
        first = min(max(access.offset, 0), self._length)
        return first, max(first, min(access.offset + access.size, self._length))

    def _advance(self) -> None:
        length, marks = self._length, self._marks
        while self._stored < length and marks[self._stored]:
            self._stored += 1
        while self._right < self._stored and self._correct[self._right]:
            self._right += 1


def _maps(outcome: Outcome, length: int) -> tuple[bytes, bytes]:
    """Of the first `length` bytes of dst: whether each changed, and whether it is right now."""
    if outcome.stored is None:
        start = max(0, -outcome.base)
        written, correct = (m[start : start + length] for m in (outcome.written, outcome.correct))
        return written.ljust(length, b"\0"), correct.ljust(length, b"\0")
    changed, right = bytearray(length), bytearray(length)
    for runs, value in ((outcome.stored, 1), (outcome.wrong or (), 0)):
        for first, end in ((max(a, 0), min(b, length)) for a, b in runs):
            if first < end:
                changed[first:end] = b"\1" * (end - first)
                right[first:end] = bytes([value]) * (end - first)
    return bytes(changed), bytes(right)

"""The search for inputs on which two revisions of a routine differ: on the CPU, both with the same cases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mcverify.contract import Contract, Faults
from mcverify.deadline import Deadline
from mcverify.errors import Disagreement
from mcverify.proof.result import SUCCESS, Counterexample, RoutineResult, Verdict
from mcverify.proof.search import hinted, probes
from mcverify.proof.trials import Trials
from mcverify.review.answer import Hint
from mcverify.review.prove import Proved
from mcverify.review.result import Difference, Kind
from mcverify.runs.case import Access, Case, Ending, Outcome, Place
from mcverify.runs.cases import far_cases, sample_cases
from mcverify.runs.grid import quick_grid
from mcverify.runs.wire import is_long
from mcverify.witness.again import Pace
from mcverify.witness.shrink import Effort, simplest

ExitName = Callable[[int, str], str]
"""The row of the exit for an access of the old (0) or the new (1) revision, by the place of the access."""

A_FAULT = "a fault"
"""Stands for an access that has no row: it has no entry, and nothing is proved of it."""

_FLAGS = {"df": 1 << 10}
_ON_EMULATOR = 400
_FOOTPRINTS = 60
_EFFORT = Effort(3000, 256, tuple(range(130)), tuple(range(64)))
"""How much is tried to make a run simpler."""
_FIRST = 12
"""Of the grid every so many cases are tried first."""
_CHECKED = 5
"""Of the grid every so many cases are tried on what was proved to be equivalent."""
_LENGTHS = tuple(range(130)) + tuple(1 << k for k in range(8, 21))

_ENDLESS = 8
"""So many cases in which only one of the two seems not to end are run again, alone."""

_BATCH, _MOST_STOPPED, _SPREAD = 32, 12, 64
"""So many cases are run at once at first; once so many runs did not end, only so many of the cases left."""

_REFUSED = (Ending.REFUSED, Ending.DIED)


@dataclass
class Pair:
    """Two revisions that are run with the same cases. `found` keeps the smallest difference for each
    exit that one of them takes."""

    old: Proved
    new: Proved
    exit_name: ExitName
    len_max: int
    deadline: Deadline

    def __post_init__(self) -> None:
        contract = self.new.task.contract
        assert contract is not None
        self.contract: Contract = contract
        # Of the stores (or loads) that have an entry in one of the two, those of both are tried.
        self.faults: Faults = max(self.old.task.faults, self.new.task.faults, key=len)
        self._trials = tuple(
            Trials(p.image, p.task.entry, contract, self.faults, deadline=self.deadline)
            for p in (self.old, self.new)
        )
        self._rows = tuple(
            {line.address: self.exit_name(side, line.where) for line in proved.result.listing}
            for side, proved in enumerate((self.old, self.new))
        )
        self.found: dict[str, Difference] = {}
        self.beyond: Difference | None = None
        self.tried = 0
        self._endless = 0
        self._is_slow = False

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What was found, the smallest first."""
        return tuple(sorted(self.found.values(), key=lambda d: size(d.case)))

    def row_of(self, side: int, address: int) -> str:
        """The row of the exit that serves the access of the instruction at an address."""
        return self._rows[side].get(address) or A_FAULT

    # -- where to look ----------------------------------------------------------------------------

    def known(self) -> None:
        """Try the runs that are known to break one of the two."""
        self._try([run.case for _, run in self._counterexamples()])

    def _counterexamples(self) -> Iterator[tuple[int, Counterexample]]:
        for side, proved in enumerate((self.old, self.new)):
            for run in proved.result.counterexamples:
                yield side, run

    def broken(self, undecided: Collection[str]) -> None:
        """Keep the runs that break in one of the two what is proved of the other, at exits where nothing else
        differs: it is in a way that an outcome does not show."""
        proved = [_all_proved(p.result) for p in (self.old, self.new)]
        for side, run in self._counterexamples():
            if not proved[1 - side].issuperset(run.obligations) or not self._may_happen(run.case):
                continue
            old, new = (trials.runner.run([run.case])[0] for trials in self._trials)
            if not {old.ending, new.ending}.intersection(_REFUSED):
                for row in set(self.rows(old, new)) & set(undecided) - self.found.keys():
                    found = self._difference(row, run.case, old, new, (Kind.PROMISE,))
                    what = f"the {'older' if side == 0 else 'newer'} one breaks {', '.join(run.obligations)}"
                    self.found[row] = replace(found, sentence=f"{what}: {run.sentence}")

    def simplify(self) -> None:
        """Make the runs that were found as simple as it gets, those that differ at several exits as one."""
        rows: dict[Case, set[str]] = {}
        for row, found in self.found.items():
            is_dear = is_long(found.case) or Ending.TIMEOUT in (found.before.ending, found.after.ending)
            if not is_dear and found.kinds[0] not in (Kind.PROMISE, Kind.OUTSIDE):
                rows.setdefault(found.case, set()).add(row)
        for case, own in rows.items():
            self.deadline.check("review")
            simple = simplest(case, _Differs(self, frozenset(own)), _EFFORT)
            if simple != case:
                old, new = (trials.runner.run([simple])[0] for trials in self._trials)
                kinds = self._kinds(old, new)
                if kinds and own <= {*self.rows(old, new)}:
                    self.found |= {row: self._difference(row, simple, old, new, kinds) for row in own}

    def differing_rows(self, cases: Sequence[Case]) -> list[set[str]]:
        """The exits that each case takes, if the two differ then; none once a run has not ended: the next
        ones would take their time too."""
        allowed = [case for case in cases if self._allowed(case) and not self._is_slow]
        olds, news = (trials.runner.run(allowed) for trials in self._trials)
        self.tried += len(allowed)
        self._is_slow |= any(outcome.ending is Ending.TIMEOUT for outcome in (*olds, *news))
        shown = {
            case: {*self.rows(old, new)} if self._kinds(old, new) else set[str]()
            for case, old, new in zip(allowed, olds, news, strict=True)
        }
        return [shown.get(case, set()) for case in cases]

    def glance(self) -> None:
        """Try a small part of the grid."""
        self._try(self._grid[::_FIRST])

    def sample(self) -> None:
        """Try another part of the grid."""
        self._try(self._grid[1::_CHECKED])

    def check(self, proved: Iterable[str]) -> None:
        """Raise Disagreement if a run differs at an exit at which they were proved to be equivalent."""
        for row in sorted({*proved} & self.found.keys()):
            found = self.found[row]
            raise Disagreement(
                f"two revisions of {self.new.result.title} were proved to be equivalent at {row}, and differ"
                f" with len = {found.case.len}, seed {found.case.seed}: {found.sentence}",
                {"old": self.old.result.file, "new": self.new.result.file, "len": found.case.len},
            )

    def grid(self) -> None:
        """Try the rest of the grid."""
        self._try([case for number, case in enumerate(self._grid) if number % _FIRST])

    def closer(self, hints: Iterable[Hint]) -> None:
        """Try what the solver suggests, and counters near their ends; shrink what only that shows."""
        known = {*self.found}
        suggested = [case for hint in hints for case in hinted(hint)]
        self._try([*suggested, *probes(self.contract, self.faults, self.len_max)])
        for row in self.found.keys() - known:
            self.found[row] = self._shrunk(self.found[row])
        self._try(far_cases(self.contract))

    def outside(self) -> None:
        """Compare what both touch outside the buffers, until something differs."""
        cases = [
            c for c in sample_cases(self.contract, self.faults, 70, count=_FOOTPRINTS) if self._allowed(c)
        ]
        for case in sorted(cases, key=size):
            self.deadline.check("review")
            runs = [trials.emulator.footprint(case) for trials in self._trials]
            strays = [tuple(_outside(accesses, case)) for _, accesses in runs]
            if {(a.buffer, a.offset, a.size) for a in strays[0]} != {
                (a.buffer, a.offset, a.size) for a in strays[1]
            }:
                kinds = (Kind.OUTSIDE, *self._kinds(runs[0][0], runs[1][0]))
                self._keep(case, runs[0][0], runs[1][0], kinds, strays[0], strays[1])
                return

    def far(self) -> None:
        """Look for a difference at a length beyond the domain, with counters of more than 32 bits."""
        if self._trials[0].cpu is None:
            return
        for case in far_cases(self.contract):
            if case.len > self.len_max and self._trials[0].may_happen(case):
                old, new = (trials.runner.run([case])[0] for trials in self._trials)
                kinds = self._kinds(old, new)
                if kinds:
                    self.beyond = self._difference(self.rows(old, new)[0], case, old, new, kinds)
                    return

    @cached_property
    def _grid(self) -> list[Case]:
        presets = tuple(dict.fromkeys(p for trials in self._trials for p in trials.presets))
        cases = [
            c for c in quick_grid(self.contract, self.faults, presets).cases() if not c.later_traps
        ]  # what is not allowed is not counted
        return cases if self._trials[0].cpu is not None else cases[:: max(1, len(cases) // _ON_EMULATOR)]

    def _allowed(self, case: Case) -> bool:
        """Whether what is proved of both at once speaks of a case: a bad page stays bad, and two faults of
        one place have one number, whether others came before or not."""
        return not case.flicker and not case.later_traps and self._may_happen(case)

    def _may_happen(self, case: Case) -> bool:
        return case.len <= self.len_max and self._trials[0].may_happen(case)

    # -- trying -----------------------------------------------------------------------------------

    def _try(self, cases: Sequence[Case]) -> None:
        allowed = sorted((case for case in cases if self._allowed(case)), key=size)
        if not all(trials.is_faithful for trials in self._trials):
            return
        rest = self._try_while_they_end(allowed)
        self._try_while_they_end(rest[:: max(1, len(rest) // _SPREAD)])

    def _try_while_they_end(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Try cases, the smallest first, until so many have not ended that the rest would take too long; the
        rest."""
        stopped = 0
        size_of_batch = _BATCH
        while cases and stopped < _MOST_STOPPED:
            self.deadline.check("review")
            batch, cases = cases[:size_of_batch], cases[size_of_batch:]
            stopped += self._try_batch(batch)
            size_of_batch = _BATCH if stopped else 2 * size_of_batch
        return cases

    def _try_batch(self, cases: Sequence[Case]) -> int:
        """Try cases; how many runs did not end."""
        olds, news = (trials.runner.run(cases) for trials in self._trials)
        self.tried += sum(outcome.ending is not Ending.REFUSED for outcome in olds)
        for case, *both in zip(cases, olds, news, strict=True):
            old, new = self._confirmed(case, both[0], both[1])
            kinds = self._kinds(old, new)
            if kinds:
                self._keep(case, old, new, kinds)
        return sum(outcome.ending is Ending.TIMEOUT for outcome in (*olds, *news))

    def _confirmed(self, case: Case, old: Outcome, new: Outcome) -> tuple[Outcome, Outcome]:
        """The two outcomes; of a case in which one of the two did not end, those of another run of it alone.

        Among many a run is stopped the sooner the more of them have not ended, or where the machine is busy.
        """
        if (old.ending is Ending.TIMEOUT) is (new.ending is Ending.TIMEOUT):
            return old, new
        self._endless += 1
        if self._endless > _ENDLESS:
            return old, old  # it shows nothing
        first, second = (trials.runner.run([case])[0] for trials in self._trials)
        return first, second

    def _kinds(self, old: Outcome, new: Outcome) -> tuple[Kind, ...]:
        """In what two runs of one case differ; nothing where one of them shows nothing."""
        if old.ending in _REFUSED or new.ending in _REFUSED:
            return ()
        if old.ending is not new.ending:
            return (Kind.ENDING,)
        found = []
        if old.ending is Ending.RETURNED:
            if any(value != new_value for _, value, new_value in self._results(old, new)):
                found.append(Kind.COUNT)
            if self._state(old) != self._state(new):
                found.append(Kind.REGISTERS)
        if _memory(old) != _memory(new):
            found.append(Kind.BYTES)
        return tuple(found)

    def _results(self, old: Outcome, new: Outcome) -> Iterator[tuple[str, int, int]]:
        """Each result's register, or part of one, with its two values."""
        contract = self.contract
        for role in ("left", "status", "string_length", "trap"):
            name = contract.named(role)
            if name is not None:
                yield name, contract.result(role, old.registers), contract.result(role, new.registers)
        if contract.loaded_value is not None:
            name = contract.loaded_value
            yield name, old.registers[name], new.registers[name]

    def _state(self, outcome: Outcome) -> tuple[object, ...]:
        kept = [outcome.registers[name] for name in (*self.contract.kept, "rsp")]
        flags = [outcome.registers["rflags"] & bit for bit in _FLAGS.values()]
        return (*kept, *flags, outcome.ac, outcome.frame_intact)

    def _keep(
        self,
        case: Case,
        old: Outcome,
        new: Outcome,
        kinds: tuple[Kind, ...],
        before: tuple[Access, ...] = (),
        after: tuple[Access, ...] = (),
    ) -> None:
        for row in self.rows(old, new):
            known = self.found.get(row)
            if known is None or size(case) < size(known.case):
                self.found[row] = self._difference(row, case, old, new, kinds, before, after)

    def _difference(
        self,
        row: str,
        case: Case,
        old: Outcome,
        new: Outcome,
        kinds: tuple[Kind, ...],
        before: tuple[Access, ...] = (),
        after: tuple[Access, ...] = (),
    ) -> Difference:
        return Difference(row, kinds, case, old, new, self._sentence(old, new, kinds), before, after)

    def rows(self, old: Outcome, new: Outcome) -> list[str]:
        """The exits that one of the two runs took, the newer's first; the success where neither met a
        fault."""
        taken = [self.row_of(1, fault.insn) for fault in new.faults]
        taken += [self.row_of(0, fault.insn) for fault in old.faults]
        return list(dict.fromkeys(taken)) or [SUCCESS]

    def _sentence(self, old: Outcome, new: Outcome, kinds: Sequence[Kind]) -> str:
        if Kind.ENDING in kinds:
            return f"one {_ends(old)}, the other {_ends(new)}"
        if Kind.COUNT in kinds:
            name, before, after = next(found for found in self._results(old, new) if found[1] != found[2])
            if name == self.contract.named("left"):
                return f"{before} bytes are reported left, then {after}"
            return f"{name} is {before:#x}, then {after:#x}"
        if Kind.BYTES in kinds:
            return "other bytes of dst are stored"
        if Kind.OUTSIDE in kinds:
            return "other bytes outside the buffers are touched"
        return "a register that must be kept, a flag or the caller's frame differs"

    def _shrunk(self, difference: Difference) -> Difference:
        """A difference at the same exit for the least length that shows one, as far as a few tell."""
        smaller = [c for n in _LENGTHS if (c := _with_len(difference.case, n)) is not None]
        cases = sorted((c for c in smaller if self._allowed(c)), key=size)
        olds, news = (trials.runner.run(cases) for trials in self._trials)
        self.tried += len(cases)
        for case, old, new in zip(cases, olds, news, strict=True):
            kinds = self._kinds(old, new)
            if kinds and difference.row in self.rows(old, new):
                return self._difference(difference.row, case, old, new, kinds)
        return difference


@dataclass(frozen=True)
class _Differs:
    """Asks whether two revisions differ at some exits in other cases too."""

    pair: Pair
    rows: frozenset[str]
    pace: Pace = Pace.FAST

    def all_of(self, cases: Sequence[Case]) -> list[bool]:
        """Whether each case shows a difference at all of them."""
        return [self.rows <= found for found in self.pair.differing_rows(cases)]


def _all_proved(result: RoutineResult) -> set[str]:
    """The obligations that are proved wherever they are asked."""
    asked = {o.id for o in result.obligations}
    return asked - {o.id for o in result.obligations if o.verdict is not Verdict.PROVED}


def _with_len(case: Case, length: int) -> Case | None:
    """The case with a smaller length, its faults as far from the start as before; None where that is
    nothing."""
    if length >= case.len:
        return None
    if any(p.place is Place.HOLE and p.at >= length for p in (case.src, case.dst)):
        return None
    return replace(case, len=length)


def size(case: Case) -> tuple[int, ...]:
    """What makes a case smaller than another: its length first, then the faults, then the alignments."""
    bad = [p.first_bad for p in (case.src, case.dst)]
    return (
        case.len,
        sum(b is not None for b in bad),
        *(b or 0 for b in bad),
        case.src.at,
        case.dst.at,
        case.trap,
    )


def _memory(outcome: Outcome) -> tuple[object, ...]:
    return outcome.written, outcome.correct, outcome.base, outcome.stored, outcome.wrong


def _outside(accesses: Iterable[Access], case: Case) -> Iterator[Access]:
    for access in accesses:
        if access.buffer == "stack":
            continue
        inside = access.buffer and access.offset >= 0 and access.offset + access.size <= case.len
        if not inside:
            yield access


def _ends(outcome: Outcome) -> str:
    return {
        Ending.RETURNED: "returns",
        Ending.OOPS: "meets a fault without an entry (an oops)",
        Ending.WILD: "returns to elsewhere",
        Ending.TRAPPED: "meets an access that is not aligned (an oops)",
        Ending.ILLEGAL: "meets an instruction that is refused",
        Ending.TIMEOUT: "does not end",
        Ending.OVERFLOW: "runs out of stack",
        Ending.ESCAPED: "jumps to an external symbol",
    }.get(outcome.ending, outcome.ending.value)

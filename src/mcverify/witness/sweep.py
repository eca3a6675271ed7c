"""Every case of a grid, run and judged: what a routine does, without a proof of anything."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from random import Random
from typing import Literal

from mcverify.contract import Contract, Faults
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import InputError, LostProcess
from mcverify.image.image import Image
from mcverify.image.syntax import Syntax
from mcverify.proof import entries
from mcverify.proof.exits import EVERYWHERE
from mcverify.proof.listing import listing
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import ListingLine, titled
from mcverify.proof.select import Task, no_contract, not_looked_at, settled, tasks
from mcverify.proof.trials import STALE, Trials
from mcverify.proof.variants import Variant, variants
from mcverify.runs import cpu, native
from mcverify.runs.case import Case, Ending, Outcome
from mcverify.runs.cases import flickering_cases, sample_cases
from mcverify.runs.code import keeps_hidden, reachable, text_at
from mcverify.runs.grid import Grid, GridResult, GridViolation, full_grid, merge, quick_grid, size
from mcverify.runs.judge import Violation, judge
from mcverify.witness.sampled import FULL, LONGEST, QUICK, Check, check

On = Literal["cpu", "emulator"]
_Kinds = dict[tuple[str, int | None, Ending, int | None], list[Case]]
Progress = Callable[[str], None]

_EMULATED = 3000
_EMULATED_QUICK = 600
_FLICKERING_STEP = 20
"""Of the cases in which pages come and go one in so many is emulated."""
_BATCH = 50
_STEPPED = 60
_NOT_AGAIN = "the case did not fail again when it was run alone"
_NOT_ON_CPU = "the case fails in the emulator, and not on the CPU: one of the two is not to be believed"


class Finding(StrEnum):
    """What a sweep found. FAILED: a run breaks the contract; INCOMPLETE: none was seen to, but something
    was not run, or ended without showing anything."""

    CLEAN = "clean"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Options of `mcverify sweep`; those that `ProveOptions` has mean the same. `on` None: the CPU where
    it can run the routine. `quick` takes the small grid."""

    routines: tuple[str, ...] = ()
    contract: str | None = None
    faults: str | None = None
    quick: bool = False
    on: On | None = None
    timeout: float | None = None
    include: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    trap: str | None = None
    config: Path | None = None
    ignore_annotations: bool = False
    fault_model: str | None = None
    table: str | None = None
    syntax: Syntax | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """Cases that break one obligation at one exit after a fault on one instruction, and end alike.

    `where` is the `file:line` at which the kernel continues, of the instruction that the CPU refused, or
    (without a fault) of the routine; `access` that of the faulting instruction ("" without a fault). `count`
    cases were seen, `case` is the smallest, run once more for `outcome`; `sentence` says what it did.
    `certain` is False where that shows no mistake of the routine for certain: a run that was stopped, an
    instruction that only a kernel may execute.
    """

    obligation: str
    exit: str
    where: str
    access: str
    ending: Ending
    count: int
    case: Case
    outcome: Outcome
    sentence: str
    certain: bool


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What the sweep of one routine found.

    `cases` of `planned` were run on `on`, `failed` of them break something; `seconds` is the time for the
    runs. `kinds` come smallest case first, the certain ones before the others. `gaps` are sentences on what
    was not run or not seen, `notes` on the input, `by_comment` is as in `RoutineResult`. In `ordered` cases a
    missing fence could have been seen (None: the contract asks for none). Every length up to `lens[0]` was
    planned, none beyond `lens[1]`. `contract` is None where nobody says what the routine promises; `variant`
    is as in `RoutineResult`. `checked` cases of those that were run on the CPU were run again in the emulator
    (None: the CPU was not used, or showed failures).
    """

    name: str
    file: str
    contract: Contract | None
    faults: Faults
    on: On
    cases: int = 0
    planned: int = 0
    failed: int = 0
    seconds: float = 0.0
    kinds: tuple[Kind, ...] = ()
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lens: tuple[int, int] = (0, 0)
    ordered: int | None = None
    incomplete: bool = False
    entry: int = 0
    listing: tuple[ListingLine, ...] = ()
    variant: str = ""
    by_comment: tuple[str, ...] = ()
    checked: int | None = None

    @property
    def title(self) -> str:
        """The routine's name, with the variant where there are several."""
        return titled(self.name, self.variant)

    @property
    def finding(self) -> Finding:
        """The worst that can be said."""
        if any(kind.certain for kind in self.kinds):
            return Finding.FAILED
        return Finding.INCOMPLETE if self.incomplete or self.kinds else Finding.CLEAN


def sweep_file(path: Path, options: SweepOptions, progress: Progress) -> list[SweepResult]:
    """Sweep the routines of a file, in its order.

    Raises InputError where the input is wrong, or the CPU is asked for and cannot be had.
    """
    deadline = Deadline(options.timeout)
    on, why = _choose(options.on)
    progress("reading the file")
    image = _as_proof(options).image(path, deadline)
    chosen = tasks(image, _as_proof(options))
    jobs = [(task, variant) for task in chosen for variant in _variants(image, task)]
    notes = tuple(
        filter(
            None, [*image.notes, why, *_missing(on), "" if options.routines else not_looked_at(image, chosen)]
        )
    )
    return [_Sweep(v, task, options, on, deadline, progress, notes).result() for task, v in jobs]


def _variants(image: Image, task: Task) -> tuple[Variant, ...]:
    """What alternatives make of the routine. Raises InputError for a table entry within an instruction."""
    found = variants(image, task.entry) if task.contract is not None else (Variant("", {}, image, image),)
    for variant in found:
        entries.refuse_misplaced(variant.image, reachable(variant.image, task.entry))
    return found


def _missing(on: On) -> tuple[str, ...]:
    """What the confinement of the CPU's runs has not on this host."""
    return native.remarks() if on == "cpu" else ()


def _choose(asked: On | None) -> tuple[On, str]:
    """Where to run, and a sentence if that is not where one would expect it."""
    missing = cpu.available()
    if asked == "cpu" and missing is not None:
        raise InputError(f"--on cpu: {missing}", hint="--on emulator needs no such CPU")
    if asked is not None:
        return asked, ""
    return ("cpu", "") if missing is None else ("emulator", f"run on the emulator: {missing}")


def _as_proof(options: SweepOptions) -> ProveOptions:
    return ProveOptions(
        routines=options.routines,
        contract=options.contract,
        faults=options.faults,
        trap=options.trap,
        include=options.include,
        defines=options.defines,
        config=options.config,
        ignore_annotations=options.ignore_annotations,
        fault_model=options.fault_model,
        table=options.table,
        syntax=options.syntax,
    )


@dataclass(frozen=True, slots=True)
class Planned:
    """The cases of a sweep: the grid, those `chosen` of it for the emulator (else all), and how many that
    is, with those in which pages come and go."""

    grid: Grid
    chosen: tuple[Case, ...]
    planned: int


class _Sweep:
    """One routine under way."""

    _cases: Planned
    _seconds: float

    def __init__(
        self,
        variant: Variant,
        task: Task,
        options: SweepOptions,
        on: On,
        deadline: Deadline,
        progress: Progress,
        notes: tuple[str, ...],
    ) -> None:
        self._image, self._options, self._on = variant.image, options, on
        self._task = settled(task, variant.image)
        self._variant, self._deadline, self._notes = variant.name, deadline, notes
        self._progress: Progress = lambda text: progress(f"{titled(task.name, variant.name)}: {text}")

    def result(self) -> SweepResult:
        """Run the grid and look at what it showed."""
        contract = self._task.contract
        if contract is None:
            return self._not_run(no_contract(self._task))
        segment = next((i for i in reachable(self._image, self._task.entry).values() if i.uses_segment), None)
        if segment is not None:
            text = text_at(self._image, segment.address)
            where = self._image.where(segment.address)
            return self._not_run(
                f"{where}: {text}: fs and gs lead elsewhere in a user process, so no run would show anything"
            )
        if contract.is_exchange or contract.window is not None:
            return self._not_run("no run is judged by what this contract asks yet")
        trials = Trials(
            self._image, self._task.entry, contract, self._task.faults, deadline=self._deadline, on=self._on
        )
        make = quick_grid if self._options.quick else full_grid
        grid = make(contract, self._task.faults, trials.presets)
        start = time.monotonic()
        try:
            found, chosen = self._run(trials, grid)
            flickering = self._flickering(contract)
            if flickering:
                found = merge((found, self._emulate(trials, flickering)))
        except OutOfTime:
            return self._not_run("the time was over before it began")
        except (MemoryError, LostProcess) as error:
            return self._not_run(str(error) or "there is not enough memory to run it")
        planned = (len(chosen) or len(grid)) + len(flickering)
        self._cases, self._seconds = Planned(grid, tuple(chosen), planned), time.monotonic() - start
        return self._said(contract, found, self._checked(trials, found))

    def _checked(self, trials: Trials, found: GridResult) -> Check | None:
        """Some of the cases run again, where the CPU's runs showed no failure; None where there are none to
        be checked."""
        if trials.cpu is None or found.violations:
            return None
        count = QUICK if self._options.quick else FULL
        emulator = lambda: trials.emulator  # noqa: E731
        return check(self._cases.grid, trials.contract, emulator, count, self._deadline, self._progress)

    def _not_run(self, why: str) -> SweepResult:
        task = self._task
        return SweepResult(
            task.name, str(self._image.path), task.contract, task.faults, self._on,
            gaps=(why,), notes=self._notes, incomplete=True, entry=task.entry,
            variant=self._variant, by_comment=task.by_comment,
        )  # fmt: skip

    # -- running -----------------------------------------------------------------------------------

    def _run(self, trials: Trials, grid: Grid) -> tuple[GridResult, Sequence[Case]]:
        """What the grid showed, and, on the emulator, the cases chosen from it."""
        if trials.cpu is not None:
            return trials.cpu.grid(grid, lambda done: self._progress(f"{done} of {len(grid)} cases")), ()
        chosen = thinned(grid, _EMULATED_QUICK if self._options.quick else _EMULATED)
        return self._emulate(trials, chosen), chosen

    def _flickering(self, contract: Contract) -> list[Case]:
        """The cases in which pages come and go, where the contract asks everything of such faults."""
        if contract.fault_model != "transient":
            return []
        cases = [case for group in flickering_cases(contract, self._task.faults) for case in group]
        return cases[:: 1 if self._on == "cpu" else _FLICKERING_STEP]

    def _emulate(self, trials: Trials, cases: Sequence[Case]) -> GridResult:
        """As `CpuRunner.grid`, case by case."""
        kinds: _Kinds = defaultdict(list)
        failed = done = 0
        escapes: list[int] = []
        for start in range(0, len(cases), _BATCH):
            if self._deadline.remaining() == 0:
                break
            self._progress(f"{start} of {len(cases)} cases, one by one")
            for case, outcome in trials.outcomes(cases[start : start + _BATCH]):
                violations = judge(trials.contract, case, outcome)
                failed += bool(violations)
                done += 1
                escapes += [outcome.rip] if outcome.ending is Ending.ESCAPED else []
                for violation in violations:
                    kinds[_kind(violation, outcome)].append(case)
        found = _by_kind(kinds)
        to = escapes[0] if escapes else None
        return GridResult(done, tuple(found), done == len(cases), failed, escaped=len(escapes), escaped_to=to)

    # -- saying ------------------------------------------------------------------------------------

    def _said(self, contract: Contract, found: GridResult, checked: Check | None) -> SweepResult:
        self._progress("looking at the failures")
        # What was found is looked at even where the time is over.
        patient = Trials(self._image, self._task.entry, contract, self._task.faults, on=self._on)
        kinds = [*self._looked_at(patient, found.violations, _NOT_AGAIN)]
        if checked is not None:
            kinds += self._looked_at(patient, _violations(checked), _NOT_ON_CPU)
        emulated: list[Kind] = []
        ordered = found.ordered
        if "O10" in contract.obligations and patient.cpu is None:
            emulated, ordered = self._unfenced(patient, contract)
        kinds = sorted([*kinds, *emulated], key=_order)
        grid, chosen, planned = self._cases.grid, self._cases.chosen, self._cases.planned
        lens = {case.len for case in chosen} or {block.len for block in grid.blocks}
        gaps = (*self._gaps(grid, found, planned), *(checked.gaps if checked is not None else ()))
        task = self._task
        return SweepResult(
            name=task.name,
            file=str(self._image.path),
            contract=contract,
            faults=task.faults,
            on=self._on,
            cases=found.cases,
            planned=planned,
            failed=found.failed
            + sum(kind.count for kind in emulated)
            + (len(checked.broken) if checked is not None else 0),
            seconds=self._seconds,
            kinds=tuple(kinds),
            ordered=ordered if "O10" in contract.obligations else None,
            gaps=gaps,
            notes=self._notes,
            by_comment=task.by_comment,
            lens=(next(n for n in count() if n + 1 not in lens), max(lens)),
            incomplete=not found.complete or found.escaped > 0 or bool(checked and checked.gaps),
            checked=checked.checked if checked is not None else None,
            entry=task.entry,
            listing=listing(self._image, task.entry),
            variant=self._variant,
        )

    def _gaps(self, grid: Grid, found: GridResult, planned: int) -> Iterator[str]:
        """What was left out."""
        if planned < len(grid):
            shorter = f"none longer than {LONGEST} bytes"
            yield f"a thinned grid: {planned} of {len(grid)} cases, {shorter}"
        if not found.complete:
            left = planned - (0 if found.garbled else found.cases)
            over = self._deadline.remaining() == 0
            why = "the time was over" if over else "too many did not return or ended the process"
            if found.garbled:
                why = "the routine wrote over what its runs had left behind, none of which is believed"
            yield f"{left} of {planned} cases were not run: {why}"
        if found.unkept:
            yield f"{found.unkept} more failures are of further kinds, which are not listed"
        if found.escaped:
            yield f"{found.escaped} of {found.cases} cases {self._escape(found.escaped_to)}, and show nothing"

    def _escape(self, to: int | None) -> str:
        """What cases did that went on where nothing can be run."""
        name = self._image.externals.get(to) if to is not None else None
        if name is not None:
            return f"went on at {name}, which is not in the file"
        where = f" ({self._image.where(to)})" if to is not None else ""
        return f"met a handler whose effect is not modelled{where}"

    def _unfenced(self, trials: Trials, contract: Contract) -> tuple[list[Kind], int]:
        """Failures to fence non-temporal stores (O10) that the emulator shows, of a few cases by exit; and in
        how many cases one could have been seen."""
        cases = sample_cases(contract, self._task.faults, 150, count=_STEPPED)
        found: dict[str, list[tuple[Case, Outcome, str]]] = defaultdict(list)
        ordered = 0
        for case, outcome in trials.outcomes(sorted(cases, key=lambda c: c.len)):
            if self._deadline.remaining() == 0:
                break
            ordered += trials.weak_store(case) is not None
            failure = trials.unfenced(case, outcome)
            if failure is not None:
                found[failure.exit].append((case, outcome, failure.sentence))
        return [self._unfenced_kind(exit_id, broken) for exit_id, broken in found.items()], ordered

    def _unfenced_kind(self, exit_id: str, broken: Sequence[tuple[Case, Outcome, str]]) -> Kind:
        case, outcome, sentence = broken[0]
        last = outcome.faults[-1].insn if outcome.faults else None
        entry = self._image.entry_at(last) if last is not None else None
        return Kind(
            obligation="O10",
            exit=exit_id,
            where=self._image.where(entry.fixup if entry is not None else self._task.entry),
            access=self._image.where(last) if last is not None else "",
            ending=outcome.ending,
            count=len(broken),
            case=case,
            outcome=outcome,
            sentence=sentence,
            certain=True,
        )

    def _looked_at(
        self, trials: Trials, violations: Sequence[GridViolation], not_again: str
    ) -> Iterator[Kind]:
        """Run the smallest case of each kind once more; `not_again` is said where that shows no failure."""
        smallest = [violation.cases[0] for violation in violations]
        for violation, (case, outcome) in zip(violations, trials.outcomes(smallest), strict=True):
            sentence, certain = self._sentence(trials, violation, case, outcome)
            if sentence == _NOT_AGAIN:
                sentence = not_again
            if certain and violation.obligation in STALE and outcome.ending is not Ending.TIMEOUT:
                certain = violation.obligation in trials.still_broken(case)
            yield Kind(
                obligation=violation.obligation,
                exit=trials.exit(case, outcome, violation.obligation) if outcome.registers else EVERYWHERE,
                where=self._image.where(self._goes_on(violation)),
                access=self._image.where(violation.insn) if violation.insn is not None else "",
                ending=violation.ending,
                count=violation.count,
                case=case,
                outcome=outcome,
                sentence=sentence,
                certain=certain,
            )

    def _goes_on(self, violation: GridViolation) -> int:
        """Where the kernel continues after the last fault, or where it ends if it does not."""
        if violation.at is not None:
            return violation.at
        if violation.insn is None:
            return self._task.entry
        entry = self._image.entry_at(violation.insn)
        return entry.fixup if entry is not None else violation.insn

    def _sentence(
        self, trials: Trials, violation: GridViolation, case: Case, outcome: Outcome
    ) -> tuple[str, bool]:
        """What the run did, and whether it shows the mistake for certain."""
        if violation.obligation == "O10":
            unfenced = trials.unfenced(case, outcome)
            return (unfenced.sentence, True) if unfenced is not None else (_NOT_AGAIN, False)
        shown = _of(violation.obligation, trials.judged(case, outcome))
        if shown is None:
            return _NOT_AGAIN, False
        if outcome.ending is Ending.TIMEOUT and violation.obligation == "O9":
            endless = trials.endless(case, lambda address: keeps_hidden(self._image, address))
            return (shown.sentence, False) if endless is None else (endless.sentence, True)
        if outcome.ending is Ending.ILLEGAL and violation.obligation == "O7":
            code = text_at(self._image, outcome.rip)
            return f"{shown.sentence}: {code or 'no instruction'}", False
        if outcome.ending is Ending.DIED:
            return shown.sentence + self._system_call(), False
        return shown.sentence, shown.certain

    def _system_call(self) -> str:
        """The system call that may have brought the process down, if the routine makes one."""
        code = reachable(self._image, self._task.entry).values()
        found = next((i for i in code if i.enters_kernel), None)
        if found is None:
            return ""
        return f": the routine makes a system call at {self._image.where(found.address)}"


def thinned(grid: Grid, limit: int) -> list[Case]:
    """About `limit` of the cases that the emulator can run, from all lengths and placements, in no order."""
    short = Grid(tuple(block for block in grid.blocks if block.len <= LONGEST))
    step = max(1, len(short) // limit)
    random = Random(1)
    # One of each step's cases, lest all have the same place in their blocks.
    chosen = [short.case(min(i + random.randrange(step), len(short) - 1)) for i in range(0, len(short), step)]
    random.shuffle(chosen)
    return chosen


def _violations(checked: Check) -> list[GridViolation]:
    """What the cases that were checked break, by kind."""
    kinds: _Kinds = defaultdict(list)
    for case, outcome, violations in checked.broken:
        for violation in violations:
            kinds[_kind(violation, outcome)].append(case)
    return _by_kind(kinds)


def _by_kind(kinds: _Kinds) -> list[GridViolation]:
    """One for each kind, with the smallest of its cases."""
    return [
        GridViolation(obligation, insn, len(broken), (min(broken, key=size),), ending, at)
        for (obligation, insn, ending, at), broken in kinds.items()
    ]


def _kind(violation: Violation, outcome: Outcome) -> tuple[str, int | None, Ending, int | None]:
    last = outcome.faults[-1].insn if outcome.faults else None
    refused = outcome.rip if outcome.ending in (Ending.ILLEGAL, Ending.TRAPPED) else None
    return violation.obligation, last, outcome.ending, refused


def _of(obligation: str, violations: Sequence[Violation]) -> Violation | None:
    return next((v for v in violations if v.obligation == obligation), None)


def _order(kind: Kind) -> tuple[bool, int, int, str]:
    return not kind.certain, kind.case.len, int(kind.obligation[1:]), kind.where

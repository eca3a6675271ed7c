"""The way from a file to verdicts: one routine after the other, or several side by side.

What needs angr is imported only when the file has been read and the runs on the CPU have begun, which
then go on beside it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from msgspec import structs

from mcverify.arch.decoded import Decoded
from mcverify.crew import Crew, Pending, Progress, crew
from mcverify.deadline import Deadline
from mcverify.errors import InputError, LostProcess
from mcverify.image.cut import cut_out
from mcverify.image.image import Image
from mcverify.proof import entries
from mcverify.proof.focus import alone
from mcverify.proof.listing import listing, table
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Record, RoutineResult
from mcverify.proof.search import Witnesses
from mcverify.proof.select import (
    Task,
    not_looked_at,
    settled,
    tasks,
    unknown_because,
    unknown_without_contract,
)
from mcverify.proof.suggest import in_words, suggestions
from mcverify.proof.variants import Variant, variants
from mcverify.runs.code import reachable
from mcverify.runs.native import remarks

__all__ = ["ProveOptions", "finished", "prove_file", "prove_files"]

Study = Callable[[Image, RoutineResult, Deadline, Progress], RoutineResult]
"""What is made of a result when it is there. Where it is to be done in another process it must go through
pickle."""


@dataclass(frozen=True, slots=True)
class Job:
    """One variant of one routine, to be proved. `notes` are remarks for its result, `phases` what has been
    spent before, `about` begins what is said of its progress, `unreached` are the entries (`file:line`) for
    instructions of the routine that no variant reaches, or that access nothing."""

    task: Task
    variant: Variant
    notes: tuple[str, ...]
    phases: Mapping[str, float]
    about: str = ""
    unreached: tuple[str, ...] = ()


def prove_file(
    path: Path, options: ProveOptions, progress: Progress, study: Study | None = None
) -> list[RoutineResult]:
    """The results for the routines of a file, in its order, each as `study` leaves it.

    `progress` is told in a few words what is being done. Raises InputError where the input is wrong.
    """
    return prove_files([path], options, progress, study)


def prove_files(
    paths: Sequence[Path], options: ProveOptions, progress: Progress, study: Study | None = None
) -> list[RoutineResult]:
    """As :func:`prove_file`, for the routines of several files, in their order.

    Routines that `options` name are taken from where they are. All files are read before anything is proved.
    """
    deadline = Deadline(options.timeout)
    start = time.monotonic()
    images = []
    for path in paths:
        progress(f"reading {path.name}")
        images.append(options.image(path, deadline))
    phases = {"assemble": time.monotonic() - start}
    for name in options.routines if len(images) > 1 else ():
        if all(image.address_of(name) is None for image in images):
            raise InputError(f"there is no routine {name!r} in any of the files")
    chosen = [options_for(image, options) for image in images] if len(images) > 1 else [options]
    plans = [
        jobs_of(image, its_own, phases)
        for image, its_own in zip(images, chosen, strict=True)
        if its_own is not None
    ]
    return [r for found in proved(plans, options, deadline, progress, study) for r in _or_raised(found)]


def _or_raised(found: list[RoutineResult] | InputError) -> list[RoutineResult]:
    if isinstance(found, InputError):
        raise found
    return found


# -- what is to be proved


def options_for(image: Image, options: ProveOptions) -> ProveOptions | None:
    """The options for one file of several, with the routines that it has; None if it has none that were asked
    for."""
    if not options.routines:
        return options
    here = tuple(name for name in options.routines if image.address_of(name) is not None)
    return replace(options, routines=here) if here else None


def jobs_of(image: Image, options: ProveOptions, phases: Mapping[str, float], about: str = "") -> list[Job]:
    """What is to be proved of an image. Raises InputError where it is nothing."""
    start = time.monotonic()
    chosen = tasks(image, options)
    made = [_variants(image, task) for task in chosen]
    notes = _notes(image, chosen, made, all_routines=not options.routines)
    routines = [(task, variant) for task, its_own in zip(chosen, made, strict=True) for variant in its_own]
    spent = {**phases, "assemble": phases.get("assemble", 0.0) + time.monotonic() - start}
    return [
        Job(settled(task, variant.image), variant, said.notes, spent, about, said.unreached)
        for (task, variant), said in zip(routines, notes, strict=True)
    ]


# -- proving it


def proved(
    plans: Sequence[Sequence[Job]],
    options: ProveOptions,
    deadline: Deadline,
    progress: Progress,
    study: Study | None,
) -> list[list[RoutineResult] | InputError]:
    """The results of each plan, in order, or what is wrong with the input there.

    First all is proved, then what has counterexamples is studied: `options.jobs` of them at a time, in
    processes of their own if there are several.
    """
    provable = sum(job.task.contract is not None for plan in plans for job in plan)
    with crew(options.jobs, provable, progress) as hands, _without_collector():
        begun = [[_begun(hands, job, options, deadline) for job in plan] for plan in plans]
        results = [_ended(pending, plan, options) for pending, plan in zip(begun, plans, strict=True)]
        studied = [
            found
            if isinstance(found, InputError)
            else _studied(
                hands, plan, found, deadline, study, everything=bool(options.callers) or options.resumable
            )
            for plan, found in zip(plans, results, strict=True)
        ]
        return [
            found if isinstance(found, InputError) else _ended(found, plan, options)
            for found, plan in zip(studied, plans, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Known:
    """A result for which nothing has to be done."""

    known: RoutineResult

    def result(self) -> RoutineResult:
        return self.known


def _begun(hands: Crew, job: Job, options: ProveOptions, deadline: Deadline) -> Pending[RoutineResult]:
    if job.task.contract is None:
        if job.variant.image.built:  # of a whole kernel they are hundreds
            return _Known(finished(unknown_without_contract(job.variant.image, job.task, options), job))
        return hands.submit(_proposed, job, options, deadline)
    return hands.submit(_proved, job, replace(options, jobs=1), deadline)


def _proposed(job: Job, options: ProveOptions, deadline: Deadline, progress: Progress) -> RoutineResult:
    """The result for a routine without a contract, with those that its runs keep."""
    image, task = job.variant.image, job.task
    progress(f"{job.about}{task.name}: trying the contracts")
    fitting = in_words(suggestions(image, task, deadline))
    return finished(unknown_without_contract(image, task, options, fitting), job)


def _studied(
    hands: Crew,
    plan: Sequence[Job],
    results: Sequence[RoutineResult],
    deadline: Deadline,
    study: Study | None,
    *,
    everything: bool,
) -> list[Pending[RoutineResult]]:
    """The results as `study` leaves them: those with counterexamples, or `everything`."""
    return [
        _Known(result)
        if study is None or not (everything or result.counterexamples)
        else hands.submit(study, job.variant.image, result, deadline)
        for job, result in zip(plan, results, strict=True)
    ]


def _ended(
    pending: Sequence[Pending[RoutineResult]], plan: Sequence[Job], options: ProveOptions
) -> list[RoutineResult] | InputError:
    """The results of a plan; of a routine whose process was lost that it is unknown, and why."""
    found = []
    for each, job in zip(pending, plan, strict=True):
        try:
            found.append(each.result())
        except InputError as error:
            return error
        except LostProcess as error:
            found.append(finished(unknown_because(str(error), job.variant.image, job.task, options), job))
    return found


def _proved(job: Job, options: ProveOptions, deadline: Deadline, progress: Progress) -> RoutineResult:
    def told(text: str) -> None:
        progress(f"{job.about}{text}")

    with ThreadPoolExecutor(max_workers=1) as pool, _without_collector():
        try:
            return finished(_prove(job, options, deadline.with_memory(), told, pool), job)
        except MemoryError:
            why = "there is not enough memory to prove it"
        except LostProcess as error:
            why = str(error)
    return finished(unknown_because(why, job.variant.image, job.task, options), job)


def finished(result: RoutineResult, job: Job) -> RoutineResult:
    """The result with what only the job knows: its listing and table, the variant, the remarks."""
    lines = listing(job.variant.image, result.entry)
    return replace(
        result,
        untaken=(*result.untaken, *job.unreached),
        listing=lines,
        table=table(job.variant.image, lines),
        variant=job.variant.name,
        notes=job.notes,
        by_comment=job.task.by_comment,
        proof=_of_variant(result, job.variant),
    )


def _of_variant(result: RoutineResult, variant: Variant) -> Record | None:
    """The proof as it was written down, with the variant that it is about."""
    if result.proof is None:
        return None
    routine = structs.replace(
        result.proof.routine,
        features=dict(variant.features),
        alternatives=variant.alternatives,
    )
    cut = cut_out(variant.origin) if variant.origin.built else b""
    return replace(result.proof, routine=routine, cut=cut)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Terms come by the hundred thousand, none of them in a cycle: looking at them would be in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _variants(image: Image, task: Task) -> tuple[Variant, ...]:
    """The variants to be proved; one is enough of a routine that cannot be proved, having no contract."""
    if task.contract is not None:
        return variants(image, task.entry)
    own = alone(image, task.entry, task.end)
    return (Variant("", {}, own, own),)


@dataclass(frozen=True, slots=True)
class _Said:
    """Remarks for one job, and the places of its routine's entries that serve in no variant."""

    notes: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()


def _notes(
    image: Image, chosen: Sequence[Task], made: Sequence[Sequence[Variant]], *, all_routines: bool
) -> list[_Said]:
    """What is to be said for each variant of each task: about a routine's entries to its first one, and about
    the entries of none to the last of all. Raises InputError for one in the middle of an instruction."""
    said: list[_Said] = []
    all_reached: list[Mapping[int, Decoded]] = []
    for task, its_variants in zip(chosen, made, strict=True):
        reached: dict[int, Decoded] = {}
        if task.contract is None and image.built:  # a function in C mostly, of which nothing is to be proved
            said.append(_Said())
            all_reached.append(reached)
            continue
        served: set[int] = set()
        for variant in its_variants:
            instructions = reachable(variant.image, task.entry)
            entries.refuse_misplaced(variant.image, instructions)
            served |= entries.serving(variant.image, instructions)
            reached |= instructions
        idle = tuple(entries.idle(image, reached, served))
        unreached = tuple(entries.unreached(image, task.entry, task.end, reached))
        words = [entries.no_access(image, entry, reached[entry.insn]) for entry in idle]
        words += [entries.never_reached(image, entry) for entry in unreached]
        words += entries.inside(image, reached)
        said.append(_Said(tuple(words), tuple(image.where(entry.insn) for entry in (*idle, *unreached))))
        said += [_Said()] * (len(its_variants) - 1)
        all_reached.append(reached)
    if said:
        said[-1] = replace(said[-1], notes=(*said[-1].notes, *remarks()))
    if all_routines:
        routines = [range(task.entry, task.end) for task in chosen]
        rest = [not_looked_at(image, chosen)]
        if not image.built:
            rest += entries.ownerless(image, routines, all_reached)
        said[-1] = replace(said[-1], notes=(*said[-1].notes, *filter(None, rest)))
    return said


def _no_length(_: int) -> None:
    """None has been looked for."""


def _prove(
    job: Job, options: ProveOptions, deadline: Deadline, progress: Progress, pool: ThreadPoolExecutor
) -> RoutineResult:
    image, task = job.variant.image, job.task
    assert task.contract is not None
    witnesses = Witnesses(
        image, task.entry, task.contract, task.faults, options.rep_model, options.len_max, deadline
    )
    search = pool.submit(witnesses.search)
    start = time.monotonic()
    progress("loading angr")
    from mcverify.proof.routine import RoutineProof

    phases = {**job.phases, "load angr": time.monotonic() - start}
    proof = RoutineProof(image, task, options, deadline, progress, witnesses, phases)
    beyond = witnesses.beyond if options.is_thorough else _no_length
    return proof.result(search.result, partial(beyond, options.len_max))

"""The way from a file to verdicts: one routine after the other.

What needs angr is imported only when the file has been read and the runs on the CPU have begun, which
then go on beside it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.proof import entries
from mcverify.proof.focus import alone
from mcverify.proof.listing import listing, table
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Record, RoutineResult
from mcverify.proof.search import Witnesses
from mcverify.proof.select import Task, not_looked_at, tasks
from mcverify.proof.variants import Variant, variants
from mcverify.runs.code import Instruction, reachable

__all__ = ["ProveOptions", "prove_file", "prove_image"]

Study = Callable[[Image, RoutineResult, Deadline], RoutineResult]
"""What is made of a result when it is there."""


def prove_file(
    path: Path,
    options: ProveOptions,
    progress: Callable[[str], None],
    study: Study = lambda image, result, deadline: result,
) -> list[RoutineResult]:
    """The results for the routines of a file, in its order, each as `study` leaves it.

    `progress` is told in a few words what is being done. Raises InputError where the input is wrong.
    """
    start = time.monotonic()
    progress("reading the file")
    image = options.image(path)
    return prove_image(image, options, progress, study, time.monotonic() - start)


def prove_image(
    image: Image, options: ProveOptions, progress: Callable[[str], None], study: Study, seconds: float
) -> list[RoutineResult]:
    """As :func:`prove_file`, for what has been read already, in so many seconds of the time limit."""
    deadline = Deadline(None if options.timeout is None else max(0.0, options.timeout - seconds))
    start = time.monotonic() - seconds
    if options.record and image.built:
        raise InputError(
            "a proof bundle holds the whole object, and this is a linked kernel or a module",
            where=str(image.path),
            hint="give the object (.o) or the source with --proof",
        )
    chosen = tasks(image, options)
    made = [_variants(image, task) for task in chosen]
    notes = _notes(image, chosen, made, all_routines=not options.routines)
    jobs = [(task, variant) for task, its_own in zip(chosen, made, strict=True) for variant in its_own]
    phases = {"assemble": time.monotonic() - start}
    with ThreadPoolExecutor(max_workers=1) as pool, _without_collector():
        proved = [_prove(v.image, task, options, deadline, progress, pool, phases) for task, v in jobs]
        results = [
            replace(_with_code(result, v.image), variant=v.name, notes=said, proof=_of_variant(result, v))
            for result, (_, v), said in zip(proved, jobs, notes, strict=True)
        ]
        return [study(v.image, result, deadline) for result, (_, v) in zip(results, jobs, strict=True)]


def _of_variant(result: RoutineResult, variant: Variant) -> Record | None:
    """The proof as it was written down, with the variant that it is about."""
    if result.proof is None:
        return None
    routine = structs.replace(
        result.proof.routine,
        variant=variant.name,
        features=dict(variant.features),
        alternatives=variant.alternatives,
    )
    return replace(result.proof, routine=routine)


def _with_code(result: RoutineResult, image: Image) -> RoutineResult:
    lines = listing(image, result.entry)
    return replace(result, listing=lines, table=table(image, lines))


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
    return (Variant("", {}, alone(image, task.entry, task.end)),)


def _notes(
    image: Image, chosen: Sequence[Task], made: Sequence[Sequence[Variant]], *, all_routines: bool
) -> list[tuple[str, ...]]:
    """What is to be said for each variant of each task: about a routine's entries to its first one, and about
    the entries of none to the last of all. Raises InputError for one in the middle of an instruction."""
    said: list[tuple[str, ...]] = []
    all_reached: list[Mapping[int, Instruction]] = []
    for task, its_variants in zip(chosen, made, strict=True):
        reached: dict[int, Instruction] = {}
        if task.contract is None and image.built:  # a function in C mostly, of which nothing is to be proved
            said.append(())
            all_reached.append(reached)
            continue
        served: set[int] = set()
        for variant in its_variants:
            instructions = reachable(variant.image, task.entry)
            entries.refuse_misplaced(variant.image, instructions)
            served |= entries.serving(variant.image, instructions)
            reached |= instructions
        unreached = entries.unreached(image, task.entry, task.end, reached)
        said += [(*entries.idle(image, reached, served), *unreached), *((),) * (len(its_variants) - 1)]
        all_reached.append(reached)
    if all_routines:
        routines = [range(task.entry, task.end) for task in chosen]
        rest = [not_looked_at(image, chosen)]
        if not image.built:
            rest += entries.ownerless(image, routines, all_reached)
        said[-1] += tuple(filter(None, rest))
    return said


def _no_length(_: int) -> None:
    """None has been looked for."""


def _prove(
    image: Image,
    task: Task,
    options: ProveOptions,
    deadline: Deadline,
    progress: Callable[[str], None],
    pool: ThreadPoolExecutor,
    phases: dict[str, float],
) -> RoutineResult:
    search = beyond = witnesses = None
    if task.contract is not None:
        witnesses = Witnesses(
            image, task.entry, task.contract, task.faults, options.rep_model, options.len_max, deadline
        )
        search = pool.submit(witnesses.search)
        beyond = pool.submit(witnesses.beyond if options.is_thorough else _no_length, options.len_max)
    start = time.monotonic()
    progress("loading angr")
    from mcverify.proof.routine import RoutineProof, unknown_without_contract

    if witnesses is None or search is None or beyond is None:
        return unknown_without_contract(image, task, options)
    phases = phases | {"load angr": time.monotonic() - start}
    proof = RoutineProof(image, task, options, deadline, progress, witnesses, phases)
    return proof.result(search.result, beyond.result)

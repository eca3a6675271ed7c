"""The way from a file to verdicts: one routine after the other.

What needs angr is imported only when the file has been read and the runs on the CPU have begun, which
then go on beside it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof import entries
from mcverify.proof.listing import listing, table
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult
from mcverify.proof.search import Witnesses
from mcverify.proof.select import Task, not_looked_at, tasks
from mcverify.runs.code import reachable

__all__ = ["ProveOptions", "prove_file"]


def prove_file(path: Path, options: ProveOptions, progress: Callable[[str], None]) -> list[RoutineResult]:
    """The results for the routines of a file, in its order.

    `progress` is told in a few words what is being done. Raises InputError where the input is wrong.
    """
    deadline = Deadline(options.timeout)
    start = time.monotonic()
    progress("reading the file")
    image = load(path, include=options.include, defines=options.defines)
    chosen = tasks(image, options)
    notes = _notes(image, chosen, all_routines=not options.routines)
    phases = {"assemble": time.monotonic() - start}
    with ThreadPoolExecutor(max_workers=1) as pool, _without_collector():
        results = [_prove(image, task, options, deadline, progress, pool, phases) for task in chosen]
    return [
        replace(_with_code(result, image), notes=said) for result, said in zip(results, notes, strict=True)
    ]


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


def _notes(image: Image, chosen: Sequence[Task], *, all_routines: bool) -> list[tuple[str, ...]]:
    """What is to be said about the entries of each routine, and to the last one about those of none.

    Raises InputError for an entry in the middle of an instruction.
    """
    reached = [reachable(image, task.entry) for task in chosen]
    for instructions in reached:
        entries.refuse_misplaced(image, instructions)
    found = [
        tuple(entries.notes(image, task.entry, task.end, instructions))
        for task, instructions in zip(chosen, reached, strict=True)
    ]
    if all_routines:
        found[-1] += tuple(filter(None, [not_looked_at(image, chosen)]))
        found[-1] += tuple(
            entries.ownerless(image, [range(task.entry, task.end) for task in chosen], reached)
        )
    return found


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
        beyond = pool.submit(witnesses.beyond, options.len_max)
    start = time.monotonic()
    progress("loading angr")
    from mcverify.proof.routine import RoutineProof, unknown_without_contract

    if witnesses is None or search is None or beyond is None:
        return unknown_without_contract(image, task, options)
    phases = phases | {"load angr": time.monotonic() - start}
    proof = RoutineProof(image, task, options, deadline, progress, witnesses, phases)
    return proof.result(search.result, beyond.result)

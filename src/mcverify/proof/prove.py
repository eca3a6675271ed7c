"""The way from a file to verdicts: one routine after the other.

What needs angr is imported only when the file has been read and the runs on the CPU have begun, which
then go on beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult
from mcverify.proof.select import Task, tasks
from mcverify.proof.witness import Witnesses

__all__ = ["ProveOptions", "prove_file"]


def prove_file(path: Path, options: ProveOptions, progress: Callable[[str], None]) -> list[RoutineResult]:
    """The results for the routines of a file, in its order.

    `progress` is told in a few words what is being done. Raises InputError for whatever is wrong with the input.
    """
    deadline = Deadline(options.timeout)
    start = time.monotonic()
    progress("reading the file")
    image = load(path, include=options.include)
    chosen = tasks(image, options)
    phases = {"assemble": time.monotonic() - start}
    with ThreadPoolExecutor(max_workers=1) as pool:
        return [_prove(image, task, options, deadline, progress, pool, phases) for task in chosen]


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
        witnesses = Witnesses(image, task.entry, task.contract, task.faults, options.rep_model)
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

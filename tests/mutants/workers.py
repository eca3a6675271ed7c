"""Many mutants side by side, in processes of their own."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mutants.examine import Fate, Finding, examine
from mutants.kept import Kept, split
from mutants.operators import Mutant

_BATCH = 150
"""Mutants after which the workers are replaced: terms stay in the solver's memory. (An executor's own
`max_tasks_per_child` can hang before Python 3.12.3.)"""


def examine_all(chosen: Sequence[Mutant], jobs: int, blind: int, kept: Kept) -> list[Finding]:
    """What became of each, in the order of `chosen`; every `blind`-th with a proof without runs. Those of
    which it is `kept` are not examined again."""
    tasks = ((mutant, bool(blind) and number % blind == 0) for number, mutant in enumerate(chosen))
    found, left = split(tasks, kept)
    with _progress(len(left)) as step:
        for start in range(0, len(left), _BATCH):
            for number, finding in _batch(left[start : start + _BATCH], jobs):
                found[number] = finding
                kept.add(finding)
                step(finding)
    return [found[number] for number in range(len(chosen))]


def _batch(tasks: Sequence[tuple[int, Mutant, bool]], jobs: int) -> Iterator[tuple[int, Finding]]:
    """The findings as they come, with the numbers of the tasks."""
    with _workers(jobs) as pool:
        futures = {pool.submit(_examined, mutant, blind=blind): number for number, mutant, blind in tasks}
        for done in as_completed(futures):
            yield futures[done], done.result()


def _examined(mutant: Mutant, *, blind: bool) -> Finding:
    """What became of it; a fault of mcverify itself is told with the mutant and loses none of the others."""
    try:
        return examine(mutant, blind=blind)
    except Exception as error:
        return Finding(mutant, Fate.UNKNOWN, remark=f"{type(error).__name__}: {error}")


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")  # a thread waits for Ctrl-C: no fork
    with tempfile.TemporaryDirectory(prefix="mcverify-mutants-") as folder:
        pool = ProcessPoolExecutor(max(1, jobs), mp_context=context, initializer=_set_up, initargs=(folder,))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _set_up(folder: str) -> None:
    """In a worker: whatever it writes lies in `folder`, which is removed even if the worker is killed."""
    tempfile.tempdir = folder
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Finding], None]]:
    """Give a function that counts one mutant; a bar is shown on a terminal only."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console, hidden = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task("mutants", total=total)
        yield lambda finding: bar.update(task, advance=1, description=finding.mutant.file)

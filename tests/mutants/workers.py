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
from mutants.operators import Mutant

_BATCH = 150
"""Mutants after which the workers are replaced: terms stay in the solver's memory. (An executor's own
`max_tasks_per_child` can hang before Python 3.12.3.)"""


def examine_all(chosen: Sequence[Mutant], jobs: int, blind: int) -> list[Finding]:
    """What became of each, in the order of `chosen`; every `blind`-th with a proof without runs."""
    tasks = [(mutant, bool(blind) and number % blind == 0) for number, mutant in enumerate(chosen)]
    found: list[Finding] = []
    with _progress(len(chosen)) as step:
        for start in range(0, len(tasks), _BATCH):
            found += _batch(tasks[start : start + _BATCH], jobs, step)
    return found


def _batch(tasks: Sequence[tuple[Mutant, bool]], jobs: int, step: Callable[[Finding], None]) -> list[Finding]:
    with _workers(jobs) as pool:
        futures = [pool.submit(_examined, mutant, blind=blind) for mutant, blind in tasks]
        for done in as_completed(futures):
            step(done.result())
    return [future.result() for future in futures]


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

"""Runs of the wrong routines under asm/ that break what their files say, found without a proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from asm_corpus.expectations import image, stated

from mcverify.image.image import Image
from mcverify.proof.listing import listing, table
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, titled
from mcverify.proof.search import probes
from mcverify.proof.select import Task, tasks
from mcverify.proof.trials import Failure, Trials
from mcverify.proof.variants import Variant, variants
from mcverify.runs.case import Case, Ending, Outcome, Preset
from mcverify.runs.cases import flickering_cases, sample_cases
from mcverify.runs.code import keeps_hidden
from mcverify.runs.grid import quick_grid
from mcverify.witness.file import Witness

Found = dict[tuple[str, str], Witness]
"""A witness for each obligation and exit."""

_FEW = 4
"""So many of the runs that were stopped are looked at step by step."""


def witnesses(path: Path) -> dict[str, Found]:
    """For each routine and variant of the file what it breaks, with a run of the CPU that does so: the
    smallest of those that were tried."""
    found = {}
    for task in tasks(image(path), ProveOptions()):
        for variant in variants(image(path), task.entry):
            expected = stated(path)[titled(task.name, variant.name)].broken
            if expected:
                found[titled(task.name, variant.name)] = _witnesses(variant, task, expected)
    return found


def _witnesses(variant: Variant, task: Task, expected: frozenset[tuple[str, str]]) -> Found:
    code, contract = variant.image, task.contract
    assert contract is not None
    trials = Trials(code, task.entry, contract, task.faults)
    lines = listing(code, task.entry)
    blank = Witness(
        file=str(code.path),
        sha256=code.sha256,
        routine=task.name,
        entry=task.entry,
        contract=contract,
        faults=task.faults,
        listing=lines,
        table=table(code, lines),
        options=ProveOptions(routines=(task.name,)),
        counterexample=None,
        variant=variant.name,
    )
    found: Found = {}
    for cases in _cases(trials, task):
        for case, outcome, failure in _failures(trials, cases, code):
            said = Counterexample((failure.obligation,), failure.exit, case, outcome, failure.sentence)
            found.setdefault(failure.key, replace(blank, counterexample=said))
        if expected <= found.keys():
            break
    return found


def _cases(trials: Trials, task: Task) -> Iterator[list[Case]]:
    """Cases to try, in several parts. Where only stores with an entry may fault, those with a bad dst come
    last: a right twin may store there without an entry."""
    later = []
    for part in _parts(trials, task):
        is_last = [task.faults.startswith("loads") and case.dst.first_bad is not None for case in part]
        later.append([case for case, last in zip(part, is_last, strict=True) if last])
        yield [case for case, last in zip(part, is_last, strict=True) if not last]
    yield from later


def _parts(trials: Trials, task: Task) -> Iterator[list[Case]]:
    """The grid's smallest failures, a few for single steps, long ones, pages that come and go."""
    assert trials.cpu is not None
    grid = trials.cpu.grid(quick_grid(task.contract, task.faults))
    yield sorted({case for v in grid.violations for case in v.cases}, key=lambda case: case.len)
    yield (samples := sample_cases(task.contract, task.faults, 64, count=20))
    if (register := task.contract.zero_rest) is not None:
        yield [replace(case, preset=Preset(((register, 0),))) for case in samples]
    yield probes(task.contract, task.faults, 1 << 20)
    yield from flickering_cases(task.contract, task.faults)


def _failures(trials: Trials, cases: Sequence[Case], code: Image) -> Iterator[tuple[Case, Outcome, Failure]]:
    stopped = 0
    for case, outcome in trials.outcomes(cases):
        found = [*trials.failures(case, outcome)]
        if outcome.ending is Ending.TIMEOUT and stopped < _FEW:
            stopped += 1
            found += filter(None, [trials.endless(case, partial(keeps_hidden, code))])
        if "O10" in trials.contract.obligations:
            found += filter(None, [trials.unfenced(case, outcome)])
        for failure in found:
            yield case, outcome, failure

"""Runs that never end: stopped, and seen to come back to where they were with nothing changed."""

from __future__ import annotations

from functools import partial

from mcverify.contract import Contract, Faults, faults_by_entry
from mcverify.image.image import Image
from mcverify.proof.trials import Trials
from mcverify.runs.case import Ending
from mcverify.runs.code import keeps_hidden
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.grid import quick_grid

_MOST = 3


def never_ends(image: Image, entry: int, contract: Contract, faults: Faults) -> bool:
    """Whether a case of the quick grid goes on for ever, for certain."""
    runner = CpuRunner(image, entry, contract, unstruck=faults_by_entry(faults))
    trials = Trials(image, entry, contract, faults)
    violations = runner.grid(quick_grid(contract, faults)).violations
    cases = [case for v in violations if v.obligation == "O9" for case in v.cases[:_MOST]]
    stopped = [c for c, o in zip(cases, runner.run(cases), strict=True) if o.ending is Ending.TIMEOUT]
    return any(trials.endless(case, partial(keeps_hidden, image)) is not None for case in stopped)

"""States at loop heads, seen in runs: what guesses at invariants start from."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from mcverify.contract import Contract, Faults
from mcverify.paths.segment import Paths
from mcverify.proof.trials import Runner
from mcverify.runs.case import Case, Visit
from mcverify.runs.cases import sample_cases
from mcverify.runs.nowhere import NoRunner

_LONGER = ((2048, 40), (16384, 20))
"""Lengths up to which more cases are run, and how many, as long as there are loops that none has come to."""


class NothingSeen(Exception):
    """The routine has loops, and nothing may be run that would show a state in them."""

    def __init__(self) -> None:
        super().__init__("invariants of its loops are guessed from runs, and nothing was run (--no-run)")


def sampled(
    paths: Paths, contract: Contract, faults: Faults, runner: Runner, len_max: int
) -> tuple[list[Case], list[Visit]]:
    """Cases of at most `len_max` bytes and what was seen of them at the loop heads of `paths` and at the
    entry. Longer cases are tried for the sake of loops that short ones do not reach. Raises NothingSeen."""
    heads = {location.address for location in paths.locations if not location.is_entry}
    if not heads:
        return [], []
    if isinstance(runner, NoRunner):
        raise NothingSeen
    cases: list[Case] = []
    visits: list[Visit] = []
    longer = (sample_cases(contract, faults, longest, count=count) for longest, count in _LONGER)
    for batch in chain([sample_cases(contract, faults)], longer):
        within = [case for case in batch if case.len <= len_max]
        seen = runner.sample(within, heads | {paths.entry.address}) if within else []
        visits += [replace(visit, case=visit.case + len(cases)) for visit in seen]
        cases += within
        if heads <= {visit.address for visit in visits}:
            break
    return cases, visits

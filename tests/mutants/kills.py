"""Runs on the CPU that kill a mutant. Nothing of the proof is imported here (`kept` relies on it)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcverify.contract import Contract
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.exits import EVERYWHERE
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import titled
from mcverify.proof.search import Witnesses
from mcverify.proof.select import Task, tasks
from mcverify.proof.variants import variants
from mutants.endless import never_ends


@dataclass(frozen=True, slots=True)
class Routine:
    """A routine of a file, in one of the variants that its alternatives make of it."""

    task: Task
    image: Image

    @property
    def contract(self) -> Contract:
        """What it promises."""
        assert self.task.contract is not None
        return self.task.contract


def routines(path: Path, options: ProveOptions | None = None) -> dict[str, Routine]:
    """The routines of a file by their titles, as results have them."""
    image = load(path)
    return {
        titled(task.name, variant.name): Routine(task, variant.image)
        for task in tasks(image, options or ProveOptions())
        for variant in variants(image, task.entry)
    }


def killing(path: Path) -> tuple[tuple[str, str], ...]:
    """The obligations, with their exits, that runs of the routines of a file break."""
    return tuple(sorted(set().union(*map(broken_on_cpu, routines(path).values()))))


def broken_on_cpu(routine: Routine) -> set[tuple[str, str]]:
    """The obligations, with their exits, that runs of the quick grid break for certain."""
    task, options = routine.task, ProveOptions()
    witnesses = Witnesses(
        routine.image, task.entry, routine.contract, task.faults, options.rep_model, options.len_max
    )
    witnesses.search()
    if not witnesses.found and never_ends(routine.image, task.entry, routine.contract, task.faults):
        return {("O9", EVERYWHERE)}
    return set(witnesses.found)

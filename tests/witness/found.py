"""Runs that break a routine under asm/, found on the CPU without a proof."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mcverify.contract import Contract
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, Domain, RoutineResult, Verdict
from mcverify.proof.search import Witnesses
from mcverify.proof.select import Task, tasks
from mcverify.proof.variants import variants
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.cases import sample_cases
from mcverify.witness.walk import Walk, walk

ASM = Path(__file__).resolve().parents[2] / "asm"
WRONG = sorted(path.stem for path in ASM.glob("*_wrong_*.S"))
LEN_MAX = 0x7FFFF000


@cache
def image_of(path: Path) -> Image:
    return load(path)


@cache
def broken(path: Path) -> tuple[RoutineResult, ...]:
    """What is refuted in a file: results without rows, since nothing is proved."""
    return tuple(result for _, result in results_of(path))


@cache
def results_of(path: Path) -> tuple[tuple[Image, RoutineResult], ...]:
    """For each variant of each routine its image and what is refuted."""
    image = image_of(path)
    return tuple(
        (variant.image, _broken(variant.image, task, variant.name))
        for task in tasks(image, ProveOptions())
        for variant in variants(image, task.entry)
    )


def _broken(image: Image, task: Task, variant: str) -> RoutineResult:
    assert task.contract is not None
    witnesses = Witnesses(image, task.entry, task.contract, task.faults, "ordered", LEN_MAX)
    witnesses.search()
    if "16" in image.path.stem:
        starts = [Placement(Place.FREE), *(Placement(Place.HOLE, at) for at in (0, 8))]
        witnesses.try_cases([Case((1 << 19) + 13, src, Placement(Place.FREE)) for src in starts])
    witnesses.endless(lambda _: False)
    if "O10" in task.contract.obligations:
        cases = sample_cases(task.contract, task.faults, 150, count=60)
        witnesses.unfenced(cases)
    return RoutineResult(
        task.name, str(image.path), task.contract, Verdict.REFUTED, Domain(0, LEN_MAX), (), (),
        tuple(witnesses.found.values()), None, (), (), {}, 0.0, faults=task.faults, entry=task.entry,
        sha256=image.sha256, variant=variant,
    )  # fmt: skip


def found(path: Path) -> list[tuple[Image, RoutineResult, Counterexample]]:
    """The counterexamples of a file, each with its image and its routine's result."""
    return [(image, result, c) for image, result in results_of(path) for c in result.counterexamples]


def contract_of(result: RoutineResult) -> Contract:
    assert result.contract is not None
    return result.contract


def walked(image: Image, result: RoutineResult, example: Counterexample) -> Walk:
    run = walk(image, result.entry, contract_of(result), example.case, example.outcome)
    assert run is not None
    return run

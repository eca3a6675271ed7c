"""Witness files made of a run of one case, without a proof."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcverify.contract import Contract
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.listing import listing, table
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, Domain, RoutineResult, Verdict
from mcverify.proof.select import tasks
from mcverify.proof.variants import variants
from mcverify.report.json import document
from mcverify.runs import cpu
from mcverify.runs.case import Case, Outcome
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import judge

ASM = Path(__file__).resolve().parents[2] / "asm"


def counterexample(
    image: Image,
    entry: int,
    contract: Contract,
    case: Case,
    *,
    exit_id: str = ".Lfix",
    schedule: str = "",
    must_break: bool = True,
) -> Counterexample:
    """The run of `case`, on the emulator with `schedule`, or without a CPU; with what its outcome breaks, or
    O9 as a stand-in where it breaks nothing."""
    outcome = _run(image, entry, contract, case, schedule)
    violations = [v for v in judge(contract, case, outcome) if v.certain]
    assert violations or not must_break, "the case breaks nothing"
    obligations = tuple(v.obligation for v in violations) or ("O9",)
    return Counterexample(obligations, exit_id, case, outcome, violations[0].sentence if violations else "")


def _run(image: Image, entry: int, contract: Contract, case: Case, schedule: str) -> Outcome:
    if not schedule and cpu.available() is None:
        (outcome,) = CpuRunner(image, entry, contract).run([case])
        return outcome
    model = "unordered" if schedule else "ordered"
    runner = EmulatorRunner(image, entry, contract, rep_model=model, schedule=schedule or "descending")
    return runner.run([case])[0]


def witness_document(
    path: Path,
    case: Case,
    schedule: str = "",
    variant: str = "",
    *,
    must_break: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """What `prove --json` would write of the first routine of `path` that `case` refutes, in one variant."""
    asked = ProveOptions(**options, rep_model="unordered" if schedule else "ordered")
    image = load(path, include=asked.include, defines=asked.defines)
    task = tasks(image, asked)[0]
    assert task.contract is not None
    image = next(v.image for v in variants(image, task.entry) if v.name == variant)
    lines = listing(image, task.entry)
    found = counterexample(image, task.entry, task.contract, case, schedule=schedule, must_break=must_break)
    result = RoutineResult(
        name=task.name,
        file=str(path),
        contract=task.contract,
        verdict=Verdict.REFUTED,
        domain=Domain(0, asked.len_max),
        exits=(),
        obligations=(),
        counterexamples=(found,),
        slack=None,
        assumptions=(),
        unknowns=(),
        phases={},
        seconds=0.0,
        faults=task.faults,
        entry=task.entry,
        listing=lines,
        table=table(image, lines),
        sha256=image.sha256,
        variant=variant,
    )
    return document([result], asked)


def write_witness(target: Path, content: Mapping[str, Any]) -> Path:
    """`content` as a file."""
    target.write_text(json.dumps(content), encoding="utf-8")
    return target

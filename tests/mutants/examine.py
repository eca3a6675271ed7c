"""What becomes of a mutant: runs on the CPU first, then the proof; what is proved must stand more runs."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path

from asm_corpus.expectations import claims
from support.blind import proved_blindly

from mcverify.contract import faults_by_entry
from mcverify.deadline import Deadline
from mcverify.image.load import load
from mcverify.models import models_dir
from mcverify.proof import prove
from mcverify.proof.exits import AFTER_FAULT, EVERYWHERE, SUCCESS, exit_of_fault
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.select import tasks
from mcverify.review import prove as review
from mcverify.review.behaviour import Exits, behaviour
from mcverify.review.result import Behaviour
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.grid import full_grid
from mutants.kills import Routine, killing, routines
from mutants.operators import Mutant
from mutants.reasons import Proved, Reason, compared, reason
from mutants.source import ASM


class Fate(StrEnum):
    """What became of a mutant; the texts are those of the report.

    KILLED       a run on the CPU breaks the contract
    REFUTED      the proof failed, and found a run that breaks it
    EQUIVALENT   it is proved, no run of the full grid breaks it, and a reason why it may stand was checked
    UNEXPLAINED  it is proved, and no reason is known
    UNKNOWN      neither proved nor refuted
    FALSE        it is proved and a run breaks it: the worst that can happen
    """

    KILLED = "killed"
    REFUTED = "refuted"
    EQUIVALENT = "equivalent"
    UNEXPLAINED = "unexplained"
    UNKNOWN = "unknown"
    FALSE = "false"


_SECONDS = 120.0
"""So long two routines are compared at most."""

GOOD = frozenset((Fate.KILLED, Fate.REFUTED, Fate.EQUIVALENT))


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of `mutant`. `broken` are obligations with the exits at which a run breaks them,
    `reason` is that of an equivalent one, `remark` says more where something is wrong. `blind`: that no
    proof succeeds without a look at runs has been tried too."""

    mutant: Mutant
    fate: Fate
    broken: tuple[tuple[str, str], ...] = ()
    reason: Reason | None = None
    remark: str = ""
    blind: bool = False
    seconds: float = 0.0


def examine(mutant: Mutant, *, blind: bool = False) -> Finding:
    """What becomes of the mutant. `blind`: if a run kills it, the proof without runs is tried too."""
    start = time.monotonic()
    with _written(mutant) as path:
        broken = killing(path)
        if not broken:
            finding = _proved_or_not(mutant, path)
        elif blind:
            finding = _killed_without_runs(mutant, path, broken)
        else:
            finding = Finding(mutant, Fate.KILLED, broken)
        named = tuple(
            (obligation, exit_.replace(f"{path.parent}/", "")) for obligation, exit_ in finding.broken
        )
    return replace(finding, broken=named, seconds=time.monotonic() - start)


@contextmanager
def _written(mutant: Mutant) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mcverify-mutant-") as folder:
        path = Path(folder) / f"{mutant.file}.S"
        path.write_text(mutant.text, encoding="utf-8")
        yield path


# -- runs ---------------------------------------------------------------------------------------------


def broken_on_full_grid(routine: Routine) -> str:
    """What a run of the full grid breaks, in words; "" if none breaks anything."""
    faults = routine.task.faults
    runner = CpuRunner(routine.image, routine.task.entry, routine.contract, unstruck=faults_by_entry(faults))
    result = runner.grid(full_grid(routine.contract, faults))
    for violation in result.violations:
        exit_ = SUCCESS if violation.insn is None else exit_of_fault(routine.image, violation.insn)
        return f"{violation.obligation} at {exit_} in {violation.cases[:1]}"
    return "" if result.complete else "the full grid, which did not come to its end"


# -- proofs -------------------------------------------------------------------------------------------


def _proved_or_not(mutant: Mutant, path: Path) -> Finding:
    results = _prove(path)
    refuted = {(o.id, o.exit) for r in results for o in r.obligations if o.verdict is Verdict.REFUTED}
    if refuted:
        return Finding(mutant, Fate.REFUTED, tuple(sorted(refuted)))
    if any(r.verdict is not Verdict.PROVED for r in results):
        return Finding(mutant, Fate.UNKNOWN, remark="; ".join(filter(None, map(_open, results))))
    return _held_against_runs(mutant, path, results)


def _held_against_runs(mutant: Mutant, path: Path, results: Sequence[RoutineResult]) -> Finding:
    """A mutant that was proved: no run may break it, and there has to be a reason."""
    found = routines(path)
    for title, routine in found.items():
        if broken := broken_on_full_grid(routine):
            return Finding(mutant, Fate.FALSE, remark=f"proved, but {title} breaks {broken}")
    right = routines(ASM / path.name)
    reasons = [_reason(right[r.title], found[r.title], r) for r in results]
    telling = [r for r in reasons if r is not Reason.SAME_CODE] or reasons
    if None in telling:
        return Finding(mutant, Fate.UNEXPLAINED, remark="proved, but no reason is known why it may stand")
    return Finding(mutant, Fate.EQUIVALENT, reason=telling[0])


def _reason(right: Routine, mutant: Routine, result: RoutineResult) -> Reason | None:
    """Why the mutant may stand, whose `result` is; None if no reason holds."""
    contract = result.contract
    assert contract is not None
    claimed = claims(ASM / right.image.path.name)[result.title]
    known = reason(
        Proved(right.image, result.name, contract, claimed.get("slack")),
        Proved(mutant.image, result.name, contract, result.slack),
    )
    if known is not None or contract != mutant.contract:  # an allowance has been taken off
        return known
    pair = _Pair(right.image.path, mutant.image.path, result.title)
    return compared(contract, pair.behaviour(None, result), pair.reason_after_page_faults)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A right routine and its mutant, by their files and the title that both bear."""

    right: Path
    mutant: Path
    title: str

    def behaviour(self, trap: str | None, result: RoutineResult) -> Behaviour:
        """How the mutant, whose `result` is, behaves beside the right routine where `trap` may strike."""
        options = ProveOptions(trap=trap)
        results = (self.right, _right_results(self.right, trap)[self.title]), (self.mutant, result)
        one, other = (self._side(path, options, found) for path, found in results)
        return behaviour(one, other, Exits(lambda _, where: where), options, Deadline(_SECONDS), _silent)

    def _side(self, path: Path, options: ProveOptions, result: RoutineResult) -> review.Proved:
        routine = routines(path, options)[self.title]
        return review.Proved(result, routine.image, routine.task)

    def reason_after_page_faults(self) -> Reason | None:
        """The reason where all faults are page faults."""
        ours, theirs = _right_results(self.right, "pf")[self.title], _results(self.mutant, "pf")[self.title]
        if {ours.verdict, theirs.verdict} != {Verdict.PROVED} or theirs.contract is None:
            return None
        known = reason(
            *(
                Proved(load(path), r.name, theirs.contract, r.slack)
                for path, r in ((self.right, ours), (self.mutant, theirs))
            )
        )
        return known or compared(theirs.contract, self.behaviour("pf", theirs), lambda: None)


@cache
def _right_results(path: Path, trap: str | None) -> Mapping[str, RoutineResult]:
    return _results(path, trap)


def _results(path: Path, trap: str | None) -> Mapping[str, RoutineResult]:
    """The results for a file's routines where `trap` may strike, by their titles."""
    return {r.title: r for r in prove.prove_file(path, ProveOptions(trap=trap), _silent)}


def _prove(path: Path) -> list[RoutineResult]:
    """The results for the file; if that is proved, against its contract without the allowance for counts."""
    strict = _without_allowance(path)
    if strict is not None:
        results = prove.prove_file(path, ProveOptions(contract=str(strict)), _silent)
        if all(r.verdict is Verdict.PROVED for r in results):
            return results
    return prove.prove_file(path, ProveOptions(), _silent)


def _without_allowance(path: Path) -> Path | None:
    """The file's contract with `over_report` 0, written beside it; None if it allows nothing anyway."""
    contract = tasks(load(path), ProveOptions())[0].contract
    if contract is None or contract.over_report == 0:
        return None
    text = (models_dir() / "contracts" / f"{contract.name}.toml").read_text(encoding="utf-8")
    strict = path.with_suffix(".toml")
    text = re.sub(r"(?m)^over_report = \d+", "over_report = 0", text)
    text = re.sub(r'(?m)^name = "(.*)"', r'name = "\1, exact"', text)
    strict.write_text(text, encoding="utf-8")
    return strict


def _killed_without_runs(mutant: Mutant, path: Path, killing: tuple[tuple[str, str], ...]) -> Finding:
    """A mutant that a run kills: the proof alone must not succeed, nor at an exit where a run breaks it."""
    results = proved_blindly(path, ProveOptions())
    if all(r.verdict is Verdict.PROVED for r in results):
        return Finding(mutant, Fate.FALSE, killing, remark="proved without a look at runs", blind=True)
    proved = sorted(pair for result in results for pair in _proved_rows(result) & set(killing))
    if proved:
        return Finding(
            mutant, Fate.FALSE, killing, remark=f"a run breaks what is proved: {proved}", blind=True
        )
    return Finding(mutant, Fate.KILLED, killing, blind=True)


def _proved_rows(result: RoutineResult) -> set[tuple[str, str]]:
    """The obligations that are proved, with their exits; none where what they rest on is not proved.

    A run's exit is the fixup of its last fault: if it loops before it returns, it belongs to the row
    "after a fault" of a proof.
    """
    open_exits = {o.exit for o in result.obligations if o.verdict is not Verdict.PROVED}
    if result.unknowns or open_exits & {EVERYWHERE, AFTER_FAULT}:
        return set()
    return {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.PROVED}


def _open(result: RoutineResult) -> str:
    """What is neither proved nor refuted."""
    rows = [f"{o.id} at {o.exit}: {o.reason}" for o in result.obligations if o.verdict is Verdict.UNKNOWN]
    return "; ".join([*rows, *result.unknowns][:3])


def _silent(_: str) -> None:
    """No progress is shown of a single proof."""

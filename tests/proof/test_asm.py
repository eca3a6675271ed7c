"""Every routine under asm/ gets the verdict that its file and proofs/ state, exit by exit."""

from __future__ import annotations

from pathlib import Path

import pytest
from asm_corpus.expectations import FILES, ROOT, claims, stated

from mcverify.proof.result import RoutineResult, Verdict
from mcverify.runs import cpu

from .conftest import Proof
from .refuted import refuted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_routine_gets_the_verdict_that_is_stated(path: Path, proof: Proof) -> None:
    results, listed = proof(path), claims(path)
    assert results.keys() == listed.keys()
    for name, said in stated(path).items():
        result = results[name]
        assert refuted(result) == said.broken, _open(result)
        assert result.verdict == (Verdict.REFUTED if said.broken else Verdict.PROVED), _open(result)
        assert result.verdict == listed[name]["verdict"]
        assert result.contract.name == listed[name]["contract"]
        assert [result.domain.len_min, result.domain.len_max] == listed[name]["domain"]
        if not said.broken:
            _agrees_with_claim(result, listed[name])
        _was_executed(result)


def _open(result: RoutineResult) -> list[str]:
    """What to look at where a verdict is not the one that is stated."""
    rows = [f"{o.id} at {o.exit}: {o.verdict}: {o.reason}" for o in result.obligations]
    return [row for row in rows if ": proved" not in row] + list(result.unknowns)


def _agrees_with_claim(result: RoutineResult, claim: dict) -> None:
    """A proved routine: every row is proved, the slack is the claimed one, and so is where it ends."""
    assert {o.verdict for o in result.obligations} == {Verdict.PROVED}
    assert result.unknowns == ()
    assert result.counterexamples == ()
    assert result.slack == claim.get("slack")
    if cpu.available() is None:
        assert result.domain.breaks_at == claim.get("breaks_at")


def _was_executed(result: RoutineResult) -> None:
    """Each refutation has a run of its own, which says where it ran."""
    shown = {(obligation, c.exit) for c in result.counterexamples for obligation in c.obligations}
    assert shown == refuted(result)
    for counterexample in result.counterexamples:
        assert counterexample.outcome.on in ("cpu", "emulator")
        assert counterexample.case.len <= result.domain.len_max
        assert counterexample.sentence


def test_what_is_claimed_line_by_line_is_what_was_proved(proof: Proof) -> None:
    """`proofs/claims.txt` is kept by hand: a claim that is new, gone or weaker changes a line there."""
    lines = (ROOT / "proofs/claims.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines))
    assert lines == sorted(
        _line(r) for path in FILES for r in proof(path).values() if r.verdict == Verdict.PROVED
    )


def _line(result: RoutineResult) -> str:
    file, domain = Path(result.file).relative_to(ROOT), result.domain
    slack = "-" if result.slack is None else result.slack
    return (
        f"{file}  {result.title}  {result.contract.name}  faults {result.faults}"
        f"  len {domain.len_min}..{_length(domain.len_max)}  slack {slack}"
    )


def _length(number: int) -> str:
    return str(number) if number < 10 else f"{number:#x}"

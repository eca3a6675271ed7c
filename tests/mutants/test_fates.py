"""A mutant of every right routine, one for each reason, and what must never pass; `make mutants` has all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest

from mcverify.proof import prove
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.runs import cpu
from mutants import examine as examination
from mutants.examine import GOOD, Fate, examine
from mutants.operators import Mutant, mutants
from mutants.reasons import Reason
from mutants.source import ASM, read

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")
RIGHT = sorted(path for path in ASM.glob("*.S") if "_wrong_" not in path.stem)
CHOICE = b"e"
"""Another letter chooses other mutants."""


def one(stem: str, before: str, after: str) -> Mutant:
    """The mutant with that change; the last one, if several lines are alike."""
    found = [m for m in mutants(read(ASM / f"{stem}.S")) if (m.before, m.after) == (before, after)]
    assert found, f"{stem}: {before} -> {after}"
    return found[-1]


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_a_mutant_is_killed_or_proved_with_a_reason(path: Path) -> None:
    """The choice is arbitrary and always the same."""
    mutant = min(mutants(read(path)), key=lambda m: crc32(m.name.encode() + CHOICE))
    finding = examine(mutant)
    assert finding.fate in GOOD, f"{mutant.name}: {finding}"
    assert bool(finding.broken) == (finding.fate in (Fate.KILLED, Fate.REFUTED))
    assert bool(finding.reason) == (finding.fate is Fate.EQUIVALENT)


@pytest.mark.parametrize(
    ("mutant", "reason"),
    [
        (("clear_words", "RET", ""), Reason.SAME_CODE),
        (
            (
                "rep_movsb",
                "_ASM_EXTABLE_TYPE(.Lread_rep, .Lfix_rep, EX_TYPE_DEFAULT_MCE_SAFE)",
                "_ASM_EXTABLE_FAULT(.Lread_rep, .Lfix_rep)",
            ),
            Reason.NOT_READ,
        ),
        (("rep_movsb", "mov %rcx, %rax", "mov %ecx, %eax"), Reason.ONE_COUNT),
        (("clear_words", "lea (%rcx,%r8,8), %rcx", "lea (%ecx,%r8d,8), %ecx"), Reason.ONE_COUNT),
        (("retry_moved", "jmp .Lread_b", "jmp .Lrest"), Reason.EVERY_GOOD_BYTE),
        (("status", "mov $-14, %rax", "mov $-13, %rax"), Reason.ANOTHER_FAILURE),
        (("retry_moved", "jmp .Lread_b", ""), Reason.MORE_LEFT),
        (
            (
                "retry_by_trap",
                "_ASM_EXTABLE_TYPE(.Lread_w0, .Lfix_w0, EX_TYPE_FAULT_MCE_SAFE)",
                "_ASM_EXTABLE_FAULT(.Lread_w0, .Lfix_w0)",
            ),
            Reason.SAME_EFFECT,
        ),
        (("retry_by_trap", "mov %rdx, %rax", "mov %edx, %eax"), Reason.ONE_COUNT),
        (("retry_by_trap", "shl $4, %rcx", "shl $4, %ecx"), Reason.SAME_STEPS),
        (("retry_by_trap", "jne .Lread_b", ""), Reason.LEFT_OPEN),
    ],
    ids=lambda value: value if isinstance(value, Reason) else value[0],
)
def test_an_equivalent_mutant_has_its_reason(mutant: tuple[str, str, str], reason: Reason) -> None:
    finding = examine(one(*mutant))
    assert (finding.fate, finding.reason) == (Fate.EQUIVALENT, reason), finding.remark


def test_a_fence_that_is_missing_is_seen_by_the_grid() -> None:
    finding = examine(one("nontemporal", "sfence", ""))
    assert (finding.fate, finding.broken) == (Fate.KILLED, (("O10", ".Lfix_b"),))


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [
        (("rep_movsb", "RET", "dec %rax; RET"), {("O3", ".Lfix_rep")}),
        (("words_bytes", "lea (%rdx,%rcx,8), %rax", "lea (%rdx,%rcx,4), %rax"), {("O3", ".Lfix_w")}),
        (("index_up", "neg %rax", ""), {("O2", ".Lfix_b")}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_a_run_kills_is_not_proved_without_runs(
    mutant: tuple[str, str, str], broken: set[tuple[str, str]]
) -> None:
    finding = examine(one(*mutant), blind=True)
    assert (finding.fate, finding.blind) == (Fate.KILLED, True)
    assert broken <= set(finding.broken)


def test_a_place_without_a_label_is_named_by_its_line() -> None:
    finding = examine(one("retry_by_trap", "add %rcx, %rdx", "add %rcx, %rdi"))
    assert ("O1", "retry_by_trap.S:34") in finding.broken


# -- what must not pass -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def right() -> list[RoutineResult]:
    """A true proof of a right routine, to be passed off as that of a mutant."""
    return prove.prove_file(ASM / "rep_movsb.S", ProveOptions(), lambda _: None)


OFF_BY_ONE = ("rep_movsb", "RET", "inc %rax; RET")
NARROW = ("rep_movsb", "mov %rcx, %rax", "mov %ecx, %eax")


def prove_wrongly(monkeypatch: pytest.MonkeyPatch, results: list[RoutineResult]) -> None:
    monkeypatch.setattr(prove, "prove_file", lambda *_: results)


def test_a_proof_of_what_a_run_kills_is_false(monkeypatch: pytest.MonkeyPatch, right: list) -> None:
    prove_wrongly(monkeypatch, right)
    assert examine(one(*OFF_BY_ONE), blind=True).fate is Fate.FALSE
    assert examine(one(*OFF_BY_ONE), blind=False).fate is Fate.KILLED


def test_a_proved_row_that_a_run_breaks_is_false(monkeypatch: pytest.MonkeyPatch, right: list) -> None:
    (result,) = right
    rows = [o for o in result.obligations if (o.id, o.exit) != ("O6", ".Lfix_rep")]
    unknown = [replace(o, verdict=Verdict.UNKNOWN) for o in result.obligations if o not in rows]
    assert unknown
    partly = replace(result, verdict=Verdict.UNKNOWN, obligations=(*rows, *unknown))
    prove_wrongly(monkeypatch, [partly])
    finding = examine(one(*OFF_BY_ONE), blind=True)
    assert finding.fate is Fate.FALSE
    assert ".Lfix_rep" in finding.remark
    open_elsewhere = [replace(o, verdict=Verdict.UNKNOWN) if o.exit == "*" else o for o in rows]
    prove_wrongly(monkeypatch, [replace(partly, obligations=tuple(open_elsewhere))])
    assert examine(one(*OFF_BY_ONE), blind=True).fate is Fate.KILLED


def test_a_proof_of_what_the_full_grid_breaks_is_false(monkeypatch: pytest.MonkeyPatch, right: list) -> None:
    prove_wrongly(monkeypatch, right)
    monkeypatch.setattr(examination, "killing", lambda _: ())
    finding = examine(one(*OFF_BY_ONE))
    assert finding.fate is Fate.FALSE
    assert "O2" in finding.remark or "O4" in finding.remark


def test_a_proof_without_a_reason_is_unexplained(monkeypatch: pytest.MonkeyPatch, right: list) -> None:
    prove_wrongly(monkeypatch, right)
    monkeypatch.setattr(examination, "reason", lambda *_: None)
    monkeypatch.setattr(examination, "compared", lambda *_: None)
    assert examine(one(*NARROW)).fate is Fate.UNEXPLAINED


def test_what_is_not_decided_is_unknown(monkeypatch: pytest.MonkeyPatch, right: list) -> None:
    (result,) = right
    late = replace(result, verdict=Verdict.UNKNOWN, unknowns=("Z3 did not decide it in time",))
    prove_wrongly(monkeypatch, [late])
    finding = examine(one(*NARROW))
    assert (finding.fate, finding.remark) == (Fate.UNKNOWN, "Z3 did not decide it in time")


def test_a_mutant_that_only_the_proof_refutes_is_refuted_and_says_what_it_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the runs that come first do not show it."""
    monkeypatch.setattr(examination, "killing", lambda path: ())
    finding = examine(one("rep_movsb", "mov %rcx, %rax", "mov %rdx, %rax"))
    assert finding.fate is Fate.REFUTED
    assert finding.broken == (("O4", ".Lfix_rep"),)
    assert finding.reason is None
    assert not finding.remark

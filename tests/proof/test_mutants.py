"""Small mistakes in right routines are refuted where they are; a change that is none is proved.

Each proof is held against runs on the CPU: what the quick grid breaks is never called proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from asm_corpus.expectations import ROOT

from mcverify.image.load import load
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.runs import cpu
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.grid import quick_grid

from .conftest import prove
from .refuted import refuted


@dataclass(frozen=True)
class Mutant:
    """A routine under asm/ with `old` replaced by `new`, and what that breaks (nothing: `why`)."""

    name: str
    file: str
    old: str
    new: str
    broken: frozenset[tuple[str, str]] = frozenset()
    why: str = ""


def breaks(*pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset((obligation, exit_) for obligation, exit_ in (pair.split() for pair in pairs))


FIX_W = "lea	(%rdx,%rcx,8), %rax"
ENTRY_B = "	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)\n"

MUTANTS = [
    Mutant("a word too few", "words_bytes", FIX_W, "lea	-8(%rdx,%rcx,8), %rax", breaks("O3 .Lfix_w")),
    Mutant("a byte too few", "words_bytes", FIX_W, "lea	-1(%rdx,%rcx,8), %rax", breaks("O3 .Lfix_w")),
    Mutant(
        "a word too many",
        "words_bytes",
        FIX_W,
        "lea	8(%rdx,%rcx,8), %rax",
        breaks("O2 .Lfix_w", "O4 .Lfix_w"),
    ),
    Mutant("no entry for the bytes", "words_bytes", ENTRY_B, "", breaks("O1 .Lread_b")),
    Mutant(
        "both entries at the fixup of the bytes",
        "words_bytes",
        "(.Lread_w, .Lfix_w,",
        "(.Lread_w, .Lfix_b,",
        breaks("O3 .Lfix_b"),
    ),
    Mutant(
        "both entries at the fixup of the words",
        "words_bytes",
        "(.Lread_b, .Lfix_b,",
        "(.Lread_b, .Lfix_w,",
        why="no words are left where bytes are copied",
    ),
    Mutant(
        "both entries at the fixup of the words",
        "rep_movsq",
        "(.Lread_b, .Lfix_b,",
        "(.Lread_b, .Lfix_q,",
        breaks("O2 .Lfix_q", "O4 .Lfix_q"),
    ),
    Mutant(
        "the rest is not counted",
        "rep_movsq",
        FIX_W,
        "lea	(,%rcx,8), %rax",
        breaks("O3 .Lfix_q"),
    ),
    Mutant(
        "a word that is not stored is subtracted",
        "memcpy_64",
        ".Lfix_b4:\n	shl	$6, %rcx\n	lea	-32(",
        ".Lfix_b4:\n	shl	$6, %rcx\n	lea	-40(",
        breaks("O3 .Lfix_b4"),
    ),
]


@pytest.fixture(params=MUTANTS, ids=lambda m: f"{m.file}: {m.name}")
def mutant(request: pytest.FixtureRequest) -> Mutant:
    return request.param


@pytest.mark.slow
def test_a_mutant_is_refuted_where_it_is_wrong(mutant: Mutant, tmp_path: Path) -> None:
    path = written(mutant, tmp_path)
    (result,) = prove(path).values()
    assert refuted(result) == mutant.broken
    assert result.verdict == (Verdict.REFUTED if mutant.broken else Verdict.PROVED)
    assert bool(mutant.broken) != bool(mutant.why)
    if cpu.available() is None:
        assert on_cpu(path, result) == {obligation for obligation, _ in mutant.broken}


def written(mutant: Mutant, folder: Path) -> Path:
    text = (ROOT / f"asm/{mutant.file}.S").read_text()
    assert text.count(mutant.old) == 1
    path = folder / f"{mutant.file}.S"
    path.write_text(text.replace(mutant.old, mutant.new))
    return path


def on_cpu(path: Path, result: RoutineResult) -> set[str]:
    """The obligations that the cases of the quick grid break."""
    image, contract = load(path), result.contract
    found = CpuRunner(image, image.functions[0].address, contract).grid(quick_grid(contract))
    assert found.complete
    assert found.cases > 5_000
    return {violation.obligation for violation in found.violations}

"""The search for runs, where a store leaves dst without a fault: what tells the instruction is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.contract import Contract, load_contract
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof import trials
from mcverify.proof.exits import EVERYWHERE
from mcverify.proof.search import Witnesses, probes
from mcverify.proof.trials import Trials
from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement

FREE = Placement(Place.FREE, 3)
STORE = "further.S:7"

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason=f"skipped: {cpu.available()}")


@pytest.fixture
def one_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Image, Contract]:
    """A copy that stores each byte at the next place; 30 KiB of long runs are looked up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trials, "_LOOKED_UP", 30 << 10)
    path = Path("further.S")
    path.write_text(
        """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(further)
	mov	%rdx, %rcx
	jrcxz	.Ldone
.Lload:	mov	(%rsi), %al
	mov	%al, 1(%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lload
.Ldone:	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lload, .Ldone)
SYM_FUNC_END(further)
"""
    )
    return load(path), load_contract("bytes_left")


@pytest.mark.slow
def test_the_instruction_is_looked_up_in_short_runs_and_a_few_long_ones(one_further) -> None:
    image, contract = one_further
    on_cpu = Trials(image, image.functions[0].address, contract, "loads")
    places = []
    for length in (100, 20_000, 12_000, 9_000, 8_000):
        case = Case(length, FREE, FREE)
        (outcome,) = on_cpu.runner.run([case])
        (failure,) = (f for f in on_cpu.failures(case, outcome) if f.obligation == "O8")
        places.append(failure.exit)
    assert places == [STORE, STORE, EVERYWHERE, STORE, STORE]


def test_a_long_run_that_was_not_looked_up_is_not_said_to_be_right(one_further) -> None:
    image, contract = one_further
    on_cpu = Trials(image, image.functions[0].address, contract, "loads")
    keys = {("O8", STORE)}
    cases = [Case(length, FREE, FREE) for length in (40_000, 100)]
    assert on_cpu.broken(cases, keys) == [None, keys]
    emulated = Trials(image, image.functions[0].address, contract, "loads", on="emulator")
    assert emulated.broken(cases, keys) == [None, keys]


@pytest.mark.slow
def test_a_store_that_is_placed_makes_one_that_is_not_superfluous(one_further) -> None:
    image, contract = one_further
    witnesses = Witnesses(image, image.functions[0].address, contract, "loads", "ordered", 1 << 30)
    long = Case((1 << 20) + 13, FREE, FREE)
    witnesses.try_cases([long])
    assert ("O8", EVERYWHERE) in witnesses.found
    witnesses.try_cases([Case(2, FREE, FREE)])
    assert ("O8", EVERYWHERE) not in witnesses.found
    witnesses.try_cases(probes(contract, "loads", 1 << 30))
    assert {place for obligation, place in witnesses.found if obligation == "O8"} == {STORE}

"""What the CPU does in thousands of random runs is what the model of the proof says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.runs import cpu

from .cosimulation import ASM, HOSTILE, Tally, cosimulate, report

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


OUTSIDE_THE_MODEL = {
    "code_address",
    "copy",
    "copy_mc_fragile",
    "deep_frame",
    "distance",
    "eip_address",
    "exchange",
    "exchange_rsp",
    "hint_last",
    "hint_none",
    "move_backwards",
    "next_section",
    "percpu",
    "percpu_above",
    "percpu_stores",
    "percpu_value",
    "red_zone",
    "rep_words",
    "rex_early",
    "rex_early_count",
    "return_stale",
    "rotated_by_nothing",
    "shift_reads_16",
    "shift_reads_16_avx",
    "shifted_in_memory",
    "stale_stack",
    "tail_kept",
    "undefined_adjust",
    "undefined_overflow",
    "undefined_zero",
    "words_wrapped",
    "writable_read",
}
"""Hostile routines that leave the model by intent (a variable of the kernel, data that others write,
what lies below rsp, a routine in C that calls a wrong one), or whose hints it cannot tell from a run."""


def checked(tally: Tally) -> Tally:
    """The tally; its table is shown with `pytest -rP`."""
    print("\n".join(report(tally)))
    assert {"load, trap 14", "load, trap 18", "store"} <= tally.faults.keys()
    assert tally.registers >= 18 * (tally.agreed - tally.endings["wild"] - tally.endings["timeout"])
    return tally


@pytest.mark.slow
def test_every_run_of_the_routines_under_asm_is_predicted() -> None:
    tally = checked(cosimulate(ASM, count=60, seed=1))
    assert tally.runs >= 3000
    assert not tally.unpredicted
    assert {"returned", "oops", "wild", "timeout"} == tally.endings.keys()
    assert not tally.reachable - tally.executed.keys(), "instructions that no run executed"


@pytest.mark.slow
def test_runs_of_the_hostile_routines_are_predicted() -> None:
    tally = checked(cosimulate(HOSTILE, count=50, seed=2))
    assert tally.agreed >= 2500
    reasons = {text.partition(":")[0] for text in tally.unpredicted}
    assert reasons <= OUTSIDE_THE_MODEL


def test_runs_of_the_kernels_own_routine_are_predicted(kernel_source_61: Path) -> None:
    tally = cosimulate([kernel_source_61], count=60, seed=3)
    assert tally.agreed == tally.runs == 120

"""The CPU and the emulator must say the same of every run, but for where memory lies."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mcverify.runs.case import Case, Outcome
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.grid import quick_grid

from .conftest import fixture_routine

pytestmark = pytest.mark.usefixtures("needs_cpu")

ROUTINES = [
    "words_bytes", "rep_movsb", "rep_movsq_tail", "rep_movsq_rcx", "pushed", "sse", "user_both",
    "nontemporal_sse", "clear_stosb", "byte_retry", "words_bytes_wrong_overread", "index_up",
    "down_words_wrong_cld",
]  # fmt: skip

NEAR = 1 << 16
COMPARED_FLAGS = 1 << 10 | 1 << 18


def place_free(outcome: Outcome) -> dict[str, Any]:
    """The outcome with addresses as distances from the arguments, and only flags that are never undefined."""
    registers: dict[str, Any] = {}
    for name, value in outcome.registers.items():
        origin = next((b for b in ("rdi", "rsi", "rsp") if abs(value - outcome.initial[b]) < NEAR), None)
        registers[name] = (origin, value - outcome.initial[origin]) if origin else value
    registers["rflags"] = outcome.registers["rflags"] & COMPARED_FLAGS
    left_out = ("registers", "initial", "on")
    fields = {f: getattr(outcome, f) for f in outcome.__dataclass_fields__ if f not in left_out}
    return {**fields, **registers}


def random_cases(name: str, count: int) -> list[Case]:
    _, _, contract = fixture_routine(name)
    grid, random = quick_grid(contract, "both" if contract.src else "stores"), Random(name)
    drawn = [grid.case(random.randrange(len(grid))) for _ in range(count)]
    return [Case(c.len, c.src, c.dst, c.trap, seed) for seed, c in enumerate(drawn, 1) if c.len < 600]


@pytest.mark.parametrize("name", ROUTINES)
def test_outcomes_are_the_same(name: str) -> None:
    routine, cases = fixture_routine(name), random_cases(name, 120)
    assert len(cases) > 90
    for case, on_cpu, emulated in zip(
        cases, CpuRunner(*routine).run(cases), EmulatorRunner(*routine).run(cases), strict=True
    ):
        assert place_free(emulated) == place_free(on_cpu), case


@pytest.mark.parametrize(
    "name", ["words_bytes", "rep_movsq_tail", "pushed", "byte_retry", "user_both", "clear_stosb"]
)
def test_visits_and_traces_are_the_same(name: str) -> None:
    routine, cases = fixture_routine(name), random_cases(name, 30)
    on_cpu, emulated = CpuRunner(*routine), EmulatorRunner(*routine)
    steps = [[address for address, _ in runner.trace(cases[7])] for runner in (on_cpu, emulated)]
    assert steps[0] == steps[1]
    watched = sorted(set(steps[0]))
    everything = 10**6
    samples = [runner.sample(cases, watched, everything) for runner in (on_cpu, emulated)]
    keys = [
        sorted((v.case, v.address, v.faulted, v.top, v.registers["rcx"], len(v.stack)) for v in visits)
        for visits in samples
    ]
    assert len(keys[0]) > 100
    assert keys[0] == keys[1]

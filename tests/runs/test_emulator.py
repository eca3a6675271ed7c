"""What only the emulator can show."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mcverify.arch.known import X86_64
from mcverify.deadline import Deadline, OutOfTime
from mcverify.runs.case import Access, Case, Ending, Place, Placement
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import judge
from mcverify.runs.rep import SCHEDULES, Schedule, order

from .conftest import Build, fixture_routine

FREE = Placement(Place.FREE, 3)


def test_a_footprint_holds_every_access_that_was_carried_out(build: Build) -> None:
    copy = "movups (%rsi), %xmm0\n movups %xmm0, (%rdi)\n .Lr: movb 16(%rsi), %al"
    body = f"push %rbx\n {copy}\n .Lf: pop %rbx\n ret"
    image, entry, contract = build(body, entries={".Lr": ".Lf"})
    outcome, accesses = EmulatorRunner(image, entry, contract).footprint(
        Case(20, Placement(Place.HOLE, 16), FREE)
    )
    assert outcome.ending is Ending.RETURNED
    covered = [(a.buffer, a.offset + i, a.is_store) for a in accesses for i in range(a.size)]
    expected = [("stack", -8 + i, True) for i in range(8)]
    expected += [("src", i, False) for i in range(16)] + [("dst", i, True) for i in range(16)]
    expected += [("stack", -8 + i, False) for i in range(16)]
    assert covered == expected


def test_an_emulated_run_ends_with_the_time(build: Build) -> None:
    runner = EmulatorRunner(*build(".Lr: jmp .Lr"), deadline=Deadline(0.3))
    start = time.process_time()
    with pytest.raises(OutOfTime):
        runner.footprint(Case(1 << 20, FREE, FREE))  # which may take a hundred million steps
    assert time.process_time() - start < 10


def test_reads_that_no_fault_shows_are_judged_by_the_footprint(build: Build) -> None:
    image, entry, contract = build("mov 1(%rsi), %rax\n mov (%rdi), %rcx\n xor %eax, %eax\n ret")
    case = Case(0, FREE, FREE)
    outcome, accesses = EmulatorRunner(image, entry, contract).footprint(case)
    assert judge(contract, case, outcome) == ()
    (violation,) = judge(contract, case, outcome, accesses=accesses)
    assert violation.obligation == "O8"
    (read_of_dst,) = [a for a in accesses if a.buffer == "dst"]
    assert read_of_dst == Access(entry + 4, "dst", 0, 8, is_store=False)


def test_a_store_across_the_hole_stores_nothing(build: Build) -> None:
    image, entry, contract = build(".Lw: movups %xmm0, (%rdi)\n .Lf: ret", entries={".Lw": ".Lf"})
    for at in range(16):
        (outcome,) = EmulatorRunner(image, entry, contract).run([Case(20, FREE, Placement(Place.HOLE, at))])
        assert [f.offset for f in outcome.faults] == [at]
        assert 1 not in outcome.written


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 40])
def test_a_schedule_does_each_element_once(schedule: Schedule, count: int) -> None:
    elements = list(order(schedule, count))
    assert sorted(elements) == list(range(count))
    assert count < 7 or elements != sorted(elements)


def test_the_schedules_are_those_of_the_model() -> None:
    assert set(X86_64.model("rep.toml")["unordered"]["schedules"]) == set(SCHEDULES)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("name", "place"), [("rep_movsb", "src"), ("rep_movsq", "src"), ("clear_stosb", "dst")]
)
def test_without_the_promise_of_order_a_right_routine_fails(
    schedule: Schedule, name: str, place: str
) -> None:
    image, entry, contract = fixture_routine(name)
    hole = Placement(Place.HOLE, 81)
    case = Case(200, hole if place == "src" else FREE, hole if place == "dst" else FREE)
    runner = EmulatorRunner(image, entry, contract, rep_model="unordered", schedule=schedule)
    (outcome,) = runner.run([case])
    (ordered,) = EmulatorRunner(image, entry, contract).run([case])
    assert judge(contract, case, ordered) == ()
    assert {"O3", "O4"} & {v.obligation for v in judge(contract, case, outcome)}
    assert outcome.written == outcome.correct


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_a_fault_the_order_does_not_matter(schedule: Schedule) -> None:
    image, entry, contract = fixture_routine("rep_movsq")
    case = Case(203, FREE, FREE)
    (outcome,) = EmulatorRunner(image, entry, contract, rep_model="unordered", schedule=schedule).run([case])
    assert judge(contract, case, outcome) == ()
    assert outcome.written.count(1) == 203


def test_the_runners_do_not_import_the_solver_or_the_lifter() -> None:
    modules = "cpu emulator judge cases grid".split()
    imports = "; ".join(f"import mcverify.runs.{m}" for m in modules)
    check = (
        "import sys; assert not {'angr', 'z3', 'claripy', 'pyvex', 'unicorn'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", f"{imports}; {check}"], check=True)

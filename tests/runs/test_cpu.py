"""What only the CPU runner does: outlive the routine, long buffers, grids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest
from support.processes import is_alive, until

from mcverify import programs
from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.runs import native
from mcverify.runs.case import Case, Ending, Outcome, Place, Placement, Preset
from mcverify.runs.cases import far_cases
from mcverify.runs.child import SHARED_BYTES
from mcverify.runs.code import reachable
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.grid import Block, Grid, full_grid, quick_grid, read_grid
from mcverify.runs.judge import judge
from mcverify.runs.wire import GarbledError, placement_of, placement_word

from .conftest import ASM, Build, fixture_routine

pytestmark = pytest.mark.usefixtures("needs_cpu")

T = TypeVar("T")
FREE = Placement(Place.FREE)
EXIT_IF_LEN_IS_2 = "cmp $2, %rdx\n jne 1f\n mov $60, %eax\n syscall\n 1: xor %eax, %eax\n ret"


def test_a_case_that_ends_the_process_is_told_and_the_others_go_on(build: Build) -> None:
    cases = [Case(length, FREE, FREE) for length in (0, 2, 0, 2, 0)]
    endings = [o.ending for o in CpuRunner(*build(EXIT_IF_LEN_IS_2)).run(cases)]
    assert endings == [Ending.RETURNED, Ending.DIED, Ending.RETURNED, Ending.DIED, Ending.RETURNED]


@pytest.mark.parametrize("number", [57, 2, 41, 62, 0x40000000 + 1])
def test_a_routine_cannot_call_the_kernel(build: Build, number: int) -> None:
    routine = build(f"mov ${number}, %eax\n xor %edi, %edi\n xor %esi, %esi\n syscall\n xor %eax, %eax\n ret")
    assert [o.ending for o in CpuRunner(*routine).run([Case(0, FREE, FREE)])] == [Ending.DIED]


def test_samples_are_kept_of_the_cases_that_do_not_die(build: Build) -> None:
    image, entry, contract = build(EXIT_IF_LEN_IS_2)
    cases = [Case(length, FREE, FREE) for length in (0, 2, 1)]
    assert [v.case for v in CpuRunner(image, entry, contract).sample(cases, [entry])] == [0, 2]


def test_a_grid_counts_a_death_as_a_broken_state_and_goes_on(build: Build) -> None:
    word = placement_word(FREE)
    grid = Grid(tuple(Block(length, (word,), (word,), trap=14) for length in (0, 2, 0, 1)))
    result = CpuRunner(*build(EXIT_IF_LEN_IS_2)).grid(grid)
    assert (result.cases, result.complete) == (4, True)
    found = {v.obligation: [c.len for c in v.cases] for v in result.violations}
    assert found == {"O7": [2], "O3": [1], "O9": [1]}


def test_a_grid_is_given_up_when_too_many_cases_do_not_end(build: Build) -> None:
    word = placement_word(FREE)
    grid = Grid((Block(1, (word,) * 100, (word,)),))
    result = CpuRunner(*build("1: jmp 1b")).grid(grid)
    assert not result.complete
    assert result.cases < 100
    assert [v.obligation for v in result.violations] == ["O9"]


def test_kinds_of_failure_are_kept_apart_by_how_a_case_ends(build: Build) -> None:
    image, entry, contract = build("cmp $1, %rdx\n jb 1f\n je 2f\n jmp .\n 1: ud2\n 2: cli\n ret")
    words = (placement_word(FREE),)
    grid = Grid(tuple(Block(length, words, words) for length in (0, 1, 2, 0)))
    result = CpuRunner(image, entry, contract).grid(grid)
    found = [(v.obligation, v.ending, v.at and v.at - entry, v.count) for v in result.violations]
    assert found == [
        ("O7", Ending.ILLEGAL, 10, 2), ("O7", Ending.ILLEGAL, 12, 1), ("O9", Ending.TIMEOUT, None, 1),
    ]  # fmt: skip
    assert result.failed == 4


def test_a_grid_whose_time_is_over_gives_what_it_has_seen(build: Build) -> None:
    image, entry, contract = build("mov %edx, %ecx\n 1: dec %rcx\n jnz 1b\n mov %rdx, %rax\n ret")
    word = placement_word(FREE)
    grid = Grid(tuple(Block(1 << 20, (word,) * 1000, (word,) * 1000) for _ in range(4)))
    seen: list[int] = []
    result = CpuRunner(image, entry, contract, Deadline(1.0)).grid(grid, seen.append)
    assert not result.complete
    assert 0 < result.cases < len(grid)
    assert [v.obligation for v in result.violations] == ["O9"]
    assert seen
    assert seen == sorted(seen)
    assert seen[-1] <= result.cases


def left_by(*words: int) -> bytes:
    return b"".join(n.to_bytes(8, "little") for n in words).ljust(SHARED_BYTES, b"\0")


def test_shared_memory_that_the_routine_wrote_over_is_not_taken_for_a_result() -> None:
    """What a child leaves of five cases: their number, ..., keys, failed cases; and of each key the
    obligation, instruction, ending, place, count, and its cases."""
    word = placement_word(FREE)
    grid = Grid((Block(0, (word,) * 5, (word,)),))
    head, key, case = (5, 1, 0, 1, 1, 0, 0, 0, 0), (1, 0, 0, 0, 1, 1), (0, 0, 0, 0, 0, 0, 1, 0, 0)
    whole = (*head, *key, *case)
    assert read_grid(left_by(*whole), 0, grid).failed == 1
    with pytest.raises(GarbledError):
        read_grid(b"\xff" * SHARED_BYTES, 0, grid)
    wrong = {
        "more cases than there are": (0, 6), "more failed than were run": (4, 6), "too many keys": (3, 999),
        "failed without a key": (3, 0), "obligation 77": (9, 77), "no ending": (11, 99),
        "more often than cases failed": (13, 2), "no case": (14, 0), "another length": (15, 7),
        "no such preset": (22, 9), "a placement that is none": (16, 77), "another place": (17, 1),
    }  # fmt: skip
    for at, value in wrong.values():
        with pytest.raises(GarbledError):
            read_grid(left_by(*whole[:at], value, *whole[at + 1 :]), 0, grid)


@pytest.mark.parametrize(
    ("body", "is_open"),
    [
        ("stac\n clac\n stac\n stac\n clac", False),
        ("stac\n clac\n stac", True),
        ("stac\n movq %rdx, %mm0\n clac", False),
        ("clac\n fld1\n stac\n fstp %st", True),
    ],
)
def test_a_grid_tracks_user_access_also_beside_x87_and_mmx(build: Build, body: str, is_open: bool) -> None:
    image, entry, contract = build(f"{body}\n mov %rdx, %rax\n ret")
    word = placement_word(FREE)
    result = CpuRunner(image, entry, contract).grid(Grid((Block(0, (word,) * 3, (word,) * 3),)))
    assert [(v.obligation, v.count) for v in result.violations] == ([("O7", 9)] if is_open else [])


def test_x87_and_mmx_are_seen_in_the_code(build: Build) -> None:
    image, entry, _ = build("fld1\n fstp %st\n movq2dq %mm1, %xmm0\n emms\n movdqu (%rsi), %xmm0\n ret")
    found = [i.uses_hidden for _, i in sorted(reachable(image, entry).items())]
    assert found == [True, True, True, True, False, False]


def test_a_32_bit_counter_is_caught_beyond_4_gib() -> None:
    image, entry, contract = fixture_routine("count32")
    case = next(c for c in far_cases(contract) if c.len == (1 << 32) + 8)
    (outcome,) = CpuRunner(image, entry, contract).run([case])
    assert outcome.written == b""
    assert outcome.stored == ((0, 8),)
    assert {v.obligation for v in judge(contract, case, outcome)} == {"O3", "O9"}


def test_a_64_bit_counter_is_right_beyond_4_gib() -> None:
    image, entry, contract = fixture_routine("rep_movsb")
    case = next(c for c in far_cases(contract) if c.len == (1 << 32) + 13)
    (outcome,) = CpuRunner(image, entry, contract).run([case])
    assert (outcome.stored, outcome.wrong) == (((0, 64),), ())
    assert outcome.registers["rax"] == case.len - 64
    assert judge(contract, case, outcome) == ()


def test_wrong_bytes_of_a_long_buffer_are_found(build: Build) -> None:
    routine = build("mov $3, %ecx\n rep movsb\n movb $0, (%rdi)\n movb $0, 2000000(%rdi)\n ret")
    (outcome,) = CpuRunner(*routine).run([Case(3 << 20, Placement(Place.FREE, 5), FREE)])
    assert outcome.stored == ((0, 4), (2000003, 2000004))
    assert outcome.wrong == ((3, 4), (2000003, 2000004))


def test_stray_stores_around_an_empty_buffer_are_no_wrong_data(build: Build) -> None:
    image, entry, contract = build("movw $0, -1(%rdi)\n xor %eax, %eax\n ret")
    (outcome,) = CpuRunner(image, entry, contract).run([Case(0, FREE, FREE)])
    assert outcome.written[63:65] == b"\1\1"
    assert [v.obligation for v in judge(contract, Case(0, FREE, FREE), outcome)] == ["O8"]
    word = placement_word(FREE)
    result = CpuRunner(image, entry, contract).grid(Grid((Block(0, (word,), (word,)),)))
    assert [v.obligation for v in result.violations] == ["O8"]


def test_long_buffers_are_not_stepped(build: Build) -> None:
    with pytest.raises(ValueError, match="only cases of up to"):
        CpuRunner(*build("ret")).sample([Case(1 << 30, FREE, FREE)], [0])


ROUTINES = [
    "words_bytes", "words_bytes_wrong_order", "words_bytes_wrong_overread", "rep_movsq",
    "rep_movsb_wrong_count", "memcpy_64_wrong_trap", "status_wrong_inverted", "clear_words_wrong_rest",
    "user_both_wrong_progress", "byte_retry_wrong_rounded", "pushed_wrong_pop", "down_words_wrong_cld",
]  # fmt: skip


@pytest.mark.parametrize("name", ROUTINES)
def test_the_grid_judges_as_the_judge_does(name: str) -> None:
    image, entry, contract = fixture_routine(name)
    runner, random = CpuRunner(image, entry, contract), Random(name)
    whole = quick_grid(contract, "both" if contract.src else "stores")
    drawn = [whole.case(random.randrange(len(whole))) for _ in range(700)]
    cases = [Case(c.len, c.src, c.dst, c.trap, 1 + i % 40) for i, c in enumerate(drawn) if c.len < 5000]
    blocks = (Block(c.len, (placement_word(c.src),), (placement_word(c.dst),), c.trap, c.seed) for c in cases)
    counted = {(v.obligation, v.insn): v.count for v in runner.grid(Grid(tuple(blocks))).violations}
    judged: Counter[tuple[str, int | None]] = Counter()
    for case, outcome in zip(cases, runner.run(cases), strict=True):
        last = outcome.faults[-1].insn if outcome.faults else None
        judged.update((v.obligation, last) for v in judge(contract, case, outcome))
    assert counted == dict(judged)


def mask_of(case: Case, outcome: Outcome, contract: Contract) -> int:
    return sum(1 << int(v.obligation[1:]) for v in judge(contract, case, outcome))


@pytest.mark.parametrize("name", ROUTINES)
def test_marks_are_what_the_judge_says_of_the_outcome(name: str) -> None:
    image, entry, contract = fixture_routine(name)
    runner, random = CpuRunner(image, entry, contract), Random(name)
    whole = quick_grid(contract, "both" if contract.src else "stores")
    cases = [whole.case(random.randrange(len(whole))) for _ in range(300)]
    for case, mark, outcome in zip(cases, runner.judge(cases), runner.run(cases), strict=True):
        assert mark.broken == mask_of(case, outcome, contract)
        assert (mark.ending, mark.rip) == (outcome.ending, outcome.rip)
        assert mark.insn == (outcome.faults[-1].insn if outcome.faults else None)
        stray = [f for f in outcome.faults if f.buffer == "" or not 0 <= f.offset < case.len]
        assert mark.stray == (stray[0].insn if stray else None)


def test_marks_of_cases_that_bring_the_process_down(build: Build) -> None:
    runner = CpuRunner(*build(EXIT_IF_LEN_IS_2))
    marks = runner.judge([Case(length, FREE, FREE) for length in (0, 2, 1, 1, 2, 2, 0)])
    died, right, short = (1 << 7, Ending.DIED), (0, Ending.RETURNED), (1 << 3 | 1 << 9, Ending.RETURNED)
    expected = [right, died, short, short, died, died, right]
    assert [(m.broken, m.ending) for m in marks] == expected
    many = runner.judge([Case(2, FREE, FREE)] * 40)
    assert [m.ending for m in many] == [Ending.DIED] * 16 + [Ending.REFUSED] * 24


def test_marks_end_after_some_cases_that_do_not_return(build: Build) -> None:
    marks = CpuRunner(*build("1: jmp 1b")).judge([Case(1, FREE, FREE)] * 20)
    assert [m.ending for m in marks] == [Ending.TIMEOUT] * 8 + [Ending.REFUSED] * 12


@pytest.mark.parametrize("name", ["words_bytes", "user_rcx", "clear_words", "pushed"])
def test_a_right_routine_passes_the_quick_grid(name: str) -> None:
    image, entry, contract = fixture_routine(name)
    grid = quick_grid(contract)
    result = CpuRunner(image, entry, contract).grid(grid)
    assert (result.cases, result.violations, result.complete) == (len(grid), (), True)


def test_a_grid_gives_the_smallest_case_of_each_mistake_and_it_replays() -> None:
    image, entry, contract = fixture_routine("memcpy_64_wrong_subtract")
    runner = CpuRunner(image, entry, contract)
    result = runner.grid(quick_grid(contract))
    assert len({v.insn for v in result.violations if v.obligation == "O3"}) == 6
    for violation in result.violations:
        assert list(violation.cases) == sorted(violation.cases, key=lambda c: c.len)
        for case, outcome in zip(violation.cases, runner.run(violation.cases), strict=True):
            assert violation.obligation in {v.obligation for v in judge(contract, case, outcome)}
            assert outcome.faults[-1].insn == violation.insn


def test_the_grid_reaches_16_bit_counts_and_open_user_access() -> None:
    image, entry, contract = fixture_routine("count32_wrong_16")
    narrow = CpuRunner(image, entry, contract).grid(quick_grid(contract))
    assert {"O3", "O9"} <= {v.obligation for v in narrow.violations}
    image, entry, contract = fixture_routine("user_both_wrong_clac")
    is_open = CpuRunner(image, entry, contract).grid(quick_grid(contract))
    assert {v.obligation for v in is_open.violations} == {"O7"}


def test_the_cases_of_a_grid_are_numbered_as_they_are_run() -> None:
    _, _, contract = fixture_routine("words_bytes")
    block = quick_grid(contract).blocks[9]
    cases = [block.case(i) for i in range(len(block.src) * len(block.dst))]
    assert len(set(cases)) == len(cases)
    assert {c.trap for c in cases} == {14, 18}


def test_the_full_grid_is_about_a_million_cases_and_dense() -> None:
    _, _, contract = fixture_routine("words_bytes")
    grid = full_grid(contract)
    assert 500_000 < len(grid) < 2_000_000
    assert {b.len for b in grid.blocks} >= set(range(301))
    at_37 = {w for b in grid.blocks if b.len == 37 for w in b.src}
    assert at_37 >= {placement_word(Placement(Place.HOLE, at)) for at in range(37)}
    for words in ("src", "dst"):
        free = {placement_of(w) for b in grid.blocks if b.len <= 63 for w in getattr(b, words)}
        assert {p.at for p in free if p.place is Place.FREE} >= set(range(64))


def test_the_harness_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    programs.executable.cache_clear()
    try:
        first = native.harness()
        made = first.stat().st_mtime_ns
        programs.executable.cache_clear()
        assert native.harness() == first
        assert first.stat().st_mtime_ns == made
        assert [p.name for p in (tmp_path / "mcverify").iterdir()] == [first.name]
    finally:
        programs.executable.cache_clear()


def test_where_the_cache_cannot_be_written_a_temporary_folder_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    programs.executable.cache_clear()
    try:
        assert os.access(native.harness(), os.X_OK)
    finally:
        programs.executable.cache_clear()


ENDLESS = """
import sys
from pathlib import Path
from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
image = load(Path(sys.argv[1]))
free = [Placement(Place.FREE)] * 2
CpuRunner(image, image.functions[0].address, load_contract("bytes_left")).run([Case((1 << 30) + 8, *free)])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_child_outlives_its_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(ASM / "mixed_loop_wrong_endless.S")], stderr=subprocess.DEVNULL
    )
    try:
        child = until(lambda: children_of(parent.pid))[0]
        parent.send_signal(how)
        parent.wait(timeout=60)
        until(lambda: not is_alive(child))
    finally:
        parent.kill()
        parent.wait()


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            name = (entry / "comm").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and name.startswith("harness"):
            found.append(int(entry.name))
    return found


@pytest.fixture
def without_rights() -> None:
    """Skip where a process cannot give up the right to make memory executable (Linux before 6.3)."""
    program = f"{GIVE_UP_RIGHTS}; raise SystemExit(give_up())"
    if subprocess.run([sys.executable, "-c", program], check=False).returncode:
        pytest.skip("skipped: needs PR_SET_MDWE")


GIVE_UP_RIGHTS = "import ctypes; give_up = lambda: ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0"


@pytest.mark.usefixtures("without_rights")
def test_a_host_that_forbids_it_is_told_of() -> None:
    program = f"{GIVE_UP_RIGHTS}; give_up(); from mcverify.runs import cpu; print(cpu.available())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "this host does not let a program make memory executable\n"


def test_the_return_address_is_the_same_in_every_run_and_in_the_emulator(build: Build) -> None:
    routine = build("mov (%rsp), %r8\n xor %eax, %eax\n ret")
    case = Case(0, FREE, FREE)
    outcomes = [runner(*routine).run([case])[0] for runner in (CpuRunner, CpuRunner, EmulatorRunner)]
    assert [o.registers["r8"] for o in outcomes] == [0x700000000000] * 3


@pytest.mark.parametrize("beside", [1, 2, 3, 4, 5, 6, 14, 2000])
def test_a_return_beside_the_return_address_ends_there(build: Build, beside: int) -> None:
    """And in nothing that was left there by chance: dst is untouched."""
    routine = build(f"addq ${beside}, (%rsp)\n mov %rdi, %rax\n ret")
    case = Case(16, FREE, FREE)
    for outcome in (runner(*routine).run([case])[0] for runner in (CpuRunner, EmulatorRunner)):
        assert (outcome.ending, outcome.rip) == (Ending.WILD, 0x700000000000 + beside)
        assert outcome.registers["rax"] == outcome.registers["rdi"]
        assert not any(outcome.written)


def test_what_the_compiler_puts_aside_lies_where_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, said, compiler = (tmp_path / name for name in ("one.c", "said", "cc"))
    source.write_text("int main(void) { return 0; }\n")
    compiler.write_text(f'#!/bin/sh\necho "$TMPDIR" > {said}\nexec cc "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = programs.executable(source)
    aside = Path(said.read_text().strip())
    assert aside.parent == program.parent
    assert not aside.exists()


def test_a_byte_that_is_stored_as_it_stood_there_is_not_missing(build: Build) -> None:
    """What dst holds at first is the complement of src."""
    routine = build("mov %rdx, %rcx\n1: lodsb\n not %al\n stosb\n dec %rcx\n jnz 1b\n xor %eax, %eax\n ret")
    runner = CpuRunner(*routine)
    (mark,) = runner.judge([Case(100, FREE, FREE)])
    assert mark.broken == 1 << 6
    word = placement_word(FREE)
    result = runner.grid(Grid((Block(100, (word,), (word,)),)))
    assert [v.obligation for v in result.violations] == ["O6"]


def test_a_byte_that_is_missing_behind_a_wrong_one_is_told(build: Build) -> None:
    routine = build(
        "lea -1(%rdx), %rcx\n1: lodsb\n not %al\n stosb\n dec %rcx\n jnz 1b\n xor %eax, %eax\n ret"
    )
    (mark,) = CpuRunner(*routine).judge([Case(100, FREE, FREE)])
    assert mark.broken == 1 << 3 | 1 << 6 | 1 << 9


def test_a_long_call_is_looked_at_again_too(build: Build) -> None:
    routine = build("mov %rdx, %rcx\n mov $0x90, %al\n rep stosb\n xor %eax, %eax\n ret")
    (mark,) = CpuRunner(*routine).judge([Case(3 << 20, Placement(Place.FREE, 5), FREE)])
    assert mark.broken == 1 << 6


@pytest.mark.parametrize("every", [b"\xff\xff\xff\xff\0\0\0\0", b"\x80" * 8, b"\x7f\xff" * 4, bytes(8)])
def test_a_byte_that_was_not_stored_is_never_taken_for_stored(build: Build, every: bytes) -> None:
    """Whatever src holds: of a routine that stores one byte too few the harness sees that byte missing, and
    nothing else."""
    body = "mov %rdx, %rcx\n sub $1, %rcx\n jb 1f\n rep movsb\n 1: xor %eax, %eax\n ret"
    image, entry, contract = build(body)
    cases = [
        Case(n, Placement(Place.FREE), Placement(Place.FREE), seed=seed, preset=Preset(every=every))
        for n in (1, 2, 9)
        for seed in range(1, 65)
    ]
    for mark in CpuRunner(image, entry, contract).judge(cases):
        assert mark.broken == 1 << 3 | 1 << 9

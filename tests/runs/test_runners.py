"""What both runners must do: endings, placements, effects of handlers, what is watched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.image.image import Handler
from mcverify.runs.case import Case, Ending, Fault, Outcome, Place, Placement, Preset
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import judge
from mcverify.runs.pattern import initial_vectors

from .conftest import Build, Routine, fixture_routine

Runner = type[CpuRunner] | type[EmulatorRunner]
FREE = Placement(Place.FREE)


def has_avx() -> bool:
    info = Path("/proc/cpuinfo")
    return info.exists() and " avx " in info.read_text()


def run(runner: Runner, routine: Routine, case: Case) -> Outcome:
    return runner(*routine).run([case])[0]


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("ret", Ending.RETURNED),
        ("mov 8(%rsi), %rax\n ret", Ending.OOPS),
        ("mov %al, 8(%rdi)\n ret", Ending.OOPS),
        ("ud2", Ending.ILLEGAL),
        ("hlt", Ending.ILLEGAL),
        ("int3", Ending.ILLEGAL),
        ("xor %ecx, %ecx\n div %rcx", Ending.ILLEGAL),
        ("movabs $0x1234567890abcdef, %rax\n mov (%rax), %al\n ret", Ending.ILLEGAL),
        ("1: jmp 1b", Ending.TIMEOUT),
        ("push $0x1000\n ret", Ending.WILD),
        ("push %rbx\n ret", Ending.WILD),
        ("xor %esp, %esp\n ret", Ending.WILD),
        ("jmp elsewhere", Ending.ESCAPED),
        ("jmp __x86_return_thunk", Ending.RETURNED),
    ],
)
def test_how_a_run_ends(runner_class: Runner, build: Build, body: str, ending: Ending) -> None:
    end = Placement(Place.END)
    assert run(runner_class, build(body), Case(8, end, end)).ending is ending


def test_an_oops_names_the_instruction_and_the_byte(runner_class: Runner, build: Build) -> None:
    image, entry, contract = build("nop\n mov 3(%rsi), %rax\n ret")
    outcome = run(runner_class, (image, entry, contract), Case(8, Placement(Place.END), FREE))
    assert outcome.rip == entry + 1
    assert outcome.faults == (Fault(entry + 1, "src", 8, is_store=False),)


def test_a_jump_to_an_external_symbol_tells_which(runner_class: Runner, build: Build) -> None:
    image, entry, contract = build("jmp elsewhere")
    outcome = run(runner_class, (image, entry, contract), Case(8, FREE, FREE))
    assert image.externals[outcome.rip] == "elsewhere"


READ_ALL = "mov %rdx, %rcx\n .Lrep: rep movsb\n .Lfix: mov %rcx, %rax\n ret"


@pytest.mark.parametrize("length", [1, 40, 9000])
@pytest.mark.parametrize(
    ("place", "bad"),
    [
        (Placement(Place.FREE, 4095), None),
        (Placement(Place.END), None),
        (Placement(Place.FRONT), None),
        (Placement(Place.HOLE, 0), 0),
        (Placement(Place.HOLE, 33), 33),
        (Placement(Place.HOLE, 4099), 4099),
        (Placement(Place.INSIDE, 4095), 0),
        (Placement(Place.INSIDE, 7), 0),
    ],
)
@pytest.mark.parametrize("which", ["src", "dst"])
def test_placements_are_bad_where_they_say(
    runner_class: Runner, build: Build, length: int, place: Placement, bad: int | None, which: str
) -> None:
    routine = build(READ_ALL, entries={".Lrep": ".Lfix"})
    case = Case(length, place if which == "src" else FREE, place if which == "dst" else FREE)
    outcome = run(runner_class, routine, case)
    expected = [bad] if bad is not None and bad < length else []
    assert [fault.offset for fault in outcome.faults] == expected
    assert [fault.buffer for fault in outcome.faults] == [which] * len(expected)
    done = min([length, *expected])
    assert outcome.registers["rax"] == length - done
    assert outcome.written == outcome.correct
    assert outcome.written.count(1) == done
    assert outcome.written[-outcome.base :][:done] == b"\1" * done


def test_behind_the_bad_page_memory_can_be_read_again(runner_class: Runner, build: Build) -> None:
    routine = build("mov 4096+8(%rsi), %al\n mov %al, 4096+8(%rdi)\n ret")
    outcome = run(runner_class, routine, Case(5000, Placement(Place.HOLE, 8), Placement(Place.HOLE, 8)))
    assert outcome.ending is Ending.RETURNED
    assert outcome.written.index(1) + outcome.base == 4096 + 8


@pytest.mark.parametrize(
    ("place", "offset", "seen"),
    [
        (FREE, -64, True),
        (FREE, -65, False),
        (FREE, 20 + 63, True),
        (Placement(Place.FRONT), 20, True),
        (Placement(Place.END), -1, True),
    ],
)
def test_stores_in_the_red_zones_are_seen(
    runner_class: Runner, build: Build, place: Placement, offset: int, seen: bool
) -> None:
    outcome = run(runner_class, build(f"movb $0, {offset}(%rdi)\n ret"), Case(20, FREE, place))
    assert (1 in outcome.written) is seen
    if seen:
        assert outcome.written.index(1) + outcome.base == offset


@pytest.mark.parametrize(
    ("handler", "register", "expected"),
    [
        (Handler("fault", ("ax = trap",)), "rax", 18),
        (Handler("clear_ax", ("ax = 0",)), "rax", 0),
        (Handler("clear_dx", ("dx = 0",)), "rdx", 0),
        (Handler("imm_reg", ("reg = imm",), "r9", -14), "r9", 2**64 - 14),
        (Handler("ucopy_len", ("cx = imm*cx + reg",), "rdx", 8), "rcx", 8 * 3 + 20),
        (Handler("pop_reg", ("sp += 8", "reg = imm"), "rax", 5), "rax", 5),
    ],
)
def test_handlers_have_their_effects(
    runner_class: Runner, build: Build, handler: Handler, register: str, expected: int
) -> None:
    push = "push %rbx" if handler.name == "pop_reg" else ""
    image, entry, contract = build(
        f"mov $3, %ecx\n {push}\n .Lr: mov (%rsi), %r8b\n .Lf: ret", entries={".Lr": ".Lf"}
    )
    image = replace(image, entries=tuple(replace(e, handler=handler) for e in image.entries))
    outcome = run(runner_class, (image, entry, contract), Case(20, Placement(Place.HOLE), FREE, trap=18))
    assert outcome.ending is Ending.RETURNED
    assert outcome.registers[register] == expected


def test_a_store_never_reports_a_machine_check(runner_class: Runner, build: Build) -> None:
    image, entry, contract = build(".Lw: mov %r8b, (%rdi)\n .Lf: ret", entries={".Lw": ".Lf"})
    fault = Handler("fault", ("ax = trap",))
    image = replace(image, entries=tuple(replace(e, handler=fault) for e in image.entries))
    outcome = run(runner_class, (image, entry, contract), Case(20, FREE, Placement(Place.HOLE), trap=18))
    assert outcome.registers["rax"] == 14


def test_a_handler_that_is_not_modelled_ends_the_run(runner_class: Runner, build: Build) -> None:
    image, entry, contract = build(".Lr: mov (%rsi), %al\n .Lf: ret", entries={".Lr": ".Lf"})
    image = replace(
        image, entries=tuple(replace(e, handler=Handler("x", ("zeropad",))) for e in image.entries)
    )
    outcome = run(runner_class, (image, entry, contract), Case(20, Placement(Place.HOLE), FREE))
    assert (outcome.ending, outcome.rip) == (Ending.ESCAPED, entry)


@pytest.mark.parametrize(
    ("body", "ac"),
    [
        ("stac\n ret", True),
        ("stac\n clac\n ret", False),
        ("ret", False),
        ("mov $2, %ecx\n loop 1f\n ud2\n 1: stac\n ret", True),
    ],
)
def test_user_access_is_tracked(runner_class: Runner, build: Build, body: str, ac: bool) -> None:
    outcome = run(runner_class, build(body), Case(0, FREE, FREE))
    assert outcome.ac is ac
    assert bool(outcome.registers["rflags"] >> 18 & 1) is ac


@pytest.mark.parametrize(
    ("body", "intact"),
    [("push %rax\n pop %rax\n ret", True), ("pop %rcx\n push %rcx\n movq $0, 8(%rsp)\n ret", False)],
)
def test_the_callers_frame_is_watched(runner_class: Runner, build: Build, body: str, intact: bool) -> None:
    assert run(runner_class, build(body), Case(0, FREE, FREE)).frame_intact is intact


def test_registers_follow_from_the_seed_and_the_contract(runner_class: Runner, build: Build) -> None:
    routine = build("ret", contract="clear")
    first, second, other = runner_class(*routine).run([Case(5, FREE, FREE, seed=s) for s in (1, 1, 2)])
    assert first.initial == second.initial
    assert first.initial["r10"] != other.initial["r10"]
    assert (first.initial["rax"], first.initial["rcx"]) == (0, 5)
    assert not first.initial["rflags"] & (1 << 10 | 1 << 18)


def test_a_visit_shows_the_state_before_each_iteration(runner_class: Runner) -> None:
    image, entry, contract = fixture_routine("rep_movsb")
    rep = next(e.insn for e in image.entries)
    visits = runner_class(image, entry, contract).sample([Case(5, Placement(Place.HOLE, 3), FREE)], [rep])
    assert [(v.registers["rcx"], v.top, v.faulted) for v in visits] == [
        (5, 0, False), (4, 1, False), (3, 2, False), (2, 3, False),
    ]  # fmt: skip


def test_a_visit_shows_fixups_and_the_stack(runner_class: Runner, build: Build) -> None:
    body = "push %rbx\n push %r12\n .Lr: mov (%rsi), %al\n .Lf: add $16, %rsp\n ret"
    image, entry, contract = build(body, entries={".Lr": ".Lf"})
    fixup = image.entries[0].fixup
    (visit,) = runner_class(image, entry, contract).sample([Case(1, Placement(Place.HOLE), FREE)], [fixup])
    assert (visit.address, visit.faulted, visit.case) == (fixup, True, 0)
    assert visit.stack == {-8: visit.registers["rbx"], -16: visit.registers["r12"]}


def test_visits_are_limited_and_spread_over_the_cases(runner_class: Runner) -> None:
    image, entry, contract = fixture_routine("rep_movsb")
    rep = next(e.insn for e in image.entries)
    cases = [Case(50, FREE, FREE, seed=s) for s in range(1, 6)]
    visits = runner_class(image, entry, contract).sample(cases, [rep], limit=30)
    assert len(visits) == 30
    assert {v.case for v in visits} == set(range(5))
    counts = {v.registers["rcx"] for v in visits}
    assert {50, 1} <= counts


def test_a_trace_shows_every_step(runner_class: Runner, build: Build) -> None:
    image, entry, contract = build(
        "nop\n .Lr: mov (%rsi), %al\n ud2\n .Lf: nop\n ret", entries={".Lr": ".Lf"}
    )
    steps = runner_class(image, entry, contract).trace(Case(1, Placement(Place.HOLE), FREE))
    assert [address - entry for address, _ in steps] == [0, 1, 5, 6]
    assert steps[0][1]["rdx"] == 1


def test_a_return_thunk_is_stepped_over(runner_class: Runner, build: Build) -> None:
    image, entry, contract = build("call 1f\n jmp __x86_return_thunk\n 1: jmp __x86_return_thunk")
    steps = runner_class(image, entry, contract).trace(Case(1, FREE, FREE))
    assert [address - entry for address, _ in steps] == [0, 10, 5]


def test_the_ends_of_a_trace_are_its_first_and_last_steps(runner_class: Runner) -> None:
    runner = runner_class(*fixture_routine("words_bytes"))
    case = Case(100, FREE, FREE)
    steps = [(number, *step) for number, step in enumerate(runner.trace(case))]
    assert len(steps) > 80
    for whole in (len(steps), len(steps) // 2 + 1):
        assert runner.ends(case, whole) == steps
    assert runner.ends(case, 5) == steps[:5] + steps[-5:]
    assert [number for number, _, _ in runner.ends(case, 1)] == [0, len(steps) - 1]


def test_the_ends_of_a_run_that_is_stopped(runner_class: Runner, build: Build) -> None:
    steps = runner_class(*build("nop\n 1: nop\n jmp 1b")).ends(Case(0, FREE, FREE), 10)
    assert [number for number, _, _ in steps] == [*range(10), *range(4990, 5000)]


def after_fault(name: str, label: str, registers: dict[str, int]) -> dict[str, int] | None:
    image, entry, contract = fixture_routine(name)
    (insn,) = [e.insn for e in image.entries if image.label_at(e.insn) == label]
    return EmulatorRunner(image, entry, contract).after_fault(insn, registers, 0x1000, 18)


def test_handler_and_fixup_are_run_from_any_registers() -> None:
    found = after_fault("memcpy_64", ".Lread_w", {"rdx": 5, "rcx": 3, "rsp": 0x1000})
    assert found is not None
    assert (found["rdx"], found["rax"]) == (29, 18)


def test_a_fixup_that_goes_back_to_the_buffers_computes_nothing() -> None:
    registers = {"rdx": 40, "rsi": 1 << 40, "rdi": 1 << 41, "rsp": 0x1000}
    assert after_fault("byte_retry", ".Lread_q0", registers) is None


def test_what_a_fixup_pops_is_not_known() -> None:
    found = after_fault("pushed", ".Lread_q0", {"rdx": 9, "rcx": 1, "rsp": 0x1000 - 32})
    assert found is not None
    assert found["rax"] == 41
    assert "rbx" not in found


def test_a_fixup_may_leave_by_a_return_thunk(build: Build) -> None:
    image, entry, contract = build(
        ".Lr: mov (%rsi), %al\n ret\n .Lf: mov %rdx, %rax\n jmp __x86_return_thunk", entries={".Lr": ".Lf"}
    )
    found = EmulatorRunner(image, entry, contract).after_fault(entry, {"rdx": 7, "rsp": 64}, 64, 14)
    assert found is not None
    assert found["rax"] == 7


def test_a_linked_kernel_runs_at_its_own_addresses(runner_class: Runner) -> None:
    image, entry, contract = fixture_routine("words_bytes")
    move = 0xFFFFFFFF81000000 - image.sections[0].address
    moved = replace(
        image,
        sections=tuple(replace(s, address=s.address + move) for s in image.sections),
        entries=tuple(replace(e, insn=e.insn + move, fixup=e.fixup + move) for e in image.entries),
        symbols=(),
    )
    runner = runner_class(moved, entry + move, contract)
    case = Case(20, Placement(Place.HOLE, 9), FREE)
    (outcome,) = runner.run([case])
    read_word = moved.entries[0].insn
    assert [fault.insn for fault in outcome.faults] == [read_word]
    assert outcome.registers["rax"] == 12
    assert [v.address for v in runner.sample([case], [read_word])] == [read_word] * 2
    assert runner.trace(case)[0][0] == entry + move


def test_src_and_dst_lie_far_apart_and_differently(runner_class: Runner, build: Build) -> None:
    outcomes = runner_class(*build("ret")).run([Case(5, FREE, FREE, seed=s) for s in range(1, 9)])
    distances = {o.initial["rdi"] - o.initial["rsi"] for o in outcomes}
    assert len(distances) > 4
    assert min(map(abs, distances)) > 1 << 32


def test_a_buffer_beyond_all_memory_is_refused(runner_class: Runner, build: Build) -> None:
    outcomes = runner_class(*build("ret")).run([Case(1 << 60, FREE, FREE), Case(1, FREE, FREE)])
    assert [o.ending for o in outcomes] == [Ending.REFUSED, Ending.RETURNED]


def test_a_fault_on_every_byte_of_a_page_is_no_endless_loop(runner_class: Runner, build: Build) -> None:
    body = "mov %rdx, %rcx\n.Lr: mov (%rsi), %al\n.Lf: inc %rsi\n dec %rcx\n jnz .Lr\n mov %rdx, %rax\n ret"
    case = Case(5000, Placement(Place.HOLE, 7), FREE)
    outcome = run(runner_class, build(body, entries={".Lr": ".Lf"}), case)
    assert (outcome.ending, len(outcome.faults)) == (Ending.RETURNED, 4096)


ALIGNED = {
    "movaps": "movaps 1(%rsi), %xmm0",
    "movdqa store": "movdqa %xmm0, 8(%rdi)",
    "movntps": "movntps %xmm0, 4(%rdi)",
    "movntdq": "movntdq %xmm0, 8(%rdi)",
    "paddb": "paddb 8(%rsi), %xmm0",
}


@pytest.mark.parametrize("code", ALIGNED.values(), ids=ALIGNED)
def test_an_access_that_must_be_aligned_is_an_oops(runner_class: Runner, build: Build, code: str) -> None:
    image, entry, contract = build(f"nop\n {code}\n ret")
    outcome = run(runner_class, (image, entry, contract), Case(64, FREE, FREE))
    assert (outcome.ending, outcome.rip, outcome.faults) == (Ending.TRAPPED, entry + 1, ())
    assert 1 not in outcome.written
    (violation,) = judge(contract, Case(64, FREE, FREE), outcome)
    assert (violation.obligation, violation.certain) == ("O1", True)
    assert "general protection fault" in violation.sentence
    fits = Case(
        64,
        Placement(Place.FREE, 15 if "1(" in code else 8),
        Placement(Place.FREE, 8 if " 8(" in code else 12),
    )
    assert run(runner_class, (image, entry, contract), fits).ending is Ending.RETURNED


@pytest.mark.parametrize("code", ["movups 1(%rsi), %xmm0", "movdqu %xmm0, 3(%rdi)", "lddqu 5(%rsi), %xmm1"])
def test_one_that_need_not_be_aligned_is_none(runner_class: Runner, build: Build, code: str) -> None:
    assert run(runner_class, build(f"{code}\n ret"), Case(64, FREE, FREE)).ending is Ending.RETURNED


def test_what_is_not_aligned_is_refused_before_its_page_is_looked_at(
    runner_class: Runner, build: Build
) -> None:
    image, entry, contract = build("movaps 1(%rsi), %xmm0\n ret")
    case = Case(64, Placement(Place.HOLE), FREE)
    assert run(runner_class, (image, entry, contract), case).ending is Ending.TRAPPED


def test_with_an_entry_it_shows_nothing(runner_class: Runner, build: Build) -> None:
    """The kernel goes on at the fixup, which is outside of what is asked."""
    routine = build(".Lr: movaps 1(%rsi), %xmm0\n .Lf: ret", entries={".Lr": ".Lf"})
    assert run(runner_class, routine, Case(64, FREE, FREE)).ending is Ending.ILLEGAL


@pytest.mark.skipif(not has_avx(), reason="skipped: needs a CPU with AVX")
@pytest.mark.parametrize(
    "code", ["vmovaps 16(%rsi), %ymm0", "vmovntps %ymm0, 16(%rdi)", "vmovntdq %ymm1, 8(%rdi)"]
)
def test_ymm_operands_must_be_aligned_too(build: Build, code: str) -> None:
    assert run(CpuRunner, build(f"{code}\n ret"), Case(64, FREE, FREE)).ending is Ending.TRAPPED
    assert (
        run(CpuRunner, build("vaddps 4(%rsi), %ymm0, %ymm0\n ret"), Case(64, FREE, FREE)).ending
        is Ending.RETURNED
    )


COPY_LAST = "mov -1(%rsi,%rdx), %al\n mov %al, -1(%rdi,%rdx)\n movzbl %al, %eax\n ret"


def test_a_case_presets_registers_flags_and_bytes(runner_class: Runner, build: Build) -> None:
    preset = Preset(
        registers=(("r9", 18), ("rflags", 0x41), ("rdi", 5)),
        every=bytes(range(8)),
        pieces=((5, b"\xff\x80"), (-1, b"\x11")),
    )
    body = "mov %r9, %rcx\n setc %r10b\n setz %r11b\n mov -1(%rsi), %r8\n mov 5(%rsi), %rax\n ret"
    routine = build(body)
    outcome = run(runner_class, routine, Case(20, FREE, FREE, preset=preset))
    registers = outcome.registers
    assert (registers["rcx"], registers["r10"] & 0xFF, registers["r11"] & 0xFF) == (18, 1, 1)
    assert registers["rax"].to_bytes(8, "little") == b"\xff\x80\x07\0\1\2\3\4"
    assert registers["r8"].to_bytes(8, "little") == b"\x11\0\1\2\3\4\xff\x80"
    assert outcome.initial["rdi"] > 1 << 32  # an argument stays one
    assert outcome.initial["rflags"] == 0x243


@pytest.mark.parametrize("value", [0, 18, 128, 200, 255])
@pytest.mark.parametrize("seed", [1, 8, 9, 16, 30])
def test_whatever_byte_a_case_presets_its_copy_is_seen(
    runner_class: Runner, build: Build, value: int, seed: int
) -> None:
    routine = build(COPY_LAST)
    case = Case(9, FREE, FREE, seed=seed, preset=Preset(pieces=((8, bytes([value])),)))
    outcome = run(runner_class, routine, case)
    assert outcome.registers["rax"] == value
    assert outcome.written[-outcome.base :][:9] == bytes(8) + b"\1"
    assert outcome.written == outcome.correct


@pytest.mark.parametrize("seed", range(1, 18))
def test_a_clear_of_dst_is_seen_whatever_the_seed(runner_class: Runner, build: Build, seed: int) -> None:
    outcome = run(runner_class, build("movq $0, (%rdi)\n ret"), Case(8, FREE, FREE, seed=seed))
    assert outcome.written[-outcome.base :][:8] == b"\1" * 8


READ_VECTORS = (
    "movq %xmm3, %rax\n psrldq $8, %xmm15\n movq %xmm15, %rcx\n stmxcsr -4(%rsp)\n mov -4(%rsp), %r8d\n"
)


def test_vector_registers_at_entry_follow_from_the_seed(build: Build) -> None:
    routine = build(READ_VECTORS + "ret")
    cases = [Case(0, FREE, FREE, seed=seed) for seed in (1, 2, 1)]
    on_cpu, emulated = (runner(*routine).run(cases) for runner in (CpuRunner, EmulatorRunner))
    read = [[o.registers[r] for r in ("rax", "rcx", "r8")] for o in on_cpu]
    assert read == [[o.registers[r] for r in ("rax", "rcx", "r8")] for o in emulated]
    assert read[0] == read[2] != read[1]
    known = initial_vectors(cases[0])
    assert read[0] == [known["ymm3"] % 2**64, known["ymm15"] >> 64 & 2**64 - 1, 0x1F80]


def test_a_case_presets_vector_registers(runner_class: Runner, build: Build) -> None:
    preset = Preset(registers=(("ymm3", 7 << 64 | 5), ("ymm15", 9 << 64)))
    outcome = run(runner_class, build(READ_VECTORS + "ret"), Case(0, FREE, FREE, preset=preset))
    assert (outcome.registers["rax"], outcome.registers["rcx"]) == (5, 9)


@pytest.mark.skipif(not has_avx(), reason="skipped: needs a CPU with AVX")
def test_the_upper_halves_at_entry_are_those_of_the_case(build: Build) -> None:
    body = "vextractf128 $1, %ymm2, %xmm0\n vmovq %xmm0, %rax\n ret"
    case = Case(0, FREE, FREE, seed=5)
    (outcome,) = CpuRunner(*build(body)).run([case])
    assert outcome.registers["rax"] == initial_vectors(case)["ymm2"] >> 128 & 2**64 - 1


def test_the_stack_lies_elsewhere_for_another_seed_and_alike_on_both_runners(build: Build) -> None:
    routine = build("lea (%rsp), %rax\n ret")
    cases = [Case(0, FREE, FREE, seed=seed) for seed in range(1, 40)]
    on_cpu, emulated = (runner(*routine).run(cases) for runner in (CpuRunner, EmulatorRunner))
    found = [outcome.registers["rax"] for outcome in on_cpu]
    assert found == [outcome.registers["rax"] for outcome in emulated]
    assert {rsp % 64 for rsp in found} == set(range(0, 64, 8))


def test_a_fault_overwrites_what_lies_below_rsp(runner_class: Runner, build: Build) -> None:
    body = "mov %rdx, -8(%rsp)\n push %rdx\n .Lr: mov (%rsi), %al\n .Lf: pop %rax\n mov -16(%rsp), %rcx\n ret"
    routine = build(body.replace("push %rdx", "push %rdx\n mov %rdx, -8(%rsp)"), entries={".Lr": ".Lf"})
    spilt, struck = (run(runner_class, routine, Case(9, src, FREE)) for src in (FREE, Placement(Place.HOLE)))
    assert (spilt.registers["rax"], spilt.registers["rcx"]) == (9, 9)
    assert (struck.registers["rax"], struck.registers["rcx"]) == (9, 0xA5A5A5A5A5A5A5A5)


def test_what_a_run_leaves_in_vector_registers_is_gone_in_the_next(
    runner_class: Runner, build: Build
) -> None:
    body = "movq %xmm0, %rax\n pxor %xmm0, %xmm0\n movl $0x7f80, -4(%rsp)\n stmxcsr -8(%rsp)\n"
    body += "mov -8(%rsp), %ecx\n ldmxcsr -4(%rsp)\n ret"
    outcomes = runner_class(*build(body)).run([Case(0, FREE, FREE)] * 2)
    assert outcomes[0].registers == outcomes[1].registers
    assert outcomes[0].registers["rcx"] == 0x1F80


@pytest.mark.parametrize(
    ("traps", "expected"),
    [((14,), [14, 14, 14]), ((18, 14), [18, 14, 14]), ((14, 18), [14, 18, 18]), ((18, 14, 18), [18, 14, 18])],
)
def test_each_fault_on_a_load_has_its_trap_number(
    runner_class: Runner, build: Build, traps: tuple[int, ...], expected: list[int]
) -> None:
    loads = "".join(f".Lr{n}: mov (%rsi), %cl\n .Lf{n}: mov %rax, %r{8 + n}\n" for n in range(3))
    body = ".Lw: mov %cl, (%rdi)\n .Lg: mov %rax, %r11\n" + loads + "ret"
    entries = {".Lw": ".Lg"} | {f".Lr{n}": f".Lf{n}" for n in range(3)}
    image, entry, contract = build(body, entries=entries)
    fault = Handler("fault", ("ax = trap",))
    image = replace(image, entries=tuple(replace(e, handler=fault) for e in image.entries))
    hole = Placement(Place.HOLE)
    case = Case(20, hole, hole, trap=traps[0], later_traps=traps[1:])
    outcome = run(runner_class, (image, entry, contract), case)
    assert [outcome.registers[r] for r in ("r8", "r9", "r10")] == expected
    assert outcome.registers["r11"] == 14
    assert case.trap_after(outcome.faults) == expected[-1]

"""No way through a routine is missing, and what cannot be followed is named."""

from __future__ import annotations

import pytest
import z3

from mcverify.deadline import OutOfTime
from mcverify.machine.instruction import Kind
from mcverify.machine.state import RETURN_ADDRESS
from mcverify.machine.terms import symbols_of
from mcverify.paths.explore import TooManyPaths
from mcverify.paths.segment import Ending, Location, Segment

from .conftest import Explore

WORDS = """
	mov	%rdx, %rcx
	shr	$3, %rcx
	jz	.Ldone
.Lread:
	mov	(%rsi), %rax
.Lwrite:
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lread
.Ldone:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
"""


def can_happen(*terms: z3.BoolRef) -> bool:
    solver = z3.Solver()
    solver.add(*terms)
    return solver.check() == z3.sat


def only(segments: list[Segment]) -> Segment:
    (segment,) = segments
    return segment


# ---- Branches and faults ---------------------------------------------------------------------


def test_every_branch_and_fault_of_a_loop_is_a_segment(explore: Explore) -> None:
    found = explore(WORDS, [(".Lread", ".Lfix")])
    # From the entry: no word, or into the loop. From the loop: a fault, round again, out of it.
    assert found.ways() == [
        (".Lread", ".Lread"),
        (".Lread", "return"),
        (".Lread", "return"),
        ("routine", ".Lread"),
        ("routine", "return"),
    ]
    faulted = [s for s in found.paths.segments if s.faults]
    assert [found.label(f.access.at) for s in faulted for f in s.faults] == [".Lread"]


def test_stores_fault_only_where_they_may(explore: Explore) -> None:
    entries = [(".Lread", ".Lfix"), (".Lwrite", ".Lfix")]
    kinds = {}
    for faults in ("loads", "stores", "both"):
        found = explore(WORDS, entries, faults=faults)
        kinds[faults] = sorted(f.access.kind.value for s in found.paths.segments for f in s.faults)
    assert kinds == {"loads": ["load"], "stores": ["store"], "both": ["load", "store"]}


def test_the_branches_of_a_location_cover_every_state(explore: Explore) -> None:
    found = explore(WORDS, [(".Lread", ".Lfix")])
    for location in found.paths.locations:
        ways = [z3.And(*s.conditions, z3.BoolVal(True)) for s in found.leaving(location) if not s.faults]
        assert not can_happen(z3.Not(z3.Or(ways)))


def test_the_state_at_a_fault_is_that_before_the_instruction(explore: Explore) -> None:
    found = explore(WORDS, [(".Lread", ".Lfix")])
    segment = only([s for s in found.paths.segments if s.faults])
    assert segment.faults[0].before.registers["rax"].eq(z3.BitVec("rax", 64))
    assert segment.final.registers["rax"].eq(z3.BitVec("rcx", 64))
    assert segment.transfers == ()


def test_two_accesses_fault_each_with_what_was_done_before(explore: Explore) -> None:
    body = (
        ".La: mov (%rsi), %al\n mov %al, (%rdi)\n.Lc: mov 1(%rsi), %al\n mov %al, 1(%rdi)\n RET\n.Lfix: RET"
    )
    found = explore(body, [(label, ".Lfix") for label in (".La", ".Lc")])
    done = {found.label(s.faults[0].access.at): len(s.transfers) for s in found.paths.segments if s.faults}
    assert done == {".La": 0, ".Lc": 2}


def test_an_instruction_that_loads_and_stores_may_fault_at_either(explore: Explore) -> None:
    found = explore(".Lm: movsb\n RET\n.Lfix: RET", [(".Lm", ".Lfix")], faults="both")
    assert sorted(f.access.kind.value for s in found.paths.segments for f in s.faults) == ["load", "store"]
    for segment in (s for s in found.paths.segments if s.faults):
        assert segment.final.registers["rsi"].eq(z3.BitVec("rsi@0", 64))


def test_the_trap_number_of_a_load_is_14_or_18_and_of_a_store_14(explore: Explore) -> None:
    body = ".Ll: mov (%rsi), %al\n.Ls: mov %al, (%rdi)\n RET\n.Lfix: RET"
    found = explore(body, [(".Ll", ".Lfix"), (".Ls", ".Lfix")], faults="both", macro="_ASM_EXTABLE_FAULT")
    numbers = {}
    for segment in (s for s in found.paths.segments if s.faults):
        rax = segment.final.registers["rax"]
        numbers[segment.faults[0].access.kind] = {
            n for n in range(32) if can_happen(*segment.conditions, rax == n)
        }
    assert numbers == {Kind.LOAD: {14, 18}, Kind.STORE: {14}}


def test_a_fault_in_a_fixup_is_a_fault_of_its_own(explore: Explore) -> None:
    body = ".La: mov (%rsi), %rax\n RET\n.Lb: mov (%rsi), %al\n RET\n.Lc: RET"
    found = explore(body, [(".La", ".Lb"), (".Lb", ".Lc")])
    chains = sorted(tuple(found.label(f.access.at) for f in s.faults) for s in found.paths.segments)
    assert chains == [(), (".La",), (".La", ".Lb")]


def test_a_loop_reached_after_a_fault_is_another_location(explore: Explore) -> None:
    body = f"{WORDS}\n.Lretry: xor %ecx, %ecx\n inc %ecx\n jmp .Lread"
    found = explore(body, [(".Lread", ".Lretry")])
    assert {location.faulted for location in found.at(".Lread")} == {False, True}


# ---- REP -------------------------------------------------------------------------------------

REP = "	mov	%rdx, %rcx\n.Lrep:\n	rep movsb\n	xor	%eax, %eax\n	RET\n.Lfix:\n	mov	%rcx, %rax\n	RET"


def test_rep_ends_or_faults_at_a_load_or_a_store(explore: Explore) -> None:
    found = explore(REP, [(".Lrep", ".Lfix")], faults="both")
    assert found.ways() == [("routine", "return")] * 3
    kinds = [s.faults[0].access.kind.value if s.faults else "" for s in found.paths.segments]
    assert sorted(kinds) == ["", "load", "store"]


def test_a_fault_of_rep_leaves_the_registers_at_its_element(explore: Explore) -> None:
    found = explore(REP, [(".Lrep", ".Lfix")])
    segment = only([s for s in found.paths.segments if s.faults])
    registers = segment.faults[0].before.registers
    done = z3.BitVec("rdx@0", 64) - registers["rcx"]
    moved = z3.And(
        registers["rsi"] == z3.BitVec("rsi@0", 64) + done, registers["rdi"] == z3.BitVec("rdi@0", 64) + done
    )
    assert not can_happen(z3.Not(moved))
    # An element is left, the one that faulted: what was stored lies before it, and is no more than that.
    assert not can_happen(*segment.conditions, registers["rcx"] == 0)
    stored = [t for t in segment.transfers if t.kind is Kind.STORE]
    assert not can_happen(stored[0].bytes != done)
    assert not stored[0].partial


def test_without_the_promise_of_an_order_any_byte_may_be_stored(explore: Explore) -> None:
    found = explore(REP, [(".Lrep", ".Lfix")], rep_ordered=False)
    struck = [s for s in found.paths.segments if s.faults]
    stores = [only([t for t in s.transfers if t.kind is Kind.STORE]) for s in struck]  # type: ignore[arg-type, list-item]
    length = z3.BitVec("rdx@0", 64)
    # One element alone has no other order than the promised one: it faults, and nothing is stored.
    (one, nothing), (several, stored) = sorted(zip(struck, stores, strict=True), key=lambda s: s[1].partial)
    assert not nothing.partial
    assert not can_happen(*one.conditions, nothing.bytes != 0)
    assert not can_happen(*one.conditions, z3.UGT(length, 1))
    assert stored.partial
    assert not can_happen(stored.bytes != length)
    assert not can_happen(*several.conditions, z3.ULE(length, 1))


@pytest.mark.parametrize("form", ["rep movsw", "rep movsl", "rep movsq", "rep stosb", "rep stosq"])
def test_every_form_of_rep_faults(explore: Explore, form: str) -> None:
    found = explore(REP.replace("rep movsb", form), [(".Lrep", ".Lfix")], faults="stores")
    faults = [s.faults[0] for s in found.paths.segments if s.faults]
    assert [(f.access.kind, f.access.size) for f in faults] == [
        (Kind.STORE, {"b": 1, "w": 2, "l": 4, "q": 8}[form[-1]])
    ]


def test_rep_with_the_direction_flag_set_is_lost(explore: Explore) -> None:
    found = explore(f"std\n{REP}", [(".Lrep", ".Lfix")])
    assert "direction flag" in only(found.ending(Ending.LOST)).reason
    assert found.ending(Ending.RETURN) == []


def test_rep_on_the_stack_is_lost(explore: Explore) -> None:
    found = explore(f"lea -64(%rsp), %rdi\n{REP}", [(".Lrep", ".Lfix")])
    assert "stack" in only(found.ending(Ending.LOST)).reason


# ---- Calls and returns -----------------------------------------------------------------------


def test_a_call_comes_back(explore: Explore) -> None:
    body = "call .Lsub\n mov %rcx, %rax\n RET\n.Lsub: mov $7, %ecx\n RET"
    found = explore(body)
    segment = only(list(found.paths.segments))
    assert segment.target is Ending.RETURN
    assert segment.final.registers["rax"].as_long() == 7
    assert segment.final.stack_offset == 8
    assert str(segment.returned_to) == "return@0"


def test_a_cut_in_a_callee_is_known_by_where_it_returns(explore: Explore) -> None:
    found = explore("call .Lsub\n call .Lsub\n RET\n.Lsub: inc %rax\n jnz .Lsub\n RET")
    first, second = found.at(".Lsub")
    assert first.stack == second.stack == -8
    assert first.frames != second.frames
    assert {s.target for s in found.leaving(first)} == {first, second}
    out = only([s for s in found.leaving(second) if s.target != second])
    assert out.target is Ending.RETURN
    assert out.returned_to is not None
    assert out.returned_to.eq(RETURN_ADDRESS)


def test_a_routine_that_calls_itself_with_one_byte_is_followed(explore: Explore) -> None:
    again = ".Lagain: mov $1, %edx\n call routine\n dec %rbx\n jnz .Lagain\n"
    found = explore(f"cmp $1, %rdx\n jbe .Lout\n{again}.Lout: RET")
    assert {at.stack for at in found.paths.locations} == {0, -8}
    assert {s.target for s in found.paths.segments if not isinstance(s.target, Location)} == {Ending.RETURN}


def test_recursion_is_given_up(explore: Explore) -> None:
    with pytest.raises(TooManyPaths, match="recursion"):
        explore("test %rdx, %rdx\n jz .Lout\n dec %rdx\n call routine\n.Lout: RET")


def test_a_return_to_an_address_of_its_own_goes_there(explore: Explore) -> None:
    found = explore("call .Lthere\n mov $1, %eax\n RET\n.Lthere: mov $2, %eax\n RET")
    segment = only(list(found.paths.segments))
    assert segment.final.registers["rax"].as_long() == 1
    assert segment.final.stack_offset == 8


def test_nothing_but_a_return_makes_sense_of_where_the_code_lies(explore: Explore) -> None:
    found = explore("call .Lhere\n.Lhere: pop %rax\n RET")
    value = only(list(found.paths.segments)).final.registers["rax"]
    assert z3.is_const(value)
    assert not z3.is_bv_value(value)


def test_a_number_is_no_address_of_code(explore: Explore) -> None:
    found = explore("push $0x40000000\n RET")
    assert only(list(found.paths.segments)).target is Ending.RETURN


@pytest.mark.parametrize("text", ["xchg %rdi, %rsp\n xchg %rdi, %rsp", "and $-64, %rsp"])
def test_what_lies_below_rsp_is_known_for_interrupts_store_there(explore: Explore, text: str) -> None:
    assert only(list(explore(f"{text}\n RET").paths.segments)).target is Ending.LOST


def test_rsp_does_not_rise_above_the_callers_frame(explore: Explore) -> None:
    found = explore("pop %rax\n add $8, %rsp\n sub $8, %rsp\n push %rax\n RET")
    assert (8, ()) in [(s.offset, s.conditions) for s in found.paths.strays]


def test_an_undefined_flag_is_another_one_each_time(explore: Explore) -> None:
    found = explore("and %eax, %eax\n lahf\n mov %eax, %ecx\n and %edx, %edx\n lahf\n RET")
    final = only(list(found.paths.segments)).final.registers
    flags = [{n for n in symbols_of(final[r]) if n.startswith("undefined.af")} for r in ("rax", "rcx")]
    assert [len(names) for names in flags] == [1, 1]
    assert flags[0] != flags[1]


def test_a_return_thunk_returns(explore: Explore) -> None:
    assert [s.target for s in explore("jmp __x86_return_thunk").paths.segments] == [Ending.RETURN]


def test_what_is_pushed_is_popped(explore: Explore) -> None:
    found = explore("push %rbx\n mov $1, %ebx\n pop %rbx\n RET")
    segment = only(list(found.paths.segments))
    assert segment.final.registers["rbx"].eq(z3.BitVec("rbx@0", 64))
    assert segment.final.stack_offset == 8
    assert found.paths.strays == ()


@pytest.mark.parametrize(
    ("body", "offset"),
    [("mov %rax, 8(%rsp)\n RET", 8), ("mov -8(%rsp), %rax\n RET", -8), ("mov %rax, (%rsp)\n RET", 0)],
)
def test_an_access_to_the_stack_outside_the_frame_is_told(explore: Explore, body: str, offset: int) -> None:
    assert [stray.offset for stray in explore(body).paths.strays] == [offset]


# ---- What cannot be followed -----------------------------------------------------------------


@pytest.mark.parametrize("jump", ["jmp *%rax", "jmp *(%rsi)", "call *%rax"])
def test_an_indirect_jump_is_lost(explore: Explore, jump: str) -> None:
    found = explore(jump)
    assert "an indirect jump" in only(found.ending(Ending.LOST)).reason


def test_an_instruction_that_is_not_understood_is_lost_and_named(explore: Explore) -> None:
    found = explore("test %rdx, %rdx\n jz .Lout\n cpuid\n.Lout: RET")
    lost = only(found.ending(Ending.LOST))
    assert lost.reason.startswith("cpuid: ")
    assert found.image.where(lost.at).endswith(":6")
    assert len(found.ending(Ending.RETURN)) == 1


def test_running_past_the_end_is_lost(explore: Explore) -> None:
    assert "code" in only(explore("nop").ending(Ending.LOST)).reason


def test_a_jump_to_another_file_is_outside(explore: Explore) -> None:
    outside = only(explore("jmp elsewhere").ending(Ending.OUTSIDE))
    assert "elsewhere" in outside.reason


def test_a_fault_without_an_entry_is_uncovered(explore: Explore) -> None:
    found = explore(WORDS)
    uncovered = only(found.ending(Ending.UNCOVERED))
    assert found.label(uncovered.at) == ".Lread"
    assert uncovered.faults[0].fixup is None


def test_an_entry_beside_the_instruction_covers_nothing(explore: Explore) -> None:
    found = explore(WORDS, [(".Lwrite", ".Lfix")])
    assert [found.label(s.at) for s in found.ending(Ending.UNCOVERED)] == [".Lread"]


def test_a_misaligned_operand_is_a_trap(explore: Explore) -> None:
    found = explore(".Lx: movdqa (%rsi), %xmm0\n RET\n.Lfix: RET", [(".Lx", ".Lfix")])
    trap = only(found.ending(Ending.TRAP))
    low = z3.Extract(3, 0, z3.BitVec("rsi@0", 64))
    assert not can_happen(*trap.conditions, low == 0)
    assert can_happen(*trap.conditions, low == 8)


def test_a_loop_head_with_an_unknown_stack_pointer_is_lost(explore: Explore) -> None:
    found = explore(".Lloop: sub %rdx, %rsp\n dec %rcx\n jnz .Lloop\n RET")
    assert any("rsp is no longer at a known distance" in s.reason for s in found.ending(Ending.LOST))


def test_a_loop_that_pushes_is_given_up(explore: Explore) -> None:
    with pytest.raises(TooManyPaths):
        explore(".Lloop: push %rax\n dec %rcx\n jnz .Lloop\n RET")


def test_the_time_limit_is_kept(explore: Explore) -> None:
    with pytest.raises(OutOfTime):
        explore(WORDS, [(".Lread", ".Lfix")], seconds=0)


# ---- Modes -----------------------------------------------------------------------------------

LOOP = ".Lloop:\n dec %rcx\n jnz .Lloop\n"


@pytest.mark.parametrize(
    ("before", "mode"),
    [
        ("nop", {"stack": 0, "modes": (), "unfenced": False}),
        ("push %rbx", {"stack": -8, "modes": (), "unfenced": False}),
        ("sub $24, %rsp", {"stack": -24, "modes": (), "unfenced": False}),
        ("std", {"stack": 0, "modes": (("df", 1),), "unfenced": False}),
        ("stac", {"stack": 0, "modes": (("ac", 1),), "unfenced": False}),
        ("movnti %rax, (%rdi)", {"stack": 0, "modes": (), "unfenced": True}),
        ("movnti %rax, (%rdi)\n sfence", {"stack": 0, "modes": (), "unfenced": False}),
    ],
)
def test_a_location_tells_its_mode(explore: Explore, before: str, mode: dict[str, object]) -> None:
    (location,) = explore(f"{before}\n{LOOP} RET").at(".Lloop")
    assert {name: getattr(location, name) for name in mode} == mode


def test_a_loop_reached_in_two_modes_is_two_locations(explore: Explore) -> None:
    found = explore(f"test %rdx, %rdx\n jz .Lloop\n std\n stac\n{LOOP} cld\n clac\n RET")
    assert {at.modes for at in found.at(".Lloop")} == {(), (("df", 1), ("ac", 1))}


def test_a_word_saved_on_the_stack_is_known_at_the_loop(explore: Explore) -> None:
    found = explore(f"push %rbx\n{LOOP} pop %rbx\n RET")
    (location,) = found.at(".Lloop")
    assert found.paths.slots[location] == {-8}
    out = only([s for s in found.leaving(location) if s.target is Ending.RETURN])
    assert out.final.registers["rbx"].eq(z3.BitVec("stack-8", 64))


def test_a_loop_with_two_entrances_is_cut(explore: Explore) -> None:
    body = "test %rdx, %rdx\n jz .Lb\n.La: dec %rcx\n.Lb: dec %rdx\n jnz .La\n RET"
    found = explore(body)
    assert len(found.paths.locations) >= 2
    for segment in found.paths.segments:
        assert len(set(segment.trail[:-1])) == len(segment.trail[:-1])


def test_a_loop_through_a_fixup_is_cut(explore: Explore) -> None:
    body = ".Lread: mov (%rsi), %al\n RET\n.Lfix: inc %rsi\n jmp .Lread"
    found = explore(body, [(".Lread", ".Lfix")])
    assert (".Lread", ".Lread") in found.ways() or ("routine", "routine") in found.ways()

"""What lifting must not lose: accesses, faults, flags, and what it does not understand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import z3
from support.valid import is_valid

from mcverify.arch.x86_64.lift import Lifter
from mcverify.image.image import Image
from mcverify.machine.instruction import Access, Instruction, Kind, Leave, Refused, Step
from mcverify.machine.symbols import code_of, symbol
from mcverify.machine.terms import symbols_of

from .conftest import Lift, assembled

Refusal = Callable[[str], Refused]


def only(instruction: Instruction) -> Step:
    assert len(instruction.steps) == 1, instruction.text
    return instruction.steps[0]


def accesses(instructions: list[Instruction]) -> list[Access]:
    return [access for i in instructions for step in i.steps for access in step.accesses]


def test_two_loads_into_one_register_stay_two(lift: Lift) -> None:
    found = accesses(lift("mov (%rsi), %al\n mov (%rdi), %al"))
    assert [access.kind for access in found] == [Kind.LOAD, Kind.LOAD]
    assert is_valid(found[0].address == symbol("rsi"))
    assert is_valid(found[1].address == symbol("rdi"))


def test_a_load_whose_value_nobody_uses_stays(lift: Lift) -> None:
    found = accesses(lift("test %al, (%rsi)\n xor %eax, %eax"))
    assert [(access.kind, access.size) for access in found] == [(Kind.LOAD, 1)]


def test_a_load_into_a_register_that_is_overwritten_stays(lift: Lift) -> None:
    first, second = lift("mov (%rsi), %rax\n xor %eax, %eax")
    assert [access.size for access in only(first).accesses] == [8]
    assert is_valid(only(second).writes["rax"] == 0)


def test_a_register_write_between_two_loads_stays(lift: Lift) -> None:
    _, between, _ = lift("mov (%rsi), %al\n lea 1(%rcx), %rcx\n mov (%rsi), %cl")
    assert is_valid(only(between).writes["rcx"] == symbol("rcx") + 1)


def test_an_instruction_that_reads_and_writes_memory_does_both_in_order(lift: Lift) -> None:
    (add,) = lift("addq $5, 8(%rdi)")
    load, store = only(add).accesses
    assert (load.kind, store.kind) == (Kind.LOAD, Kind.STORE)
    assert is_valid(z3.And(load.address == symbol("rdi") + 8, store.address == load.address))
    assert is_valid(store.value == load.value + 5)


def test_an_access_is_as_wide_as_the_operand(lift: Lift) -> None:
    text = "mov (%rsi), %al\n mov (%rsi), %ax\n mov (%rsi), %eax\n mov (%rsi), %rax\n movdqu (%rsi), %xmm0"
    assert [access.size for access in accesses(lift(text))] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ud2", "raises #UD"),
        ("hlt", "is privileged"),
        ("int3", "raises #BP"),
        ("int $0x80", "enters the kernel"),
        ("syscall", "enters the kernel"),
        ("div %rcx", "may raise #DE"),
        ("divl %ecx", "may raise #DE"),
        ("idivq %rcx", "may raise #DE"),
        ("mul %rcx", "carry and overflow"),
        ("mulb %cl", "carry and overflow"),
        ("bt $3, %rdx", "zero flag"),
        ("bts %rcx, %rdx", "zero flag"),
        ("btrl $3, (%rdi)", "zero flag"),
        ("btc $3, %edx", "zero flag"),
        ("pushfq", "reserved bits"),
        ("cpuid", "depends on the CPU"),
        ("rdtsc", "is not deterministic"),
        (".byte 0x06", "no instruction that is known"),
        ("vmovdqu64 (%rsi), %zmm0", ""),
        ("mov %fs:0, %rax", "reads fs"),
        ("fldl (%rsi)", ""),
        ("repe cmpsb", "string compare"),
        ("repne scasb", "string compare"),
        ("rep lodsb", "string compare or load"),
        ("rep movsb (%esi), (%edi)", "32-bit address size"),
        ("wrmsr", ""),
        ("popfq", "interrupt"),
        ("bsf %rcx, %rax", "undefined where the source is 0"),
        ("tzcnt %rcx, %rax", "CPU without"),
        ("shldw $3, %ax, %cx", "not defined"),
        (".byte 0x66, 0x0f, 0xc8", "not defined"),
        (".byte 0x66, 0x0f, 0x84, 0, 0, 0, 0", "not all CPUs read alike"),
        (".byte 0x66, 0xe8, 0, 0, 0, 0", "not all CPUs read alike"),
        ("lea 8(%rip), %rax", "not known before it is loaded"),
        ("mov $elsewhere, %rax", "not known before it is linked"),
        (".byte 0xb8; .long elsewhere - .", "not known before it is linked"),  # mov $distance, %eax
        ("xgetbv", "depends on the CPU"),
        ("swapgs", "not modelled"),
        ("maskmovdqu %xmm1, %xmm0", "some of its bytes"),
        (".byte 0x41, 0x2e, 0xb2, 0xc0", "REX prefix that is not the last"),  # mov $0xc0, %dl, not %r10b
        (".byte 0x48, 0xf3, 0xa5", "REX prefix that is not the last"),  # rep movsl, not movsq
        (".byte 0x48, 0x42, 0x01, 0x10", "REX prefix that is not the last"),  # add %edx, (%rax)
        (".byte 0xf2, 0x0f, 0x01, 0xca", "another instruction or none"),  # erets, no clac
        (".byte 0x66, 0x0f, 0x01, 0xcb", "another instruction or none"),  # #UD, no stac
        (".byte 0xf0, 0xf3, 0x90", "another instruction or none"),  # #UD, no pause
        ("cmpxchgl %ecx, (%rdi)", "upper half of rax"),
        ("psrlq (%rsi), %xmm0", "16 bytes to one decoder and 8 to the other"),
        ("vpsrad (%rsi), %ymm1, %ymm0", "16 bytes to one decoder and 8 to the other"),
        ("bndmov %bnd0, (%rdi)", "MPX"),
        (".byte 0xc5, 0xd3, 0x11, 0xce", "another of its registers"),  # vmovsd %xmm1, %xmm5, %xmm6
        (".byte 0xc4, 0xe1, 0x52, 0x11, 0xce", "another of its registers"),  # vmovss %xmm1, %xmm5, %xmm6
    ],
)
def test_what_is_not_understood_is_refused_and_named(refusal: Refusal, text: str, reason: str) -> None:
    refused = refusal(text)
    assert reason in refused.reason
    assert refused.reason
    assert refused.text
    if not text.startswith("."):
        assert refused.text.split()[0].startswith(text.split()[0].rstrip("q")[:4])


def test_stac_and_clac_set_and_clear_ac_and_nothing_else(lift: Lift) -> None:
    stac, clac = lift("stac\n clac")
    for instruction, value in ((stac, 1), (clac, 0)):
        step = only(instruction)
        assert step.writes.keys() == {"ac"}
        assert is_valid(step.writes["ac"] == value)
        assert step.target == instruction.address + 3
        assert step.accesses == ()


def test_std_and_cld_set_and_clear_df_and_nothing_else(lift: Lift) -> None:
    std, cld = lift("std\n cld")
    assert {n: v.as_long() for n, v in only(std).writes.items()} == {"df": 1}
    assert {n: v.as_long() for n, v in only(cld).writes.items()} == {"df": 0}


@pytest.mark.parametrize(
    ("text", "fence", "weak"),
    [
        ("sfence", True, False),
        ("mfence", True, False),
        ("lfence", False, False),
        ("movnti %rax, (%rdi)", False, True),
        ("movntdq %xmm0, (%rdi)", False, True),
        ("movntps %xmm0, (%rdi)", False, True),
        ("movntdqa (%rsi), %xmm0", False, False),
        ("mov %rax, (%rdi)", False, False),
    ],
)
def test_fences_and_the_stores_that_need_them_are_known(
    lift: Lift, text: str, fence: bool, weak: bool
) -> None:
    (instruction,) = lift(text)
    assert (instruction.is_fence, instruction.is_nontemporal) == (fence, weak)


@pytest.mark.parametrize(
    "text",
    [
        "movdqa (%rsi), %xmm0",
        "movaps (%rsi), %xmm0",
        "movntdq %xmm0, (%rsi)",
        "por (%rsi), %xmm0",
        "paddb (%rsi), %xmm0",
    ],
)
def test_an_aligned_move_traps_where_its_operand_is_not_aligned(lift: Lift, text: str) -> None:
    (instruction,) = lift(text)
    trap = [step for step in instruction.steps if step.target is Leave.TRAP]
    moves = [step for step in instruction.steps if step.target is not Leave.TRAP]
    assert len(trap) == len(moves) == 1
    aligned = z3.Extract(3, 0, symbol("rsi")) == 0
    assert is_valid(moves[0].guard == aligned)
    assert is_valid(trap[0].guard == z3.Not(aligned))
    assert [access.size for access in moves[0].accesses] == [16]
    assert trap[0].accesses == ()


@pytest.mark.parametrize(
    "text", ["movdqu (%rsi), %xmm0", "movups %xmm0, (%rdi)", "vpor (%rsi), %xmm0, %xmm0", "mov (%rsi), %rax"]
)
def test_an_unaligned_move_does_not_trap(lift: Lift, text: str) -> None:
    (instruction,) = lift(text)
    assert is_valid(only(instruction).guard)


@pytest.mark.parametrize(
    "text",
    [
        "jz 1f\n 1:",
        "ja 1f\n 1:",
        "jrcxz 1f\n 1:",
        "rep movsb",
        "rep stosq",
        "movdqa (%rsi), %xmm0",
        "shl %cl, %rax",
    ],
)
def test_the_ways_through_an_instruction_exclude_each_other_and_cover_every_state(
    lift: Lift, text: str
) -> None:
    instruction = lift(text)[0]
    guards = [step.guard for step in instruction.steps]
    assert is_valid(z3.Or(guards))
    for number, guard in enumerate(guards):
        assert is_valid(z3.Implies(guard, z3.Not(z3.Or([z3.BoolVal(False), *guards[:number]]))))


def test_a_conditional_jump_goes_where_its_flags_say(lift: Lift) -> None:
    jump, _ = lift("jbe 1f\n nop\n 1:")
    targets = {step.target: step.guard for step in jump.steps if not is_valid(z3.Not(step.guard))}
    assert targets.keys() == {jump.address + 2, jump.address + 3}
    taken = z3.Or(symbol("cf") == 1, symbol("zf") == 1)
    assert is_valid(targets[jump.address + 3] == taken)


def test_one_iteration_of_rep_movs_loads_stores_and_comes_back(lift: Lift) -> None:
    (rep,) = lift("rep movsl")
    assert rep.rep is not None
    assert (rep.rep.size, rep.rep.reads_source, rep.rep.next) == (4, True, rep.address + rep.size)
    done, iteration = sorted(rep.steps, key=lambda step: len(step.accesses))
    assert (done.target, iteration.target) == (rep.rep.next, rep.address)
    assert is_valid(done.guard == (symbol("rcx") == 0))
    assert [(a.kind, a.size) for a in iteration.accesses] == [(Kind.LOAD, 4), (Kind.STORE, 4)]
    step = z3.If(symbol("df") == 1, z3.BitVecVal(-4, 64), z3.BitVecVal(4, 64))
    assert is_valid(iteration.writes["rcx"] == symbol("rcx") - 1)
    assert is_valid(iteration.writes["rsi"] == symbol("rsi") + step)
    assert is_valid(iteration.writes["rdi"] == symbol("rdi") + step)


def test_addresses_before_a_string_move_are_those_it_began_with(lift: Lift) -> None:
    load, store = accesses(lift("movsq"))
    assert is_valid(load.address == symbol("rsi"))
    assert is_valid(store.address == symbol("rdi"))


def test_a_call_pushes_the_address_behind_it_and_a_ret_takes_it(lift: Lift) -> None:
    call, ret = lift("call 1f\n 1: ret")
    (push,) = only(call).accesses
    assert only(call).is_call
    assert only(call).target == ret.address
    assert is_valid(push.address == symbol("rsp") - 8)
    assert is_valid(push.value == ret.address)
    assert only(ret).target is Leave.RETURN
    assert is_valid(only(ret).writes["rsp"] == symbol("rsp") + 8)


UNDEFINED = {
    "and %eax, %eax": {"af"},
    "test %al, %al": {"af"},
    "imul %rdx, %rcx": {"sf", "zf", "af", "pf"},
    "shl $1, %rax": {"af"},
    "shl $2, %rax": {"af", "of"},
    "shl $0, %rax": set(),
    "shl $64, %rax": set(),
    "shl $32, %eax": set(),
    "shlb $8, %al": {"af", "of", "cf"},
    "sarb $8, %al": {"af", "of"},
    "shrd $2, %rdx, %rax": {"af", "of"},
    "ror $5, %rcx": {"of"},
    "ror $1, %rcx": set(),
    "add %rdx, %rcx": set(),
    "shl %cl, %rax": {"af", "of"},
    "shrw %cl, %ax": {"af", "of", "cf"},
    "shlq %cl, (%rdi)": {"af", "of"},
    "shlb %cl, (%rdi)": {"af", "of", "cf"},
    "rclq %cl, (%rdi)": {"of"},
    "shlq (%rdi)": {"af"},
    "rcl $1, %rax": set(),
    "rcr $2, %rax": {"of"},
    # The lifter makes of a rotation through carry by 0 what the manual does not.
    "rcl $0, %rax": {"of"},
    "rcr %cl, %rax": {"of"},
}


@pytest.mark.parametrize(("text", "flags"), UNDEFINED.items())
def test_no_more_is_known_of_a_flag_than_the_manual_says(lift: Lift, text: str, flags: set[str]) -> None:
    writes = only(lift(text)[0]).writes
    free = {name for name, term in writes.items() if f"undefined.{name}" in symbols_of(term)}
    assert free == flags


def test_a_shift_by_cl_leaves_the_flags_alone_where_cl_is_0(lift: Lift) -> None:
    writes = only(lift("shl %cl, %rax")[0]).writes
    none = z3.Extract(5, 0, symbol("rcx")) == 0
    one = z3.Extract(5, 0, symbol("rcx")) == 1
    for flag in ("af", "of", "cf"):
        assert is_valid(z3.Implies(none, writes[flag] == symbol(flag)))
    assert is_valid(
        z3.Implies(one, writes["of"] == z3.Extract(63, 63, symbol("rax")) ^ z3.Extract(62, 62, symbol("rax")))
    )


@pytest.mark.parametrize("text", ["jmp *%rax", "jmp *(%rsi)", "call *%rax"])
def test_a_computed_target_is_named_indirect(lift: Lift, text: str) -> None:
    assert [step.target for step in lift(text)[0].steps] == [Leave.INDIRECT]


def test_the_same_code_at_another_address_goes_elsewhere(lift: Lift) -> None:
    first, second, *_ = lift("1: jz 1b\n 1: jz 1b\n nop")
    for jump in (first, second):
        assert {step.target for step in jump.steps} == {jump.address, jump.address + 2}


def test_what_is_relative_to_its_own_address_is_lifted_there(lift: Lift) -> None:
    first, second, third = lift("mov 8(%rip), %rax\n mov 8(%rip), %rax\n call . + 5")
    for load in (first, second):
        assert is_valid(only(load).accesses[0].address == load.address + load.size + 8)
    assert is_valid(only(third).accesses[0].value == third.address + third.size)


@pytest.mark.parametrize("section", ["__jump_table", ".static_call_sites", ".parainstructions"])
def test_code_that_the_kernel_rewrites_is_refused(refusal: Refusal, section: str) -> None:
    text = f'1: nopl (%rax)\n .pushsection {section}, "a"\n .long 1b - .\n .popsection'
    assert section in refusal(text).reason


def test_no_code_is_refused(tmp_path) -> None:
    image: Image = assembled(tmp_path, "nop")
    with pytest.raises(Refused, match="code"):
        Lifter(image).instruction(0x10)


@pytest.mark.parametrize(
    ("names", "is_refused"), [(["nop"], False), ([], True)], ids=["listed", "not listed"]
)
def test_an_instruction_without_any_effect_is_believed_from_a_list_alone(
    tmp_path, monkeypatch, names, is_refused
):
    image = assembled(tmp_path, "nopl 0x77(%rax, %rax)")
    monkeypatch.setattr(Lifter, "_known", {})
    lifter = Lifter(image)
    lifter._models = {**lifter._models, "silent": {"names": names}}
    address = image.functions[0].address
    if is_refused:
        with pytest.raises(Refused, match="without any effect to the lifter"):
            lifter.instruction(address)
    else:
        assert not lifter.instruction(address).steps[0].writes


@pytest.mark.parametrize("text", ["mov $routine, %rax", "1: lea 1b(%rip), %rax", "movabs $routine, %rax"])
def test_an_address_of_its_own_code_is_a_free_symbol_where_there_is_no_table(lift: Lift, text: str) -> None:
    # Where handlers are set in place of a table (`windows.toml`); nobody knows the number.
    [step] = lift(text)[0].steps
    assert code_of(step.writes["rax"]) is not None


@pytest.mark.parametrize("text", ["mov $routine, %rax", "1: lea 1b(%rip), %rax", "mov %gs:0x20, %rax"])
def test_with_a_table_no_handler_is_set(refusal: Refusal, text: str) -> None:
    table = '.pushsection __ex_table, "a"; .balign 4; .long 7f - ., 7f - ., 1; .popsection'
    entry = f" ret\n{table}\n7: mov (%rsi), %al"
    assert refusal(f"{text}\n{entry}").reason


@pytest.mark.parametrize(
    "text", ["lock cmpxchg %edx, (%rdi)", "lock xadd %rdx, 8(%rdi,%rcx,2)", "xchg %r9d, (%rsi)"]
)
def test_a_locked_exchange_is_a_load_and_a_store_of_one_address(lift: Lift, text: str) -> None:
    found = lift(text)[0]
    [step] = found.steps
    load, store = step.accesses
    assert found.is_locked
    assert (load.kind, store.kind) == (Kind.LOAD, Kind.STORE)
    assert load.address.eq(store.address)
    assert load.size == store.size


@pytest.mark.parametrize(
    "text",
    [
        "lock cmpxchg %dx, (%rdi)",
        "xchg %al, (%rsi)",
        "xchg %eax, %gs:(%rsi)",
        ".byte 0xf2; xchg %eax, (%rsi)",
    ],
)
def test_other_locked_accesses_are_refused(refusal: Refusal, text: str) -> None:
    assert refusal(text).reason

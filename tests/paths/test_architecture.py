"""What the explorer asks of the architecture: values made for it, with instructions that x86-64 has not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import z3

from mcverify.arch.known import X86_64
from mcverify.arch.x86_64.lift import Lifter
from mcverify.machine.instruction import Access, Instruction, Kind, Leave, Step
from mcverify.machine.state import RETURN_ADDRESS, STACK_BASE
from mcverify.machine.symbols import symbol
from mcverify.paths.segment import Ending, Segment

from .conftest import Explore, Explored

ANY_PREFIX = replace(X86_64, stores_before_fault="any prefix")
LINKED = replace(X86_64, link="r11")
PAIR = ".Lpair: nop\n xor %eax, %eax\n RET\n.Lfix: mov %rdx, %rax\n RET"


def _stores(*places: z3.BitVecRef) -> tuple[Access, ...]:
    return tuple(Access(Kind.STORE, place, 8, symbol("rcx")) for place in places)


class Pairs(Lifter):
    """`nop` stores two words, to rdi and behind it."""

    places: tuple[z3.BitVecRef, ...] = (symbol("rdi"), symbol("rdi") + 8)

    def instruction(self, address: int) -> Instruction:
        found = super().instruction(address)
        if found.text != "nop":
            return found
        step = Step(z3.BoolVal(True), _stores(*self.places), {}, address + found.size)
        return replace(found, steps=(step,))


class Spills(Pairs):
    """The first word goes to the own frame."""

    places = (symbol("rsp") - 8, symbol("rdi"))


def _done(segment: Segment) -> list[int]:
    """How far from dst each store before the fault lies."""
    addresses = [t.address - z3.BitVec("rdi@0", 64) for t in segment.transfers]
    return [z3.simplify(at).as_long() for at in addresses]


def _after_faults(found: Explored) -> list[list[int]]:
    return sorted(_done(s) for s in found.ending(Ending.RETURN) if s.faults)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [(X86_64, [[], []]), (ANY_PREFIX, [[], [], [0]])],
    ids=["none", "any prefix"],
)
def test_which_stores_of_an_instruction_a_later_fault_leaves(explore: Explore, architecture, expected):
    found = explore(PAIR, [(".Lpair", ".Lfix")], faults="stores", architecture=architecture, lifter=Pairs)
    assert _after_faults(found) == expected
    (success,) = (s for s in found.ending(Ending.RETURN) if not s.faults)
    assert _done(success) == [0, 8]


def test_a_store_to_the_frame_that_may_be_done_or_not_is_not_followed(explore: Explore) -> None:
    body = "sub $8, %rsp\n" + PAIR.replace("RET", "add $8, %rsp\n RET")
    options = {"faults": "stores", "lifter": Spills}
    found = explore(body, [(".Lpair", ".Lfix")], architecture=ANY_PREFIX, **options)
    (lost,) = found.ending(Ending.LOST)
    assert "may fault with a store to the stack done" in lost.reason
    assert not explore(body, [(".Lpair", ".Lfix")], **options).ending(Ending.LOST)


class Linked(Lifter):
    """`RET` goes to r11; `nop` is a call of the instruction two bytes behind it, which r11 returns from."""

    def instruction(self, address: int) -> Instruction:
        found = super().instruction(address)
        if found.steps[0].target is Leave.RETURN:
            step = Step(z3.BoolVal(True), (), {}, Leave.RETURN, goes_to=symbol("r11"))
            return replace(found, steps=(step,))
        if found.text == "nop":
            link = {"r11": z3.BitVecVal(address + 1, 64)}
            return replace(found, steps=(Step(z3.BoolVal(True), (), link, address + 3, is_call=True),))
        return found


def test_a_return_goes_to_the_link_register_and_leaves_the_stack_alone(explore: Explore) -> None:
    (segment,) = explore("mov %rdx, %rax\n ret", architecture=LINKED, lifter=Linked).paths.segments
    assert segment.target is Ending.RETURN
    assert segment.returned_to is not None
    assert segment.returned_to.eq(RETURN_ADDRESS)
    assert segment.final.registers["rsp"].eq(STACK_BASE)
    assert not segment.final.stack


def test_a_return_by_a_link_register_that_was_spoilt_goes_elsewhere(explore: Explore) -> None:
    (segment,) = explore("mov %rdx, %r11\n ret", architecture=LINKED, lifter=Linked).paths.segments
    assert segment.returned_to is not None
    assert not segment.returned_to.eq(RETURN_ADDRESS)


def test_a_call_by_the_link_register_comes_back(explore: Explore) -> None:
    body = "mov %r11, %rcx\n nop\n jmp .Lout\n.Lsub: mov $7, %eax\n ret\n.Lout: mov %rcx, %r11\n ret"
    (segment,) = explore(body, architecture=LINKED, lifter=Linked).paths.segments
    assert segment.target is Ending.RETURN
    assert segment.final.registers["rax"].as_long() == 7
    assert segment.returned_to is not None
    assert segment.returned_to.eq(RETURN_ADDRESS)

"""One instruction from a given state: as it was lifted, and as Unicorn executes it.

Both take registers by name and bytes by address, and give what has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import unicorn
import z3
from unicorn import x86_const as uc

from mcverify.arch.known import X86_64
from mcverify.machine.instruction import UNDEFINED, Access, Instruction, Kind, Leave, Step
from mcverify.machine.terms import replace, symbols_of

PAGE = 4096
HIGHEST = 1 << 46
MOST_ITERATIONS = 64

Registers = dict[str, int]
Bytes = dict[int, int]


class NotHere(Exception):
    """The state is of no use: an address that cannot be mapped, or one that overlaps what it must not."""


@dataclass
class Effect:
    """What an instruction did: registers after it, where it went, bytes read, bytes written."""

    registers: Registers
    next: int
    read: set[int] = field(default_factory=set)
    written: Bytes = field(default_factory=dict)


_PERIOD = 4093
_PATTERN = bytes((i * 0x9E3779B1 >> 7 ^ i) & 0xFF for i in range(_PERIOD)) * 3


def initial_byte(address: int) -> int:
    """Every byte of memory is given by its address."""
    return _PATTERN[address % _PERIOD]


# ---- As it was lifted -----------------------------------------------------------------------


def by_steps(instruction: Instruction, before: Mapping[str, int]) -> Effect:
    """What the lifted steps say; REP is repeated until it goes on."""
    effect = Effect(dict(before), instruction.address)
    for _ in range(MOST_ITERATIONS):
        _take(instruction, effect)
        if effect.next != instruction.address or instruction.rep is None:
            return effect
    raise NotHere


def _take(instruction: Instruction, effect: Effect) -> None:
    inputs = {name: z3.BitVecVal(effect.registers[name], width) for name, width in X86_64.widths.items()}
    inputs |= {f"{UNDEFINED}{name}": z3.BitVecVal(0, 1) for name in X86_64.flags}
    taken = [step for step in instruction.steps if z3.is_true(z3.simplify(replace(step.guard, inputs)))]
    assert len(taken) == 1, "the ways through an instruction exclude each other and cover every state"
    if taken[0].target is Leave.TRAP:
        raise NotHere
    _carry_out(taken[0], inputs, effect)


def _carry_out(step: Step, values: dict[str, z3.ExprRef], effect: Effect) -> None:
    for access in step.accesses:
        address = _number(access.address, values)
        if not PAGE <= address < HIGHEST:
            raise NotHere
        places = range(address, address + access.size)
        if access.kind is Kind.LOAD:
            found = [effect.written.get(a, initial_byte(a)) for a in places]
            values[access.value.decl().name()] = z3.BitVecVal(
                int.from_bytes(found, "little"), 8 * access.size
            )
            effect.read.update(places)
        else:
            effect.written.update(zip(places, _stored(access, values), strict=True))
    effect.next = _target(step, values)
    effect.registers |= {name: _number(term, values) for name, term in step.writes.items()}


def _stored(access: Access, values: Mapping[str, z3.ExprRef]) -> bytes:
    return _number(access.value, values).to_bytes(access.size, "little")


def _target(step: Step, values: Mapping[str, z3.ExprRef]) -> int:
    if step.target is Leave.RETURN:
        return _number(values["ld0"], values)
    assert isinstance(step.target, int)
    return step.target


def _number(term: z3.ExprRef, values: Mapping[str, z3.ExprRef]) -> int:
    assert symbols_of(term) <= values.keys()
    value = z3.simplify(replace(term, values))
    assert z3.is_bv_value(value), f"{term} is not determined by the registers and the loads"
    return value.as_long()


# ---- As Unicorn executes it -----------------------------------------------------------------

_FLAGS = X86_64.flags | X86_64.control
_REGISTERS = {
    **{name: getattr(uc, f"UC_X86_REG_{name.upper()}") for name in X86_64.general},
    **{name: getattr(uc, f"UC_X86_REG_{name.upper()}") for name in X86_64.vectors},
}


def by_emulator(instruction: Instruction, code: bytes, before: Mapping[str, int], near: set[int]) -> Effect:
    """What Unicorn does with the bytes of the instruction; `near` are addresses whose pages exist."""
    machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    start = instruction.address
    _map(machine, near | {start})
    machine.mem_write(start, code)
    for name, register in _REGISTERS.items():
        machine.reg_write(register, before[name])
    flags = sum(before[name] << bit for name, bit in _FLAGS.items())
    machine.reg_write(uc.UC_X86_REG_RFLAGS, flags | 2)
    effect = Effect({}, start)
    machine.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, _watch, effect)
    _run(machine, instruction)
    effect.next = machine.reg_read(uc.UC_X86_REG_RIP)
    effect.registers = {name: machine.reg_read(register) for name, register in _REGISTERS.items()}
    after = machine.reg_read(uc.UC_X86_REG_RFLAGS)
    effect.registers |= {name: after >> bit & 1 for name, bit in _FLAGS.items()}
    effect.written = {a: machine.mem_read(a, 1)[0] for a in effect.written}
    return effect


def _run(machine: unicorn.Uc, instruction: Instruction) -> None:
    try:
        if instruction.rep is None:
            machine.emu_start(instruction.address, HIGHEST, count=1)
        else:
            machine.emu_start(instruction.address, instruction.rep.next)
    except unicorn.UcError as error:
        if machine.reg_read(uc.UC_X86_REG_RIP) == instruction.address:
            raise AssertionError(f"{instruction.text}: the emulator says: {error}") from error


def _map(machine: unicorn.Uc, addresses: set[int]) -> None:
    pages = {(address + side) // PAGE * PAGE for address in addresses for side in (-PAGE, 0, PAGE)}
    for page in pages:
        machine.mem_map(page, PAGE)
        machine.mem_write(page, _PATTERN[page % _PERIOD :][:PAGE])


def _watch(_: unicorn.Uc, kind: int, address: int, size: int, __: int, effect: Effect) -> None:
    places = range(address, address + size)
    if kind == unicorn.UC_MEM_WRITE:
        effect.written.update(dict.fromkeys(places, 0))
    else:
        effect.read.update(places)

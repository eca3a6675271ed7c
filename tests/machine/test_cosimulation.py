"""Instructions from random states: what was lifted does what Unicorn does.

Compared are all registers, the flags that the Intel SDM (vol. 2) defines, where control goes, which bytes
are read, and which are written with what values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import capstone
import pytest
from asm_corpus.expectations import FILES

from mcverify.arch.known import X86_64
from mcverify.arch.x86_64.lift import Lifter
from mcverify.image.callees import assumed_at
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.machine.instruction import Instruction

from .conftest import assembled
from .emulated import Effect, NotHere, by_emulator, by_steps

LINES = (Path(__file__).parent / "instructions.txt").read_text().splitlines()
TEXTS = [line for line in LINES if not line.startswith("#")]
STATES = 24
_INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    1 << 31,
    (1 << 31) - 1,
    (1 << 32) - 1,
    1 << 63,
)
_MODELLED = {"stac", "clac"}


def state(random: Random) -> dict[str, int]:
    """Registers: addresses, small numbers, ends of ranges and anything else."""
    registers = {name: _value(random) for name in X86_64.general}
    registers |= {name: random.getrandbits(256) for name in X86_64.vectors}
    registers |= {name: random.getrandbits(1) for name in (*X86_64.flags, *X86_64.control)}
    return registers


def _value(random: Random) -> int:
    kind = random.randrange(8)
    if kind < 3:
        return random.randrange(1 << 20, 1 << 40) & -random.choice((1, 16))
    if kind < 6:
        return random.randrange(40)
    if kind < 7:
        return random.choice(_INTERESTING)
    return random.getrandbits(64)


def undefined_flags(text: str, before: dict[str, int]) -> set[str]:
    """Flags that the SDM leaves undefined after the instruction."""
    name, _, operands = text.partition(" ")
    first = operands.split(",")[0]
    if name.startswith(("and", "or", "xor", "test")):
        return {"af"}
    if name.startswith("imul"):
        return {"sf", "zf", "af", "pf"}
    if name.startswith(("shl", "shr", "sar", "ror")):
        count = before["rcx"] & (63 if "%r" in operands else 31) if first == "%cl" else int(first[1:])
        shifted = set() if name.startswith("ror") else {"af"}
        return set() if count == 0 else shifted if count == 1 else {*shifted, "of"}
    return set()


def compared(effect: Effect, undefined: set[str]) -> dict[str, object]:
    registers = {name: value for name, value in effect.registers.items() if name not in undefined}
    return {"next": effect.next, "read": effect.read, "written": effect.written, **registers}


def states_for(instruction: Instruction, text: str) -> Iterator[tuple[dict[str, int], Effect]]:
    """States in which the instruction neither traps nor leaves the memory that can be mapped."""
    random = Random(text)
    found = 0
    for _ in range(100 * STATES):
        before = state(random)
        if instruction.rep is not None:
            before["rcx"] = random.randrange(12)
        try:
            expected = by_steps(instruction, before)
        except NotHere:
            continue
        yield before, expected
        found += 1
        if found == STATES:
            return
    raise AssertionError(f"{text}: only {found} states of {STATES} can be emulated")


@pytest.mark.parametrize("text", TEXTS)
def test_what_was_lifted_does_what_the_emulator_does(text: str, tmp_path: Path) -> None:
    image = assembled(tmp_path, f"{text}\n nop\n nop\n 1:")
    instruction = Lifter(image).instruction(image.functions[0].address)
    code = image.code_at(instruction.address, instruction.size)
    for before, lifted in states_for(instruction, text):
        emulated = by_emulator(instruction, code, before, lifted.read | set(lifted.written))
        undefined = undefined_flags(text, before)
        assert compared(lifted, undefined) == compared(emulated, undefined), before


Form = tuple[str, tuple[tuple[int, int, bool], ...]]


@cache
def decoder() -> capstone.Cs:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    made.detail = True
    made.syntax = capstone.CS_OPT_SYNTAX_ATT
    return made


def forms(image: Image) -> set[Form]:
    """Mnemonics with the kinds and sizes of their operands, and whether an address has an index. A stand-in
    for a routine in C is not lifted."""
    found = set()
    for section in (s for s in image.sections if s.executable and not assumed_at(image, s.address)):
        for i in decoder().disasm(section.data, section.address):
            memory = capstone.x86.X86_OP_MEM
            operands = ((o.type, o.size, o.type == memory and o.mem.index != 0) for o in i.operands)
            found.add((i.mnemonic, tuple(operands)))
    return {form for form in found if form[0] not in _MODELLED}


@pytest.fixture(scope="module")
def compared_forms(tmp_path_factory: pytest.TempPathFactory) -> set[Form]:
    folder = tmp_path_factory.mktemp("forms")
    return forms(assembled(folder, "".join(f"{text}\n1:\n" for text in TEXTS)))


def test_every_form_under_asm_is_compared(compared_forms: set[Form]) -> None:
    assert len(compared_forms) > 100
    for path in FILES:
        assert forms(load(path)) <= compared_forms, path


def test_every_form_of_the_kernels_routine_is_compared(
    compared_forms: set[Form], kernel_source_61: Path
) -> None:
    assert forms(load(kernel_source_61)) <= compared_forms

"""What the exception handlers do to the registers."""

from __future__ import annotations

import pytest
import z3

from mcverify.arch.known import X86_64
from mcverify.image.image import Handler
from mcverify.machine.handlers import apply_handler
from mcverify.machine.state import Registers
from mcverify.machine.terms import word

BEFORE = {name: 0x100 + number for number, name in enumerate(X86_64.general)}


@pytest.mark.parametrize(
    ("handler", "changed"),
    [
        (Handler("default"), {}),
        (Handler("fault", ("ax = trap",)), {"rax": 14}),
        (Handler("zero", ("ax = 0", "dx = 0")), {"rax": 0, "rdx": 0}),
        (Handler("imm", ("reg = imm",), "rbx", -14), {"rbx": 2**64 - 14}),
        (Handler("imm", ("reg = imm",), None, 7), {"rax": 7}),
        (Handler("pop", ("sp += 8",)), {"rsp": BEFORE["rsp"] + 8}),
        (Handler("len", ("cx = imm*cx + reg",), "r8", 8), {"rcx": 8 * BEFORE["rcx"] + BEFORE["r8"]}),
        (Handler("len", ("cx = imm*cx + reg",), None, 4), {"rcx": 4 * BEFORE["rcx"] + BEFORE["rax"]}),
    ],
)
def test_each_effect_changes_its_registers_and_no_others(handler: Handler, changed: dict[str, int]) -> None:
    before = Registers({name: word(value) for name, value in BEFORE.items()})
    after = apply_handler(handler, before, word(14))
    assert after is not None
    found = {name: z3.simplify(after[name]) for name in X86_64.general}
    assert {name: term.as_long() for name, term in found.items()} == {**BEFORE, **changed}
    assert {term.size() for term in found.values()} == {64}


def test_of_an_effect_that_is_not_modelled_nothing_is_known() -> None:
    before = Registers({name: word(value) for name, value in BEFORE.items()})
    assert apply_handler(Handler("new", ("ax = 0", "cx = the moon")), before, word(14)) is None

"""Windows: which stores put the address of a handler into its slot, and which take it away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import z3

from mcverify.contract import Contract
from mcverify.image.extable import NO_TABLE
from mcverify.image.image import Handler, Image
from mcverify.machine.instruction import Access, Kind
from mcverify.machine.symbols import GS_BASE, code_of
from mcverify.machine.terms import constant, distance, symbols_of, variable
from mcverify.windows import Window, known_windows

HANDLER = "window"
"""The name of what the kernel does at a fault while a window is open."""

_WORD = 8
_BEFORE = "handler#"


@dataclass(frozen=True, slots=True)
class Touch:
    """An access to the kernel's own memory around a slot: the `value` that a load gives; the address in the
    image of the handler that a store puts into the slot, None if that closes the window; or why it is not
    understood."""

    value: z3.BitVecRef | None = None
    handler: int | None = None
    lost: str = ""


@dataclass
class Windows:
    """The windows of one routine. `assumed` are sentences on what is taken of them."""

    image: Image
    contract: Contract
    assumed: set[str] = field(default_factory=set)
    _slots: set[tuple[str, int]] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def _known(self) -> tuple[Window, ...]:
        if self.image.layout != NO_TABLE:
            return ()
        own = self.contract.window
        return (own,) if own is not None else known_windows(self.image.architecture)

    def handler(self) -> Handler:
        """What the kernel does before it continues at the handler."""
        window = next(w for w in self._known if any(name == w.name for name, _ in self._slots))
        return Handler(HANDLER, window.effects, window.register, window.imm)

    def touch(
        self, access: Access, address: z3.BitVecRef, value: z3.BitVecRef | None, is_open: bool
    ) -> Touch | None:
        """What an access at `address` does, of which `value` is what it stores; None for one that is of no
        concern here."""
        names = symbols_of(address)
        for window in self._known:
            if window.argument is not None:
                base = variable(f"{window.argument}@0")
                offset = distance(address, base) if base.decl().name() in names else None
                if offset == (window.offset or 0):
                    return self._slot(window, offset, access, value, is_open)
            elif f"{window.name}@0" in names:
                offset = distance(address, variable(f"{window.name}@0"))
                if offset is None or window.offset not in (None, offset):
                    return Touch(lost=f"goes to what {window.name} points to, and not to the handler's slot")
                return self._slot(window, offset, access, value, is_open)
        if GS_BASE.decl().name() not in names:
            return None
        return self._from_gs(distance(address, GS_BASE), access, value, is_open)

    def _from_gs(
        self, offset: int | None, access: Access, value: z3.BitVecRef | None, is_open: bool
    ) -> Touch:
        for window in self._known:
            if offset is not None and offset == window.slot:
                return self._slot(window, offset, access, value, is_open)
            if offset is not None and offset == window.pointer and access.kind is Kind.LOAD:
                self.assumed.add(
                    f"the word at %gs:{offset:#x} is the kernel's own: to read it does not fault, and it has"
                    " one value in a call"
                )
                return Touch(value=variable(f"{window.name}@0"))
        return Touch(lost="goes to gs, and nothing is known of what lies there")

    def _slot(
        self, window: Window, offset: int, access: Access, value: z3.BitVecRef | None, is_open: bool
    ) -> Touch:
        self.assumed.add(_sentence(window, offset))
        if access.size != _WORD:
            return Touch(lost="goes to a part of the handler's slot")
        self._slots.add((window.name, offset))
        if len(self._slots) > 1:
            return Touch(lost="goes to another slot than that of the handler before it")
        if access.kind is Kind.LOAD:
            if is_open:
                return Touch(lost="reads the slot of a handler that it has set")
            return Touch(value=variable(f"{_BEFORE}{next(self._numbers)}"))
        assert value is not None
        code = code_of(value)
        if code is not None and self.image.code_at(code, 1):
            return Touch(handler=code)
        as_before = z3.is_const(value) and value.decl().name().startswith(_BEFORE)
        if as_before or constant(value) == 0:
            return Touch()
        return Touch(
            lost="puts into the handler's slot what is no address of its own code, nor what was there"
        )


def _sentence(window: Window, offset: int) -> str:
    if window.argument is not None:
        place = f"the slot at {window.argument}" + (f"+{offset:#x}" if offset else "")
    elif window.slot is not None:
        place = f"the slot at %gs:{window.slot:#x}"
    else:
        place = f"the slot at {offset:#x} behind the pointer at %gs:{window.pointer:#x}"
    does = f", after {', '.join(window.effects)}" if window.effects else ""
    return (
        f"while {place} holds the address of a handler, a fault continues there{does}; the slot is the"
        " kernel's own memory, beside the buffers and the stack, to reach it does not fault, and it holds no"
        " handler of the file at entry"
    )

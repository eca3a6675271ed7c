"""Windows in place of exception tables: while a handler's address lies in a slot, faults continue there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mcverify.arch.architecture import Architecture
from mcverify.errors import InputError
from mcverify.layouts import check_effects

_KEYS = ("pointer", "slot", "argument", "offset", "effects", "register", "imm", "source", "systems")


@dataclass(frozen=True, slots=True)
class Window:
    """Where the slot is: at `slot` from the segment's base; behind the pointer at `pointer` from there, by
    `offset` (None: where a handler is stored first); or at the address in the register `argument` at entry.
    `effects`, with `register` and `imm`, are what the kernel does before it continues at the handler."""

    name: str
    pointer: int | None = None
    slot: int | None = None
    argument: str | None = None
    offset: int | None = None
    effects: tuple[str, ...] = ()
    register: str | None = None
    imm: int = 0

    @property
    def keys(self) -> dict[str, Any]:
        """The table of TOML that describes it."""
        found = {"pointer": self.pointer, "slot": self.slot, "argument": self.argument, "offset": self.offset}
        more = {"effects": list(self.effects), "register": self.register, "imm": self.imm}
        return {key: value for key, value in (found | more).items() if value is not None}


@cache
def known_windows(arch: Architecture) -> tuple[Window, ...]:
    """The windows of the model."""
    return tuple(
        window_of(name, values, f"windows.toml: {name}", arch)
        for name, values in arch.model("windows.toml").items()
    )


def window_of(name: str, values: Mapping[str, Any], where: str, arch: Architecture) -> Window:
    """The window that a table of TOML describes. Raises InputError, placed at `where`, where it is none."""
    for key in values:
        if key not in _KEYS:
            raise InputError(f"window.{key} is no key of a window", where=where)
    places = [key for key in ("pointer", "slot", "argument") if key in values]
    if len(places) != 1:
        raise InputError("a window has one of pointer, slot and argument", where=where)
    numbers = {key: values.get(key) for key in ("pointer", "slot", "offset")}
    for key, number in numbers.items():
        if number is not None and (type(number) is not int or not 0 <= number < 1 << 31):
            raise InputError(f"window.{key} is a number of bytes, not {number!r}", where=where)
    argument = values.get("argument")
    if argument is not None and argument not in arch.general:
        raise InputError(f"window.argument names {argument!r}, which is no register", where=where)
    effects, register, imm = values.get("effects", []), values.get("register"), values.get("imm", 0)
    if not isinstance(effects, list):
        raise InputError("window.effects must be a list of strings", where=where)
    check_effects(effects, register, imm, where, arch)
    return Window(
        name, numbers["pointer"], numbers["slot"], argument, numbers["offset"], tuple(effects), register, imm
    )

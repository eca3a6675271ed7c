"""How the entries of an exception table are laid out: data of `extable.toml`, or of a contract's file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, cast

from mcverify.arch.architecture import Architecture
from mcverify.errors import InputError

Role = Literal["insn", "first", "end", "fixup", "handler", "data", "unread"]
"""What a word says: the instruction that may fault, or the first and the end of a range of such ones; where
it goes on; which handler answers; the word of [data]; or nothing that is of concern."""

ByteOrder = Literal["little", "big"]

ORIGINS = ("absolute", "field", "entry", "table")
"""What the number in a word counts from: nothing, the word itself, the begin of its entry or of the table.
In place of these there may be a symbol, ``@NAME``."""

_KEYS = (
    "words", "sections", "start", "end", "byte_order", "effects", "register", "imm",
    "kernels", "systems", "source", "automatic",
)  # fmt: skip
_EFFECTS = ("ax = trap", "ax = 0", "dx = 0", "reg = imm", "sp += 8", "cx = imm*cx + reg")
"""What a handler may do, of the vocabulary of `models/x86_64/extable.toml`."""

_ADDRESSES = ("insn", "first", "end", "fixup", "handler")
_WITHOUT_ADDRESS: Mapping[str, tuple[int, ...]] = {"data": (4,), "unread": (1, 2, 4, 8)}
_WORD = re.compile(r"(?P<role>\w+)(?: (?P<origin>absolute|field|entry|table|@[\w.$]+))? (?P<width>\d+)")
_HINT = 'a word is for instance "insn field 4", "fixup absolute 8", "fixup @_text 4" or "unread 4"'


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an entry: `width` bytes; `origin` is empty where the word is no address."""

    role: Role
    origin: str
    width: int

    @property
    def is_relocated(self) -> bool:
        """Whether a relocation writes it in an object: the distance from a symbol beside the code is known
        to the assembler."""
        return self.origin in ORIGINS

    @property
    def symbol(self) -> str:
        """The symbol that it counts from, empty if it is none."""
        return self.origin[1:] if self.origin.startswith("@") else ""


@dataclass(frozen=True)
class Layout:
    """How one entry is laid out. `name` is its key in the model, empty in a contract's file; `systems` are
    those that use it, `kernels` the versions of Linux. The table lies in sections named `sections`, or from
    the symbol `start` to the symbol `end`. `effects` are what the handler of each entry does, with
    `register` and `imm` (image/image.py: `Handler`)."""

    name: str
    kernels: str
    words: tuple[Word, ...]
    sections: tuple[str, ...]
    systems: tuple[str, ...] = ()
    byte_order: ByteOrder = "little"
    automatic: bool = True
    start: str = ""
    end: str = ""
    effects: tuple[str, ...] = ()
    register: str | None = None
    imm: int = 0

    @cached_property
    def size(self) -> int:
        """Bytes of one entry."""
        return sum(word.width for word in self.words)

    @cached_property
    def places(self) -> list[tuple[int, Word]]:
        """Offset within the entry and word."""
        starts = [sum(word.width for word in self.words[:i]) for i in range(len(self.words))]
        return list(zip(starts, self.words, strict=True))

    def shift(self, offset: int) -> int:
        """How far from the word at `offset` of the table the place lies that its distance counts from; the
        assembler adds so much to the distance from the word."""
        inside = offset % self.size
        word = next((word for place, word in self.places if place == inside), None)
        if word is None:
            return 0
        return {"entry": inside, "table": offset}.get(word.origin, 0)

    @property
    def third(self) -> Role | None:
        """The word that tells the handler, None where all entries have the same."""
        return next((word.role for word in self.words if word.role in ("handler", "data")), None)

    @property
    def is_of_linux(self) -> bool:
        """Whether it is one of Linux, whose version it tells."""
        return bool(self.kernels)

    @property
    def shown(self) -> str:
        """The layout in words: its name, and where it is used."""
        users = self.kernels or ", ".join(self.systems)
        return f"{self.name} ({users})" if users else self.name or "own (the contract's file)"


@cache
def layouts(arch: Architecture) -> tuple[Layout, ...]:
    """The layouts that are known on an architecture."""
    model = arch.model("extable.toml")["layouts"]
    return tuple(layout_of(name, entry, f"extable.toml: {name}", arch) for name, entry in model.items())


@cache
def systems(arch: Architecture) -> Mapping[str, tuple[Layout, ...]]:
    """The layouts of each system, by its name."""
    found: dict[str, tuple[Layout, ...]] = {}
    for layout in layouts(arch):
        for system in layout.systems:
            found[system] = (*found.get(system, ()), layout)
    return found


def named(name: str, arch: Architecture) -> tuple[Layout, ...]:
    """The layouts that `--table NAME` allows: the one of that name, or those of a system.

    Raises InputError for any other name.
    """
    own = tuple(layout for layout in layouts(arch) if layout.name == name)
    found = own or systems(arch).get(name, ())
    if not found:
        known = ", ".join(dict.fromkeys([*systems(arch), *(layout.name for layout in layouts(arch))]))
        raise InputError(
            f"there is no layout of exception tables {name!r}",
            hint=f"known are {known}; a contract's file may have a [table] of its own",
        )
    return found


def layout_of(name: str, values: Mapping[str, Any], where: str, arch: Architecture) -> Layout:
    """The layout that a table of TOML describes. Raises InputError, placed at `where`, where it is none."""
    for key in values:
        if key not in _KEYS:
            raise InputError(f"table.{key} is no key of a table", where=where)
    words = tuple(_word(text, where) for text in _strings(values, "words", where))
    _check_words(words, where)
    order = values.get("byte_order", "little")
    if order not in ("little", "big"):
        raise InputError(f'byte_order is "little" or "big", not {order!r}', where=where)
    start, end = values.get("start", ""), values.get("end", "")
    sections = _strings(values, "sections", where)
    if bool(start) != bool(end) or bool(sections) == bool(start):
        raise InputError(
            "a table lies in its sections, or from the symbol start to the symbol end", where=where
        )
    effects, register, imm = _strings(values, "effects", where), values.get("register"), values.get("imm", 0)
    check_effects(effects, register, imm, where, arch)
    return Layout(
        name=name,
        kernels=str(values.get("kernels", "")),
        words=words,
        sections=sections,
        systems=_strings(values, "systems", where),
        byte_order=cast("ByteOrder", order),
        automatic=bool(values.get("automatic", True)),
        start=str(start),
        end=str(end),
        effects=effects,
        register=register,
        imm=imm,
    )


def _strings(values: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    found = values.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InputError(f"{key} must be a list of strings, not {found!r}", where=where)
    return tuple(found)


def _word(text: str, where: str) -> Word:
    match = _WORD.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no word of an entry", where=where, hint=_HINT)
    role, origin, width = match["role"], match["origin"] or "", int(match["width"])
    widths = (4, 8) if role in _ADDRESSES else _WITHOUT_ADDRESS.get(role)
    if widths is None or width not in widths or bool(origin) != (role in _ADDRESSES):
        raise InputError(f"{text!r} is no word of an entry", where=where, hint=_HINT)
    return Word(cast("Role", role), origin, width)


def check_effects(
    effects: Iterable[str], register: object, imm: object, where: str, arch: Architecture
) -> None:
    """Refuse what no handler does here."""
    for effect in effects:
        if effect not in _EFFECTS:
            raise InputError(
                f"the effect {effect!r} of a handler is unknown",
                where=where,
                hint="known: " + ", ".join(_EFFECTS),
            )
        if "reg" in effect and register not in arch.general:
            raise InputError(f"the effect {effect!r} needs a register, and {register!r} is none", where=where)
    if type(imm) is not int or not -(1 << 63) <= imm < 1 << 64:
        raise InputError(f"imm is a number of 64 bits, not {imm!r}", where=where)


def _check_words(words: Iterable[Word], where: str) -> None:
    roles = [word.role for word in words]
    for role in set(roles) - {"unread"}:
        if roles.count(role) > 1:
            raise InputError(f"an entry has two words {role}", where=where)
    if {"handler", "data"} <= set(roles):
        raise InputError("an entry has a word handler or a word data, not both", where=where)
    one, several = "insn" in roles, {"first", "end"} & set(roles)
    if one == bool(several) or len(several) == 1 or "fixup" not in roles:
        raise InputError(
            'an entry has a word "insn", or "first" and "end" for a range, and a word "fixup"', where=where
        )

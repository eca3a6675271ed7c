"""An architecture as a value: names and widths of its state, calling convention, traps, all read from
`models/<folder>/cpu.toml`.

The lowest room: nothing here imports angr, z3, capstone or another room. What an architecture brings as code
lies in `mcverify.arch.<folder>` and is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, cast

from mcverify.arch.decoded import Decoded, Effects
from mcverify.models import models_dir, read_toml

ByteOrder = Literal["little", "big"]

BeforeFault = Literal["none", "any prefix"]
"""Which stores of an instruction with several accesses may have been done when a later access of it
faults."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a general register: `bits` bits from bit `shift` on. A write of it changes the bytes of
    `written`, a mask with one bit per byte (a 32-bit write of x86-64 clears the upper half)."""

    register: str
    bits: int
    shift: int
    written: int


@dataclass(frozen=True, slots=True)
class TrapNumbers:
    """The numbers of the traps that a memory access may raise, and the names of traps by number."""

    page_fault: int
    machine_check: int
    names: Mapping[int, str]
    on_load: tuple[int, ...]
    on_store: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in bytes: the longest copy that the kernel asks for, the first address behind user memory, and
    the most stack that a routine may use."""

    max_rw_count: int
    user_end: int
    own_frame: int


class _Decoder(Protocol):
    """The module `decode` of an architecture's folder."""

    def decode(self, code: bytes, address: int) -> Decoded | None: ...

    def effects(self, code: bytes, address: int) -> Effects | None: ...

    def text(self, code: bytes, address: int) -> str: ...


@dataclass(frozen=True, eq=False)
class Architecture:
    """What mcverify knows of one architecture. There is one value of each (`mcverify.arch.known`).

    `folder` names its data (`models/<folder>/`) and its code (`mcverify.arch.<folder>`). `general` are the
    general registers in encoding order, `word` bytes each; `parts` the names of their parts, the whole
    register among them. `flags` are the arithmetic flags and `control` the other flags that are modelled,
    both with their bits in the flags register; `vectors` the vector registers of `vector_bits` bits.
    `link` is the register that holds the return address at entry, None where it lies on the stack;
    `zero` one that always reads as zero. `modes` are parts of the state that must be a constant at each
    location, with the values that they have at entry and must have at each exit; `mode_names` are words for
    them, and `user_access` is the one that is not 0 while user memory may be accessed. `arguments` are the
    argument registers of a C function, in order, and `result` the one with its result. Below the stack
    pointer, `red_zone` bytes are the routine's own.
    """

    name: str
    folder: str
    elf_machine: int
    byte_order: ByteOrder
    word: int
    general: tuple[str, ...]
    parts: Mapping[str, Part]
    flags: Mapping[str, int]
    control: Mapping[str, int]
    flag_names: Mapping[str, int]
    vectors: tuple[str, ...]
    vector_bits: int
    stack_pointer: str
    link: str | None
    zero: str | None
    callee_saved: tuple[str, ...]
    arguments: tuple[str, ...]
    result: str
    modes: Mapping[str, int]
    mode_names: Mapping[str, str]
    user_access: str | None
    red_zone: int
    stores_before_fault: BeforeFault
    traps: TrapNumbers
    granularity: int
    limits: Limits

    @cached_property
    def widths(self) -> Mapping[str, int]:
        """Every name of a machine state and its width in bits."""
        return (
            dict.fromkeys(self.general, 8 * self.word)
            | dict.fromkeys((*self.flags, *self.control), 1)
            | dict.fromkeys(self.vectors, self.vector_bits)
        )

    @property
    def return_bytes(self) -> int:
        """How many bytes a call leaves on the stack: its return address, where there is no link register."""
        return 0 if self.link else self.word

    @cached_property
    def clobbered(self) -> tuple[str, ...]:
        """What a routine in C may change: registers that it need not restore, and the arithmetic flags."""
        kept = (*self.callee_saved, self.stack_pointer, self.zero)
        return (*(r for r in self.general if r not in kept), *self.flags)

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """The registers by the words of contracts: ``arg1`` for that of the first argument, ``result``."""
        numbered = {f"arg{number}": name for number, name in enumerate(self.arguments, 1)}
        return {**numbered, "result": self.result}

    @cached_property
    def _names(self) -> Mapping[tuple[str, int], str]:
        return {(part.register, part.bits): name for name, part in self.parts.items() if not part.shift}

    def part_name(self, register: str, bits: int) -> str:
        """The name of the low `bits` of a register: ``eax`` for 32 of ``rax``; the register's own for a width
        that none has."""
        return self._names.get((register, bits), register)

    @cached_property
    def _names_of(self) -> Mapping[str, tuple[str, ...]]:
        return {r: tuple(n for n, part in self.parts.items() if part.register == r) for r in self.general}

    def names_of(self, register: str) -> tuple[str, ...]:
        """The names of a general register and of its parts, the widest first, the second byte last."""
        return self._names_of[register]

    def whole(self, name: str) -> str | None:
        """The general register of which `name` is a part ("rax" for al, ah, ax, eax, rax); None for other
        names."""
        part = self.parts.get(name)
        return None if part is None else part.register

    @cached_property
    def _decoder(self) -> _Decoder:
        return cast("_Decoder", self.code("decode"))

    def code(self, name: str) -> ModuleType:
        """A module of the architecture's folder of code."""
        return import_module(f"mcverify.arch.{self.folder}.{name}")

    def decode(self, code: bytes, address: int) -> Decoded | None:
        """The instruction that `code` begins with, were it at `address`; None if it cannot be decoded."""
        return self._decoder.decode(code, address)

    def effects(self, code: bytes, address: int) -> Effects | None:
        """What that instruction does; None if it cannot be decoded."""
        return self._decoder.effects(code, address)

    def text(self, code: bytes, address: int) -> str:
        """That instruction in the syntax of the kernel's sources, "" if it cannot be decoded."""
        return self._decoder.text(code, address)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes the name goes, so that there is one value of each architecture in each."""
        return _by_folder, (self.folder,)

    def file(self, name: str) -> Path:
        """Where the file `name` of the architecture's folder of models lies."""
        return models_dir() / self.folder / name

    def model(self, name: str) -> dict[str, Any]:
        """The TOML file `name` of the architecture's folder of models. Shared: do not change it."""
        return read_toml(f"{self.folder}/{name}")


def _by_folder(folder: str) -> Architecture:
    from mcverify.arch.known import BY_FOLDER  # the table of all is behind this module

    return BY_FOLDER[folder]


def load(folder: str) -> Architecture:
    """The architecture of `models/<folder>/cpu.toml`."""
    cpu = read_toml(f"{folder}/cpu.toml")
    registers, abi, traps, limits = cpu["registers"], cpu["abi"], cpu["traps"], cpu["limits"]
    flags = cpu.get("flags", {})
    return Architecture(
        name=cpu["name"],
        folder=folder,
        elf_machine=cpu["elf"]["machine"],
        byte_order=cpu["elf"]["byte_order"],
        word=registers["word"],
        general=tuple(registers["general"]),
        parts=_parts(registers),
        flags={name.lower(): flags["bits"][name] for name in flags.get("arithmetic", ())},
        control={name.lower(): flags["bits"][name] for name in flags.get("control", ())},
        flag_names=flags.get("bits", {}),
        vectors=tuple(f"{registers['vector']}{n}" for n in range(registers.get("vectors", 0))),
        vector_bits=registers.get("vector_bits", 0),
        stack_pointer=abi["stack_pointer"],
        link=abi.get("link"),
        zero=registers.get("zero"),
        callee_saved=tuple(abi["callee_saved"]),
        arguments=tuple(abi["arguments"]),
        result=abi["result"],
        modes={name: mode["value"] for name, mode in abi.get("modes", {}).items()},
        mode_names={name: mode["name"] for name, mode in abi.get("modes", {}).items()},
        user_access=abi.get("user_access"),
        red_zone=abi["red_zone"],
        stores_before_fault=cpu["faults"]["stores_before_fault"],
        traps=TrapNumbers(
            page_fault=traps["page_fault"],
            machine_check=traps["machine_check"],
            names={int(number): name for number, name in traps["names"].items()},
            on_load=tuple(traps["on_load"]),
            on_store=tuple(traps["on_store"]),
        ),
        granularity=cpu["faults"]["granularity"],
        limits=Limits(limits["max_rw_count"], limits["user_end"], limits["own_frame"]),
    )


def _parts(registers: Mapping[str, Any]) -> dict[str, Part]:
    """The parts by name. In the file: a list of names for each register, in the order of `part_bits`, which
    ends with the second byte where that has a name."""
    whole = (1 << registers["word"]) - 1
    found: dict[str, Part] = {}
    bits = registers.get("part_bits", ())
    clearing = registers.get("clearing_bits", 0)
    for register in registers["general"]:
        found[register] = Part(register, 8 * registers["word"], 0, whole)
        for width, name in zip(bits, registers.get("parts", {}).get(register, ()), strict=False):
            written = whole if width == clearing else (1 << width // 8) - 1
            found[name] = Part(register, width, 0, written)
    for register, name in registers.get("second_bytes", {}).items():
        found[name] = Part(register, 8, 8, 0b10)
    return found

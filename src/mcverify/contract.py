"""A contract: what a copy routine is given, what it must return, what must hold.

A contract is data: a TOML file below `models/contracts/` or one of the user's own. Its text
names every key; here it becomes a value, or an InputError that says which key is wrong.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from mcverify.arch.architecture import Architecture
from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.foreign import read_regular
from mcverify.kernels import first_kernel, overlap
from mcverify.layouts import Layout, layout_of, named
from mcverify.models import models_dir
from mcverify.scopes import makes_sense
from mcverify.shown import printable
from mcverify.windows import Window, window_of

Faults = Literal["loads", "stores", "both", "loads and entries", "stores and entries"]
"""Which accesses may fault: all loads, all stores, all of both; or all of one kind, and of the other those
with an exception-table entry."""

FaultModel = Literal["persistent", "mixed", "transient"]
"""Whether a bad address stays bad while the routine runs. Under "persistent" it does. Under "transient" each
access faults or not by itself, as another thread that unmaps and maps pages can make it. "mixed" asks what
keeps the kernel safe under transient faults (`scopes.needs_transient`), and the rest under persistent ones
where that is needed."""

KindName = Literal["load", "store"]
Data = Literal["copy", "zero", "value", "fill", "compare", "swap", "add"]
Told = Literal["left", "done", "address"]
"""How a register tells the count of bytes left: it is that count, the count of bytes done, or the address of
the byte that faulted (0: none did)."""

Traps = Literal["pf", "mc", "both"]
"""Which faults may strike: page faults, machine checks (on loads alone), or either."""

FAULT_MODELS = ("persistent", "mixed", "transient")

OBLIGATIONS = tuple(f"O{number}" for number in range(1, 11))
"""Ids of the obligations, in order; docs/obligations.md says what each means."""

REGISTERS = X86_64.general

_FLAGS = ("cf", "zf")
"""Flags that may be a status."""

BOOL = 8
"""Bits of a C bool in a register: 0 or 1; what lies above is undefined (System V AMD64 ABI 1.0, 3.2.3)."""

CALLEE_SAVED = X86_64.callee_saved

MACHINE_CHECK = X86_64.traps.machine_check
"""Trap number of #MC, after which a contract may ask for less."""

_LARGEST, _LONGEST_LINE = 64 << 10, 1000
"""Bytes of a contract's file, and characters of a line: for many dots TOML's reader is not linear."""

WORD = 8
"""Bytes of a register: a routine that moves a value between one and memory moves no more."""

EXCHANGES = ("compare", "swap", "add")
"""Kinds of `data` where one locked instruction loads and stores a word."""

_OF_A_VALUE = ("O1", "O6", "O7", "O8", "O9")
"""What can be asked of a routine that has no destination: the others speak of stored bytes."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What one routine, or a family of them, promises.

    `dst`, `src` (None for a clear) and `len` are the argument registers; in place of `len` there may be
    a fixed `size` in bytes. `stored_value` is the register whose bytes are to be stored, where there is no
    source; of a fill its low `unit` bytes, again and again; `loaded_value` the one that returns the bytes of
    src, zero-extended, and 0 after a fault, where there is no dst. Of `left` (count of bytes left) and
    `status` (zero or non-zero) exactly one names a register; `trap` may name the one that returns the trap
    number. `told` is how `left` says it: with an address there may be a status besides. `handed` are the
    registers into which the handler of each entry puts the "address" and the number ("trap") of a fault, in
    place of what the table says of it. `string_length`: src is a string, of at most `len` bytes, and the
    register returns how many of them lie before its first zero byte (all, if there is none), with
    `counts_nul` that one among them (more than `len`, if there is none), or `error`. `over_report` is how
    many bytes `left` may exceed the missing ones by.
    `given` are registers with a fixed value at entry, `preserved` those
    that must come back unchanged besides the callee-saved ones, `clobbered` such of the latter as need
    not. `user`: the buffer lies below the end of user memory. `obligations` bind after a page fault or none,
    `on_machine_check` after a machine check (the same ones unless the file says otherwise).
    After a machine check `left` may exceed the missing bytes by `over_report_on_machine_check`. `reads_user`:
    src is user memory where a machine check strikes; `recoverable`: O1 asks for an entry at which the kernel
    recovers from one also where page faults are looked at besides.
    `traps` says which faults may strike at all, `fault_model` whether they stay.
    `status_inverted`: non-zero means success. `success_unasked`: what `status` is on success is not asked;
    `error`: the number that it is after a fault, in its low 32 bits (None: any that is no success).
    `widths` are the bits of `left`, `status` and `trap`, by these names, where not the whole register is
    used: what lies above is not looked at.
    `faults_by_table`: of `faults` "both", a kind of access faults only if the routine has an entry for one of
    that kind. `routines` maps a routine's name to the kernels in which it bears the contract, if its code
    reads the registers `when_reads`. A routine may return nothing of which anything is asked.
    `rest_zeroed`: bytes of dst that are reported left may have been set to zero, where the low 32 bits of the
    register `zero_rest`, if there is one, are not zero at entry; with `zeroes_rest` they must be.
    Where `data` is one of `EXCHANGES` the word at dst is exchanged by one locked instruction: "swap" puts
    `stored_value` there, "add" adds it, "compare" puts it there if the word is that of the register
    `compared`; `found` returns the word as it was, unless a fault was taken. `window` is what stands in place
    of an exception table, if the file says.
    """

    name: str
    summary: str
    dst: str | None
    src: str | None
    len: str | None
    size: int | None
    stored_value: str | None
    loaded_value: str | None
    left: str | None
    status: str | None
    trap: str | None
    obligations: tuple[str, ...]
    on_machine_check: tuple[str, ...]
    reads_user: bool
    recoverable: bool
    faults: Faults
    data: Data
    over_report: int
    over_report_on_machine_check: int
    traps: Traps
    fault_model: FaultModel
    status_inverted: bool
    success_unasked: bool
    error: int | None
    user: bool
    clobbered: tuple[str, ...]
    given: Mapping[str, int]
    preserved: tuple[str, ...]
    routines: Mapping[str, str]
    when_reads: tuple[str, ...]
    source: str
    widths: Mapping[str, int] = field(default_factory=dict)
    faults_by_table: bool = False
    rest_zeroed: bool = False
    zero_rest: str | None = None
    callee_saved: tuple[str, ...] = CALLEE_SAVED
    unit: int | None = None
    zeroes_rest: bool = False
    string_length: str | None = None
    counts_nul: bool = False
    told: Told = "left"
    handed: Mapping[str, str] = field(default_factory=dict)
    compared: str | None = None
    found: str | None = None
    window: Window | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The argument registers, dst first."""
        named = (self.dst, self.src, self.len, self.stored_value, self.zero_rest, self.compared)
        return tuple(r for r in named if r is not None)

    @property
    def is_exchange(self) -> bool:
        """Whether one locked instruction is to load and store a word."""
        return self.data in EXCHANGES

    @property
    def results(self) -> tuple[str, ...]:
        """The registers of which something is asked at the return."""
        named = (self.left, self.status, self.string_length, self.trap, self.loaded_value, self.found)
        return tuple(r for r in named if r is not None)

    def bits(self, role: str) -> int:
        """The width of the result `role` ("left", "status", "trap")."""
        return self.widths.get(role, 8 * WORD)

    def result(self, role: str, registers: Mapping[str, int]) -> int:
        """The value of the result `role`, which the contract names, in `registers`, the low part
        where it is one."""
        register = getattr(self, role)
        if register in _FLAGS:
            return registers["rflags"] >> X86_64.flags[register] & 1
        return registers[register] % (1 << self.bits(role))

    def zeroes(self, initial: Mapping[str, int]) -> bool:
        """Whether what is left may be, or must be, zeroed in a call with `initial` registers."""
        is_asked = self.zero_rest is None or bool(initial[self.zero_rest] % (1 << 32))
        return self.rest_zeroed and is_asked

    def length_is_right(self, value: int, nul: int, length: int) -> bool:
        """Whether `value` is the length of a string whose first zero byte is number `nul` of at most `length`
        bytes (`length`: it has none)."""
        if self.counts_nul and nul == length:
            return value > length
        return value == nul + self.counts_nul

    def left_of(self, registers: Mapping[str, int], initial: Mapping[str, int], length: int) -> int:
        """The count of bytes left of `length` that `registers` tell at a return, where the routine was called
        with `initial` ones. What tells of no byte of the buffers is the largest number."""
        value = self.result("left", registers)
        if self.told == "left":
            return value
        if self.told == "done":
            return (length - value) % (1 << 64)
        if not value if self.status is None else self.succeeded(self.result("status", registers)):
            return 0
        bases = (initial[register] for register in (self.src, self.dst) if register is not None)
        offsets = ((value - base) % (1 << 64) for base in bases)
        return next((length - offset for offset in offsets if offset < length), (1 << 64) - 1)

    def succeeded(self, status: int) -> bool:
        """Whether a status says that no fault was taken."""
        return (status != 0) == self.status_inverted

    def named(self, role: str) -> str | None:
        """The name of the register, or of the part of one, that is the result `role`."""
        register = getattr(self, role)
        return None if register is None else X86_64.part_name(register, self.bits(role))

    @property
    def value_name(self) -> str | None:
        """The name of the register, or of the part of one, whose bytes are to be stored."""
        if self.stored_value is None or self.unit is None:
            return self.stored_value
        return X86_64.part_name(self.stored_value, 8 * self.unit)

    @property
    def status_is_bool(self) -> bool:
        """Whether the status is a C bool: exactly 1 for success, 0 after a fault."""
        return self.status_inverted and self.bits("status") == BOOL

    @property
    def kept(self) -> tuple[str, ...]:
        """All registers, but rsp, that must hold their entry value at an exit."""
        return tuple(r for r in self.callee_saved if r not in self.clobbered) + self.preserved

    @property
    def buffers(self) -> str:
        """The buffers in words."""
        return " and ".join(name for name in ("src", "dst") if getattr(self, name) is not None)

    @property
    def load_traps(self) -> tuple[int, ...]:
        """Numbers of the traps that a load may raise."""
        return _of_kind(self.traps, X86_64.traps.on_load)

    @property
    def store_traps(self) -> tuple[int, ...]:
        """Numbers of the traps that a store may raise: no machine check, which is never recoverable there."""
        return _of_kind(self.traps, X86_64.traps.on_store)

    @property
    def terms(self) -> Contract:
        """The contract without what is said for readers alone."""
        return replace(self, summary="", source="", routines={}, when_reads=())

    @property
    def asks_recovery(self) -> bool:
        """Whether O1 asks at a load for an entry at which the kernel recovers from a machine check."""
        return self.recoverable or self.traps == "mc"

    def restricted(self, traps: Traps) -> Contract:
        """The same contract where faults of other kinds do not happen."""
        return replace(self, traps=traps)

    def under(self, fault_model: FaultModel) -> Contract:
        """The same contract with faults that stay, or that come and go."""
        return replace(self, fault_model=fault_model)

    def over_report_after(self, trap: int | None) -> int:
        """How many bytes behind the claim may be stored after a last fault with number `trap`."""
        return self.over_report_on_machine_check if trap == MACHINE_CHECK else self.over_report

    def status_is_right(self, value: int, *, faulted: bool) -> bool:
        """Whether `value`, of the status's width, may be the status after a fault, or without one."""
        if not faulted and self.success_unasked:
            return True
        if faulted and self.error is not None:
            return value % (1 << self.error_bits) == self.error % (1 << self.error_bits)
        if self.status_is_bool and not faulted:
            return value == 1
        return ((value != 0) != self.status_inverted) == faulted

    @property
    def error_bits(self) -> int:
        """How many low bits of the status, or of the length of a string, are compared with `error`."""
        return self.bits("string_length") if self.string_length else min(32, self.bits("status"))

    def binding(self, trap: int | None) -> tuple[str, ...]:
        """The obligations that bind after a last fault with number `trap` (None: no fault)."""
        return self.on_machine_check if trap == MACHINE_CHECK else self.obligations


def can_fault(faults: str, kind: str) -> bool:
    """Whether some accesses of the kind ("load", "store") may fault, by one of `Faults`."""
    return faults in ("both", f"{kind}s") or faults.endswith("and entries")


def faults_by_entry(faults: str) -> KindName | None:
    """The kind of access of which those with an entry alone may fault; None if there is none."""
    return {"loads and entries": "store", "stores and entries": "load"}.get(faults)  # type: ignore[return-value]


def faults_in_words(faults: str) -> str:
    """One of `Faults`, in words."""
    by_entry = faults_by_entry(faults)
    if by_entry is not None:
        return f"{'loads' if by_entry == 'store' else 'stores'}, and {by_entry}s that have an entry,"
    return {"both": "loads and stores"}.get(faults, faults)


def _of_kind(traps: Traps, numbers: Iterable[int]) -> tuple[int, ...]:
    wanted = {"pf": (False,), "mc": (True,), "both": (False, True)}[traps]
    return tuple(number for number in numbers if (number == MACHINE_CHECK) in wanted)


def load_contract(name_or_path: str | Path) -> Contract:
    """The contract of that name under `models/contracts/`, or the one in a TOML file.

    What ends in ``.toml`` or holds a ``/`` is a path. Raises InputError, also where the file takes the name
    of a shipped one for other terms: reports tell contracts by their names.
    """
    text = str(name_or_path)
    if text.endswith(".toml") or "/" in text:
        own = _read(Path(text))
        shipped = _shipped().get(own.name)
        if shipped is not None and own.terms != shipped.terms:
            raise InputError(
                f"name is {own.name!r}, that of a contract which comes with mcverify and says something else",
                where=text,
                hint="give it a name of its own",
            )
        return own
    if text not in _shipped():
        raise InputError(
            f"there is no contract {text!r}{_near(text, _shipped())}",
            hint="the contracts are " + ", ".join(_shipped()) + "; or give the path of a .toml file",
        )
    return _shipped()[text]


def table_of(name_or_path: str | Path) -> tuple[Layout, ...]:
    """The layouts that the [table] of a contract's file allows an exception table, none without one.

    Raises InputError where the file cannot be read, or the table is none.
    """
    text = str(name_or_path)
    if not (text.endswith(".toml") or "/" in text):
        return ()
    return _table(_tree(Path(text)), text)


def layouts_allowed(table: str | None, contract: str | Path | None) -> tuple[Layout, ...]:
    """The layouts that `--table` or the file of `--contract` allow an exception table; none for all that are
    known. Raises InputError for a name that is unknown, and where the file is none."""
    if table is not None:
        return named(table, X86_64)
    return table_of(contract) if contract is not None else ()


def _table(tree: Mapping[str, Any], where: str) -> tuple[Layout, ...]:
    values = tree.get("table")
    if values is None:
        return ()
    if not isinstance(values, dict):
        raise InputError(f"table must be {_KINDS[dict]}, not {values!r}", where=where)
    if "layout" not in values:
        return (layout_of("", values, where, X86_64),)
    name = values["layout"]
    if len(values) > 1 or not isinstance(name, str):
        raise InputError("table.layout is the name of a layout, and alone in its table", where=where)
    return named(name, X86_64)


def shipped_contract(name: str) -> Contract:
    """The contract of that name under `models/contracts/`. Raises InputError for any other: what a comment in
    a source names must not be a file that its author wrote as well."""
    if name in _shipped():
        return _shipped()[name]
    if name.endswith(".toml") or "/" in name:
        raise InputError(
            f"a comment may name a contract that comes with mcverify, and {printable(name)!r} is a file",
            hint="give it with --contract FILE, if you have read it",
        )
    return load_contract(name)


def all_contracts() -> tuple[Contract, ...]:
    """The contracts under `models/contracts/`, by name."""
    return tuple(_shipped().values())


def contract_for(routine: str, kernels: str = "") -> Contract | None:
    """The contract that the kernel's routine of that name bears, None for an unknown routine.

    A name that has borne several has that of `kernels` ("6.4 on", "6.12.57"); where these leave more than
    one, or are not known (""), the one of the oldest kernels.
    """
    known = _by_routine().get(routine, ())
    if len(known) == 1:
        return known[0]
    fitting = [c for c in known if kernels and overlap(c.routines[routine], kernels)]
    return next(iter(fitting if len(fitting) == 1 else known), None)


def contracts_for(routine: str) -> tuple[Contract, ...]:
    """All contracts that the kernel's routine of that name has borne, the oldest first."""
    return _by_routine().get(routine, ())


@cache
def _by_routine() -> dict[str, tuple[Contract, ...]]:
    found: dict[str, tuple[Contract, ...]] = {}
    for contract in all_contracts():
        for name in contract.routines:
            found[name] = (*found.get(name, ()), contract)
    return {
        name: tuple(sorted(contracts, key=lambda c: first_kernel(c.routines[name])))
        for name, contracts in found.items()
    }


@cache
def _shipped(architecture: Architecture = X86_64) -> dict[str, Contract]:
    contracts = (_read(path, architecture) for path in sorted((models_dir() / "contracts").glob("*.toml")))
    return {contract.name: contract for contract in contracts}


def _read(path: Path, architecture: Architecture = X86_64) -> Contract:
    tree = _tree(path)
    try:
        return contract_of(tree, str(path), architecture)
    except RecursionError as error:
        raise InputError(
            "the contract has tables within tables, too deep to be read", where=str(path)
        ) from error


def _tree(path: Path) -> dict[str, Any]:
    try:
        text = read_regular(path, _LARGEST).decode("utf-8")
        if any(len(line) > _LONGEST_LINE for line in text.split("\n")):
            raise InputError(
                f"a contract has no line of more than {_LONGEST_LINE} characters", where=str(path)
            )
        return tomllib.loads(text)
    except OSError as error:
        raise InputError(f"cannot read the contract: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the contract is not TOML: {error}", where=str(path)) from error


def contract_of(tree: Mapping[str, Any], where: str, architecture: Architecture = X86_64) -> Contract:
    """The contract that a tree of tables says, as it comes out of a TOML file, on an architecture: words for
    roles (``arg1``, ``result``) become its registers.

    Raises InputError, placed at `where`, for a key that is missing, unknown or wrong.
    """
    _table(tree, where)
    return _contract(_Table(tree, where, architecture))


class _Table:
    """A TOML table whose keys are asked for by type; `done` refuses those that nobody asked for."""

    def __init__(
        self, values: Mapping[str, Any], where: str, architecture: Architecture, prefix: str = ""
    ) -> None:
        self._values = values
        self.architecture = architecture
        self._prefix = prefix
        self._asked: list[str] = []
        self.where = where

    def wrong(self, key: str, what: str, hint: str | None = None) -> InputError:
        """The error that says what is wrong with a key."""
        return InputError(f"{self._prefix}{key} {what}", where=self.where, hint=hint)

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of `key`, of type `kind`; `default` where it is absent."""
        self._asked.append(key)
        value = self._values.get(key, default)
        if key in self._values and type(value) is not kind:
            raise self.wrong(key, f"must be {_KINDS[kind]}, not {value!r}")
        return value

    def need(self, key: str, kind: type) -> Any:
        """The value of a key that may not be absent."""
        if key not in self._values:
            raise self.wrong(key, f"is missing; it is {_KINDS[kind]}")
        return self.get(key, kind)

    def table(self, key: str) -> _Table:
        """The sub-table `key`, empty where it is absent."""
        return _Table(self.get(key, dict, {}), self.where, self.architecture, f"{self._prefix}{key}.")

    def words(self, key: str, allowed: Iterable[str], default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of words out of `allowed`."""
        values = self.get(key, list, list(default))
        return tuple(self.known(key, value, allowed) for value in values)

    def word(self, key: str, allowed: Iterable[str], default: str | None = None) -> str | None:
        """One word out of `allowed`; `default` where the key is absent."""
        value = self.get(key, str, default)
        return value if value is None else self.known(key, value, allowed)

    def part(self, key: str, flags: tuple[str, ...] = ()) -> tuple[str, int] | None:
        """A register or a low part of one, as the whole one and the width in bits, or one of the `flags`, of
        1 bit; None where the key is absent."""
        name = self.get(key, str, None)
        if name is None:
            return None
        parts = self.architecture.parts
        low = [n for n, part in parts.items() if not part.shift]
        name = self.known(key, name, (*low, *flags))
        if name in flags:
            return name, 1
        part = parts[name]
        return part.register, part.bits

    def known(self, key: str, value: object, allowed: Iterable[str]) -> str:
        """`value`, if it is one of `allowed`, or the register that has this role."""
        if isinstance(value, str):
            value = self.architecture.roles.get(value, value)
        allowed = tuple(allowed)
        if not isinstance(value, str) or value not in allowed:
            near = _near(value, allowed) if isinstance(value, str) else ""
            raise self.wrong(key, f"names {value!r}, which is unknown{near}", "known: " + ", ".join(allowed))
        return value

    def pairs(self, kind: type) -> dict[str, Any]:
        """All keys with values of one type."""
        return {key: self.get(key, kind) for key in self._values}

    def done(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                raise self.wrong(key, f"is not a key of a contract{_near(key, self._asked)}")


_KINDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _contract(top: _Table) -> Contract:
    arguments, result, state = top.table("arguments"), top.table("result"), top.table("state")
    machine_check, fault = top.table("machine_check"), top.table("fault")
    registers = top.architecture.general
    obligations = _obligations(top, OBLIGATIONS, None)
    src = arguments.word("src", registers)
    loaded_value = result.word("value", registers)
    size = arguments.get("size", int)
    stored_value, unit = _stored_value(arguments, size)
    data = "copy" if src else "fill" if unit else "value" if stored_value else "zero"
    over_report = top.get("over_report", int, 0)
    status_inverted = result.get("status_inverted", bool, False)
    success_unasked = result.get("success_unasked", bool, False)
    told, left = _told(result)
    zeroes_rest = result.get("zeroes_rest", bool, False)
    may_zero = result.get("rest_zeroed", bool, False) or arguments.get("zero_rest", str) is not None
    rest_zeroed = zeroes_rest or may_zero
    results = {"left": left, **{role: result.part(role, _FLAGS) for role in ("status", "trap")}}
    results["string_length"] = result.part("length")
    results["found"] = result.part("found")
    status = results["status"]
    if status is not None and status_inverted and not success_unasked and status[1] == 8 * WORD:
        results["status"] = status[0], BOOL
    is_user = state.get("user", bool, False)
    contract = Contract(
        name=_name(top),
        summary=top.get("summary", str, ""),
        source=top.get("source", str, ""),
        obligations=obligations,
        on_machine_check=_obligations(machine_check, obligations, obligations),
        reads_user=machine_check.word("src", ("user", "kernel"), "user" if is_user else "kernel") == "user",
        recoverable=machine_check.get("recoverable", bool, False),
        faults=cast("Faults", top.word("faults", ("loads", "stores", "both"), "loads" if src else "stores")),
        data=cast("Data", top.word("data", ("copy", "zero", "value", "fill", *EXCHANGES), data)),
        compared=arguments.word("old", registers),
        found=_whole(results["found"]),
        faults_by_table=top.get("faults_by_table", bool, False),
        over_report=over_report,
        over_report_on_machine_check=machine_check.get("over_report", int, over_report),
        traps=cast("Traps", top.word("traps", ("pf", "mc", "both"), "both")),
        fault_model=cast("FaultModel", top.word("fault_model", FAULT_MODELS, "mixed")),
        dst=arguments.word("dst", registers)
        if loaded_value or results["string_length"]
        else _register(arguments, "dst"),
        src=src,
        len=_register(arguments, "len") if size is None else arguments.word("len", registers),
        size=size,
        stored_value=stored_value,
        loaded_value=loaded_value,
        left=_whole(results["left"]),
        status=_whole(results["status"]),
        trap=_whole(results["trap"]),
        widths={role: part[1] for role, part in results.items() if part and part[1] < 8 * WORD},
        status_inverted=status_inverted,
        success_unasked=success_unasked,
        error=result.get("error", int),
        user=is_user,
        clobbered=state.words("clobbered", top.architecture.callee_saved, ()),
        given=_given(state.table("given")),
        preserved=state.words("preserved", registers, ()),
        routines=top.table("routines").pairs(str),
        when_reads=state.words("when_reads", top.architecture.arguments[2:], ()),
        rest_zeroed=rest_zeroed,
        zeroes_rest=zeroes_rest,
        zero_rest=arguments.word("zero_rest", registers),
        callee_saved=top.architecture.callee_saved,
        unit=unit,
        string_length=_whole(results["string_length"]),
        counts_nul=result.get("counts_nul", bool, False),
        told=told,
        handed=_handed(fault),
    )
    nothing = result.get("nothing", bool, False)
    if (window := top.get("window", dict)) is not None:
        contract = replace(contract, window=window_of("window", window, top.where, top.architecture))
        if contract.window is not None and contract.window.argument in contract.arguments:
            raise top.wrong("window.argument", "is the register of another argument")
    top.get("table", dict)  # of the file's exception table: `table_of`
    for table in (top, arguments, result, state, machine_check, fault):
        table.done()
    _check(contract, top, nothing=nothing)
    return contract


def _told(result: _Table) -> tuple[Told, tuple[str, int] | None]:
    """How the count of bytes left is told, and by what."""
    keys: Mapping[str, Told] = {"left": "left", "done": "done", "fault_address": "address"}
    found = {key: part for key in keys if (part := result.part(key)) is not None}
    if len(found) > 1:
        raise result.wrong(list(found)[1], f"tells the count of bytes left, and {next(iter(found))} does too")
    return next(((keys[key], part) for key, part in found.items()), ("left", None))


def _handed(fault: _Table) -> dict[str, str]:
    """The registers in which the handler leaves what a fault was."""
    found = {what: fault.word(what, fault.architecture.general) for what in ("address", "trap")}
    return {what: register for what, register in found.items() if register is not None}


def _stored_value(arguments: _Table, size: int | None) -> tuple[str | None, int | None]:
    """The register whose bytes are to be stored, and of a fill, which has a length in place of a size, how
    many of them: those of the part that is named."""
    if size is not None:
        return arguments.word("value", arguments.architecture.general), None
    part = arguments.part("value")
    return (None, None) if part is None else (part[0], part[1] // 8)


def _whole(part: tuple[str, int] | None) -> str | None:
    return None if part is None else part[0]


def _name(top: _Table) -> str:
    name: str = top.need("name", str)
    if not name.strip() or printable(name) != name:
        raise top.wrong("name", f"must be text on one line, not {name!r}")
    return name


def _register(table: _Table, key: str) -> str:
    table.need(key, str)
    return cast("str", table.word(key, table.architecture.general))


def _obligations(table: _Table, allowed: tuple[str, ...], default: tuple[str, ...] | None) -> tuple[str, ...]:
    if default is None:
        table.need("obligations", list)
    chosen = table.words("obligations", allowed, default or ())
    return tuple(o for o in OBLIGATIONS if o in chosen)


def _given(table: _Table) -> dict[str, int]:
    values: dict[str, int] = table.pairs(int)
    for register in values:
        table.known(register, register, table.architecture.general)
    roles = table.architecture.roles
    found = {roles.get(name, name): value & (1 << 64) - 1 for name, value in values.items()}
    if len(found) < len(values):
        raise table.wrong("", "names one register twice")
    return found


def _check(contract: Contract, top: _Table, *, nothing: bool) -> None:
    named = [r for r in (contract.left, contract.status, contract.string_length) if r is not None]
    both, neither = len(named) > (2 if contract.told == "address" else 1), not named
    if both or (neither and not nothing):
        raise top.wrong("result", "must name exactly one of left and status", "or say nothing = true")
    if nothing and not neither:
        raise top.wrong("result", "says that it is nothing, but names a register")
    if min(contract.over_report, contract.over_report_on_machine_check) < 0:
        raise top.wrong("over_report", "must not be negative; it is a number of bytes")
    _check_data(contract, top)
    _check_exchange(contract, top)
    _check_values(contract, top)
    _check_told(contract, top)
    _check_string(contract, top)
    told = contract.status is not None or contract.string_length is not None
    if (contract.status is None and contract.success_unasked) or (not told and contract.error is not None):
        raise top.wrong("result", "says what the status is, but names no status")
    for identifier in {*contract.obligations, *contract.on_machine_check}:
        if not makes_sense(identifier, contract):
            raise top.wrong("obligations", f"holds {identifier}, about a count, but result.left names none")
    if contract.src is None and contract.faults != "stores":
        raise top.wrong("faults", f'is "{contract.faults}", but a routine without a source has stores only')
    _check_registers(contract, top)


def _check_string(contract: Contract, top: _Table) -> None:
    """Refuse what the length of a string does not go together with."""
    if contract.string_length is None:
        if contract.counts_nul:
            raise top.wrong("result.counts_nul", "is about the length of a string: result.length names none")
        return
    if contract.src is None or contract.len is None:
        raise top.wrong("result.length", "is that of a string in src, of at most len bytes")
    if contract.error is None or not (contract.error < 0 or (contract.error == 0 and contract.counts_nul)):
        raise top.wrong("result.error", "must be a negative number, what no length is (or 0 with counts_nul)")
    if contract.dst is None and (contract.faults != "loads" or "O4" in contract.obligations):
        raise top.wrong("result.length", 'without a dst goes with faults = "loads", and without O4')
    if contract.loaded_value or contract.rest_zeroed or contract.trap:
        raise top.wrong("result.length", "is all that a string's routine returns")


def _check_told(contract: Contract, top: _Table) -> None:
    """Refuse what does not go together with the address of a fault, or with a flag."""
    if "address" in (*contract.handed, contract.told) and contract.traps != "pf":
        raise top.wrong("traps", 'must be "pf": a machine check does not tell the address of a byte')
    if contract.told == "address" and contract.bits("left") < 8 * WORD:
        raise top.wrong("result.fault_address", "must be a whole register")
    if len(set(contract.handed.values())) < len(contract.handed) or "rsp" in contract.handed.values():
        raise top.wrong("fault", "names rsp, or one register twice")
    if contract.trap in _FLAGS:
        raise top.wrong("result.trap", "is a number, and a flag holds none")
    if contract.status in _FLAGS and contract.error is not None:
        raise top.wrong("result.error", "is a number, and the status is a flag")


def _check_data(contract: Contract, top: _Table) -> None:
    """Refuse a kind of data that does not go together with the registers which hold it."""
    if contract.data == "copy" and contract.src is None:
        raise top.wrong("data", 'is "copy", but arguments.src names no register', 'a clear has data = "zero"')
    if contract.data in ("value", "fill", *EXCHANGES) and contract.stored_value is None:
        raise top.wrong("data", f'is "{contract.data}", but arguments.value names no register')
    if contract.stored_value is not None and (contract.data == "fill") != (contract.unit is not None):
        raise top.wrong("data", 'is "fill" where arguments has a len, "value" where it has a size')
    if contract.data != "copy" and contract.src is not None:
        raise top.wrong("data", f'is "{contract.data}", but arguments.src names a register')
    if contract.data not in ("value", "fill", *EXCHANGES) and contract.stored_value is not None:
        raise top.wrong("data", f'is "{contract.data}", but arguments.value names a register')


def _check_exchange(contract: Contract, top: _Table) -> None:
    """Refuse an exchange that does not say of what, and what belongs to one elsewhere."""
    if (contract.data == "compare") != (contract.compared is not None):
        raise top.wrong("arguments.old", 'is for data = "compare", which needs it')
    if not contract.is_exchange:
        if contract.found is not None:
            raise top.wrong("result.found", "is for data that are exchanged")
        return
    if contract.size not in (4, WORD) or contract.status is None:
        raise top.wrong("data", f'is "{contract.data}", of a word of 4 or 8 bytes, which returns a status')
    if contract.found is not None and contract.bits("found") < 8 * contract.size:
        raise top.wrong("result.found", f"has less than {contract.size} bytes")


def _check_values(contract: Contract, top: _Table) -> None:
    """Refuse a value in a register that is no whole word, or that goes together with what it stands for."""
    if contract.size is not None and contract.len is not None:
        raise top.wrong("arguments", "must name one of len and size, not both")
    if contract.size is not None and contract.size < 1:
        raise top.wrong("arguments.size", "must be positive; it is a number of bytes")
    if contract.unit is not None or (contract.stored_value is None and contract.loaded_value is None):
        return
    if contract.size not in (1, 2, 4, WORD):
        raise top.wrong("arguments.size", "must be 1, 2, 4 or 8, since a register holds the bytes")
    if contract.loaded_value is None:
        return
    if contract.dst is not None or contract.src is None:
        raise top.wrong("result.value", "is for a routine with a src and no dst")
    if contract.faults != "loads":
        raise top.wrong("faults", f'is "{contract.faults}", but a routine without a dst has loads only')
    if beyond := [o for o in contract.obligations if o not in _OF_A_VALUE]:
        raise top.wrong("obligations", f"holds {beyond[0]}, about stored bytes, but there is no dst")


def _check_registers(contract: Contract, top: _Table) -> None:
    if contract.rest_zeroed and (contract.data != "copy" or contract.left is None):
        raise top.wrong("result.rest_zeroed", "is for a copy that returns a count of bytes left")
    for register in (*contract.arguments, *contract.given):
        if (*contract.arguments, *contract.given).count(register) > 1:
            raise top.wrong("arguments", f"use {register} twice")
    results = contract.results
    for register in results:
        if results.count(register) > 1:
            raise top.wrong("result", f"uses {register} twice")
    stack = top.architecture.stack_pointer
    if stack in (*contract.arguments, *contract.given, *contract.preserved, *results):
        raise top.wrong("arguments", f"cannot use {stack}, the stack pointer")
    for register in contract.kept:
        if register in results:
            raise top.wrong("result", f"cannot use {register}, which the routine must preserve")


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

"""What a routine does after a fault, as far as its code tells: without a solver, without a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import capstone

from mcverify.arch.decoded import Decoded
from mcverify.contract import Contract
from mcverify.image.image import Image, TableEntry
from mcverify.runs.code import accesses_memory
from mutants import registers
from mutants.source import reached

Bytes = Mapping[str, int]
"""Bytes of registers, as masks by the register's name."""


@dataclass(frozen=True, slots=True)
class Change:
    """The entries of two routines for the same instruction, which differ (None: there is no entry).

    `handler_only`: the same code follows, after another handler.
    """

    right: TableEntry | None
    mutant: TableEntry | None
    handler_only: bool


def changes(right: Image, mutant: Image) -> list[Change]:
    """Where two routines with the same code up to the first fault differ after it.

    Instructions are the same if they bear the same label.
    """
    ours, theirs = _by_label(right), _by_label(mutant)
    found = []
    for label in {**ours, **theirs}:
        one, two = ours.get(label), theirs.get(label)
        same_code = one is not None and two is not None and _behind(right, one) == _behind(mutant, two)
        if not same_code or (one and one.handler) != (two and two.handler):
            found.append(Change(one, two, same_code))
    return found


def usual_code(image: Image) -> dict[int, bytes]:
    """The instructions that run without a fault, by address."""
    return {a: i.code for a, i in reached(image, (f.address for f in image.functions)).items()}


def stores_nothing(image: Image, entry: TableEntry) -> bool:
    """Whether nothing is loaded or stored behind a fault, but for what is popped from the stack."""
    behind = reached(image, [entry.fixup])
    return all(i.mnemonic in ("pop", "ret") or not accesses_memory(image, a) for a, i in behind.items())


def is_dead(image: Image, address: int, register: str, contract: Contract) -> bool:
    """Whether nothing reads `register` as it is before the instruction at `address`, nor the caller."""
    code = reached(image, [address, *(e.fixup for e in image.entries)])
    return not _live(image, code, contract).get(address, {}).get(register, 0)


# -- the same continuation ----------------------------------------------------------------------------


def _by_label(image: Image) -> dict[str, TableEntry]:
    return {image.label_at(e.insn) or hex(e.insn): e for e in image.entries}


def _behind(image: Image, entry: TableEntry) -> tuple[object, ...]:
    """The code behind a fault, with addresses of fixups replaced by their order."""
    usual, behind = usual_code(image), reached(image, [entry.fixup])
    own = [address for address in _in_order(behind, entry.fixup) if address not in usual]
    place = {address: f"fixup {number}" for number, address in enumerate(own)}
    code = [(*_words(behind[a]), *(place.get(t, hex(t)) for t in behind[a].targets)) for a in own]
    return place.get(entry.fixup, hex(entry.fixup)), *code


def _words(instruction: Decoded) -> tuple[str, ...]:
    """Mnemonic and operands; a jump's target is told apart."""
    insn = _decoded(instruction)
    is_jump = insn.group(capstone.CS_GRP_JUMP) or insn.group(capstone.CS_GRP_CALL)
    return (insn.mnemonic,) if is_jump else (insn.mnemonic, insn.op_str)


def _in_order(code: Mapping[int, Decoded], start: int) -> list[int]:
    """The addresses of `code`, each before what it leads to first."""
    order: dict[int, None] = {}
    waiting = [start]
    while waiting:
        address = waiting.pop()
        if address in code and address not in order:
            order[address] = None
            waiting.extend(reversed(code[address].targets))
    return list(order)


# -- liveness -----------------------------------------------------------------------------------------


def _live(image: Image, code: Mapping[int, Decoded], contract: Contract) -> dict[int, Bytes]:
    """The bytes of registers that are read later, before each instruction: the least fixed point."""
    fixups = {entry.insn: entry.fixup for entry in image.entries}
    live: dict[int, Bytes] = {address: {} for address in code}
    changed = True
    while changed:
        changed = False
        for address, instruction in code.items():
            now = _before(live, instruction, fixups.get(address), contract)
            changed |= now != live[address]
            live[address] = now
    return live


def _before(live: Mapping[int, Bytes], instruction: Decoded, fixup: int | None, contract: Contract) -> Bytes:
    """What lives before one instruction, given what lives at its targets and at its fixup."""
    insn = _decoded(instruction)
    read, written = _read(insn), _written(insn)
    after = _after(live, instruction, contract)
    kept = {register: mask & ~written.get(register, 0) for register, mask in after.items()}
    return _joined((read, kept, {} if fixup is None else live.get(fixup, _EVERYTHING)))


def _after(live: Mapping[int, Bytes], instruction: Decoded, contract: Contract) -> Bytes:
    if instruction.mnemonic == "ret":
        looked_at = (contract.left, contract.status, contract.trap, *contract.kept, "rsp")
        return {register: registers.ALL_BYTES for register in looked_at if register is not None}
    if not instruction.targets:
        return _EVERYTHING
    return _joined(live.get(target, _EVERYTHING) for target in instruction.targets)


def _joined(parts: Iterable[Bytes]) -> Bytes:
    found: dict[str, int] = {}
    for part in parts:
        for register, mask in part.items():
            found[register] = found.get(register, 0) | mask
    return {register: mask for register, mask in found.items() if mask}


_EVERYTHING = dict.fromkeys(registers.WHOLE, registers.ALL_BYTES)


def _read(insn: Any) -> Bytes:
    """The bytes that an instruction reads."""
    if insn.mnemonic == "xor" and len(set(insn.op_str.split(", "))) == 1:
        return {}  # zero, whatever the register was
    return _named(insn, insn.regs_access()[0], registers.read_bytes)


def _written(insn: Any) -> Bytes:
    """The bytes that an instruction surely overwrites."""
    if insn.mnemonic.startswith(("rep", "cmov")):
        return {}
    return _named(insn, insn.regs_access()[1], registers.written_bytes)


def _named(insn: Any, numbers: Iterable[int], bytes_of: Callable[[str], tuple[str, int] | None]) -> Bytes:
    found = (bytes_of(insn.reg_name(number)) for number in numbers)
    return _joined({register: mask} for register, mask in filter(None, found))


def _decoded(instruction: Decoded) -> Any:
    return next(_decoder().disasm(instruction.code, instruction.address, 1))


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder

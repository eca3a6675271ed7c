"""The scratch registers that a routine may change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import capstone

from mcverify.review.prove import Proved
from mcverify.runs.code import detailed

_LEGACY = {"a": "rax", "b": "rbx", "c": "rcx", "d": "rdx", "si": "rsi", "di": "rdi", "bp": "rbp", "sp": "rsp"}
_PARTS = re.compile(r"(?:[re]?(?P<wide>[abcd])x|(?P<byte>[abcd])[lh]|[re]?(?P<index>si|di|bp|sp)l?)")
_NUMBERED = re.compile(r"(?P<name>r\d+)[dwb]?")
_VECTOR = re.compile(r"[xyz]mm(?P<number>\d+)")


def scratch(proved: Proved) -> frozenset[str]:
    """Whole registers that some reachable instruction writes, but for those that the contract gives a meaning
    at the end: results, and what must be kept."""
    contract = proved.task.contract
    meant = {"rsp"}
    if contract is not None:
        meant |= {*contract.kept, *contract.results}
    return frozenset(_written(proved)) - meant


def _written(proved: Proved) -> Iterator[str]:
    for line in proved.result.listing:
        insn = detailed(proved.image, line.address)
        if insn is None:
            continue
        try:
            _, written = insn.regs_access()
        except capstone.CsError:
            continue
        for register in written:
            name = whole(insn.reg_name(register))
            if name:
                yield name


def whole(name: str) -> str:
    """The 64-bit register, or vector register, that `name` is a part of; "" for flags and others."""
    if match := _PARTS.fullmatch(name):
        return _LEGACY[match["wide"] or match["byte"] or match["index"]]
    if match := _NUMBERED.fullmatch(name):
        return match["name"]
    if match := _VECTOR.fullmatch(name):
        return f"ymm{match['number']}"
    return ""

"""`rep movs` and `rep stos` without the promise of an order: the model "unordered" of `rep.toml`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from mcverify.image.image import Image
from mcverify.runs.code import Instruction, reachable

Schedule = Literal["descending", "odd_first", "blocks", "outside_in"]
"""Orders in which the elements may be done; models/x86_64/rep.toml describes them."""

SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)

_WIDTHS = {"b": 1, "w": 2, "d": 4, "q": 8}
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class Rep:
    """A repeated string instruction; `width` is the size of an element in bytes, `loads` holds for movs."""

    width: int
    loads: bool


def decode_rep(instruction: Instruction) -> Rep | None:
    """What the instruction repeats, None if it is no `rep movs` or `rep stos`."""
    prefix, _, name = instruction.mnemonic.partition(" ")
    if prefix not in ("rep", "repe", "repz", "repne", "repnz") or name[:-1] not in ("movs", "stos"):
        return None
    return Rep(_WIDTHS[name[-1]], name.startswith("movs"))


def repeats(image: Image, entry: int) -> bool:
    """Whether the routine at `entry` comes to a `rep movs` or `rep stos`, as far as its jumps are known."""
    return any(decode_rep(instruction) is not None for instruction in reachable(image, entry).values())


def order(schedule: Schedule, count: int) -> Iterable[int]:
    """The elements 0..count-1 in the order in which the schedule does them."""
    match schedule:
        case "descending":
            return range(count - 1, -1, -1)
        case "odd_first":
            return [*range(1, count, 2), *range(0, count, 2)]
        case "blocks":
            return [
                i
                for start in range(0, count, _BLOCK)
                for i in reversed(range(start, min(start + _BLOCK, count)))
            ]
        case "outside_in":
            return [i // 2 if i % 2 == 0 else count - 1 - i // 2 for i in range(count)]

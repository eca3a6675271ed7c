"""`rep movs` and `rep stos` without the promise of an order: the model "unordered" of `rep.toml`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from mcverify.image.image import Image
from mcverify.runs.code import reachable

Schedule = Literal["descending", "odd_first", "blocks", "outside_in"]
"""Orders in which the elements may be done; models/x86_64/rep.toml describes them."""

SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)

_BLOCK = 8


def repeats(image: Image, entry: int) -> bool:
    """Whether the routine at `entry` comes to a `rep movs` or `rep stos`, as far as its jumps are known."""
    repetitions = (instruction.repeats for instruction in reachable(image, entry).values())
    return any(repeats is not None and repeats.width for repeats in repetitions)


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

"""Spans of kernel versions, as `models/` and reports write them: "2.6.19 to 6.3", "6.4 on", "6.12.57"."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+(?:\.\d+)+")
Version = tuple[int, ...]


def overlap(one: str, other: str) -> bool:
    """Whether two spans have a kernel in common. Raises ValueError for text that is no span.

    A version ends with all its stable releases: "to 6.3" includes 6.3.9, and "6.3.9" is of "to 6.3".
    """
    (first, last), (start, end) = _ends(one), _ends(other)
    return _is_before(first, end) and _is_before(start, last)


def first_kernel(span: str) -> Version:
    """The first version of a span; of one without a number, before all."""
    numbers = _NUMBER.findall(span)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def _ends(span: str) -> tuple[Version, Version | None]:
    numbers = [tuple(map(int, text.split("."))) for text in _NUMBER.findall(span)]
    if len(numbers) not in (1, 2):
        raise ValueError(f"{span!r} is no span of kernels")
    return numbers[0], None if span.endswith(" on") else numbers[-1]


def _is_before(first: Version, last: Version | None) -> bool:
    """Whether a span that begins at `first` may begin before one that ends at `last` is over."""
    return last is None or first[: len(last)] <= last

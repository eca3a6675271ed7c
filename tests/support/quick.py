"""`pytest --quick`: some tests of every room, in a minute or two. `make test` runs all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import pytest

FEW = 3
"""So many of the parameters of a test are run."""


def chosen(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """What is run of the collected tests: none that is marked slow; of one with many parameters the first,
    one in the middle and the last."""
    quick = (item for item in items if item.get_closest_marker("slow") is None)
    for _, group in groupby(quick, lambda item: item.nodeid.partition("[")[0]):
        yield from few(list(group))


def few(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Up to three, from the beginning to the end."""
    last = len(items) - 1
    for number in sorted({last * part // (FEW - 1) for part in range(FEW)}):
        yield items[number]


def without_any(items: Iterable[pytest.Item], kept: Iterable[pytest.Item]) -> list[str]:
    """The folders that have tests, none of which is kept."""
    return sorted({_folder(item) for item in items} - {_folder(item) for item in kept})


def _folder(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0].rpartition("/")[0]

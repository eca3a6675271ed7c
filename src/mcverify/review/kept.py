"""What was made of a revision and is used again: the newer of one step is the older of the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from mcverify.review.prove import Proved

_T = TypeVar("_T")


class LastTwo(Generic[_T]):
    """What was made of the last two revisions."""

    def __init__(self) -> None:
        self._kept: list[tuple[Proved, _T]] = []

    def of(self, proved: Proved, make: Callable[[], _T]) -> _T:
        """What was made of a revision, made now if it is not there."""
        for known, found in self._kept:
            if known is proved:
                return found
        self._kept = [*self._kept[-1:], (proved, make())]
        return self._kept[-1][1]

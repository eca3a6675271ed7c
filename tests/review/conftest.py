"""Reviews made once, and proofs kept for all tests and workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.proof.options import ProveOptions
from mcverify.review.cache import Cache
from mcverify.review.gather import gathered
from mcverify.review.result import Review
from mcverify.review.review import ReviewOptions, review
from review.support import SERIES

Reviewed = Callable[..., Review]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """One for all workers of a run, and for the next run: its keys hold the whole program."""
    base = tmp_path_factory.getbasetemp()
    user = next((p for p in base.parents if p.name.startswith("pytest-of-")), base)
    return Cache(user / "proofs")


@pytest.fixture(scope="session")
def reviewed(cache: Cache) -> Reviewed:
    """A review of what a command would name."""

    def make(*names: object, git: str | None = None, base: str | None = None, **options: object) -> Review:
        found = gathered([str(name) for name in names], git, base)
        proofs = ProveOptions(**options)  # type: ignore[arg-type]
        return review(found.revisions, ReviewOptions(proofs), cache, lambda _: None, found.notes)

    return make


@pytest.fixture(scope="session")
def series(reviewed: Reviewed, tmp_path_factory: pytest.TempPathFactory) -> Review:
    """The review of the series of memcpy_trap, of which the base has nothing."""
    return reviewed(SERIES, base=str(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="session")
def pairs() -> Path:
    """Small routines that differ in one respect."""
    return Path(__file__).parent / "pairs"

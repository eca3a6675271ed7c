"""Reviews made once, and proofs kept for all tests and workers."""

from __future__ import annotations

import fcntl
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcverify.cli import run
from mcverify.deadline import Deadline
from mcverify.proof.options import ProveOptions
from mcverify.review.cache import Cache
from mcverify.review.gather import gathered
from mcverify.review.reading import Read, Reader
from mcverify.review.result import Review
from mcverify.review.review import ReviewOptions, review
from review.support import SERIES

Reviewed = Callable[..., Review]


@pytest.fixture(scope="session")
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache folder: one for all workers of a run, and for the next run, since the keys of what lies
    in it hold the whole program."""
    base = tmp_path_factory.getbasetemp()
    user = next((p for p in base.parents if p.name.startswith("pytest-of-")), base)
    return user / "xdg-cache"


@pytest.fixture(scope="session")
def cache(user_cache: Path) -> Cache:
    """The proofs in it."""
    return Cache(user_cache / "mcverify" / "proofs")


@pytest.fixture(scope="session")
def reviewed(cache: Cache, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Reviewed:
    """A review of what a command would name. The same one is made only once in a run, by one worker for
    all."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def make(
        *names: object,
        git: str | None = None,
        base: object = None,
        key: str = "",
        differences: bool = True,
        **options: object,
    ) -> Review:
        """With a `key` of its own where the names do not tell what is meant."""
        about = repr((key, [str(n) for n in names] if not key else "", git, sorted(options.items())))
        kept = shared / f"review-{hashlib.sha256(about.encode()).hexdigest()}"
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                found = gathered([str(name) for name in names], git, None if base is None else str(base))
                proofs = ProveOptions(**options)  # type: ignore[arg-type]
                asked = ReviewOptions(proofs, differences)
                made = review(found.revisions, asked, cache, lambda _: None, found.notes)
                kept.write_bytes(pickle.dumps(made))
        result = pickle.loads(kept.read_bytes())
        assert isinstance(result, Review)
        return result

    return make


@pytest.fixture(scope="session")
def series(reviewed: Reviewed, tmp_path_factory: pytest.TempPathFactory) -> Review:
    """The review of the series of memcpy_trap, of which the base has nothing."""
    return reviewed(SERIES, base=tmp_path_factory.mktemp("base"), key="series")


@pytest.fixture(scope="session")
def pairs() -> Path:
    """Small routines that differ in one respect."""
    return Path(__file__).parent / "pairs"


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The sentence of a refusal: one line (and perhaps a hint), no traceback."""
        lines = self.err.strip().splitlines()
        assert "Traceback" not in self.err, self.err
        assert 1 <= len([line for line in lines if line.startswith("mcverify: ")]) <= 2, self.err
        return self.err.strip()


@pytest.fixture
def mcverify(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, user_cache: Path
) -> Callable[..., Ran]:
    """`mcverify review`, in this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_cache))

    def call(*arguments: object) -> Ran:
        code = run(["review", *map(str, arguments)])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def read_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit is reached only when all is assembled."""

    def read(self: Reader, revisions: Any, progress: Any) -> list[Read]:
        self._deadline, limit = Deadline(None), self._deadline
        found = reading(self, revisions, progress)
        self._deadline = limit
        return found

    reading = Reader.read
    monkeypatch.setattr(Reader, "read", read)

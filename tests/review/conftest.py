"""Reviews made once, and proofs kept for all tests and workers."""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcverify.cli import run
from mcverify.proof.options import ProveOptions
from mcverify.review.cache import Cache
from mcverify.review.gather import gathered
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
def reviewed(cache: Cache) -> Reviewed:
    """A review of what a command would name."""

    def make(*names: object, git: str | None = None, base: str | None = None, **options: object) -> Review:
        found = gathered([str(name) for name in names], git, base)
        proofs = ProveOptions(**options)  # type: ignore[arg-type]
        return review(found.revisions, ReviewOptions(proofs), cache, lambda _: None, found.notes)

    return make


@pytest.fixture(scope="session")
def series(reviewed: Reviewed, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Review:
    """The review of the series of memcpy_trap, of which the base has nothing; made by one worker for all."""
    base = tmp_path_factory.mktemp("base")
    if worker_id == "master":
        return reviewed(SERIES, base=str(base))
    shared = tmp_path_factory.getbasetemp().parent
    with (shared / "series.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = shared / "series.pickle"
        if not kept.exists():
            kept.write_bytes(pickle.dumps(reviewed(SERIES, base=str(base))))
        found = pickle.loads(kept.read_bytes())
    assert isinstance(found, Review)
    return found


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

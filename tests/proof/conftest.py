"""Proofs of files, each made once for all workers of a test run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.proof.prove import ProveOptions, prove_file
from mcverify.proof.result import RoutineResult

Proof = Callable[[Path], dict[str, RoutineResult]]
Text = Callable[..., dict[str, RoutineResult]]


def prove(path: Path, **options: object) -> dict[str, RoutineResult]:
    """The results of `mcverify prove`, by title: routine and variant."""
    results = prove_file(path, ProveOptions(**options), lambda _: None)  # type: ignore[arg-type]
    return {result.title: result for result in results}


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Proves a file as it says itself. Several tests look at one proof, perhaps in several workers."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "proofs"
    shared.mkdir(exist_ok=True)

    def proved(path: Path) -> dict[str, RoutineResult]:
        kept = shared / hashlib.sha256(bytes(path)).hexdigest()[:16]
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                kept.write_bytes(pickle.dumps(prove(path)))
        return pickle.loads(kept.read_bytes())

    return proved

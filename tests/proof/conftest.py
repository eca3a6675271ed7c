"""Proofs of files, each made once for all workers of a test run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.once import Once, folder_of_run

from mcverify.proof.prove import ProveOptions, prove_file
from mcverify.proof.result import RoutineResult

Proof = Callable[[Path], dict[str, RoutineResult]]


def prove(path: Path, **options: object) -> dict[str, RoutineResult]:
    """The results of `mcverify prove`, by title: routine and variant."""
    results = prove_file(path, ProveOptions(**options), lambda _: None)  # type: ignore[arg-type]
    return {result.title: result for result in results}


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Proves a file as it says itself. Several tests look at one proof, perhaps in several workers."""
    once = Once(folder_of_run(tmp_path_factory, "proofs"))

    def proved(path: Path) -> dict[str, RoutineResult]:
        return once.make(bytes(path) + b"\0" + path.read_bytes(), lambda: prove(path))

    return proved

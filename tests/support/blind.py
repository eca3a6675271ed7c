"""Proofs without a look at any run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from mcverify.proof import prove
from mcverify.proof.exits import AFTER_FAULT, EVERYWHERE, OF_NO_EXIT, SUCCESS
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.search import Witnesses
from mcverify.runs.case import Case


def proved_blindly(path: Path, options: ProveOptions) -> list[RoutineResult]:
    """The results of a file where no run refutes anything: what is wrong can only be unknown, or proved by
    mistake. Nothing is looked for beside the proof."""
    with patch.object(prove, "Witnesses", _Blind):
        return prove.prove_file(path, replace(options, is_thorough=False), lambda _: None)


def refuse_what_is_too_good(result: RoutineResult, broken: Collection[tuple[str, str]]) -> None:
    """Compare a blind proof, row by row, with the obligations that are broken, and their exits."""
    assert result.verdict is not Verdict.REFUTED, "a run was looked at"
    assert not broken or result.verdict is Verdict.UNKNOWN
    rows = {(o.id, o.exit) for o in result.obligations}
    for row in broken:
        asked = _where_it_is_asked(*row) & rows
        assert asked or result.unknowns, f"{row} is not asked of any path"
        assert not asked or asked - result.held, f"{row} is broken, and proved"


def _where_it_is_asked(obligation: str, exit_id: str) -> set[tuple[str, str]]:
    """The rows of a proof that speak of what a run breaks at an exit. Some belong to no exit, and where a
    loop lies between the last fault and the return, the paths do not tell which fault it was."""
    found = {(obligation, exit_id)}
    if obligation in OF_NO_EXIT:
        found.add((obligation, EVERYWHERE))
    if exit_id != SUCCESS:
        found.add((obligation, AFTER_FAULT))
    return found


class _Blind(Witnesses):
    """Looks at no run: what runs refute must not be proved without them."""

    def search(self) -> None:
        """Nothing."""

    def try_cases(self, cases: Sequence[Case]) -> None:
        """Nothing."""

    def try_long(self, suggested: object) -> None:
        """Nothing."""

    def footprints(self, cases: Sequence[Case]) -> None:
        """Nothing."""

    def unfenced(self, *_: object) -> None:
        """Nothing."""

    def endless(self, *_: object) -> None:
        """Nothing."""

"""For each obligation there is a routine that is refuted for it alone, at one exit, and otherwise proved."""

from __future__ import annotations

import pytest
from asm_corpus.expectations import ROOT, one_each

from .conftest import Proof
from .refuted import refuted, unproved


@pytest.mark.parametrize("obligation", [f"O{n}" for n in range(1, 11)])
def test_a_routine_is_refuted_for_this_obligation_alone(obligation: str, proof: Proof) -> None:
    listed = one_each()[obligation]
    result = proof(ROOT / listed["file"])[listed["routine"]]
    assert refuted(result) == {(obligation, listed["exit"])}
    assert {broken for broken, _ in unproved(result)} <= {obligation}

"""Data that are never written are part of a routine only where a relocation says that they are meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.blind import proved_blindly, refuse_what_is_too_good

from mcverify.image.load import load
from mcverify.proof.exits import SUCCESS
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult

HERE = Path(__file__).parent
ASTRAY = HERE / "constant_astray.S"


@pytest.fixture(scope="module")
def blind() -> dict[str, RoutineResult]:
    return {result.name: result for result in proved_blindly(ASTRAY, ProveOptions())}


@pytest.mark.parametrize("name", ["by_number", "from_code", "from_here", "weak_datum", "merged"])
def test_what_lies_there_in_our_layout_alone_proves_nothing(
    name: str, blind: dict[str, RoutineResult]
) -> None:
    refuse_what_is_too_good(blind[name], {("O3", SUCCESS), ("O9", SUCCESS)})


def test_a_constant_is_read_by_the_instruction_that_names_it_alone() -> None:
    image = load(HERE.parent / "hostile" / "constant_read.S")
    ((place, (start, end)), *_) = sorted(image.constants.items())
    insn = place - 4
    assert image.constant_at(insn, 8, start, 16) == bytes(16)
    assert image.constant_at(insn + 8, 8, start, 16) is None
    assert image.constant_at(insn, 8, end - 8, 16) is None
    assert image.constant_at(insn, 8, start - 1, 1) is None

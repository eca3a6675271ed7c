"""A witness of a small wrong routine, as a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.witnesses import ASM, witness_document

from mcverify.runs.case import Case, Place, Placement

WRONG = Case(8, Placement(Place.HOLE, 0), Placement(Place.FREE, 0))
"""A case that asm/rep_movsq_wrong_words.S gets wrong."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of a wrong routine, to be changed."""
    path = tmp_path / "routine.S"
    path.write_text((ASM / "rep_movsq_wrong_words.S").read_text())
    return path


@pytest.fixture
def found(source: Path) -> dict[str, Any]:
    """The document of its refutation."""
    return witness_document(source, WRONG)

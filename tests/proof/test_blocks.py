"""The routine of `make bench` whose code grows: loops that only long calls reach, blocks beside bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mcverify.proof.result import Verdict

from .conftest import prove

BLOCKS = Path(__file__).parents[2] / "bench" / "blocks.py"


def proved_copies(folder: Path, copies: int, change: tuple[str, str] = ("", "")):
    """The result for `copies` block loops, the text changed in one place."""
    command = [sys.executable, str(BLOCKS), str(copies)]
    source = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert change[0] in source
    file = folder / "blocks.S"
    file.write_text(source.replace(*change, 1) if change[0] else source, encoding="utf-8")
    return prove(file)["copy_blocks"]


@pytest.mark.slow
def test_blocks_counted_beside_the_bytes_that_are_left_are_proved(tmp_path):
    result = proved_copies(tmp_path, 6)
    assert (result.verdict, result.unknowns) == (Verdict.PROVED, ())
    assert result.slack == 31


@pytest.mark.slow
def test_a_byte_count_that_falls_too_slowly_is_refuted(tmp_path):
    result = proved_copies(tmp_path, 1, ("\tsub\t$64, %rdx\n", "\tsub\t$32, %rdx\n"))
    assert result.verdict is Verdict.REFUTED

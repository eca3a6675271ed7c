"""docs/fixtures.md names every wrong routine once, with what it breaks and where, as the file itself says."""

from __future__ import annotations

import re

import pytest

from asm_corpus.expectations import FILES, ROOT, stated

WRONG = [path for path in FILES if "_wrong_" in path.stem]
PAGE = (ROOT / "docs/fixtures.md").read_text(encoding="utf-8")
ROWS = [
    line.strip("| ").split("|") for line in PAGE.splitlines() if line.startswith("| ") and "_wrong_" in line
]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_each_wrong_routine_has_one_row() -> None:
    assert sorted(named(row[-3])[0] for row in ROWS) == [path.stem for path in WRONG]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: named(row[-3])[0])
def test_a_row_says_what_the_file_says(row: list[str]) -> None:
    right, wrong = named(row[-4])[0], named(row[-3])[0]
    assert wrong.startswith(f"{right}_wrong_")
    broken = set().union(*(r.broken for r in stated(ROOT / f"asm/{wrong}.S").values()))
    assert {o.strip() for o in row[-2].split(",")} == {obligation for obligation, _ in broken}
    assert set(named(row[-1])) == {exit_ for _, exit_ in broken}

"""SECURITY.md says which test shows what: the two have the same names."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "SECURITY.md"


def test_the_page_names_each_attack_and_each_is_tested() -> None:
    told = set(re.findall(r"`(test_attack_\w+)`", PAGE.read_text()))
    texts = (path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tested = {name for text in texts for name in re.findall(r"^def (test_attack_\w+)\(", text, re.M)}
    assert told == tested


def test_each_row_of_the_table_is_whole() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    for row in rows[1:]:
        attack, gain, stops, shown = (cell.strip() for cell in row.strip("|").split("|"))
        assert all((attack, gain, stops))
        assert re.search(r"`test_attack_\w+`", shown), row

"""The words on the obligations are the same in the reports and in the manual."""

import re
from pathlib import Path

from mcverify.contract import OBLIGATIONS as IDS
from mcverify.report.obligations import OBLIGATIONS, title

MANUAL = (Path(__file__).parents[2] / "docs/obligations.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    section = MANUAL.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in section.splitlines()]
    return {row[0]: row[1:] for row in cells if re.fullmatch(r"O\d+", row[0])}


def test_the_ids_are_those_of_the_contracts_in_order():
    assert tuple(OBLIGATIONS) == IDS


def test_the_manual_defines_them_in_the_same_words():
    assert rows("The ten") == {o.id: [o.name, o.holds] for o in OBLIGATIONS.values()}


def test_the_manual_says_what_each_costs_in_the_same_words():
    assert rows("What each one costs") == {o.id: [o.cost] for o in OBLIGATIONS.values()}


def test_an_id_without_a_name_is_its_own_title():
    assert title("O3") == "O3 no over-claim"
    assert title("termination") == "termination"

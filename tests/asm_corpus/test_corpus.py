"""The routines under asm/ say what they are, come in pairs, and agree with proofs/.

Nothing is proved or run here: these tests read and assemble.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from asm_corpus.expectations import FILES, ROOT, claims, image, one_each, stated
from mcverify.image.callees import ASSUMED

WRONG = re.compile(r"(?P<right>\w+?)_wrong_\w+")
EVERY_OBLIGATION = {f"O{n}" for n in range(1, 11)}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def is_wrong(path: Path) -> bool:
    return WRONG.fullmatch(path.stem) is not None


@each_file
def test_a_file_begins_with_its_licence_and_its_story(path):
    first, second, third, *_ = path.read_text().splitlines()
    assert first == "/* SPDX-License-Identifier: MIT */"
    assert (second, third[:3]) == ("/*", " * ")


@each_file
def test_each_routine_bears_a_known_contract(path):
    for routine in stated(path).values():
        assert (ROOT / "models/contracts" / f"{routine.contract}.toml").exists()
        assert routine.faults in (None, "loads", "stores", "both")


@each_file
def test_expectations_name_labels_that_exist_and_obligations_of_the_contract(path):
    labels = {symbol.name for symbol in image(path).symbols} | {"success", "*"}
    for routine in stated(path).values():
        owed = set(contract(routine.contract)["obligations"])
        assert {exit_ for _, exit_ in routine.broken} <= labels
        assert {obligation for obligation, _ in routine.broken} <= owed


def contract(name: str) -> dict:
    return tomllib.loads((ROOT / "models/contracts" / f"{name}.toml").read_text())


@each_file
def test_every_instruction_and_fixup_of_the_table_has_a_label_of_its_own(path):
    found = image(path)
    for entry in (e for e in found.entries if e.handler.name != ASSUMED):
        for address in (entry.insn, entry.fixup):
            names = [s.name for s in found.symbols if s.address == address and s.name.startswith(".L")]
            assert len(names) == 1, f"{found.where(address)}: {names}"


@each_file
def test_a_file_is_right_or_wrong_as_its_name_says(path):
    assert any(routine.broken for routine in stated(path).values()) == is_wrong(path)


@each_file
def test_files_come_in_pairs(path):
    if is_wrong(path):
        right = path.with_name(f"{WRONG.fullmatch(path.stem)['right']}.S")
        assert right in FILES
        assert stated(right).keys() == stated(path).keys()
        assert {r.contract for r in stated(right).values()} == {r.contract for r in stated(path).values()}
    else:
        assert any(p.stem.startswith(f"{path.stem}_wrong_") for p in FILES), "no wrong twin"


@each_file
def test_the_proofs_say_what_the_file_says(path):
    said, listed = stated(path), claims(path)
    assert said.keys() == listed.keys()
    for name, routine in said.items():
        entry = listed[name]
        assert entry["contract"] == routine.contract
        assert entry["faults"] == (routine.faults or contract(routine.contract)["faults"])
        assert entry["verdict"] == ("refuted" if routine.broken else "proved")
        assert {(b["obligation"], b["exit"]) for b in entry.get("broken", [])} == routine.broken
        size = contract(routine.contract)["arguments"].get("size")
        assert entry["domain"] == ([0, 0x7FFFF000] if size is None else [size, size])
        assert entry["why"]


@each_file
def test_a_slack_is_stated_where_a_right_routine_returns_a_count(path):
    for entry in claims(path).values():
        counts = {"left", "done", "fault_address"} & contract(entry["contract"])["result"].keys()
        assert ("slack" in entry) == (entry["verdict"] == "proved" and bool(counts))


def test_every_proofs_file_belongs_to_a_routine():
    stems = {p.stem for p in (ROOT / "proofs").glob("*.toml")} - {"ONE_EACH"}
    assert stems == {path.stem for path in FILES}


@pytest.mark.slow
def test_every_contract_has_a_right_and_a_wrong_routine():
    right, wrong = set(), set()
    for path in FILES:
        (wrong if is_wrong(path) else right).update(r.contract for r in stated(path).values())
    known = {p.stem for p in (ROOT / "models/contracts").glob("*.toml")}
    assert right == known
    assert wrong == known


def test_for_each_obligation_a_routine_breaks_it_alone_at_one_exit():
    listed = one_each()
    assert listed.keys() == EVERY_OBLIGATION
    for obligation, entry in listed.items():
        routine = stated(ROOT / entry["file"])[entry["routine"]]
        assert routine.broken == {(obligation, entry["exit"])}

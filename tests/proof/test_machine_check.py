"""Machine checks recover at some entries alone: where one is asked about, O1 asks for such an entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcverify.arch.known import X86_64
from mcverify.check.bundle import read_bundle
from mcverify.check.question import of_prover
from mcverify.check.walk import gaps
from mcverify.cli import run
from mcverify.contract import load_contract
from mcverify.image.image import Handler, TableEntry
from mcverify.image.load import load
from mcverify.image.recovery import fatal_entries, recovers
from mcverify.layouts import layouts
from mcverify.runs import cpu
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner

SOURCE = Path(__file__).parent / "machine_check.S"
ROUTINES = ("safe", "fatal", "from_user", "not_decoded")

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


def test_each_layout_says_where_the_kernel_recovers() -> None:
    table = X86_64.model("machine_check.toml")["layouts"]
    assert table.keys() == {layout.name for layout in layouts(X86_64) if layout.is_of_linux}
    known = X86_64.model("extable.toml")["handlers"]["named"].keys()
    for row in table.values():
        assert {*row["always"], *row["from_user"]} - {"*"} <= known


@pytest.mark.parametrize(
    ("layout", "handler", "kernel", "user"),
    [
        ("type", "default_mce_safe", True, True), ("type", "fault_mce_safe", True, True),
        ("type", "fault", False, True), ("type", "default", False, True), ("type", "uaccess", False, True),
        ("handler", "fault", True, True), ("handler", "uaccess", False, True),
        ("handler", "copy", False, True),
        ("handler", "default", False, False), ("relative", "default", False, False),
    ],
)  # fmt: skip
def test_where_the_kernel_recovers(layout: str, handler: str, kernel: bool, user: bool) -> None:
    from dataclasses import replace

    image = load(SOURCE)
    load_at = next(s.address for s in image.symbols if s.name == "safe") + 8
    insn = next(e.insn for e in image.entries if e.insn >= load_at)
    entry = TableEntry(insn, insn, Handler(handler), 0)
    of_era = replace(image, layout=layout)
    assert recovers(of_era, entry, from_user=False) == kernel
    assert recovers(of_era, entry, from_user=True) == user


@pytest.mark.parametrize(("name", "code"), [("safe", 0), ("fatal", 1), ("from_user", 0)])
@pytest.mark.slow
def test_o1_asks_for_it_where_machine_checks_are_asked_about(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = answer(capsys, "prove", SOURCE, "--routine", name, "--trap", "mc")
    assert found == code, said
    assert ("the kernel recovers from no machine check there" in said) == bool(code)
    if code:
        assert "O1" in said
        assert answer(capsys, "prove", "-q", SOURCE, "--routine", name)[0] == 0


@pytest.mark.slow
def test_a_contract_can_ask_for_it_beside_page_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.toml"
    text = (Path(__file__).parents[2] / "models/contracts/bytes_left.toml").read_text()
    own.write_text(text.replace('"bytes_left"', '"own"', 1) + "\n[machine_check]\nrecoverable = true\n")
    code, said = answer(capsys, "prove", "-q", SOURCE, "--routine", "fatal", "--contract", own)
    assert (code, "O1" in said) == (1, True)
    assert answer(capsys, "prove", "-q", SOURCE, "--routine", "safe", "--contract", own)[0] == 0


@pytest.mark.parametrize("name", ROUTINES[:3])
def test_both_runners_end_where_the_kernel_panics(name: str) -> None:
    image = load(SOURCE)
    entry = next(s.address for s in image.symbols if s.name == name)
    contract = load_contract("uaccess" if name == "from_user" else "bytes_left").restricted("mc")
    cases = [Case(9, Placement(Place.HOLE, 4), Placement(Place.FREE), trap) for trap in (14, 18)]
    expected = [Ending.RETURNED, Ending.OOPS if name == "fatal" else Ending.RETURNED]
    for runner in (CpuRunner(image, entry, contract), EmulatorRunner(image, entry, contract)):
        assert [outcome.ending for outcome in runner.run(cases)] == expected


def test_a_move_that_the_kernel_does_not_decode_is_fatal_in_user_memory() -> None:
    image = load(SOURCE)
    asked = load_contract("uaccess").restricted("mc")
    stores = {e.insn for e in image.entries if image.code_at(e.insn, 1) == b"\x88"}
    fatal = fatal_entries(image, asked) - stores  # a store meets no machine check
    start = {name: next(s.address for s in image.symbols if s.name == name) for name in ROUTINES}
    assert [any(start["from_user"] <= at < start["not_decoded"] for at in fatal)] == [False]
    assert any(at >= start["not_decoded"] and image.code_at(at, 4)[:1] == b"\x66" for at in fatal)
    assert not fatal_entries(image, load_contract("uaccess")), "only where it is asked"


@pytest.mark.slow
def test_check_looks_itself(tmp_path: Path) -> None:
    folder = tmp_path / "proof"
    command = ["prove", "-q", str(SOURCE), "--routine", "fatal", "--trap", "pf", "--proof", str(folder)]
    assert run(command) == 0
    (proof,) = read_bundle(folder).manifest.proofs
    contract = load_contract("bytes_left")
    image = load(folder / "object.o")
    assert not list(gaps(proof.routine, of_prover(proof.routine, contract.restricted("pf")), image))
    found = gaps(proof.routine, of_prover(proof.routine, contract.restricted("mc")), image)
    assert any("(uncovered) by a fault of the load is missing" in gap.says for gap in found)


@pytest.mark.slow
def test_review_shows_an_entry_that_recovers_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.S", tmp_path / "new.S"
    old.write_text(SOURCE.read_text())
    new.write_text(SOURCE.read_text().replace("EX_TYPE_DEFAULT_MCE_SAFE", "EX_TYPE_DEFAULT"))
    code, said = answer(capsys, "review", old, new, "--routine", "safe", "--fail-on", "broken", "--json", "-")
    assert code == 1
    assert [
        (o["id"], o["change"])
        for step in json.loads(said)["routines"][0]["steps"]
        for o in step["obligations"]
        if o["change"] == "broken"
    ] == [("O1", "broken")]
    code, said = answer(capsys, "review", old, new, "--routine", "safe")
    assert "worse O1 at" in said
    assert "the kernel no longer recovers from a machine check there" in said
    assert answer(capsys, "review", new, old, "--routine", "safe", "--fail-on", "broken")[0] == 0

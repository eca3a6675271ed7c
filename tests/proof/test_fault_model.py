"""Faults that stay, or come and go: what is proved of which, and runs that show the difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.check.check import complete
from mcverify.check.manifest import Fact
from mcverify.check.question import Asked, asked_of
from mcverify.cli import run
from mcverify.contract import Contract, FaultModel, load_contract
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.report.counterexample import flicker_words
from mcverify.runs import cpu
from mcverify.runs.case import FLICKER, Case, Ending, Place, Placement, touches
from mcverify.runs.cases import flickering_cases
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import judge
from mcverify.scopes import needs_transient

ROOT = Path(__file__).parents[2]
RACE = ROOT / "tests" / "cases" / "race_rest_zero.S"
RACE_CONTRACT = RACE.with_suffix(".toml")
FREE = Placement(Place.FREE, 3)
SEED = "a"
"""Of the states in which the terms of a bundle are tried."""

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


# -- what is asked


def test_what_a_contract_asks_of_faults_that_come_and_go() -> None:
    contract = load_contract("uaccess")
    assert contract.fault_model == "mixed"
    asked = [("O1", "end"), ("", "end"), ("O2", "exit"), ("O7", "frame"), ("O8", "access"), ("O9", "loops")]
    rest = [("O3", "exit"), ("O4", "exit"), ("O5", "exit"), ("O6", "exit"), ("O9", "exit"), ("O10", "exit")]
    for model, all_of_it in (("mixed", False), ("transient", True), ("persistent", False)):
        under = contract.under(model)  # type: ignore[arg-type]
        assert all(needs_transient(o, s, under) == (model != "persistent") for o, s in asked)  # type: ignore[arg-type]
        assert all(needs_transient(o, s, under) == all_of_it for o, s in rest)  # type: ignore[arg-type]


def test_a_contract_can_choose(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    text = RACE_CONTRACT.read_text().replace('"race_rest_zero"', '"own"')
    file.write_text(f'fault_model = "persistent"\n{text}')
    assert load_contract(file).fault_model == "persistent"
    file.write_text(f'fault_model = "sometimes"\n{text}')
    with pytest.raises(InputError, match="fault_model names 'sometimes', which is unknown"):
        load_contract(file)


# -- the runs


def routine(file: Path, contract: str | Path) -> tuple[Image, int, Contract]:
    image = load(file)
    return image, image.functions[0].address, load_contract(str(contract))


@pytest.mark.parametrize(
    ("flicker", "first"),
    [("01(0)", [0, 1, 0, 0, 0, 0]), ("(01)", [0, 1, 0, 1, 0, 1]), ("1(001)", [1, 0, 0, 1, 0, 0])],
)
def test_when_a_page_is_there(flicker: str, first: list[int]) -> None:
    assert FLICKER.fullmatch(flicker)
    accesses = touches(flicker)
    assert [next(accesses) for _ in first] == [bool(bit) for bit in first]


def test_how_a_page_comes_and_goes_in_words() -> None:
    head = "of the accesses to the page that comes and goes "
    assert (
        flicker_words("01(0)")
        == f"{head}the 1st goes through, the 2nd faults, each that follows goes through"
    )
    assert flicker_words("(01)") == f"{head}they by turns: goes through, faults"


ROUTINES = [
    (RACE, RACE_CONTRACT), (ROOT / "asm/user_both.S", "uaccess"), (ROOT / "asm/rep_movsb.S", "bytes_left"),
    (ROOT / "asm/clear_words.S", "clear_words"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "contract"), ROUTINES, ids=lambda value: Path(value).stem)
def test_both_runners_take_the_same_faults(file: Path, contract: str | Path) -> None:
    image, entry, terms = routine(file, contract)
    bad = [Placement(Place.HOLE, at) for at in (0, 3, 8)] + [Placement(Place.INSIDE, 5)]
    cases = [
        Case(length, src, dst, flicker=flicker)
        for length in (9, 16, 19)
        for flicker in ("(0)", "(1)", "0(1)", "1(0)", "(01)", "0010(01)")
        for place in bad
        for src, dst in ((place, FREE), (FREE, place), (place, bad[1]))
    ]
    on_cpu = CpuRunner(image, entry, terms).run(cases)
    emulated = EmulatorRunner(image, entry, terms).run(cases)
    compared = 0
    for case, one, other in zip(cases, on_cpu, emulated, strict=True):
        if Ending.TIMEOUT in (one.ending, other.ending):
            continue
        compared += 1
        faults = [[(f.insn, f.buffer, f.offset, f.is_store) for f in o.faults] for o in (one, other)]
        assert faults[0] == faults[1], case
        assert (one.ending, one.written, one.correct, one.base) == (
            other.ending, other.written, other.correct, other.base,
        ), case  # fmt: skip
    assert compared > len(cases) // 2


def test_a_page_that_is_there_all_the_time_is_no_fault_and_one_that_never_is_a_bad_one() -> None:
    image, entry, contract = routine(ROOT / "asm/user_both.S", "uaccess")
    bad = Case(24, Placement(Place.HOLE, 10), FREE)
    never, always, plain = CpuRunner(image, entry, contract).run(
        [replace(bad, flicker="(0)"), replace(bad, flicker="(1)"), bad]
    )
    assert (never.faults, sum(never.correct), never.registers["rax"]) == ((), 24, 0)
    assert (always.faults, always.written, always.registers) == (plain.faults, plain.written, plain.registers)


def test_only_what_is_asked_of_such_faults_is_judged() -> None:
    """A page that is back when the bytes are tried one by one: stored behind the fault, and no harm."""
    image, entry, contract = routine(RACE, RACE_CONTRACT)
    case = Case(16, Placement(Place.HOLE, 8), FREE, flicker="1(0)")
    (outcome,) = CpuRunner(image, entry, contract).run([case])
    assert (len(outcome.faults), sum(outcome.correct), outcome.registers["rcx"]) == (1, 16, 0)
    assert not judge(contract, case, outcome)
    strict = {v.obligation for v in judge(contract.under("transient"), case, outcome)}
    assert strict == {"O4"}, "as the letter has it"


def test_a_page_that_vanishes_between_two_reads_of_one_word() -> None:
    image, entry, contract = routine(RACE, RACE_CONTRACT)
    case = Case(16, Placement(Place.HOLE, 8), FREE, flicker="0(1)")
    (outcome,) = CpuRunner(image, entry, contract).run([case])
    assert "O8" in {v.obligation for v in judge(contract, case, outcome)}
    (stays,) = CpuRunner(image, entry, contract).run([replace(case, flicker="")])
    assert not judge(contract, replace(case, flicker=""), stays)


def test_there_are_cases_for_each_way_to_come_and_go() -> None:
    found = [case for group in flickering_cases(load_contract("uaccess")) for case in group]
    assert all(FLICKER.fullmatch(case.flicker) for case in found)
    assert {case.src.first_bad is None for case in found} == {True, False}
    assert all((case.src.first_bad is None) != (case.dst.first_bad is None) for case in found)
    assert len({case.flicker for case in found}) >= 20
    only = [c for group in flickering_cases(load_contract("get_user_4")) for c in group]
    assert {(c.len, c.dst.first_bad) for c in only} == {(4, None)}


# -- the verdicts


@pytest.mark.parametrize("model", [(), ("--fault-model", "transient")])
@pytest.mark.slow
def test_a_retry_that_is_exact_only_if_faults_stay(
    model: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its safety does not, so it is proved, and the verdict says what does; strictly it is not."""
    code, said = answer(capsys, "prove", ROOT / "asm/user_both.S", *model)
    if model:
        assert code in (1, 3), said
        assert "O4" in said
    else:
        assert code == 0, said
        assert "every fault point; O4, O5 only if a bad address stays bad" in said


def test_without_a_retry_nothing_rests_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    for model in ((), ("--fault-model", "transient")):
        code, said = answer(capsys, "prove", ROOT / "asm/memcpy_64.S", *model)
        assert code == 0, said
        assert "PROVED" in said
        assert "only if a bad address" not in said


@pytest.mark.parametrize(("model", "code"), [((), 1), (("--fault-model", "persistent"), 0)])
def test_a_load_without_an_entry_behind_one_with_an_entry(
    model: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same byte was read a moment ago: covered only if the page does not vanish in between."""
    found, said = answer(capsys, "prove", ROOT / "tests/hostile/line_probe.S", *model)
    assert found == code, said
    assert ("under transient faults" in said) == bool(code)
    assert ("O1 only if a bad address stays bad" in said) == (not code)


@pytest.mark.slow
def test_a_run_of_pages_that_come_and_go_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    witness = tmp_path / "w.json"
    code, _ = answer(capsys, "prove", RACE, "--contract", RACE_CONTRACT, "--json", witness)
    assert code == 1
    (found,) = json.loads(witness.read_text())["routines"]
    flickers = [c["case"]["flicker"] for c in found["counterexamples"]]
    assert flickers
    assert all(FLICKER.fullmatch(flicker) for flicker in flickers)
    code, said = answer(capsys, "replay", witness)
    assert code == 1, said
    code, said = answer(capsys, "replay", witness, "--emit-c", tmp_path / "w.c")
    assert (code, "a page comes and goes in this run" in said) == (2, True), said
    broken = json.loads(witness.read_text())
    broken["routines"][0]["counterexamples"][0]["case"]["flicker"] = "2(0)"
    witness.write_text(json.dumps(broken))
    assert answer(capsys, "replay", witness)[0] == 2


@pytest.mark.slow
def test_a_sweep_tries_such_pages_where_all_is_asked_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("sweep", "--quick", RACE, "--contract", RACE_CONTRACT)
    assert answer(capsys, *arguments)[0] == 0
    code, said = answer(capsys, *arguments, "--fault-model", "transient")
    assert (code, "O8" in said) == (1, True)


# -- bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The proof of a routine that is safe only if faults stay."""
    folder = tmp_path_factory.mktemp("staying") / "proof"
    options = ["--contract", str(RACE_CONTRACT), "--fault-model", "persistent", "--proof", str(folder)]
    assert run(["prove", "-q", str(RACE), *options]) == 0
    return folder


def test_a_bundle_that_rests_on_faults_that_stay_is_less_than_is_asked(bundle: Path) -> None:
    contract = load_contract(str(RACE_CONTRACT))
    with pytest.raises(InputError, match="only if a bad address stays bad"):
        complete(bundle, Asked(contract=contract), SEED)
    found = complete(bundle, Asked(contract=contract, fault_model="persistent"), SEED)
    assert any("stays bad" in sentence for sentence in found.proofs[0].assumed)


@pytest.mark.parametrize("what", ["O2", "access", "loops", "by_address"])
@pytest.mark.parametrize("model", ["mixed", "transient"])
def test_a_bundle_may_not_rest_what_is_asked_of_faults_that_come_and_go(
    what: str, model: FaultModel, bundle: Path
) -> None:
    from msgspec import structs

    contract = load_contract(str(RACE_CONTRACT))
    (proof,) = complete(bundle, Asked(contract=contract, fault_model="persistent"), SEED).proofs
    image, routine_ = proof.image, structs.replace(proof.proof.routine, resting=())
    asked_of(routine_, image, Asked(contract=contract, fault_model=model), "m")
    if what == "by_address":
        lost = structs.replace(routine_.paths[0], by_address=True)
        routine_ = structs.replace(routine_, paths=(lost, *routine_.paths[1:]))
    else:
        routine_ = structs.replace(routine_, resting=(what,))
    with pytest.raises(InputError, match="only if a bad address stays bad"):
        asked_of(routine_, image, Asked(contract=contract, fault_model=model), "m")


def test_what_holds_if_faults_stay_is_established_too(bundle: Path) -> None:
    """A fact that is believed at a location only if faults stay is stated on each way there."""
    from msgspec import structs

    from mcverify.check.statement import obligations

    contract = load_contract(str(RACE_CONTRACT))
    (proof,) = complete(bundle, Asked(contract=contract, fault_model="persistent"), SEED).proofs
    locations = [
        location
        if location.entry
        else structs.replace(location, staying=(*location.staying, Fact("no", "false")))
        for location in proof.proof.routine.locations
    ]
    forged = structs.replace(proof.proof.routine, locations=tuple(locations))
    made = {o.text for o in obligations(forged, proof.question)}
    made -= {o.text for o in obligations(proof.proof.routine, proof.question)}
    arrivals = [path for path in forged.paths if path.end == "location"]
    assert len([text for text in made if "establishes the invariant" in text]) >= len(arrivals)

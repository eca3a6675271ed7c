"""What nobody asks is not proved: an obligation without an answer ends with exit code 4."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcverify.check import answers as check_answers
from mcverify.check import statement
from mcverify.check.check import complete
from mcverify.check.question import Asked
from mcverify.cli import run
from mcverify.errors import InputError
from mcverify.paths.explore import Explorer
from mcverify.proof import obligations
from mcverify.proof.discharge import Discharger
from mcverify.runs import cpu
from mcverify.scopes import Unanswered, makes_sense, scopes

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "proof" / "answers.S"

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

Break = Callable[[pytest.MonkeyPatch], None]


def _goal(identifier: str) -> Break:
    """Nothing states a goal for the obligation at an exit."""
    return lambda patch: patch.delitem(obligations._AT_EXIT, identifier)


def _nothing(owner: Any, name: str) -> Break:
    return lambda patch: patch.setattr(owner, name, lambda *_: iter(()))


MAKERS: dict[str, Break] = {
    **{f"{identifier} at an exit": _goal(identifier) for identifier in obligations._AT_EXIT},
    "O1 of an end": _nothing(Discharger, "_dead_end"),
    "O1 of an access": lambda patch: patch.setattr(Explorer, "_fault", lambda *_: ([], [])),
    "O7 of the frame": _nothing(Discharger, "_own_frame"),
    "O8 of an access": _nothing(Discharger, "_footprint"),
    "O9 of the loops": _nothing(Discharger, "_termination"),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_an_obligation_without_a_goal_is_a_bug(
    maker: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    routine = "uncovered" if maker == "O1 of an end" else "strays" if "frame" in maker else "bytes"
    MAKERS[maker](monkeypatch)
    code = run(["prove", str(SMALL), "--routine", routine, "-j", "1"])
    said = capsys.readouterr().err
    assert code == 4, said
    assert "has no answer" in said
    assert maker.split()[0] in said


def test_with_all_of_them_it_is_proved(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", str(SMALL), "--routine", "bytes", "-j", "1"]) == 0, capsys.readouterr()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The proof of a small routine."""
    folder = tmp_path_factory.mktemp("answers") / "proof"
    assert run(["prove", str(SMALL), "--routine", "bytes", "-q", "--proof", str(folder), "-j", "1"]) == 0
    return folder


_LEFT_OUT = ("_footprint", "_arrival", "_return", "_stray")


@pytest.mark.parametrize("identifier", ["O2", "O3", "O4", "O5", "O6", "O7", "O9", "O10"])
def test_a_bundle_without_a_statement_is_a_bug(
    identifier: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goals = statement._Statements._exit_goals
    monkeypatch.setattr(
        statement._Statements,
        "_exit_goals",
        lambda self, asked, path: iter(()) if asked == identifier else goals(self, asked, path),
    )
    with pytest.raises(Unanswered, match=f"exit P.* {identifier} "):
        complete(bundle, Asked(faults="loads"))


@pytest.mark.parametrize("maker", ["_footprint", "_end"])
def test_a_bundle_without_a_kind_of_statement_is_a_bug(
    maker: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nothing(statement._Statements, maker)(monkeypatch)
    with pytest.raises(Unanswered):
        complete(bundle, Asked(faults="loads"))


def test_check_ends_with_exit_code_4(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("bitwuzla")
    pytest.importorskip("cvc5")
    _nothing(statement._Statements, "_footprint")(monkeypatch)
    assert run(["check", str(bundle), "--faults", "loads"]) == 4
    assert "nothing states footprint" in capsys.readouterr().err


def test_every_statement_of_a_bundle_is_needed(bundle: Path) -> None:
    """The list of what is needed has no hole that the statements would hide."""
    found = complete(bundle, Asked(faults="loads"))
    (proof,) = found.proofs
    stated = {of for o in proof.obligations for of in o.of if of[0] in ("exit", "footprint")}
    wanted = check_answers.needed(proof.proof.routine, proof.question.contract)
    assert stated == {of for of in wanted if of[0] in ("exit", "footprint")}


CONTRACT = """
name = "odd"
obligations = {obligations}
[arguments]
dst = "rdi"
src = "rsi"
len = "rdx"
[result]
status = "rax"
"""


@pytest.mark.parametrize("identifier", ["O2", "O3", "O5"])
def test_a_contract_without_a_count_cannot_ask_about_one(identifier: str, tmp_path: Path) -> None:
    from mcverify.contract import load_contract

    file = tmp_path / "odd.toml"
    file.write_text(CONTRACT.format(obligations=["O1", identifier]))
    with pytest.raises(InputError, match=f"holds {identifier}, about a count"):
        load_contract(file)
    file.write_text(CONTRACT.format(obligations=["O1", "O4"]))
    contract = load_contract(file)
    assert not makes_sense(identifier, contract)
    assert scopes("O4", contract) == ("exit after a fault",)

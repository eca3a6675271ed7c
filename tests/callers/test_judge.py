"""From a routine's file to the system call, with all that is real between them."""

import json
from pathlib import Path

import pytest

from mcverify.cli import run

ASKED = str(Path(__file__).with_name("asked.toml"))


@pytest.fixture(scope="module")
def progress(tmp_path_factory):
    """The routine that gives up where a byte could be copied: what a write and a read make of it."""
    out = tmp_path_factory.mktemp("callers") / "out.json"
    code = run(
        [
            "prove",
            "asm/user_both_wrong_progress.S",
            "--caller",
            "write",
            "--caller",
            "read",
            "--json",
            str(out),
            "-q",
        ]
    )
    return code, json.loads(out.read_text())["routines"][0]["callers"]


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Its right twin, the wrong caller's too."""
    out = tmp_path_factory.mktemp("callers") / "out.json"
    code = run(["prove", "asm/user_both.S", "--caller", "write", "--caller", ASKED, "--json", str(out), "-q"])
    return code, json.loads(out.read_text())["routines"][0]


def claim(caller, name):
    return next(c for c in caller["claims"] if c["id"] == name)


@pytest.mark.slow
def test_a_write_does_not_return(progress):
    code, callers = progress
    assert code == 1
    writes = [caller for caller in callers if caller["caller"] == "write"]
    assert len(writes) == 3
    for caller in writes:
        found = claim(caller, "W4")
        assert found["verdict"] == "refuted"
        assert found["lacking"] == ["O5"]
        assert found["shown"]["returned"] is None
        assert found["shown"]["on"] == "cpu"
        assert found["sentence"].startswith("write(2) does not return: ")
        assert [claim(caller, name)["verdict"] for name in ("W1", "W2", "W3")] == ["proved"] * 3


def test_a_read_ends_early(progress):
    (read,) = [caller for caller in progress[1] if caller["caller"] == "read"]
    found = claim(read, "W3")
    assert found["verdict"] == "refuted"
    assert found["shown"]["returned"] == -14
    assert found["shown"]["first_bad"] > 0
    assert claim(read, "W4")["verdict"] == "proved"


@pytest.mark.slow
def test_the_right_routine_and_the_wrong_caller(right):
    code, routine = right
    assert code == 1
    assert routine["verdict"] == "proved"
    *writes, wrong = routine["callers"]
    assert {caller["verdict"] for caller in writes} == {"proved"}
    assert all("O5" in claim(caller, "W4")["rests_on"] for caller in writes)
    assert claim(wrong, "W2")["verdict"] == "refuted"
    assert claim(wrong, "W2")["shown"]["returned"] == claim(wrong, "W2")["shown"]["n"]
    assert wrong["verdict"] == "refuted"


def test_a_count_that_claims_too_much(tmp_path):
    out = tmp_path / "out.json"
    assert run(["prove", "asm/rep_movsb_wrong_zero.S", "--caller", "write", "--json", str(out), "-q"]) == 1
    for caller in json.loads(out.read_text())["routines"][0]["callers"]:
        found = claim(caller, "W2")
        assert found["verdict"] == "refuted"
        assert found["lacking"] == ["O3"]
        assert found["shown"]["returned"] > found["shown"]["first_bad"]


@pytest.mark.parametrize(("caller", "trap"), [("write", "mc"), ("dax-read", "pf")])
def test_a_proof_about_other_traps_says_nothing(capsys, caller, trap):
    options = ("--faults", "both", "--trap", trap, "--caller", caller, "-q")
    assert run(["prove", "asm/rep_movsb.S", *options]) == 3
    said = capsys.readouterr().out
    assert said.startswith("proved ")
    assert f"{caller} " in said


@pytest.mark.slow
def test_what_the_proof_did_not_look_at_is_unknown(capsys):
    files = ("asm/memcpy_64.S", "asm/rep_movsb.S")
    assert run(["prove", *files, "--caller", "dax-read"]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("dax-read 6.1 to 7.3: W1 W2 W3 W4") == 2

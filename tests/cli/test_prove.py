"""`mcverify prove`: options in, exit codes and files out."""

import json
import os
import re
import stat

import pytest
from support.results import PROVED, REFUTED, UNKNOWN

from mcverify.cli.sizes import parse_seconds, parse_size
from mcverify.errors import InputError

FILE = "asm/memcpy_64.S"


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([PROVED], 0),
        ([PROVED, REFUTED, UNKNOWN], 1),
        ([UNKNOWN, PROVED], 3),
        ([], 2),
    ],
)
def test_the_exit_code_is_the_worst_verdict(mcverify, engine, results, code):
    engine.answer = results
    assert mcverify("prove", FILE).code == code


def test_the_options_reach_the_engine(mcverify, engine, tmp_path):
    mcverify(
        *("prove", FILE, "--routine", "a", "--routine", "b", "--contract", "status", "--faults", "both"),
        *("--len-max", "64k", "--timeout", "2.5", "--rep-model", "unordered", "-I", tmp_path, "-I", "x"),
        *("-D", "A=1", "-D", "CONFIG_B=n", "--trap", "mc"),
    )
    [(file, options)] = engine.asked
    assert str(file) == FILE
    assert options.routines == ("a", "b")
    assert (options.contract, options.faults, options.len_max) == ("status", "both", 65536)
    assert options.trap == "mc"
    assert (options.timeout, options.rep_model) == (2.5, "unordered")
    assert [str(folder) for folder in options.include] == [str(tmp_path), "x"]
    assert options.defines == ("A=1", "CONFIG_B=n")


def test_without_options_the_contract_decides_and_the_kernel_bounds_the_length(mcverify, engine):
    mcverify("prove", FILE)
    [(_, options)] = engine.asked
    assert (options.routines, options.contract, options.faults, options.timeout) == ((), None, None, None)
    assert options.len_max == 0x7FFFF000
    assert options.rep_model == "ordered"


def test_the_table_is_printed_and_nothing_else(mcverify, engine):
    ran = mcverify("prove", FILE)
    assert "PROVED" in ran.out
    assert ran.err == ""


def test_quiet_prints_a_line(mcverify, engine):
    assert mcverify("prove", FILE, "--quiet").out == "proved   memcpy_trap  asm/memcpy_64.S\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4096", 4096),
        ("0x7ffff000", 0x7FFFF000),
        ("0X10", 16),
        ("64k", 65536),
        ("3M", 3 << 20),
        ("2G", 2 << 30),
        ("0x10K", 16384),
        ("1_000", 1000),
    ],
)
def test_sizes(text, size):
    assert parse_size(text, "--len-max") == size


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.5", "0x", "10kB", "k", "0", "9223372036854775808", "0xg", "\u0663"]
)
def test_what_is_no_size(text):
    with pytest.raises(InputError, match="--len-max"):
        parse_size(text, "--len-max")


@pytest.mark.parametrize("text", ["", "soon", "0", "-3", "nan", "inf"])
def test_what_is_no_duration(text):
    with pytest.raises(InputError, match="--timeout"):
        parse_seconds(text, "--timeout")


@pytest.mark.parametrize(
    "arguments",
    [
        ["prove"],
        ["prove", FILE, "--len-max", "many"],
        ["prove", FILE, "--timeout", "0"],
        ["prove", FILE, "--faults", "none"],
        ["prove", FILE, "--rep-model", "odd"],
        ["prove", FILE, "--bogus"],
        ["prove", FILE, "--jobs", "0"],
        ["bogus"],
        ["--bogus"],
    ],
)
def test_a_wrong_command_is_one_sentence_and_asks_no_engine(mcverify, engine, arguments):
    ran = mcverify(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert re.fullmatch(r"mcverify: error: .+\n", ran.err)
    assert engine.asked == []


def test_no_command_shows_the_help(mcverify):
    ran = mcverify()
    assert ran.code == 2
    assert "Commands:" in ran.err


def test_wrong_input_is_one_sentence_with_its_place(mcverify, engine):
    engine.answer = InputError("unknown opcode", where="a.S:12", hint="what the assembler said")
    ran = mcverify("prove", "a.S")
    assert ran.code == 2
    assert ran.err == "mcverify: a.S:12: error: unknown opcode (what the assembler said)\n"
    assert ran.out == ""


def test_wrong_input_without_a_place(mcverify, engine):
    engine.answer = InputError("there is no contract 'x'")
    assert mcverify("prove", "a.S").err == "mcverify: error: there is no contract 'x'\n"


def test_our_own_fault_is_one_sentence(mcverify, engine, monkeypatch):
    monkeypatch.delenv("MCVERIFY_TRACEBACK", raising=False)
    engine.answer = ZeroDivisionError("division\nby zero")
    ran = mcverify("prove", "a.S")
    assert ran.code == 4
    assert re.fullmatch(
        r"mcverify: internal error: ZeroDivisionError at conftest.py:\d+: division by zero; please .+\n",
        ran.err,
    )


def test_our_own_fault_with_a_traceback_for_those_who_ask(mcverify, engine, monkeypatch):
    monkeypatch.setenv("MCVERIFY_TRACEBACK", "1")
    engine.answer = ZeroDivisionError("division by zero")
    assert "Traceback" in mcverify("prove", "a.S").err


def test_json_to_a_file_beside_the_table(mcverify, engine, tmp_path):
    out = tmp_path / "out.json"
    ran = mcverify("prove", FILE, "--json", out)
    assert json.loads(out.read_text())["routines"][0]["verdict"] == "proved"
    assert "PROVED" in ran.out
    assert os.listdir(tmp_path) == ["out.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~mask


def test_json_to_standard_output_replaces_the_table(mcverify, engine):
    engine.answer = [REFUTED]
    ran = mcverify("prove", FILE, "--json", "-")
    assert ran.code == 1
    assert json.loads(ran.out)["routines"][0]["verdict"] == "refuted"


def test_json_replaces_an_older_file_and_keeps_its_mode(mcverify, engine, tmp_path):
    out = tmp_path / "out.json"
    engine.answer = [UNKNOWN]
    mcverify("prove", FILE, "--json", out)
    out.chmod(0o640)
    engine.answer = [PROVED]
    mcverify("prove", FILE, "--json", out)
    assert json.loads(out.read_text())["routines"][0]["verdict"] == "proved"
    assert stat.S_IMODE(out.stat().st_mode) == 0o640


def test_json_through_a_link_leaves_the_link(mcverify, engine, tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    mcverify("prove", FILE, "--json", tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["schema"] == 1


def test_json_to_a_device(mcverify, engine):
    assert mcverify("prove", FILE, "--json", "/dev/null").code == 0


@pytest.mark.parametrize("target", [".", "missing/out.json", "file/out.json", "input.S"])
def test_json_that_cannot_be_written_is_found_before_the_work(
    mcverify, engine, tmp_path, monkeypatch, target
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file, no folder")
    (tmp_path / "input.S").write_text("nop")
    ran = mcverify("prove", "input.S", "--json", target)
    assert ran.code == 2
    assert ran.err.startswith(f"mcverify: {target}: error: --json ")
    assert engine.asked == []
    assert sorted(os.listdir(tmp_path)) == ["file", "input.S"]
    assert (tmp_path / "input.S").read_text() == "nop"


@pytest.mark.parametrize("problem", [InputError("wrong"), RuntimeError("ours"), KeyboardInterrupt()])
def test_no_file_is_left_and_an_old_one_is_kept_when_the_work_fails(mcverify, engine, tmp_path, problem):
    old = tmp_path / "old.json"
    mcverify("prove", FILE, "--json", old)
    earlier = old.read_text()
    engine.answer = problem
    assert mcverify("prove", FILE, "--json", tmp_path / "new.json").code in (2, 4, 130)
    assert mcverify("prove", FILE, "--json", old).code in (2, 4, 130)
    assert old.read_text() == earlier
    assert os.listdir(tmp_path) == ["old.json"]

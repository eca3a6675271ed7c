"""Reports in several formats at once: all or none, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.ktap import read_ktap
from support.results import EXPLAINED, PROVED, UNKNOWN

from mcverify.cli.outputs import FORMATS, SUMMARY, without_outputs
from mcverify.cli.streams import mend_streams

FILE = "asm/memcpy_64.S"
OPTIONS = [format_.option for format_ in FORMATS]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Work in an empty folder, outside of any job of GitHub's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SUMMARY, raising=False)


def everywhere(suffix: str = "out") -> list[str]:
    """Arguments for a report in each format."""
    return [word for format_ in FORMATS for word in (format_.option, f"{format_.name}.{suffix}")]


def test_one_run_writes_all_formats_beside_the_table(mcverify, engine):
    engine.answer = [EXPLAINED]
    ran = mcverify("prove", FILE, *everywhere())
    assert (ran.code, ran.err) == (1, "")
    assert "REFUTED" in ran.out
    assert len(engine.asked) == 1
    assert sorted(os.listdir()) == sorted(f"{format_.name}.out" for format_ in FORMATS)
    for format_ in FORMATS:
        assert format_.is_ours(Path(f"{format_.name}.out").read_text()), format_.name


def test_a_report_is_not_taken_for_one_of_another_format(mcverify, engine):
    engine.answer = [EXPLAINED]
    mcverify("prove", FILE, *everywhere())
    for format_ in FORMATS:
        for other in FORMATS:
            text = Path(f"{other.name}.out").read_text()
            assert format_.is_ours(text) == (format_ is other), (format_.name, other.name)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_report_of_an_earlier_run_is_replaced(mcverify, engine, option):
    engine.answer = [EXPLAINED]
    assert mcverify("prove", FILE, option, "out").code == 1
    Path("out").write_text(Path("out").read_text() + "\n<!-- more -->\n")
    assert mcverify("prove", FILE, option, "out").code == 1
    assert "more -->" not in Path("out").read_text()


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("content", [b"notes of mine\n", b"{}", b"\xff\xfe\x00", b"<html></html>", b" "])
def test_a_file_that_is_no_report_is_not_overwritten(mcverify, engine, option, content):
    Path("mine").write_bytes(content)
    ran = mcverify("prove", FILE, option, "mine")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"mcverify: mine: error: {option} would overwrite a file that is no such report of mcverify"
        " (give another name, or remove the file)\n"
    )
    assert engine.asked == []
    assert Path("mine").read_bytes() == content


@pytest.mark.parametrize("option", OPTIONS)
def test_a_report_of_another_format_is_not_overwritten(mcverify, engine, option):
    engine.answer = [EXPLAINED]
    mcverify("prove", FILE, *everywhere())
    other = next(f"{format_.name}.out" for format_ in FORMATS if format_.option != option)
    before = Path(other).read_text()
    assert mcverify("prove", FILE, option, other).code == 2
    assert Path(other).read_text() == before


@pytest.mark.parametrize("option", OPTIONS)
def test_an_empty_file_may_be_written(mcverify, engine, option):
    engine.answer = [EXPLAINED]
    Path("out").touch()
    assert mcverify("prove", FILE, option, "out").code == 1
    assert Path("out").stat().st_size > 0


@pytest.mark.parametrize("option", OPTIONS)
def test_standard_output_gets_the_report_and_no_table(mcverify, engine, option):
    engine.answer = [EXPLAINED]
    ran = mcverify("prove", FILE, option, "-")
    assert (ran.code, ran.err) == (1, "")
    [format_] = [f for f in FORMATS if f.option == option]
    assert format_.is_ours(ran.out)
    assert "columns  " not in ran.out, "a line of the table"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--json", "-", "--sarif", "-"], "error: --json and --sarif both write to standard output"),
        (["--ktap", "-", "--github"], "error: --ktap and --github both write to standard output"),
        (["--junit", "out", "--mail", "out"], "out: error: --junit and --mail name the same file"),
        (
            ["--junit", "out", "--mail", "./sub/../out"],
            "./sub/../out: error: --junit and --mail name the same",
        ),
        (["--json", "link", "--ktap", "target"], "target: error: --json and --ktap name the same file"),
        (["--sarif", "input.S"], "input.S: error: --sarif would overwrite the input"),
        (["--sarif", "sub"], "sub: error: --sarif names a folder"),
        (["--json", "new", "--sarif", "gone/out"], "gone/out: error: --sarif cannot be written"),
    ],
)
def test_targets_that_cannot_be_are_refused_before_the_work(mcverify, engine, arguments, sentence):
    Path("sub").mkdir()
    Path("input.S").write_text("nop\n")
    Path("target").touch()
    Path("link").symlink_to("target")
    before = sorted(os.listdir())
    ran = mcverify("prove", "input.S", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"mcverify: {sentence}")
    assert ran.err.count("\n") == 1
    assert engine.asked == []
    assert sorted(os.listdir()) == before
    assert Path("input.S").read_text() == "nop\n"


def test_a_device_may_take_several(mcverify, engine):
    assert mcverify("prove", FILE, "--json", "/dev/null", "--sarif", "/dev/null").code == 0


def test_a_failure_in_one_report_leaves_none(mcverify, engine, monkeypatch):
    def broken(*anything):
        raise ZeroDivisionError

    monkeypatch.setattr("mcverify.report.junit.to_junit", broken)
    assert mcverify("prove", FILE, "--json", "a", "--junit", "b", "--ktap", "c").code == 4
    assert os.listdir() == []


def test_a_disk_that_is_full_leaves_none(mcverify, engine, monkeypatch):
    write = Path.write_text

    def full(path, *arguments, **options):
        if "second" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    ran = mcverify("prove", FILE, "--json", "first", "--ktap", "second")
    assert (ran.code, ran.err) == (
        2, "mcverify: second: error: it cannot be written: no space left on device\n"
    )  # fmt: skip
    assert os.listdir() == []


def test_a_report_on_a_file_whose_name_is_no_text(mcverify, engine):
    mend_streams()
    engine.answer = [replace(EXPLAINED, file="caf\udce9.S")]
    assert mcverify("prove", FILE, *everywhere()).code == 1
    for format_ in FORMATS:
        Path(f"{format_.name}.out").read_text(encoding="utf-8")


# -- the mail ---------------------------------------------------------------------------------------------


def test_without_a_refutation_no_mail_is_written(mcverify, engine):
    engine.answer = [PROVED, UNKNOWN]
    ran = mcverify("prove", FILE, "--mail", "m", "--ktap", "k")
    assert ran.code == 3
    assert ran.err == "mcverify: --mail: nothing was refuted, so there is nothing to write\n"
    assert os.listdir() == ["k"]


def test_an_earlier_mail_stays_and_that_is_said(mcverify, engine):
    engine.answer = [EXPLAINED]
    mcverify("prove", FILE, "--mail", "m")
    earlier = Path("m").read_text()
    engine.answer = [PROVED]
    ran = mcverify("prove", FILE, "--mail", "m")
    assert ran.code == 0
    assert ran.err.endswith("; m stays as an earlier run left it\n")
    assert Path("m").read_text() == earlier


def test_a_mail_tells_the_command_without_its_reports(mcverify, engine):
    engine.answer = [EXPLAINED]
    mcverify("prove", FILE, "--faults", "both", "--mail", "m", "--json=j", "-D", "A=1 2", "--github")
    assert (
        f"    mcverify prove --json witness.json {FILE} --faults both -D 'A=1 2'\n" in Path("m").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ("prove a.S --json x --sarif=y --github -q", "prove a.S"),
        ("prove --mail - -- --json", "prove -- --json"),
        ("prove a.S --json", "prove a.S"),
        ("prove -j 2 a.S -j3 --jobs=4 b.S --jobs 5", "prove a.S b.S"),
    ],
)
def test_what_is_about_reports_is_left_out_of_the_command(arguments, kept):
    assert without_outputs(arguments.split()) == tuple(kept.split())


# -- GitHub -----------------------------------------------------------------------------------------------


def test_annotations_come_after_the_table(mcverify, engine):
    engine.answer = [EXPLAINED]
    out = mcverify("prove", FILE, "--github").out
    assert out.index("REFUTED") < out.index("\n::error file=asm/memcpy_64.S,line=114,")


def test_the_summary_is_appended_to(mcverify, engine, monkeypatch):
    Path("summary.md").write_text("# Of another step\n")
    monkeypatch.setenv(SUMMARY, "summary.md")
    mcverify("prove", FILE, "--github")
    text = Path("summary.md").read_text()
    assert text.startswith("# Of another step\n")
    assert "### mcverify" in text
    mcverify("prove", FILE)
    assert Path("summary.md").read_text() == text, "only where it was asked for"


def test_a_summary_that_cannot_be_written_is_found_before_the_work(mcverify, engine, monkeypatch):
    monkeypatch.setenv(SUMMARY, "gone/summary.md")
    ran = mcverify("prove", FILE, "--github")
    assert ran.code == 2
    assert re.match(rf"mcverify: gone/summary.md: error: {re.escape(SUMMARY)} cannot be written", ran.err)
    assert engine.asked == []


def test_the_reports_agree_on_the_verdicts(mcverify, engine):
    engine.answer = [PROVED, EXPLAINED, UNKNOWN]
    ran = mcverify("prove", FILE, *everywhere())
    verdicts = [r["verdict"] for r in json.loads(Path("json.out").read_text())["routines"]]
    assert verdicts == ["proved", "refuted", "unknown"]
    assert [test.passed for test in read_ktap(Path("ktap.out").read_text())] == [True, False, False]
    [run] = json.loads(Path("sarif.out").read_text())["runs"]
    assert [r["verdict"] for r in run["properties"]["routines"]] == verdicts
    assert run["invocations"][0]["exitCode"] == ran.code == 1


# -- as a process -----------------------------------------------------------------------------------------

FAKE = str(Path(__file__).parents[1] / "support" / "fake_engine.py")


def test_a_named_pipe_takes_a_report(tmp_path):
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        ran = subprocess.run(
            [sys.executable, FAKE, "one", "prove", "a.S", "--ktap", "pipe"], capture_output=True, check=False
        )
        out, _ = reader.communicate(timeout=60)
    assert ran.returncode == 0
    assert [test.passed for test in read_ktap(out)] == [True]


@pytest.mark.slow
def test_a_reader_that_goes_away_takes_no_report_and_no_summary_with_it():
    environment = os.environ | {SUMMARY: "summary.md"}
    process = subprocess.Popen(
        [sys.executable, FAKE, "many", "prove", "a.S", "--github", "--ktap", "k"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()
    assert len(read_ktap(Path("k").read_text())) == 401
    assert "### mcverify" in Path("summary.md").read_text()

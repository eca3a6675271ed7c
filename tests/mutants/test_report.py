"""The tables add up, and the exit code tells whether a mutant is as it must not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from mcverify.runs import cpu
from mutants import __main__ as command
from mutants import report
from mutants.examine import GOOD, Fate, Finding
from mutants.operators import Mutant, Operator
from mutants.reasons import Reason
from mutants.source import ASM

ROOT = ASM.parent


def finding(fate: Fate, file: str = "words", operator: Operator = Operator.ENTRY, **more: object) -> Finding:
    return Finding(Mutant(file, operator, 7, "RET", "", ""), fate, **more)


MANY = [
    finding(Fate.KILLED, broken=(("O3", ".Lfix_w"),), blind=True),
    finding(Fate.KILLED, operator=Operator.COUNT, broken=(("O2", ".Lfix_w"),)),
    finding(Fate.EQUIVALENT, "bytes", reason=Reason.MORE_LEFT),
    finding(Fate.REFUTED, "bytes", Operator.WIDTH, broken=(("O10", ".Lfix_b"),)),
]


def test_rows_and_total_add_up() -> None:
    assert [row.cells for row in report.by_routine(MANY)] == [
        ("words", "2", "2", "-", "-", "-", "-"),
        ("bytes", "2", "-", "1", "1", "-", "-"),
        ("total", "4", "2", "1", "1", "-", "-"),
    ]
    assert [row.name for row in report.by_operator(MANY)] == ["count", "width", "entry", "total"]
    assert report.by_reason(MANY) == [(Reason.MORE_LEFT, 1)]


def test_every_fate_has_a_column() -> None:
    assert sorted(fate for fates in report.COLUMNS.values() for fate in fates) == sorted(Fate)


@pytest.mark.parametrize("fate", Fate)
def test_the_exit_code_is_1_if_one_must_not_be(fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "examine_all", lambda *_: [*MANY, finding(fate, remark="so it is")])
    monkeypatch.setattr(cpu, "available", lambda: None)
    result = CliRunner().invoke(command.main, [str(ASM / "rep_movsb.S")], standalone_mode=False)
    assert result.return_value == (0 if fate in GOOD else 1)
    assert ("so it is" in result.output) == (fate not in GOOD)


def test_json_has_every_mutant_and_its_fate() -> None:
    written = json.loads(report.to_json(MANY))["mutants"]
    assert len(written) == len(MANY)
    assert written[0]["broken"] == [{"obligation": "O3", "exit": ".Lfix_w"}]
    assert (written[2]["fate"], written[2]["reason"]) == ("equivalent", "more left")


def test_the_page_names_what_is_of_interest() -> None:
    page = report.to_markdown(MANY)
    assert "| total | 4 | 2 | 1 | 1 | - | - |" in page
    assert "words.S:7" not in page
    assert "`bytes.S:7: RET -> left out`: refuted, O10 at .Lfix_b" in page


def test_a_remark_with_brackets_is_shown_as_it_is() -> None:
    console = Console(width=200)
    with console.capture() as capture:
        report.show([finding(Fate.FALSE, remark="breaks [O3]")], console)
    assert "false: words.S:7: RET -> left out: breaks [O3]" in capture.get()


# -- the command --------------------------------------------------------------------------------------


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    words = [sys.executable, "-m", "mutants", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")
def test_the_command_examines_a_file(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run(ASM / "clear_stosb.S", "--blind", 0, "--json", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert {m["fate"] for m in json.loads(out.read_text())["mutants"]} == {"killed"}
    assert "clear_stosb 4 4 - - - -" in " ".join(done.stdout.split())


WORKER = """
import multiprocessing, signal
from mutants import __main__ as command
class Command:
    @staticmethod
    def main(**_):
        worker = multiprocessing.get_context("spawn").Process(target=int)
        worker.start()
        worker.join()
        print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
command.main = Command
command.run()
"""


def test_an_interrupt_goes_to_the_thread_that_waits_for_it_when_workers_run_too() -> None:
    """Else the main thread waits for workers that nobody ends."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    words = [sys.executable, "-c", WORKER]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("asm/sse_wrong_rounded.S",), "only right routines under asm/ are mutated"),
        ((ROOT / "asm/none.S",), "there is no such file"),
        ((ROOT / "asm/sse.S", "--json", "/nowhere/out.json"), "--json cannot be written"),
        (("--blind", "-1"), "-1 is not in the range"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: tuple[object, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr

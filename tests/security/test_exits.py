"""The exit code says what it means, whatever becomes of output, memory and helpers."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.cli import main
from mcverify.errors import LostProcess
from mcverify.proof import prove
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Verdict
from mcverify.review.differ import Pair
from mcverify.runs import apart, emulator
from mcverify.runs.case import Case, Ending, Outcome
from mcverify.witness.sweep import Finding, SweepOptions, sweep_file

REPOSITORY = Path(__file__).parents[2]
FULL = "/dev/full"


def ended(*arguments: str, out: str = os.devnull, err: str = os.devnull, program: str = "-m mcverify") -> int:
    with Path(out).open("wb") as stdout, Path(err).open("wb") as stderr:
        command = [sys.executable, *program.split(), *arguments]
        return subprocess.run(command, cwd=REPOSITORY, stdout=stdout, stderr=stderr, check=False).returncode


@pytest.mark.parametrize(
    ("arguments", "out", "err", "code"),
    [
        (["prove", "nofile.S"], os.devnull, FULL, 2),
        (["prove", "nofile.S"], FULL, FULL, 2),
        (["--help"], FULL, FULL, 2),
        (["--version"], FULL, os.devnull, 2),
        (["scan", "asm/rep_movsq.S"], FULL, FULL, 2),
        (["scan", "asm/rep_movsq.S"], os.devnull, FULL, 0),
        (["no-such-command"], FULL, FULL, 2),
        ([], os.devnull, FULL, 2),
    ],
)
def test_attack_full_output(arguments: list[str], out: str, err: str, code: int) -> None:
    """1 would mean that something was refuted."""
    assert ended(*arguments, out=out, err=err) == code


def test_attack_full_output_of_a_right_routine() -> None:
    assert ended("prove", "-q", "asm/rep_movsq.S", out=FULL, err=FULL) == 2


def test_attack_no_memory() -> None:
    """Whatever fails for lack of memory, even an import, nothing is refuted by it."""
    limits = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, ({0}, {0}));"
    for megabytes in (60, 200, 500):
        code = (
            limits.format(megabytes << 20)
            + " sys.argv[0] = 'mcverify'; runpy.run_module('mcverify', None, '__main__')"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "prove", "-q", "asm/rep_movsq.S"],
            cwd=REPOSITORY,
            capture_output=True,
            check=False,
        )
        assert done.returncode not in (0, 1), done


# -- a helper that dies -------------------------------------------------------------------------------------

TWO = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
"""
ONE = """
SYM_FUNC_START({0})
	movq %rdx, %rcx
1:	rep movsb
2:	movq %rcx, %rax
	RET
SYM_FUNC_END({0})
	_ASM_EXTABLE(1b, 2b)
"""


def dies(job: prove.Job, options: object, deadline: object, progress: Callable[[str], None]) -> object:
    """In place of a proof: the process of the first routine is killed."""
    if job.task.name == "first":
        os.kill(os.getpid(), signal.SIGKILL)
    return prove.finished(
        prove.unknown_because("a stand-in", job.variant.image, job.task, ProveOptions()), job
    )


def test_attack_killed_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One routine that brings its process down leaves the verdicts of all others."""
    path = tmp_path / "two.S"
    path.write_text(TWO + ONE.format("first") + ONE.format("second"))
    monkeypatch.setattr(prove, "_proved", dies)
    first, second = prove.prove_file(path, ProveOptions(jobs=2), lambda text: None)
    assert first.verdict is Verdict.UNKNOWN
    assert "was killed by signal 9" in first.unknowns[0]
    assert second.unknowns == ("a stand-in",)


def test_no_memory_for_one_routine_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    path = tmp_path / "one.S"
    path.write_text(TWO + ONE.format("first"))
    monkeypatch.setattr(prove, "_prove", fails)
    (result,) = prove.prove_file(path, ProveOptions(), lambda text: None)
    assert result.verdict is Verdict.UNKNOWN
    assert result.unknowns == ("there is not enough memory to prove it",)


# -- the emulator, which ends the process that it is in


def test_attack_no_memory_for_the_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unicorn calls exit(1) where it gets no memory: that is no 1 of ours, and no verdict but its own."""
    path = tmp_path / "two.S"
    path.write_text(TWO + ONE.format("first") + ONE.format("second"))
    right = emulator._Emulation.run

    def run(self: emulator._Emulation, cases: list[Case]) -> list[Outcome]:
        if self._machine.entry == min(f.address for f in self._machine.image.functions):
            os._exit(1)
        return right(self, cases)

    monkeypatch.setattr(emulator._Emulation, "run", run)
    options = SweepOptions(quick=True, on="emulator")
    first, second = sweep_file(path, options, lambda text: None)
    assert first.finding is Finding.INCOMPLETE
    assert first.gaps == ("the emulator ended with exit code 1, for lack of memory most likely",)
    assert second.finding is Finding.CLEAN


def test_attack_answer_of_the_emulator() -> None:
    """What comes back is values of a run: a name of anything else in it is refused."""
    with pytest.raises(pickle.UnpicklingError, match="system is no part of an answer"):
        apart._Answers(io.BytesIO(pickle.dumps(("gives", os.system)))).load()


class _AsBefore:
    """An object that is written down as an attribute, as Python before 3.11.4 does with enumerations."""

    def __init__(self, kind: object, name: str) -> None:
        self._parts = kind, name

    def __reduce__(self) -> tuple[object, tuple[object, str]]:
        return getattr, self._parts


def test_answers_of_the_emulator_are_read_as_every_python_writes_them() -> None:
    def read(kind: object, name: str) -> object:
        return apart._Answers(io.BytesIO(pickle.dumps(_AsBefore(kind, name)))).load()

    assert read(Ending, "RETURNED") is Ending.RETURNED
    for kind, name in ((Ending, "__class__"), (Ending, "mro"), (Outcome, "__init__")):
        with pytest.raises(pickle.UnpicklingError, match=f"{name} is no part of an answer"):
            read(kind, name)


@pytest.mark.parametrize("command", [["replay", "w.json"], ["review", "old.S", "new.S"]])
def test_a_lost_process_of_ours_decides_nothing(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_lost(**_: object) -> None:
        raise LostProcess("the emulator was killed by signal 9 (Killed)")

    monkeypatch.setattr(main.cli, "main", is_lost)
    assert main.run(command) == 3
    said = capsys.readouterr().err
    assert said == "mcverify: error: the emulator was killed by signal 9 (Killed): nothing is decided\n"


def test_a_lost_emulator_leaves_a_comparison_undecided(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_lost(self: Pair) -> None:
        raise LostProcess("the emulator was killed by signal 9 (Killed)")

    monkeypatch.setattr(Pair, "glance", is_lost)
    files = [str(REPOSITORY / "asm" / name) for name in ("rep_movsb.S", "rep_movsb_wrong_zero.S")]
    assert main.run(["review", "--no-cache", *files]) == 1
    assert "the emulator was killed by signal 9 (Killed)" in " ".join(capsys.readouterr().out.split())

"""A finding is kept as long as nothing has changed on which it depends."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.runs import cpu
from mutants import depends
from mutants.depends import ROOT, digest, files
from mutants.examine import Fate, Finding
from mutants.kept import Kept, split
from mutants.operators import Mutant, Operator
from mutants.reasons import Reason

PROOF = ("logic", "invariants", "review", "witness", "report", "cli", "check/solvers.py")


def finding(line: int, fate: Fate, **more: object) -> Finding:
    return Finding(Mutant("sse", Operator.ENTRY, line, "RET", "", ""), fate, **more)


BLIND = finding(1, Fate.KILLED, broken=(("O3", ".Lfix_w"),), blind=True)
KILLED = finding(2, Fate.KILLED, broken=(("O2", ".Lfix_w"),))
EQUIVALENT = finding(3, Fate.EQUIVALENT, reason=Reason.MORE_LEFT)
NOT_YET = finding(4, Fate.REFUTED)
UNKNOWN = finding(5, Fate.UNKNOWN)
ALL = (BLIND, KILLED, EQUIVALENT, NOT_YET, UNKNOWN)


def known(path: Path, *, blind: bool) -> set[int]:
    """The lines of those that are not examined again."""
    found, left = split([(f.mutant, blind) for f in ALL], Kept(path))
    assert len(found) + len(left) == len(ALL)
    assert all(found[number] == replace(ALL[number], blind=found[number].blind) for number in found)
    return {ALL[number].mutant.line for number in found}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kept.jsonl"
    for found in (BLIND, KILLED, EQUIVALENT, UNKNOWN):
        Kept(path).add(found)
    return path


def test_what_is_kept_is_not_examined_again(path: Path) -> None:
    # 2 has not been tried without runs, 4 not at all, and 5, which is unknown, is tried again.
    assert known(path, blind=True) == {1, 3}
    assert known(path, blind=False) == {1, 2, 3}
    path.write_text(path.read_text()[:-9])  # a run that was killed while it wrote
    assert known(path, blind=False) == {1, 2, 3}


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch):
    """Let a file have other contents."""
    read = Path.read_bytes

    def change(name: str) -> None:
        there = ROOT / name
        assert there.is_file()
        monkeypatch.setattr(
            Path, "read_bytes", lambda path: read(path) + b"#" if path == there else read(path)
        )
        digest.cache_clear()

    yield change
    monkeypatch.undo()
    digest.cache_clear()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("src/mcverify/logic/normal.py", {2}),
        ("src/mcverify/proof/routine.py", {2}),
        ("src/mcverify/review/joint.py", {2}),
        ("tests/mutants/reasons.py", {2}),
        ("tests/asm_corpus/expectations.py", {2}),
        ("asm/sse.S", {2}),
        ("proofs/sse.toml", {2}),
        ("src/mcverify/runs/harness.c", set()),
        ("src/mcverify/runs/judge.py", set()),
        ("src/mcverify/image/shim/include/asm/asm.h", set()),
        ("src/mcverify/__init__.py", set()),
        ("models/contracts/uaccess.toml", set()),
        ("tests/mutants/endless.py", set()),
        ("tests/mutants/kills.py", set()),
        ("src/mcverify/report/svg.py", {1, 2, 3}),
        ("tests/mutants/report.py", {1, 2, 3}),
        ("asm/sum_copy.S", {1, 2, 3}),
    ],
)
def test_a_change_of_a_file_is_a_change_of_what_depends_on_it(
    path: Path, changed, name: str, kept: set[int]
) -> None:
    changed(name)
    assert known(path, blind=False) == kept


def test_what_runs_a_mutant_imports_nothing_that_proves() -> None:
    rooms = [ROOT / "src/mcverify" / room for room in PROOF]
    assert not [path for path in files("mutants.kills") if any(path.is_relative_to(room) for room in rooms)]
    by_name = [path for path in files("mutants.kills") if "import_module" in path.read_text()]
    assert by_name == [ROOT / "src/mcverify/arch/architecture.py"]  # which `files` knows
    assert files("mutants.kills") < files("mutants.examine")


@pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")
@pytest.mark.parametrize("name", ["alternative_wrong_words", "tail_in_c_wrong_count"])
def test_what_is_loaded_for_a_run_is_what_is_said_to_be_imported(name: str) -> None:
    code = (
        "import sys, pathlib; from mutants.kills import killing;"
        f"assert killing(pathlib.Path({str(ROOT / 'asm' / name)!r} + '.S'));"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('mcverify', 'mutants')))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    loaded = {Path(path) for path in done.stdout.split()}
    assert ROOT / "src/mcverify/runs/cpu.py" in loaded
    assert loaded <= files("mutants.kills")


def test_an_import_in_a_function_counts() -> None:
    assert depends.ROOT / "src/mcverify/proof/prove.py" in files("mcverify.cli.prove")

"""docs/kernels.md against the routines themselves: all that are there, and the rows of some anew."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mcverify.contract import load_contract
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import RoutineResult, Verdict

ROOT = Path(__file__).parents[2]
ANEW = ["__get_user_8", "__put_user_nocheck_4", "clear_user_original", "rep_stos_alternative"]
"""Routines whose rows take seconds: `make kernels` makes the others."""


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_kernels", ROOT / "bench" / "kernels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


kernels = _loaded()
VERDICT = 6
"""The column of the verdict."""

ROWS = kernels.rows_of(kernels.PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of 6.1 out of Debian's archive, kept beside pytest's own folders: it takes a minute."""
    archive = kernels.archive("6.1")
    if not archive.exists():
        pytest.skip("skipped: needs linux-source-6.1")
    base = tmp_path_factory.getbasetemp()
    user = next((p for p in base.parents if p.name.startswith("pytest-of-")), base)
    cache = user / f"tree-6.1-{archive.stat().st_mtime_ns}"
    if not cache.exists():
        made = kernels.extract("6.1", base)
        if not cache.exists():  # another worker may have been quicker
            made.rename(cache)
    return cache


def sources(version: str, tree: Path) -> list[Path]:
    """The files of a version; of most there are archives on few machines."""
    if version == "6.1":
        return list(kernels.files(tree))
    if version == kernels.LINKED and (linked := kernels.vmlinux()) is not None:
        return [linked]
    pytest.skip(f"skipped: needs {version}")


def test_nothing_is_unknown() -> None:
    assert {row[0] for row in ROWS} == set(kernels.KERNELS)
    assert len(ROWS) > 180
    assert [row for row in ROWS if "unknown" in row[VERDICT]] == []


def test_no_routine_needs_faults_that_stay_for_what_protects_the_kernel() -> None:
    """What docs/contracts.md says of the model `mixed`: what may rest on faults that stay is O3 to O6, and
    O9."""
    proved = [row for row in ROWS if row[VERDICT] == "proved"]
    resting = {identifier for row in proved for identifier in row[4].split(", ")}
    assert "O4" in resting
    assert resting <= {"none", "O3", "O4", "O5", "O6", "O9"}


def test_the_kernel_recovers_wherever_a_machine_check_is_asked_about() -> None:
    asked = [row for row in ROWS if row[3] == "loads: machine checks"]
    assert len(asked) > 60
    assert {row[5] for row in asked} == {"all"}


def test_the_refuted_rows_are_those_of_user_copies_after_a_machine_check() -> None:
    """5.10 says that all was copied, 6.1 counts whole blocks, which another contract allows."""
    refuted = [row for row in ROWS if row[VERDICT] != "proved"]
    assert {row[0] for row in refuted} == {"5.10", "6.1"}
    for row in refuted:
        assert row[3] == "loads: machine checks"
        broken = set(row[VERDICT].removeprefix("refuted: ").split(", "))
        rounded = [r[VERDICT] for r in ROWS if r[2] == f"{row[2]}_rounded" and _is_about(r, row)]
        if row[0] == "5.10":
            assert (broken, rounded) == ({"O3"}, [])
        else:
            assert broken <= {"O4", "O5"}
            assert set(rounded) == {"proved"}


def _is_about(row: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether both are of the same routine of one kernel."""
    return (row[0], row[1].partition(" ")[0]) == (other[0], other[1].partition(" ")[0])


def test_the_linked_code_has_the_verdicts_of_its_source() -> None:
    """Routine by routine: for the same faults, under the same contract, for the same lengths."""
    linked = [row[1:] for row in ROWS if row[0] == kernels.LINKED]
    assert len(linked) > 30
    assert linked == [row[1:] for row in ROWS if row[0] == kernels.LINKED_FROM]
    (first, *rest) = kernels.comparison(ROWS)
    assert f"{len(linked)} are the same" in first
    assert rest == []
    changed = [
        (*row[:VERDICT], "refuted: O4", *row[VERDICT + 1 :]) if row[0] == kernels.LINKED else row
        for row in ROWS
    ]
    assert "0 are the same" in kernels.comparison(changed)[0]


@pytest.mark.parametrize("version", ["6.1", kernels.LINKED])
def test_every_routine_has_its_rows(tree: Path, version: str) -> None:
    jobs = [job for file in sources(version, tree) for job in kernels.jobs(file)]
    assert len(jobs) > 20
    for job in jobs:
        assert any(kernels.is_of(row, version, job) for row in ROWS), job
    for row in (row for row in ROWS if row[0] == version):
        assert any(kernels.is_of(row, version, job) for job in jobs), row


@pytest.mark.parametrize("kernel", ["6.1", kernels.LINKED])
def test_rows_come_out_the_same_again(tree: Path, kernel: str) -> None:
    jobs = [job for file in sources(kernel, tree) for job in kernels.jobs(file) if job.routine in ANEW]
    assert jobs
    for job in jobs:
        listed = [row[1:] for row in ROWS if kernels.is_of(row, kernel, job)]
        assert kernels.rows(job) == listed


def test_contracts_that_allow_whole_blocks_differ_in_nothing_else() -> None:
    """A machine check strikes user memory under both: else each load of a user copy would be fatal."""
    for name, rounded in kernels._ROUNDED.items():
        assert load_contract(rounded).reads_user == load_contract(name).reads_user
        assert load_contract(rounded).kept == load_contract(name).kept


def test_the_row_where_a_machine_check_makes_the_difference_is_shown(tree: Path) -> None:
    """6.1's copy for CPUs with ERMS but without FSRM copies less than 64 bytes in words: after a machine
    check in a word it gives up the bytes before the bad one, after a page fault it does not."""
    file = tree / kernels.LIBRARY / "copy_user_64.S"
    broken = {trap: _open_rows(_without_fsrm(file, trap)) for trap in ("pf", "mc")}
    assert broken["pf"] == {}
    (place,) = {exit_ for _, exit_ in broken["mc"]}
    assert broken["mc"] == {("O5", place): Verdict.REFUTED}
    assert "copy_user_64.S" in place


def _without_fsrm(file: Path, trap: str) -> RoutineResult:
    options = ProveOptions(routines=("copy_user_enhanced_fast_string",), faults="loads", trap=trap)
    results = prove_file(file, options, lambda _: None)
    return next(r for r in results if r.variant == "!SMAP,!FSRM")


def _open_rows(result: RoutineResult) -> dict[tuple[str, str], Verdict]:
    return {(o.id, o.exit): o.verdict for o in result.obligations if o.verdict is not Verdict.PROVED}

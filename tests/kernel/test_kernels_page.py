"""docs/kernels.md against the routines themselves: all that are there, and for 6.12 the rows of some anew."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import RoutineResult, Verdict

ROOT = Path(__file__).parents[2]
ANEW = ["__get_user_8", "__put_user_nocheck_4", "rep_movs_alternative", "rep_stos_alternative"]
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
ROWS = kernels.rows_of(kernels.PAGE.read_text(encoding="utf-8"))


def sources(version: str, base: Path) -> list[Path]:
    """The files of a version, out of Debian's archive, kept beside pytest's own folders: it takes seconds."""
    archive = kernels.archive(version)
    if not archive.exists():
        pytest.skip(f"skipped: needs linux-source-{version}")
    user = next((p for p in base.parents if p.name.startswith("pytest-of-")), base)
    cache = user / f"lib-{version}-{archive.stat().st_mtime_ns}"
    if not cache.exists():
        made = base / f"lib-{version}"
        made.mkdir()
        assert kernels.extract(version, made)
        if not cache.exists():  # another worker may have been quicker
            made.rename(cache)
    return sorted(cache.glob("*.S"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The files of both versions, and the linked kernel."""
    base = tmp_path_factory.getbasetemp()
    linked = kernels.vmlinux()
    if linked is None:
        pytest.skip(f"skipped: needs {kernels.missing(kernels.LINKED)}")
    return {version: sources(version, base) for version in kernels.VERSIONS} | {kernels.LINKED: [linked]}


def test_nothing_is_unknown() -> None:
    assert len(ROWS) > 70
    assert [row for row in ROWS if "unknown" in row[4]] == []


def test_every_refuted_row_has_one_for_the_contract_that_allows_it() -> None:
    """The one kind of refutation is the count of whole blocks after a machine check, up to 6.3."""
    refuted = [row for row in ROWS if row[4] != "proved"]
    assert refuted
    for row in refuted:
        assert (row[0], row[3]) == ("6.1", "loads: machine checks")
        assert set(row[4].removeprefix("refuted: ").split(", ")) <= {"O4", "O5"}
        assert [r[4] for r in ROWS if r[:2] == row[:2] and r[2] == f"{row[2]}_rounded"] == ["proved"]


def test_the_linked_code_has_the_verdicts_of_its_source() -> None:
    """Routine by routine: for the same faults, under the same contract, for the same lengths."""
    linked = [row[1:] for row in ROWS if row[0] == kernels.LINKED]
    assert len(linked) > 30
    assert linked == [row[1:] for row in ROWS if row[0] == kernels.LINKED_FROM]
    (first, *rest) = kernels.comparison(ROWS)
    assert f"{len(linked)} are the same" in first
    assert rest == []
    changed = [(*row[:4], "refuted: O4", *row[5:]) if row[0] == kernels.LINKED else row for row in ROWS]
    assert "0 are the same" in kernels.comparison(changed)[0]


@pytest.mark.parametrize("version", kernels.KERNELS)
def test_every_routine_has_its_rows(files: dict[str, list[Path]], version: str) -> None:
    jobs = [job for file in files[version] for job in kernels.jobs(file)]
    assert len(jobs) > 20
    for job in jobs:
        assert any(kernels.is_of(row, version, job) for row in ROWS), job
    for row in (row for row in ROWS if row[0] == version):
        assert any(kernels.is_of(row, version, job) for job in jobs), row


@pytest.mark.parametrize("kernel", ["6.12", kernels.LINKED])
@pytest.mark.parametrize("routine", ANEW)
def test_a_row_of_6_12_comes_out_the_same_again(
    files: dict[str, list[Path]], routine: str, kernel: str
) -> None:
    jobs = [job for file in files[kernel] for job in kernels.jobs(file) if job.routine == routine]
    assert jobs
    for job in jobs:
        listed = [row[1:] for row in ROWS if kernels.is_of(row, kernel, job)]
        assert kernels.rows(job) == listed


def test_the_row_where_a_machine_check_makes_the_difference_is_shown(files: dict[str, list[Path]]) -> None:
    """6.1's copy for CPUs with ERMS but without FSRM copies less than 64 bytes in words: after a machine
    check in a word it gives up the bytes before the bad one, after a page fault it does not."""
    file = next(f for f in files["6.1"] if f.name == "copy_user_64.S")
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

"""The kernel's own copy_mc_64.S, alone in a folder, from Debian's packages of the kernel's source."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.image.load import load
from mcverify.proof.prove import ProveOptions, prove_file
from mcverify.proof.result import SUCCESS, RoutineResult, Verdict
from mcverify.runs import cpu

from .archive import extracted

KERNEL_612 = Path("/usr/src/linux-source-6.12.tar.xz")
ROUTINES = ["copy_mc_fragile", "copy_mc_enhanced_fast_string"]


@pytest.fixture(scope="module")
def results(kernel_source_61: Path) -> dict[str, RoutineResult]:
    assert [p.name for p in kernel_source_61.parent.iterdir()] == ["copy_mc_64.S"]
    return {r.name: r for r in prove_file(kernel_source_61, ProveOptions(), lambda _: None)}


def test_both_routines_are_found(results: dict[str, RoutineResult]) -> None:
    assert list(results) == ROUTINES


@pytest.mark.parametrize("name", ROUTINES)
def test_it_is_proved_for_faults_of_loads(results: dict[str, RoutineResult], name: str) -> None:
    result = results[name]
    assert result.verdict is Verdict.PROVED
    assert result.contract.name == "bytes_left"
    assert {o.verdict for o in result.obligations} == {Verdict.PROVED}
    assert {f"O{n}" for n in (1, 2, 3, 4, 6, 7, 8, 9)} <= {o.id for o in result.obligations}
    assert (result.domain.len_min, result.domain.len_max) == (0, 0x7FFFF000)
    assert "loads, and stores that have an entry, may fault" in result.assumptions
    assert result.slack == 0
    assert result.unknowns == ()


@pytest.mark.parametrize("name", ROUTINES)
def test_the_configuration_that_shows_the_routines_is_told(
    results: dict[str, RoutineResult], name: str
) -> None:
    told = [a for a in results[name].assumptions if "CONFIG" in a]
    assert "CONFIG_X86_MCE is taken as set" in told
    assert "CONFIG_UML is taken as not set" in told


def test_the_exits_are_success_and_all_fixups(
    kernel_source_61: Path, results: dict[str, RoutineResult]
) -> None:
    image = load(kernel_source_61)
    # Loads, and they alone, may meet a machine check.
    of_loads = {image.label_at(e.fixup) for e in image.entries if e.handler.name == "default_mce_safe"}
    assert len(of_loads) == 4
    fixups = {image.label_at(e.fixup) for e in image.entries}
    assert fixups - of_loads == {".E_write_words", "copy_mc_fragile_handle_tail"}
    assert {e.id for result in results.values() for e in result.exits} == {SUCCESS, *fixups}


def test_the_first_breaks_at_four_gib(results: dict[str, RoutineResult]) -> None:
    if cpu.available() is not None:
        pytest.skip(f"skipped: {cpu.available()}")
    fragile, fast = (results[name].domain for name in ROUTINES)
    # It counts in 32 bits; the other one in 64.
    assert fragile.breaks_at == 1 << 32
    assert "left" in fragile.breaks_how
    assert fast.breaks_at is None


def test_faults_of_stores_are_proved_with_what_is_assumed_of_the_tail_handler(kernel_source_61: Path) -> None:
    options = ProveOptions(faults="stores")
    fragile, fast = prove_file(kernel_source_61, options, lambda _: None)
    for result in (fragile, fast):
        assert result.verdict is Verdict.PROVED
        assert "stores may fault" in result.assumptions
        assert result.slack == 0
    assert any(
        a.startswith("copy_mc_fragile_handle_tail() calls copy_mc_fragile() for each byte")
        for a in fragile.assumptions
    )
    assert not any("handle_tail" in a for a in fast.assumptions)


def test_without_the_configuration_there_is_nothing_to_prove(kernel_source_61: Path) -> None:
    image = load(kernel_source_61, defines=["CONFIG_X86_MCE=n"])
    assert "copy_mc_fragile" not in [s.name for s in image.functions]
    assert any("copy_mc_fragile" in note for note in image.notes)


def test_that_of_6_12_is_proved_too(
    kernel_source_61: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not KERNEL_612.exists():
        pytest.skip("skipped: needs linux-source-6.12")
    text = extracted(KERNEL_612, tmp_path_factory.getbasetemp()).read_bytes()
    if text == kernel_source_61.read_bytes():
        pytest.skip("skipped: it is that of 6.1, byte for byte")
    path = tmp_path / "copy_mc_64.S"
    path.write_bytes(text)
    found = prove_file(path, ProveOptions(), lambda _: None)
    assert {r.name: r.verdict for r in found} == dict.fromkeys(ROUTINES, Verdict.PROVED)

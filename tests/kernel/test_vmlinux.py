"""A distribution's linked kernel: Debian's, with symbols (linux-image-*-cloud-amd64-dbg)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import Verdict
from mcverify.proof.scan import scan

SECONDS = 60
COPY_ROUTINES = {
    "copy_mc_fragile": "bytes_left",
    "copy_mc_enhanced_fast_string": "bytes_left",
    "rep_movs_alternative": "uaccess_rcx",
}


@pytest.fixture(scope="module")
def vmlinux() -> Path:
    found = sorted(Path("/usr/lib/debug/boot").glob("vmlinux-6.12*"))
    if not found:
        pytest.skip("skipped: needs the linked kernel of linux-image-*-cloud-amd64-dbg, 6.12")
    return found[0]


def test_all_entries_are_accounted_for_within_a_minute(vmlinux: Path) -> None:
    start = time.process_time()
    found = scan(load(vmlinux))
    assert time.process_time() - start < SECONDS
    assert (found.kind, found.layout) == ("kernel", "type")
    assert found.entries > 500
    assert found.entries * 12 == found.table_bytes
    assert sum(f.entries for f in found.functions) == found.entries
    assert found.strays == ()
    known = {f.name: f.contract for f in found.functions if f.contract}
    assert COPY_ROUTINES.items() <= known.items()
    assert all(
        any("load" in a or "both" in a for a in f.accesses)
        for f in found.functions
        if f.name in COPY_ROUTINES
    )


def test_a_routine_is_proved_from_the_linked_code(vmlinux: Path) -> None:
    (result,) = prove_file(vmlinux, ProveOptions(routines=("copy_mc_enhanced_fast_string",)), lambda _: None)
    assert (result.verdict, result.slack) == (Verdict.PROVED, 0)
    assert result.unknowns == ()


def test_the_tail_handler_in_c_is_proved_with_the_routine(vmlinux: Path) -> None:
    options = ProveOptions(routines=("copy_mc_fragile",), faults="both")
    (result,) = prove_file(vmlinux, options, lambda _: None)
    assert (result.verdict, result.slack) == (Verdict.PROVED, 0)
    assert not any("handle_tail" in sentence for sentence in result.assumptions)
    assert any("copy_mc.c" in line.where or "handle_tail" in line.where for line in result.listing)


def test_a_boot_image_has_the_symbols_of_its_kallsyms(vmlinux: Path) -> None:
    boot_image = Path("/boot") / vmlinux.name.replace("vmlinux", "vmlinuz")
    if not boot_image.exists():
        pytest.skip("skipped: needs the boot image of the same kernel")
    whole, packed = load(vmlinux), load(boot_image)
    assert any("its own kallsyms" in note for note in packed.notes)
    assert packed.entries == whole.entries
    functions = {(s.name, s.address) for s in whole.functions}
    assert functions <= {(s.name, s.address) for s in packed.functions}

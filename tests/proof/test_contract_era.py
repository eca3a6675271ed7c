"""Which contract a routine has whose name has borne two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import Task, tasks

LADDER = Path(__file__).parents[1] / "cases/nt_ladder.S"


def task(image: Image, **options: str) -> Task:
    (found,) = tasks(image, ProveOptions(**options))  # type: ignore[arg-type]
    return found


def opening_by_itself(folder: Path) -> Path:
    """The routine as it was up to 6.3: it opens user memory."""
    path = folder / "old.S"
    begin = "SYM_FUNC_START(__copy_user_nocache)\n"
    path.write_text("#include <asm/smap.h>\n" + LADDER.read_text().replace(begin, f"{begin}\tASM_STAC\n"))
    return path


def test_the_text_of_a_lone_source_tells(tmp_path: Path) -> None:
    new, old = task(load(LADDER)), task(load(opening_by_itself(tmp_path)))
    assert new.contract is not None
    assert old.contract is not None
    assert (new.contract.name, old.contract.name) == ("nontemporal", "nocache")
    assert "6.4 to 6.18: __copy_user_nocache and SYM_FUNC_START in its text say so" in new.by_era
    assert "nothing tells which it is for), not to nontemporal" in old.by_era


@pytest.mark.parametrize(("kernels", "name"), [("6.12.57-amd64", "nontemporal"), ("6.1.140", "nocache")])
def test_what_a_kernel_says_of_itself_tells(kernels: str, name: str) -> None:
    found = task(replace(load(LADDER), kernels=kernels, kernels_by="it says so of itself"))
    assert found.contract is not None
    assert found.contract.name == name
    assert f"({kernels}: it says so of itself)" in found.by_era


def test_a_contract_that_was_asked_for_needs_no_era() -> None:
    found = task(load(LADDER), contract="nocache")
    assert found.contract is not None
    assert (found.contract.name, found.by_era, found.faults) == ("nocache", "", "both")


def test_a_kind_of_access_without_any_entry_does_not_fault(tmp_path: Path) -> None:
    assert task(load(LADDER)).faults == "stores"
    assert task(load(LADDER), faults="both").faults == "both"
    assert task(load(LADDER.with_name("nt_half_table.S"))).faults == "both"

"""A routine without a contract is told which ones its runs keep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asm_corpus.expectations import ROOT

from mcverify.deadline import Deadline
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import Verdict
from mcverify.proof.select import tasks
from mcverify.proof.suggest import suggestions
from mcverify.runs import cpu

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def bare(name: str, folder: Path) -> Path:
    """A routine of asm/ whose comments say nothing of it."""
    path = folder / f"{name}.S"
    text = (ROOT / f"asm/{name}.S").read_text()
    path.write_text(re.sub(r"/\* mcverify: (contract|faults) .*", "", text))
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user_both", ["uaccess", "status"]),
        ("nontemporal", ["nocache", "status"]),
        ("zero_flag", ["uaccess_zero_flag", "uaccess_zeroing"]),
        ("user_rcx", ["uaccess_rcx"]),
        ("clear_stosb", ["clear"]),
        ("status", ["status"]),
        ("byte_retry_wrong_rounded", ["status"]),
    ],
)
def test_the_contracts_that_ask_for_most_are_told(name: str, expected: list[str], tmp_path: Path) -> None:
    image = load(bare(name, tmp_path))
    (task,) = tasks(image, ProveOptions())
    found = suggestions(image, task, Deadline(60))
    assert found is not None
    assert [s.contract.name for s in found] == expected
    assert all(s.cases > 1000 for s in found)


def test_the_result_names_them(tmp_path: Path) -> None:
    (result,) = prove_file(bare("user_rcx", tmp_path), ProveOptions(), lambda _: None)
    assert result.verdict is Verdict.UNKNOWN
    assert re.search(r"it keeps uaccess_rcx in \d{4,} runs", result.unknowns[0])


def test_where_none_is_kept_all_are_named(tmp_path: Path) -> None:
    (result,) = prove_file(bare("user_rcx_wrong_early", tmp_path), ProveOptions(), lambda _: None)
    assert "runs break every one that comes with mcverify: bytes_left, " in result.unknowns[0]

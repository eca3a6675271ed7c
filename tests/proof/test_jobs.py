"""Several routines at a time: the same results as one after the other, whatever became of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asm_corpus.expectations import ROOT

from mcverify.cli.prove import _studied
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import jobs_of, prove_files, proved
from mcverify.proof.result import Verdict
from mcverify.report.json import document

FILES = ("rep_movsb_wrong_zero.S", "get_half.S")


def found(jobs: int, **options: Any) -> Any:
    asked = ProveOptions(jobs=jobs, **options)
    files = [ROOT / "asm" / name for name in FILES]
    results = prove_files(files, asked, lambda _: None, partial(_studied, asked))
    return without_times(document(results, asked))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "phases")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_two_at_a_time_find_what_one_after_the_other_does() -> None:
    one, two = found(1), found(2)
    assert [r["verdict"] for r in one["routines"]] == ["refuted", "proved"]
    assert one["routines"][0]["counterexamples"][0]["explanation"]["repair"] is not None
    assert one == two


def test_a_time_limit_holds_for_all() -> None:
    asked = ProveOptions(jobs=2)
    plans = [jobs_of(asked.image(ROOT / "asm" / name), asked, {}) for name in FILES]
    found = proved(plans, asked, Deadline(0.0), lambda _: None, None)
    results = [each for of_file in found if isinstance(of_file, list) for each in of_file]
    assert [r.verdict for r in results] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    assert all("time limit" in r.unknowns[0] for r in results)


def test_a_time_limit_holds_while_files_are_read() -> None:
    with pytest.raises(OutOfTime, match="the time limit was reached in phase assemble"):
        found(2, timeout=0.001)


def test_routines_are_taken_from_the_files_that_have_them() -> None:
    results = found(1, routines=("get_half",))["routines"]
    assert [r["name"] for r in results] == ["get_half"]
    with pytest.raises(InputError, match="there is no routine 'nowhere' in any of the files"):
        found(1, routines=("get_half", "nowhere"))


def test_a_file_that_cannot_be_read_is_told_before_anything_is_proved(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match="there is no such file"):
        prove_files([ROOT / "asm" / FILES[1], tmp_path / "b.S"], ProveOptions(jobs=2), said.append)
    assert said == ["reading get_half.S", "reading b.S"]

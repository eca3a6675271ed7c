"""--resumable: proved, run with a handler that repairs, and refuted where a run ends otherwise."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.cli import run
from mcverify.deadline import Deadline
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_files
from mcverify.resume import runs
from mcverify.runs.code import decode


def proved(tmp_path, file, *options):
    out = tmp_path / "out.json"
    code = run(["prove", file, "--resumable", "-q", "--json", str(out), *options])
    return code, json.loads(out.read_text())["routines"][0]


def test_right_routines_are_resumable(tmp_path):
    code, routine = proved(tmp_path, "asm/rep_movsq_tail.S")
    assert code == 0
    found = routine["resume"]
    assert (found["verdict"], found["sentence"], found["case"]) == ("proved", "", None)
    assert found["accesses"] >= 4
    assert found["cases"] > 1000
    assert found["faults"] > found["cases"]


def test_without_an_order_the_instruction_is_named(tmp_path):
    code, routine = proved(tmp_path, "asm/rep_movsb.S", "--rep-model", "unordered")
    assert code == 1
    assert routine["resume"]["verdict"] == "unknown"
    assert "rep movsb" in routine["resume"]["sentence"]
    assert routine["resume"]["cases"] == 0


def test_a_routine_that_is_wrong_without_a_fault_is_refuted(tmp_path):
    code, routine = proved(tmp_path, "asm/words_bytes_wrong_order.S")
    assert code == 1
    assert routine["resume"]["verdict"] != "proved"


def test_a_handler_that_skips_the_instruction_is_noticed(monkeypatch):
    """The wrong twin of the repair: the runs would show it, were it so."""
    path, options = Path("asm/user_both.S"), ProveOptions()
    (result,) = prove_files([path], options, lambda _: None, None)
    image = options.image(path)
    good = runs.resumed(image, result, options, Deadline(None))
    assert good.broken == ""
    assert good.cases > 1000
    right = runs.resuming

    def skipping(image, entry):
        made = right(image, entry)
        entries = (replace(e, fixup=e.insn + len(decode(image, e.insn).code)) for e in made.entries)
        return replace(made, entries=tuple(entries))

    monkeypatch.setattr(runs, "resuming", skipping)
    bad = runs.resumed(image, result, options, Deadline(None))
    assert bad.case is not None
    assert bad.broken.startswith(("O3", "O6", "O9"))


@pytest.mark.parametrize("touch", runs.TOUCHES)
def test_the_bad_page_is_bad_at_first_and_then_no_more(touch):
    assert touch.endswith("(0)")
    assert "1" in touch

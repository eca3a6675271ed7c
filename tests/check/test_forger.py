"""Forged bundles: none of a wrong routine is accepted, whatever is changed in it; nor is another statement
about a right one. The forger follows each change through: scripts, lists and digests say what follows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from asm_corpus.expectations import ROOT
from support.forger import Forger, forced, hostile_values, leaves, replaced, single_tokens

from mcverify.check.check import completed
from mcverify.check.question import Asked
from mcverify.check.solvers import Said, ask
from mcverify.contract import all_contracts
from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import Verdict

ASM, HOSTILE = ROOT / "asm", ROOT / "tests" / "hostile"
WRONG = {
    "rep_movsb": ASM / "rep_movsb_wrong_count.S",
    "get_half": ASM / "get_half_wrong_extension.S",
    "count32": ASM / "count32_wrong_16.S",
    "pushed": ASM / "pushed_wrong_pop.S",
    "alternative": ASM / "alternative_wrong_words.S",
    "sse": ASM / "sse_wrong_rounded.S",
}
TOKENS = int(os.environ.get("FORGED_TOKENS", "500"))
"""Single tokens that are changed, of each bundle. 2000 were tried once."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Forger]:
    known: dict[Path, Forger] = {}
    folder = tmp_path_factory.mktemp("forged")

    def of(source: Path) -> Forger:
        if source not in known:
            known[source] = Forger(forced(source, folder / source.stem))
        return known[source]

    return of


@pytest.fixture(params=WRONG)
def wrong(request: pytest.FixtureRequest, bundles: Callable[[Path], Forger]) -> Forger:
    return bundles(WRONG[request.param])


def accepted(forger: Forger, change: Callable[[Any], object]) -> bool:
    return forger.accepts(forger.changed(change)) is not None


@pytest.mark.slow
def test_a_wrong_routine_fails_by_an_obligation_alone(wrong: Forger) -> None:
    """Otherwise the forger would have nothing to do: all but some obligation is in order."""
    found = completed(wrong.bundle, seed="1")
    assert not any(each.tried.not_compared for each in found.proofs)
    assert any(ask("bitwuzla", o.text, 20).said is Said.SAT for _, o in found.obligations)


# -- what was accepted once


@pytest.mark.parametrize("value", [0, 1, 7])
def test_a_shorter_domain(wrong: Forger, value: int) -> None:
    assert not accepted(wrong, lambda r: r.update(len_max=value))


def test_no_state_for_the_paths_that_fail(wrong: Forger) -> None:
    def close(routine: Any) -> None:
        for path in routine["paths"]:
            if path["end"] == "return":
                path["steps"][-1]["conditions"] = ["false"]

    def close_everywhere(routine: Any) -> None:
        for path in routine["paths"]:
            path["steps"][0]["conditions"] = ["false"]

    assert not accepted(wrong, close)
    assert not accepted(wrong, close_everywhere)


@pytest.mark.parametrize("key", ["conditions", "assumptions", "claims", "symbols", "granularity"])
def test_what_is_no_part_of_a_path_any_more(wrong: Forger, key: str) -> None:
    assert not accepted(wrong, lambda r: r["paths"][0].update({key: ["false"]}))
    assert not accepted(wrong, lambda r: r.update({key: []}))


@pytest.mark.parametrize("text", ["true) (assert false", "false", "(= j j)) (assert (= #b0 #b1)", "; "])
def test_a_term_that_is_more_than_one(wrong: Forger, text: str) -> None:
    def everywhere(routine: Any) -> None:
        for path in routine["paths"]:
            for step in path["steps"]:
                step["conditions"] = [*step.get("conditions", []), text]

    def believed(routine: Any) -> None:
        for location in routine["locations"]:
            location["invariant"].append({"says": "it", "term": text})

    assert not accepted(wrong, everywhere)
    assert not accepted(wrong, believed)


@pytest.mark.parametrize("name", ["rdi@0", "rdx@0", "j", "hit", "bad_src", "return@0", "load0"])
def test_a_value_at_the_end_for_what_never_changes(wrong: Forger, name: str) -> None:
    def redefine(routine: Any) -> None:
        for path in routine["paths"]:
            if path["final"]:
                path["final"][name] = "#x0000000000000000"

    assert not accepted(wrong, redefine)


def test_a_contract_of_another_name_is_one_that_is_shipped_and_holds(
    bundles: Callable[[Path], Forger],
) -> None:
    source = WRONG["rep_movsb"]
    forger = bundles(source)
    for contract in all_contracts():
        if accepted(forger, lambda r, name=contract.name: r.update(contract=name)):
            (result,) = prove_file(source, ProveOptions(contract=contract.name), lambda _: None)
            assert result.verdict is Verdict.PROVED
    assert not accepted(forger, lambda r: r.update(contract="mine"))
    assert not accepted(forger, lambda r: r.update(contract={"name": "bytes_left", "given": {"rdx": 0}}))


def test_fewer_faults_and_traps(wrong: Forger) -> None:
    for faults in ("loads", "stores", "both", "loads and entries", "stores and entries"):
        for traps in ("pf", "mc", "both"):
            assert not accepted(wrong, lambda r, f=faults, t=traps: r.update(faults=f, traps=t))


def test_a_variant_that_is_left_out(bundles: Callable[[Path], Forger]) -> None:
    """The wrong one is left out, and the right one said to be that of all CPUs, by any features."""
    forger = bundles(WRONG["alternative"])
    content = json.loads(forger.text)
    for kept in range(2):
        for features in ({}, {"ERMS": True}, {"ERMS": False}, {"FSRM": True}):
            routine = {**content["proofs"][kept]["routine"], "features": features}
            for alternatives in ([], [0]):
                proof = {**content["proofs"][kept], "routine": {**routine, "alternatives": alternatives}}
                assert forger.accepts({**content, "proofs": [proof]}) is None


@pytest.mark.parametrize("name", ["rep_movsb", "get_half", "count32", "sse"])
def test_the_object_of_a_wrong_routine_under_the_proof_of_the_right_one(
    bundles: Callable[[Path], Forger], name: str, tmp_path: Path
) -> None:
    source = WRONG[name]
    right = bundles(source.with_name(source.name.partition("_wrong")[0] + ".S"))
    swapped = Path(shutil.copytree(right.folder, tmp_path / "swapped"))
    shutil.copy(bundles(source).folder / "object.o", swapped / "object.o")
    seal(swapped)
    assert Forger(swapped).accepts(right.text) is None


@pytest.mark.parametrize("offset", [b"\x48\x89\xd1"])
def test_an_object_that_differs_in_one_operand(
    bundles: Callable[[Path], Forger], tmp_path: Path, offset: bytes
) -> None:
    """No way of the code is another: the terms alone are not those of this object (mov %rdx, %rcx becomes
    mov %rdi, %rcx)."""
    right = bundles(ASM / "rep_movsb.S")
    swapped = Path(shutil.copytree(right.folder, tmp_path / "swapped"))
    code = (swapped / "object.o").read_bytes()
    assert code.count(offset) == 1
    (swapped / "object.o").write_bytes(code.replace(offset, b"\x48\x89\xf9"))
    seal(swapped)
    with pytest.raises(InputError, match="its terms are not what the code does: .*--seed one tries"):
        completed(Forger(swapped).bundle, seed="one")


def test_text_that_goes_on_in_another_line(wrong: Forger) -> None:
    more = "it\n(assert false)\n;"
    for change in (
        lambda r: r["paths"][0].update(where=more),
        lambda r: r["paths"][0].update(exit=more),
        lambda r: r["paths"][0].update(name=more),
        lambda r: r.update(name=more),
        lambda r: r["locations"][0].update(where=more),
        lambda r: r.update(notes=[more]),
        lambda r: r.update(features={more: True}),
    ):
        assert not accepted(wrong, change)


def test_symbols_that_stand_for_two_things(wrong: Forger) -> None:
    """One load's value, one fault's number, one element for all."""

    def merged(routine: Any, kind: str) -> Any:
        return json.loads(re.sub(rf"\b{kind}[0-9]+\b", f"{kind}0", json.dumps(routine)))

    for kind in ("load", "trap", "done", "undefined.cf"):
        content = json.loads(wrong.text)
        for proof in content["proofs"]:
            proof["routine"] = merged(proof["routine"], kind)
        assert wrong.accepts(content) is None


@pytest.mark.slow
def test_paths_that_end_elsewhere(wrong: Forger) -> None:
    paths = json.loads(wrong.text)["proofs"][0]["routine"]["paths"]
    for number in range(len(paths)):
        for end in ("lost", "pruned", "trap", "uncovered", "outside", "return", "location"):
            assert not accepted(wrong, lambda r, n=number, e=end: r["paths"][n].update(end=e))
        assert not accepted(wrong, lambda r, n=number: r["paths"].pop(n))


def test_symbols_that_nobody_gave_a_value(wrong: Forger) -> None:
    """A count of elements where nothing repeats, and a byte of the stack that was never read."""

    def count(routine: Any) -> None:
        for path in routine["paths"]:
            for step in path["steps"]:
                if "fault" in step and "done" not in step:
                    step["done"] = "done77"
                    step["conditions"] = [*step["conditions"], "(= done77 #x0000000000000000)"]

    def stale(routine: Any) -> None:
        for path in routine["paths"]:
            path["steps"][0]["conditions"] = ["(= |stack[-64].3| #x00)"]

    assert not accepted(wrong, count)
    assert not accepted(wrong, stale)


def test_what_lies_below_the_stack_pointer_is_forgotten(bundles: Callable[[Path], Forger]) -> None:
    """A routine that keeps something in the red zone, which the kernel does not have: its terms forget it."""
    forger = bundles(HOSTILE / "red_zone.S")
    with pytest.raises(InputError, match="its terms are not what the code does"):
        completed(forger.bundle, seed="1")


@pytest.mark.parametrize("told", [[], [0], "one more"])
def test_which_routines_in_c_call_this_one(bundles: Callable[[Path], Forger], told: Any) -> None:
    """Else nobody asks what becomes of a copy of one byte that comes back to such a routine: for ever."""
    forger = bundles(HOSTILE / "tail_comes_back.S")
    own = json.loads(forger.text)["proofs"][0]["routine"]["recursive"]
    assert own
    other = [*own, own[-1] + 1] if told == "one more" else told
    content = forger.changed(lambda r: r.update(recursive=other))
    asked = Asked(fault_model="persistent")
    with pytest.raises(InputError, match="is wrong about which routines in C call it for each byte"):
        completed(forger.rewritten(json.dumps(content), asked), seed="1", asked=asked)


# -- every change


@pytest.mark.parametrize("name", ["rep_movsb", "get_half"])
@pytest.mark.slow
def test_no_leaf_can_be_changed(bundles: Callable[[Path], Forger], name: str) -> None:
    """Every value in the record of a wrong routine, each replaced by several, one at a time."""
    forger = bundles(WRONG[name])
    content = json.loads(forger.text)
    for place in leaves(content):
        old = content
        for key in place:
            old = old[key]
        for new in hostile_values(old) if place else ():
            if new != old:
                assert forger.accepts(replaced(content, place, new)) is None, (place, new)


@pytest.mark.parametrize("name", ["rep_movsb", "get_half"])
@pytest.mark.slow
def test_no_token_of_a_wrong_routine_can_be_changed(bundles: Callable[[Path], Forger], name: str) -> None:
    forger = bundles(WRONG[name])
    for text, what in single_tokens(forger.text, Random(13), TOKENS):
        assert forger.accepts(text) is None, what


def test_no_token_of_a_right_routine_changes_what_is_proved(bundles: Callable[[Path], Forger]) -> None:
    """Where a changed bundle is accepted it is about the same code, and answers the same question or one that
    asks for more: contract, faults and lengths are derived, and what else is said there decides nothing."""
    forger = bundles(ASM / "rep_movsb.S")
    question = forger.accepts(forger.text)
    assert question is not None
    answers = [forger.accepts(text) for text, _ in single_tokens(forger.text, Random(13), TOKENS)]
    for answer in (answer for answer in answers if answer is not None):
        assert replace(answer, len_max=question.len_max) == question
        assert answer.len_max >= question.len_max
    assert TOKENS // 2 < sum(answer is None for answer in answers) < len(answers)


def test_a_script_that_was_changed_is_refused(bundles: Callable[[Path], Forger], tmp_path: Path) -> None:
    """Every token of every script is compared with what is stated anew."""
    forger = bundles(WRONG["get_half"])
    folder = Path(shutil.copytree(forger.folder, tmp_path / "copy"))
    random = Random(13)
    for script in sorted(folder.glob("*/*.smt2")):
        text = script.read_text()
        words = text.split(" ")
        words[random.randrange(len(words))] = random.choice(["true", "false", "(assert false)"])
        script.write_text(" ".join(words))
        seal(folder)
        with pytest.raises(InputError, match="does not say what follows"):
            completed(Forger(folder).bundle)
        script.write_text(text)


def seal(folder: Path) -> None:
    """Make the digests those of the files."""
    from check.test_check import seal as sealed

    sealed(folder)

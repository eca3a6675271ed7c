"""What is known of a routine: proved, refuted, undecided or not assembled, and nothing between them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcverify.deadline import OutOfTime
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from review.conftest import Ran
from review.test_commits import RIGHT, WRONG, commit, here

__all__ = ["here"]

Mcverify = Callable[..., Ran]

NAME = b"copy_user_generic_unrolled"
ANNOTATED = RIGHT.replace(NAME, b"one") + b"/* mcverify: contract uaccess for one */\n"
ENTRIES = b"".join(line for line in RIGHT.splitlines(keepends=True) if b"_ASM_EXTABLE" in line)
BROKEN = b"\tno such instruction\n"


def _reviewed(mcverify: Mcverify, *arguments: object) -> tuple[int, dict[str, Any]]:
    ran = mcverify("--git", "HEAD~1..HEAD", "--json", "-", *arguments)
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out)


def _states(document: dict[str, Any]) -> dict[str, list[str]]:
    return {r["name"]: [found["state"] for found in r["states"]] for r in document["routines"]}


# -- undecided ----------------------------------------------------------------------------------------------


def test_a_limit_that_does_not_suffice_to_assemble_decides_nothing_and_is_reported(
    here: Path, mcverify: Mcverify
) -> None:
    commit(here, "one", copy=RIGHT)
    commit(here, "two", copy=RIGHT.replace(b"incq %rsi", b"addq $1,%rsi"))
    arguments = ("--timeout", "0.0001", "--no-cache", "--fail-on", "broken")
    code, document = _reviewed(mcverify, *arguments)
    assert (code, document["review"]["exit_code"], document["routines"]) == (3, 3, [])
    (said,) = document["revisions"][1]["cut"]
    assert said == "lib/copy.S was not assembled: the time limit was reached in phase assemble"
    assert document["revisions"][1]["failures"] == []
    out = mcverify("--git", "HEAD~1..HEAD", "-q", *arguments, "--sarif", "out.sarif").out
    (invocation,) = json.loads((here / "out.sarif").read_text())["runs"][0]["invocations"]
    assert not invocation["executionSuccessful"]
    assert said in invocation["toolExecutionNotifications"][-1]["message"]["text"]
    assert f"undecided: {said}" in out


@pytest.mark.parametrize("how", ["time", "Ctrl-C"])
def test_what_was_assembled_when_it_is_cut_short_is_kept(
    here: Path, mcverify: Mcverify, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The newest is read first; of the older one it is not said that it has no such routine."""
    commit(here, "one", copy=RIGHT)
    commit(here, "two", copy=WRONG)
    assert _reviewed(mcverify)[0] == 1  # the cache knows both from here on
    whole = ProveOptions.image

    def image(self: ProveOptions, path: Path, deadline: Any = None) -> Any:
        if path.read_bytes() == WRONG:
            return whole(self, path, deadline)
        raise OutOfTime("assemble") if how == "time" else KeyboardInterrupt

    monkeypatch.setattr(ProveOptions, "image", image)
    code, document = _reviewed(mcverify)
    assert code == (1 if how == "time" else 130)
    assert document["review"]["interrupted"] is (how == "Ctrl-C")
    assert _states(document) == {"copy_user_generic_unrolled": ["undecided", "refuted"]}
    why = document["routines"][0]["states"][0]["why"]
    assert why.startswith("lib/copy.S was not assembled: ")


@pytest.mark.usefixtures("read_in_time")
def test_what_time_did_not_suffice_for_is_undecided_everywhere(here: Path, mcverify: Mcverify) -> None:
    commit(here, "one", copy=RIGHT)
    commit(here, "two", copy=RIGHT.replace(b"incq %rsi", b"addq $1,%rsi"))
    arguments = ("--timeout", "0.01", "--no-cache")
    code, document = _reviewed(mcverify, *arguments)
    assert code == 3
    (routine,) = document["routines"]
    assert _states(document) == {"copy_user_generic_unrolled": ["undecided", "undecided"]}
    assert all("time limit" in found["why"] for found in routine["states"])
    for row in routine["exits"]:
        for cell in row["revisions"]:
            assert {"unknown"} == {v for i, v in cell["verdicts"].items() if i != "O1"}
    assert all({*found.values()} == {"unknown"} for found in routine["everywhere"])
    assert {o["change"] for o in routine["steps"][0]["obligations"]} == {"same"}
    shown = mcverify("--git", "HEAD~1..HEAD", *arguments).out
    assert "UNDECIDED" in shown
    for words in (" ok", "tries again", "gone", "worse"):
        assert words not in shown


@pytest.mark.usefixtures("read_in_time")
def test_what_was_proved_and_is_undecided_for_a_limit_is_not_worse(
    here: Path, mcverify: Mcverify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identical code has one verdict, whatever the limit: the cache knows that of the older one."""
    commit(here, "one", copy=RIGHT)
    commit(here, "two", copy=RIGHT + b"\n# a comment\n")
    assert _reviewed(mcverify)[0] == 0
    code, document = _reviewed(mcverify, "--timeout", "0.01")
    assert (code, [*_states(document).values()]) == (0, [["proved", "proved"]])
    commit(here, "three", copy=RIGHT.replace(b"incq %rsi", b"leaq 1(%rsi),%rsi"))
    code, document = _reviewed(mcverify, "--timeout", "0.01")
    assert (code, [*_states(document).values()]) == (3, [["proved", "undecided"]])
    assert not document["routines"][0]["steps"][0]["worse"]


@pytest.mark.slow
def test_a_proof_serves_a_file_in_which_labels_came_and_went(here: Path, mcverify: Mcverify) -> None:
    commit(here, "one", copy=WRONG)
    commit(here, "labels", copy=WRONG.replace(b"22:", b".Lfix: 22:").replace(b"9:\t", b"\n9:\t"))
    commit(here, "no labels", copy=WRONG + b"\n")
    ran = mcverify("--git", "HEAD~2..HEAD", "--no-cache")
    assert "2 proofs of 3 used again" in ran.out
    assert ran.out.count("still O3 at ") == 2


def test_the_newest_is_proved_first_and_each_has_its_share(
    here: Path, mcverify: Mcverify, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        commit(here, f"{number}", copy=RIGHT.replace(b"ret\n22", b"nop\n" * number + b"\tret\n22"))
    begun: list[float] = []

    def proved(plans: Any, options: Any, deadline: Any, *_: Any) -> Any:
        from mcverify.proof.select import unknown_because

        begun.append(deadline.remaining())
        time.sleep(0.05)
        return [[unknown_because("time limit", j.variant.image, j.task, options) for j in p] for p in plans]

    monkeypatch.setattr("mcverify.review.prove.proved", proved)
    mcverify("--git", "HEAD~1..HEAD", "--timeout", "30", "--no-cache", "--no-differences")
    assert begun == [pytest.approx(10, abs=0.3), pytest.approx(14.97, abs=0.3)]  # of 3: a comparison too


def test_a_lack_of_memory_is_the_reason_of_what_is_undecided(
    here: Path, mcverify: Mcverify, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcverify.logic import solver  # Z3 has its limit as soon as it is there

    assert solver

    commit(here, "one", copy=RIGHT.replace(b"incq %rsi", b"leaq 1(,%rsi),%rsi"))
    commit(here, "two", copy=RIGHT.replace(b"incq %rdi", b"leaq 1(,%rdi),%rdi"))
    monkeypatch.setattr("mcverify.deadline.MEMORY", 1 << 20)
    monkeypatch.setattr("mcverify.deadline._LEAST", -(64 << 20))  # whatever this process holds already
    code, document = _reviewed(mcverify)
    assert code == 3
    (routine,) = document["routines"]
    for standing in routine["states"]:
        assert standing["state"] == "undecided"
        assert standing["why"].startswith("the memory limit of ")
    monkeypatch.setattr("mcverify.deadline.MEMORY", 2 << 30)
    assert [*_states(_reviewed(mcverify, "--no-differences")[1]).values()] == [["proved", "proved"]]


_SLOW = """
import sys, z3
import mcverify.review.prove as prove
done = prove.proved
def proved(plans, *rest):
    if b"nop" in plans[0][0].variant.image.path.read_bytes():
        print("sits", flush=True)
        x, y = z3.BitVecs("x y", 128)
        solver = z3.Solver()
        solver.add(x * y == 0xC0FFEE_DEAD_BEEF_1234_5678_9ABC_DEF1, z3.UGT(x, 1), z3.UGT(y, 1), z3.ULT(x, y))
        while True:
            solver.check()
    return done(plans, *rest)
prove.proved = proved
from mcverify.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_what_is_known_is_told_where_it_is_interrupted(
    here: Path, mcverify: Mcverify, user_cache: Path, number: int
) -> None:
    """In the midst of a query; and no folder is left."""
    commit(here, "slow", copy=RIGHT.replace(b"9:\t", b"9:\tnop\n\t"))
    commit(here, "wrong", copy=WRONG)
    temporary = here / "tmp"
    temporary.mkdir()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(here),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(user_cache),
    }
    arguments = ["review", "--git", "HEAD~1..HEAD", "--json", "out.json", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW, *arguments], stdout=-1, stderr=-1, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "sits\n"
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "mcverify: interrupted")
    assert "refuted: O3 at copy.S:15" in out
    document = json.loads((here / "out.json").read_text())
    assert document["review"] == {"exit_code": 130, "interrupted": True}
    assert [*_states(document).values()] == [["undecided", "refuted"]]
    assert list(temporary.iterdir()) == []


# -- refuted ------------------------------------------------------------------------------------------------


def test_quietly_a_new_routine_that_is_refuted_has_lines_too(here: Path, mcverify: Mcverify) -> None:
    commit(here, "nothing")
    commit(here, "wrong", copy=WRONG)
    ran = mcverify("--git", "HEAD~1..HEAD", "-q")
    assert ran.code == 1
    assert "refuted   copy_user_generic_unrolled" in ran.out
    assert "  refuted: O3 at copy.S:15: " in ran.out


@pytest.mark.slow
def test_the_run_that_refutes_is_a_difference_and_as_simple_as_that_of_prove(
    here: Path, mcverify: Mcverify
) -> None:
    commit(here, "right", copy=RIGHT)
    commit(here, "wrong", copy=WRONG)
    _, document = _reviewed(mcverify)
    cases = [d["case"] for d in document["routines"][0]["steps"][0]["behaviour"]["differences"]]
    assert [(case["len"], case["src"]["at"], case["dst"]["at"]) for case in cases] == [(1, 0, 0)] * 2


# -- not there any more -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_routine_that_loses_all_its_entries_is_worse(here: Path, mcverify: Mcverify) -> None:
    commit(here, "right", copy=ANNOTATED)
    commit(here, "no entry", copy=ANNOTATED.replace(ENTRIES, b"").replace(b" for one", b" for two"))
    code, document = _reviewed(mcverify)
    assert code == 2  # the comment is for a routine that is not there
    commit(here, "no entry", copy=ANNOTATED.replace(ENTRIES, b"").replace(b"mcverify:", b"no:"))
    git_range = ("--git", "HEAD~2..HEAD", "--json", "-", "--fail-on", "broken")
    document = json.loads(mcverify(*git_range).out)
    assert [*_states(document).values()] == [["proved", "not assembled", "refuted"]]
    (step,) = document["routines"][0]["steps"]
    assert step["worse"]
    assert "nothing says any more that its contract is uaccess" in step["contract"]["sentence"]
    lost = {o["exit"] for o in step["obligations"] if (o["change"], o["id"]) == ("broken", "O1")}
    assert lost == {"copy.S:7", "copy.S:8"}


@pytest.mark.slow
def test_a_store_that_loses_its_entry_is_worse_also_where_none_asks_whether_it_faults(
    here: Path, mcverify: Mcverify
) -> None:
    """Stores of this contract fault only where they have an entry."""
    text = RIGHT.replace(NAME, b"one") + b"/* mcverify: contract bytes_left for one */\n"
    commit(here, "right", copy=text)
    commit(here, "one entry less", copy=text.replace(b"\t_ASM_EXTABLE_UA(5b,22b)\n", b""))
    code, document = _reviewed(mcverify)
    assert code == 1
    (step,) = document["routines"][0]["steps"]
    lost = [(o["exit"], o["id"]) for o in step["obligations"] if o["change"] == "undecided"]
    assert lost == [("copy.S:8", "O1")]


def test_a_routine_of_which_no_contract_was_known_that_loses_all_its_entries_is_worse(
    here: Path, mcverify: Mcverify
) -> None:
    """Also where nothing else is left in the file that could be proved."""
    lone = RIGHT.replace(NAME, b"mine")
    commit(here, "right", copy=lone)
    commit(here, "no entry", copy=lone.replace(ENTRIES, b""))
    code, document = _reviewed(mcverify, "--fail-on", "broken")
    assert (code, _states(document)) == (1, {"mine": ["undecided", "undecided"]})
    (step,) = document["routines"][0]["steps"]
    lost = [(o["exit"], o["id"], o["why"]) for o in step["obligations"] if o["change"] == "undecided"]
    assert [(row, identifier) for row, identifier, _ in lost] == [("copy.S:7", "O1"), ("copy.S:8", "O1")]
    assert {why for _, _, why in lost} == {"the access is still there, and has lost its entry"}


VARIANTS = b"""#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>
SYM_FUNC_START(copy_user_generic_unrolled)
	movl %edx,%ecx
8:	ALTERNATIVE "jmp 1f", "rep movsb", X86_FEATURE_ERMS
	jmp 9f
1:	jrcxz 9f
2:	movb (%rsi),%al
3:	movb %al,(%rdi)
	incq %rsi
	incq %rdi
	decl %ecx
	jmp 1b
9:	xorl %eax,%eax
	ret
22:	movl %ecx,%eax
	ret
	_ASM_EXTABLE_UA(8b,22b)
	_ASM_EXTABLE_UA(2b,22b)
	_ASM_EXTABLE_UA(3b,22b)
SYM_FUNC_END(copy_user_generic_unrolled)
"""


def test_a_fixup_that_pretends_that_the_copy_succeeded_is_worse_in_each_variant(
    here: Path, mcverify: Mcverify
) -> None:
    """Whatever faults, nothing is said to be left: at every exit of every variant, though none has a label
    with a name."""
    commit(here, "right", copy=VARIANTS)
    commit(here, "pretend", copy=VARIANTS.replace(b"22:\tmovl %ecx,%eax", b"22:\txorl %eax,%eax"))
    code, document = _reviewed(mcverify, "--fail-on", "broken")
    assert code == 1
    assert _states(document) == {
        "copy_user_generic_unrolled [ERMS]": ["proved", "refuted"],
        "copy_user_generic_unrolled [!ERMS]": ["proved", "refuted"],
    }
    for routine, exits in zip(document["routines"], (1, 2), strict=True):
        (step,) = routine["steps"]
        broken = {(o["exit"], o["id"]) for o in step["obligations"] if o["change"] == "broken"}
        assert {identifier for _, identifier in broken} == {"O3"}
        assert len(broken) >= exits
        assert step["behaviour"]["relation"] == "different"


def test_what_no_comment_speaks_of_is_unknown_where_comments_speak_of_others(tmp_path: Path) -> None:
    """Also to `prove`: a comment, and the entries, may have gone by mistake. What accesses no memory is no
    copy routine."""
    path = tmp_path / "two.S"
    other = RIGHT.replace(NAME, b"two").replace(ENTRIES, b"")
    helper = b"\tpushq %rax\n\tpopq %rcx\n\tleaq 8(%rdi),%rax\n\tret\n"
    helper = b"SYM_FUNC_START(helper)\n" + helper + b"SYM_FUNC_END(helper)\n"
    path.write_bytes(ANNOTATED + other + helper)
    found = tasks(load(path), ProveOptions())
    assert [(task.name, task.contract and task.contract.name) for task in found] == [
        ("one", "uaccess"),
        ("two", None),
    ]
    path.write_bytes(RIGHT + other + helper)  # its contract is that of its name
    assert [task.name for task in tasks(load(path), ProveOptions())] == ["copy_user_generic_unrolled"]


def test_a_routine_whose_file_does_not_assemble_goes_on_in_no_other(here: Path, mcverify: Mcverify) -> None:
    commit(here, "right", copy=RIGHT)
    commit(here, "two", copy=RIGHT + BROKEN, other=RIGHT.replace(NAME, b"other"))
    code, document = _reviewed(mcverify)
    assert code == 2
    assert _states(document) == {
        "copy_user_generic_unrolled": ["proved", "not assembled"],
        "other": ["not there", "undecided"],
    }
    (routine, _) = document["routines"]
    assert "lib/copy.S:20: " in routine["states"][1]["why"]

"""The mail: refutations that were executed and nothing else, wrapped at 72 columns."""

from dataclasses import replace

import pytest
from support.results import (
    COUNTEREXAMPLE,
    EXPLAINED,
    EXPLAINED_COUNTEREXAMPLE,
    EXPLANATION,
    PROVED,
    REFUTED,
    REPAIR,
    UNKNOWN,
)

from mcverify.proof.result import Verdict
from mcverify.report.invocation import Invocation
from mcverify.report.mail import WIDTH, is_ours, to_mail

CALL = Invocation(("prove", "asm/memcpy_64.S", "--routine", "memcpy_trap"), 1)


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("results", [[], [PROVED], [UNKNOWN], [PROVED, UNKNOWN]])
def test_there_is_no_mail_without_a_refutation(results):
    assert to_mail(results, CALL) is None


def test_it_begins_with_what_is_wrong_and_where():
    mail = to_mail([EXPLAINED], CALL)
    assert words(mail).startswith(
        "asm/memcpy_64.S:114: memcpy_trap breaks O3 (no over-claim) at .Lfix_w:"
        " 24 bytes are claimed as copied, and dst[16] was not stored"
    )


def test_it_tells_the_run_why_when_else_and_what_to_change():
    mail = to_mail([EXPLAINED], CALL)
    for said in (
        "called    len 72",
        "on the CPU with real faults",
        "bytes of dst have been stored",
        "8*ecx + edx - 8 = 8*7 + 0 - 8 = 48; right is 56",
        "len: 16 or more",
        "41 more cases fail",
        "dst  ################!!!!!!!!",
    ):
        assert said in mail
    lines = [line.split() for line in mail.splitlines()]
    assert ["-", *REPAIR.before.split()] in lines
    assert ["+", *REPAIR.after.split()] in lines


def test_it_tells_how_to_see_it_again_and_of_which_file_it_speaks():
    mail = to_mail([EXPLAINED], CALL)
    assert "\n    mcverify prove --json witness.json asm/memcpy_64.S --routine memcpy_trap\n" in mail
    assert "\n    mcverify replay witness.json\n" in mail
    assert f"sha256 {'ab' * 32}  asm/memcpy_64.S\n" in mail


def test_a_run_of_an_emulator_is_not_said_to_be_the_cpus():
    emulated = replace(COUNTEREXAMPLE, outcome=replace(COUNTEREXAMPLE.outcome, on="unicorn 2.1"))
    mail = to_mail([replace(REFUTED, counterexamples=(emulated,))], CALL)
    assert "on an emulator (unicorn 2.1)" in mail
    assert "CPU" not in mail


def test_it_never_speaks_of_the_unknown():
    mixed = replace(
        EXPLAINED,
        unknowns=("asm/memcpy_64.S:55: vmovdqu64 is not modelled",),
        obligations=tuple(
            replace(o, verdict=Verdict.UNKNOWN, reason="Z3 gave up") if o.id == "O6" else o
            for o in EXPLAINED.obligations
        ),
    )
    mail = to_mail([mixed, UNKNOWN], CALL)
    assert mail == to_mail([EXPLAINED], CALL)


def test_a_refutation_without_a_run_is_not_told():
    """There is none by construction; a mail is not where to find out."""
    assert to_mail([replace(REFUTED, counterexamples=())], CALL) is None


def test_what_one_run_breaks_is_told_once():
    both = replace(
        EXPLAINED,
        obligations=tuple(
            replace(o, verdict=Verdict.REFUTED) if (o.id, o.exit) == ("O4", ".Lfix_w") else o
            for o in EXPLAINED.obligations
        ),
        counterexamples=(replace(EXPLAINED_COUNTEREXAMPLE, obligations=("O3", "O4")),),
    )
    mail = to_mail([both], CALL)
    assert mail.count("called  ") == 1
    assert "O3 no over-claim:" in mail
    assert "O4 nothing beyond:" in mail


def test_several_failures_are_listed_first_and_the_smallest_runs_told():
    exits = [".Lfix_a", ".Lfix_b0 (b0)", ".Lfix_b0 (b1)", ".Lfix_w", ".Lfix_c"]
    runs = tuple(
        replace(COUNTEREXAMPLE, exit=exit_id, case=replace(COUNTEREXAMPLE.case, len=72 - n))
        for n, exit_id in enumerate(exits)
    )
    broken = tuple(
        replace(o, verdict=Verdict.REFUTED) if o.id == "O3" and o.exit in exits else o
        for o in REFUTED.obligations
    )
    mail = to_mail([replace(REFUTED, obligations=broken, counterexamples=runs)], CALL)
    head, *rest = mail.split("The run")
    assert head.count("breaks O3") == 5
    assert head.count("bytes of dst have been stored") == 1
    assert [words(told).split(",")[0] for told in rest] == [
        "for O3 at .Lfix_c",
        "for O3 at .Lfix_w",
        "for O3 at .Lfix_b0 (b1)",
    ]
    assert "the 3 smallest of 5 runs" in words(mail)


def test_lines_are_short_where_they_can_be_broken():
    long = replace(
        EXPLAINED_COUNTEREXAMPLE,
        sentence="a long sentence that goes on and on " * 8,
        explanation=replace(EXPLANATION, repair=replace(REPAIR, before="x" * 90)),
    )
    lines = to_mail([replace(EXPLAINED, counterexamples=(long,))], CALL).splitlines()
    too_long = [line for line in lines if len(line) > WIDTH]
    assert [line.split()[0] for line in too_long] == ["-", "mcverify", "sha256"], too_long
    assert not any(line.endswith(" ") for line in lines)


def test_nothing_in_it_ends_a_mail_or_a_patch():
    """`-- ` begins a signature, `---` ends a commit message."""
    lines = to_mail([EXPLAINED], CALL).splitlines()
    assert not any(line.startswith(("--", "diff ")) for line in lines)


def test_no_name_commands_the_terminal():
    mail = to_mail([replace(EXPLAINED, name="f\x1b[2J")], CALL)
    assert "f\\x1b[2J breaks" in mail
    assert "\x1b" not in mail


def test_it_is_recognized():
    assert is_ours(to_mail([EXPLAINED], CALL))
    assert not is_ours("Dear all,\n\nplease find below\n")
    assert not is_ours("")


def test_an_exit_without_a_label_is_named_once():
    where = "asm/memcpy_64.S:114"
    bare = replace(
        EXPLAINED,
        exits=tuple(replace(row, id=where) if row.id == ".Lfix_w" else row for row in EXPLAINED.exits),
        obligations=tuple(
            replace(o, exit=where) if o.exit == ".Lfix_w" else o for o in EXPLAINED.obligations
        ),
        counterexamples=(replace(EXPLAINED_COUNTEREXAMPLE, exit=where),),
    )
    assert words(to_mail([bare], CALL)).startswith(
        f"{where}: memcpy_trap breaks O3 (no over-claim): 24 bytes"
    )

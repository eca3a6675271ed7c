"""The KTAP document: read by a strict reader, and nothing passes that is not proved."""

import re
from dataclasses import replace

import pytest
from support.ktap import NoKtap, read_ktap
from support.results import EXPLAINED, PROVED, REFUTED, UNKNOWN

from mcverify.proof.result import Verdict
from mcverify.report.ktap import is_ours, to_ktap

NOT_ASKED = replace(
    PROVED,
    verdict=Verdict.UNKNOWN,
    contract=None,
    exits=(),
    obligations=(),
    unknowns=("no contract is known for f",),
)


def test_there_is_a_test_for_each_routine_and_in_it_one_for_each_obligation_at_each_exit():
    first, second = read_ktap(to_ktap([PROVED, UNKNOWN]))
    assert first.name == second.name == "memcpy_trap"
    assert len(first.subtests) == 1 + len(PROVED.obligations)
    assert [t.name for t in first.subtests[:3]] == ["understood", "O1 everywhere", "O8 everywhere"]
    assert first["O3 at .Lfix_w"].passed


@pytest.mark.parametrize("result", [PROVED, REFUTED, EXPLAINED, UNKNOWN, NOT_ASKED])
def test_just_what_is_proved_passes(result):
    [routine] = read_ktap(to_ktap([result]))
    assert routine.passed == (result.verdict is Verdict.PROVED)
    proved = [o.verdict is Verdict.PROVED for o in result.obligations]
    assert [test.passed for test in routine.subtests[1:]] == proved


def test_the_unknown_is_an_error_and_never_skipped():
    [routine] = read_ktap(to_ktap([UNKNOWN]))
    unknown = [test for test in routine.subtests if not test.passed]
    assert [(test.name, test.comment) for test in unknown] == [
        ("understood", "ERROR asm/memcpy_64.S:55: vmovdqu64 is not modelled"),
        ("O6 at .Lfix_b4 (b5)", "ERROR Z3 gave up after 5 s"),
    ]
    assert "SKIP" not in to_ktap([UNKNOWN])


def test_a_routine_of_which_nothing_was_asked_fails():
    [routine] = read_ktap(to_ktap([NOT_ASKED]))
    assert not routine["understood"].passed
    [routine] = read_ktap(to_ktap([replace(NOT_ASKED, unknowns=())]))
    assert routine["understood"].comment == "ERROR nothing was asked of it"


def test_a_routine_is_not_ok_though_all_its_subtests_are_if_it_is_not_proved():
    [routine] = read_ktap(to_ktap([replace(PROVED, verdict=Verdict.UNKNOWN)]))
    assert all(test.passed for test in routine.subtests)
    assert not routine.passed


def test_a_refutation_tells_its_run_in_diagnostic_lines():
    [routine] = read_ktap(to_ktap([EXPLAINED]))
    broken = routine["O3 at .Lfix_w"]
    assert broken.directive == ""
    assert broken.diagnostics[0] == "O3 at .Lfix_w: asm/memcpy_64.S:114"
    assert any("called" in line and "len 72" in line for line in broken.diagnostics)
    assert any("8*7 + 0 - 8" in line for line in broken.diagnostics)


def test_hostile_names_and_reasons_stay_in_their_place():
    name = "f # SKIP all\nok 1 f"
    hostile = replace(
        UNKNOWN, name=name, file="a\rb # SKIP.S", unknowns=("x # SKIP y\nok 9 z", "# TODO\r\n1..0")
    )
    [routine] = read_ktap(to_ktap([hostile]))
    assert not routine.passed
    assert routine["understood"].directive == "ERROR"
    assert routine["understood"].diagnostics == ("# TODO 1..0",)


def test_no_name_commands_the_terminal():
    odd = replace(EXPLAINED, name="f\x1b[2J", unknowns=("\x9b31m", "\x07"))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", to_ktap([odd]))


def test_it_is_recognized():
    assert is_ours(to_ktap([PROVED]))
    assert not is_ours("KTAP version 1\n1..1\nok 1 mine\n")
    assert not is_ours("")


@pytest.mark.parametrize(
    "text",
    [
        "KTAP version 1\n1..2\nok 1 a\n",
        "KTAP version 1\n1..1\nok 2 a\n",
        "KTAP version 1\n# first\n1..1\nok 1 a\n",
        "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok 1 b\nok 1 a\n",
        "KTAP version 1\n1..1\n   KTAP version 1\n   1..1\n   ok 1 b\nok 1 a\n",
        "KTAP version 1\n1..1\nok 1 a # ERROR x\n",
        "KTAP version 1\n1..1\nok 1 a\nok 2 b\n",
        "KTAP version 1\n1..1\nokay\nok 1 a\n",
        "1..1\nok 1 a\n",
    ],
)
def test_the_reader_refuses_what_is_wrong(text):
    with pytest.raises(NoKtap):
        read_ktap(text)

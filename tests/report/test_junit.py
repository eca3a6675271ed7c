"""The JUnit document, read back by a library of its own, and nothing passes that is not proved."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml
from support.results import EXPLAINED, PROVED, REFUTED, UNKNOWN

from mcverify.proof.result import Verdict
from mcverify.report.junit import is_ours, to_junit


def read(*results):
    return list(JUnitXml.fromstring(to_junit(results).encode()))


def by_name(suite):
    return {case.name: case for case in suite}


@pytest.mark.parametrize("result", [PROVED, REFUTED, EXPLAINED, UNKNOWN])
def test_just_what_is_proved_passes(result):
    [suite] = read(result)
    cases = list(suite)
    assert [case.is_passed for case in cases[1:]] == [o.verdict is Verdict.PROVED for o in result.obligations]
    assert cases[0].is_passed == (not result.unknowns)
    assert not any(case.is_skipped for case in cases)


def test_the_totals_are_those_of_the_cases():
    document = JUnitXml.fromstring(to_junit([PROVED, REFUTED, UNKNOWN]).encode())
    said = (document.tests, document.failures, document.errors, document.skipped)
    suites = [(s.tests, s.failures, s.errors, s.skipped) for s in document]
    for suite in document:
        suite.update_statistics()
    counted = [(s.tests, s.failures, s.errors, s.skipped) for s in document]
    assert suites == counted
    assert said == tuple(map(sum, zip(*counted, strict=True)))
    assert said[1:] == (1, 2, 0)


def test_a_refutation_is_a_failure_with_its_place_and_its_run():
    [suite] = read(EXPLAINED)
    case = by_name(suite)["O3 at .Lfix_w"]
    assert case.is_failure
    [failure] = case.result
    assert failure.type == "refuted"
    assert failure.message == EXPLAINED.counterexamples[0].sentence
    assert failure.text.startswith("asm/memcpy_64.S:114: memcpy_trap breaks O3")
    assert "len 72" in failure.text
    assert case._elem.get("file") == "asm/memcpy_64.S"
    assert case._elem.get("line") == "114"


def test_the_unknown_is_an_error():
    [suite] = read(UNKNOWN)
    cases = by_name(suite)
    assert cases["understood"].result[0].message == "asm/memcpy_64.S:55: vmovdqu64 is not modelled"
    assert cases["O6 at .Lfix_b4 (b5)"].is_error
    assert cases["O6 at .Lfix_b4 (b5)"].result[0].type == "unknown"


def test_a_suite_says_what_was_proved_and_under_which_assumptions():
    [suite] = read(PROVED)
    properties = [(p.name, p.value) for p in suite.properties()]
    assert ("contract", "mcsafe_ret") in properties
    assert ("verdict", "proved") in properties
    assert [value for name, value in properties if name == "assumption"] == list(PROVED.assumptions)


def test_what_xml_cannot_hold_is_escaped():
    hostile = replace(
        UNKNOWN, name="f\x00<&\"'>", file="caf\udce9.S", unknowns=("\x1b[31m ]]> \ufffe",), contract=None
    )
    root = ElementTree.fromstring(to_junit([hostile]))
    [suite] = root
    assert suite.get("name") == "f\\x00<&\"'> in caf\\udce9.S"
    assert suite.find("testcase/error").text == "\\x1b[31m ]]> \\ufffe"


def test_it_is_recognized():
    assert is_ours(to_junit([PROVED]))
    assert not is_ours('<?xml version="1.0"?>\n<testsuites name="mine">')
    assert not is_ours("")

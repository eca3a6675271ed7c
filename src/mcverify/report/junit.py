"""The result as JUnit XML: a test suite for each routine, a test case for each obligation at each exit.

What was refuted is a failure. What is unknown is an error, never skipped: consumers take a skipped
test for a harmless one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mcverify import __version__
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report.account import plain
from mcverify.report.finding import UNDERSTOOD, Finding, entry_of, findings, not_understood
from mcverify.report.place import Place, shared

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_MARK = re.compile(r'<\?xml [^>]*>\s*<testsuites name="mcverify"')
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What an XML 1.0 document cannot hold, not even escaped (section 2.2)."""


def to_junit(results: Sequence[RoutineResult]) -> str:
    """All results as one XML document, with a newline at its end."""
    document = Element("testsuites", name="mcverify")
    suites = [_suite(document, result) for result in results]
    _count(document, suites, sum(result.seconds for result in results))
    ElementTree.indent(document)
    return _DECLARATION + ElementTree.tostring(document, encoding="unicode") + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` begins like a document of :func:`to_junit`."""
    return _MARK.match(text) is not None


def _suite(document: Element, result: RoutineResult) -> Element:
    suite = SubElement(document, "testsuite", name=_text(f"{result.title} in {result.file}"))
    properties = SubElement(suite, "properties")
    for name, value in (
        ("mcverify", __version__),
        ("contract", result.contract.name if result.contract else "none"),
        ("verdict", str(result.verdict)),
        ("len", f"{result.domain.len_min}..{result.domain.len_max}"),
        *(("assumption", sentence) for sentence in result.assumptions),
    ):
        SubElement(properties, "property", name=name, value=_text(value))
    _understood(suite, result)
    for finding in findings(result):
        _obligation(suite, finding)
    _count(suite, [suite], result.seconds)
    return suite


def _count(element: Element, suites: Sequence[Element], seconds: float) -> None:
    """Set the totals of all cases in `suites`."""
    for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        element.set(attribute, str(sum(len(list(suite.iter(tag))) for suite in suites)))
    element.set("skipped", "0")
    element.set("time", f"{seconds:.3f}")


def _understood(suite: Element, result: RoutineResult) -> None:
    case = _case(suite, UNDERSTOOD, result, entry_of(result), 0.0)
    reasons = not_understood(result)
    if reasons:
        _outcome(case, "error", "unknown", reasons[0], reasons)


def _obligation(suite: Element, finding: Finding) -> None:
    case = _case(suite, finding.name, finding.routine, finding.place, finding.obligation.seconds)
    match finding.obligation.verdict:
        case Verdict.REFUTED:
            run = plain(finding.run, finding.routine) if finding.run else []
            lines = [f"{finding.place}: {finding.headline}", *run]
            _outcome(case, "failure", "refuted", finding.sentence, lines)
        case Verdict.UNKNOWN:
            _outcome(case, "error", "unknown", finding.sentence, [f"{finding.place}: {finding.headline}"])
        case Verdict.PROVED:
            pass


def _case(suite: Element, name: str, result: RoutineResult, place: Place, seconds: float) -> Element:
    case = SubElement(suite, "testcase", name=_text(name), classname=_text(f"mcverify.{result.title}"))
    case.set("file", _text(shared(place.file).path))
    if place.line is not None:
        case.set("line", str(place.line))
    case.set("time", f"{seconds:.3f}")
    return case


def _outcome(case: Element, tag: str, kind: str, message: str, lines: Sequence[str]) -> None:
    outcome = SubElement(case, tag, type=kind, message=_text(message or kind))
    outcome.text = _text("\n".join(lines))


def _text(text: str) -> str:
    """`text`, with an escape in Python's notation for what no XML document can hold."""
    return _NO_XML.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)

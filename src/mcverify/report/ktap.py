"""The result as KTAP, version 1 (Documentation/dev-tools/ktap.rst in the kernel): a test for each
routine, in it a subtest for each obligation at each exit.

Only what is proved is `ok`. The unknown is `not ok` with the directive ERROR and never a SKIP, which parsers
do not count against the parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcverify import __version__
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report.account import plain
from mcverify.report.finding import UNDERSTOOD, Finding, findings, not_understood
from mcverify.report.words import harmless

_MARK = re.compile(r"KTAP version 1\n1\.\.\d+\n# mcverify \d")


@dataclass(frozen=True, slots=True)
class _Test:
    """One test: what its result line says, the diagnostic lines before it, its subtests."""

    name: str
    passed: bool
    comment: str = ""
    diagnostics: tuple[str, ...] = ()
    subtests: tuple[_Test, ...] = ()


def to_ktap(results: Sequence[RoutineResult]) -> str:
    """All results as one KTAP document."""
    version, plan, *rest = _document([_routine(result) for result in results], depth=0)
    return "\n".join([version, plan, f"# mcverify {__version__}", *rest]) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` begins like a document of :func:`to_ktap`."""
    return _MARK.match(text) is not None


def _document(tests: Sequence[_Test], depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}KTAP version 1"
    yield f"{indent}1..{len(tests)}"
    for number, test in enumerate(tests, start=1):
        if test.subtests:
            yield from _document(test.subtests, depth + 1)
        yield from (f"{indent}# {line}".rstrip() for line in test.diagnostics)
        yield f"{indent}{_result_line(number, test)}"


def _result_line(number: int, test: _Test) -> str:
    comment = f" # {_word(test.comment)}" if test.comment else ""
    return f"{'ok' if test.passed else 'not ok'} {number} {_word(test.name)}{comment}"


def _routine(result: RoutineResult) -> _Test:
    tests = (_understood(result), *(_obligation(finding) for finding in findings(result)))
    passed = result.verdict is Verdict.PROVED and all(test.passed for test in tests)
    words = "; ".join([f"{result.verdict} {result.file}", *result.by_comment])
    return _Test(result.title, passed, words, subtests=tests)


def _understood(result: RoutineResult) -> _Test:
    reasons = not_understood(result)
    if not reasons:
        return _Test(UNDERSTOOD, True)
    return _Test(UNDERSTOOD, False, f"ERROR {reasons[0]}", tuple(_one_line(r) for r in reasons[1:]))


def _obligation(finding: Finding) -> _Test:
    match finding.obligation.verdict:
        case Verdict.PROVED:
            return _Test(finding.name, True)
        case Verdict.UNKNOWN:
            return _Test(finding.name, False, f"ERROR {finding.sentence or 'unknown'}")
        case Verdict.REFUTED:
            return _Test(finding.name, False, finding.sentence, tuple(_diagnostics(finding)))


def _diagnostics(finding: Finding) -> Iterator[str]:
    yield f"{finding.name}: {finding.place}"
    if finding.run is not None:
        yield from map(_one_line, plain(finding.run, finding.routine))


def _one_line(text: str) -> str:
    return harmless(re.sub(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text))


def _word(text: str) -> str:
    """`text` without what has a meaning in a result line: a description cannot hold `#`, and behind
    one a parser would look for a directive."""
    return harmless(" ".join(text.replace("#", "_").split()))

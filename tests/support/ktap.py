"""A strict reader of KTAP, version 1, after Documentation/dev-tools/ktap.rst and what the kernel's own parser
(tools/testing/kunit/kunit_parser.py) makes of it: what either would not understand is an error here."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESULT = re.compile(r"(?P<result>ok|not ok) (?P<number>[1-9]\d*)(?P<name> [^#]*?)?(?P<comment> # .*)?")
_PLAN = re.compile(r"1\.\.(?P<count>\d+)")
_DIRECTIVES = ("SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR")


class NoKtap(Exception):
    """The text is no KTAP; the message says why."""


@dataclass(frozen=True)
class Test:
    __test__ = False

    name: str
    passed: bool
    directive: str
    comment: str
    diagnostics: tuple[str, ...]
    subtests: tuple[Test, ...]

    def __getitem__(self, name: str) -> Test:
        [found] = [test for test in self.subtests if test.name == name]
        return found


def read_ktap(text: str) -> tuple[Test, ...]:
    """The tests of the outermost level."""
    if not text.endswith("\n"):
        raise NoKtap("the last line has no end")
    lines = text[:-1].split("\n")
    tests, rest = _document(lines, 0)
    if rest:
        raise NoKtap(f"after the last test: {rest[0]!r}")
    return tests


def _document(lines: list[str], depth: int) -> tuple[tuple[Test, ...], list[str]]:
    version, *lines = lines
    if _at(version, depth) != "KTAP version 1":
        raise NoKtap(f"no version line: {version!r}")
    plan = _PLAN.fullmatch(_at(lines[0], depth)) if lines else None
    if plan is None:
        raise NoKtap("no plan right after the version line")
    tests: list[Test] = []
    lines = lines[1:]
    for number in range(1, int(plan["count"]) + 1):
        test, lines = _test(lines, depth, number)
        tests.append(test)
    return tuple(tests), lines


def _test(lines: list[str], depth: int, number: int) -> tuple[Test, list[str]]:
    diagnostics: list[str] = []
    subtests: tuple[Test, ...] = ()
    while lines:
        line = lines[0]
        if line == f"{'  ' * (depth + 1)}KTAP version 1" and not subtests:
            subtests, lines = _document(lines, depth + 1)
            continue
        text, lines = _at(line, depth), lines[1:]
        if text == "#" or text.startswith("# "):
            diagnostics.append(text[2:])
            continue
        return _result(text, number, tuple(diagnostics), subtests), lines
    raise NoKtap(f"the plan speaks of more tests: no number {number}")


def _result(line: str, number: int, diagnostics: tuple[str, ...], subtests: tuple[Test, ...]) -> Test:
    match = _RESULT.fullmatch(line)
    if match is None:
        raise NoKtap(f"neither a result nor a diagnostic line: {line!r}")
    if int(match["number"]) != number:
        raise NoKtap(f"number {number} was due: {line!r}")
    passed = match["result"] == "ok"
    comment = (match["comment"] or "")[3:]
    if " # " in comment:
        raise NoKtap(f"a second hash sign, where a parser may look for a directive: {line!r}")
    word = comment.split(" ")[0]
    directive = word if word in _DIRECTIVES else ""
    if passed and directive in ("TIMEOUT", "ERROR"):
        raise NoKtap(f"ok with {directive}: {line!r}")
    if passed and any(not test.passed for test in subtests):
        raise NoKtap(f"ok, but a subtest is not: {line!r}")
    return Test((match["name"] or "").strip(), passed, directive, comment, diagnostics, subtests)


def _at(line: str, depth: int) -> str:
    """The line without the indentation of its level."""
    indent = "  " * depth
    if not line.startswith(indent) or line[len(indent) :].startswith(" "):
        raise NoKtap(f"wrong indentation for level {depth}: {line!r}")
    return line[len(indent) :]

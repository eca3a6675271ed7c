"""Routines written to be proved although they are wrong, or refuted although they are right.

A file says the truth in its `expect:` comments. A right routine may not be refuted, a wrong one not be
proved, neither it nor an obligation that it breaks at that exit. Nothing may be refuted that is not broken.
"unknown" is allowed where a comment `unknown: WHY` gives the reason, and nowhere else. A comment
`hostile: len-max N`, `hostile: contract FILE` or `hostile: fault-model M` gives an option to the proof;
`hostile: refused WORD` says that the file is no valid input, and the error names WORD.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from support.blind import proved_blindly, refuse_what_is_too_good

from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import EVERYWHERE, RoutineResult, Verdict
from mcverify.runs import cpu

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.S"))
EXPECTATION = re.compile(
    r"/\* expect: (?:(?P<routine>\w+): )?(?:proved|refuted (?P<id>O\d+) at (?P<exit>\S+)) \*/"
)
OPTION = re.compile(r"/\* hostile: (?P<key>[\w-]+) (?P<value>\S+) \*/")
UNKNOWN = re.compile(r"/\* unknown: \S.* \*/")
LATE = "the time limit was reached"

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def broken(path: Path, routine: str) -> set[tuple[str, str]] | None:
    """Obligations and exits that the file says are broken; None where it says nothing of the routine."""
    found = [m for m in EXPECTATION.finditer(path.read_text()) if m["routine"] in (None, routine)]
    return {(m["id"], m["exit"]) for m in found if m["id"]} if found else None


def stated_routines(path: Path) -> set[str]:
    return set(re.findall(r"SYM_FUNC_START\((\w+)\)", path.read_text()))


def said(path: Path) -> dict[str, str]:
    return {m["key"]: m["value"] for m in OPTION.finditer(path.read_text())}


def options(path: Path) -> ProveOptions:
    """What the file asks for."""
    given = said(path)
    return ProveOptions(
        timeout=40,
        len_max=int(given["len-max"], 0) if "len-max" in given else ProveOptions().len_max,
        contract=str(HERE / given["contract"]) if "contract" in given else None,
        fault_model=given.get("fault-model"),
    )


@cache
def results(path: Path) -> dict[str, RoutineResult]:
    return {r.name: r for r in prove_file(path, options(path), lambda _: None)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_verdict_is_never_false(path: Path) -> None:
    word = said(path).get("refused")
    if word is not None:
        with pytest.raises(InputError, match=word):
            results(path)
        return
    found = results(path)
    for name in stated_routines(path):
        truth = broken(path, name)
        assert truth is not None, f"nothing is expected of {name}"
        assert name in found or Verdict.UNKNOWN in {r.verdict for r in found.values()}, f"{name} was left out"
        if name in found:
            check(found[name], truth)
    late = any(LATE in sentence for r in found.values() for sentence in r.unknowns)
    is_unknown = Verdict.UNKNOWN in {r.verdict for r in found.values()}
    assert late or is_unknown == bool(UNKNOWN.search(path.read_text())), "the file says why it is unknown"


WRONG = [p for p in FILES if "refused" not in said(p) and any(broken(p, n) for n in stated_routines(p))]


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_what_is_broken_is_not_proved_without_runs(path: Path) -> None:
    for result in proved_blindly(path, options(path)):
        refuse_what_is_too_good(result, broken(path, result.name) or set())


def check(result: RoutineResult, truth: set[tuple[str, str]]) -> None:
    """Compare a result with the truth."""
    assert result.verdict is not (Verdict.PROVED if truth else Verdict.REFUTED)
    refuted = {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.REFUTED}
    proved = {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.PROVED}
    # A loop between the last fault and the return hides which fixup the exit belongs to.
    assert {i for i, _ in refuted} <= {i for i, _ in truth}, "refuted, but not broken"
    assert not {(i, e) for i, e in proved & truth if e != EVERYWHERE}, "proved, but broken"


def test_every_file_says_what_it_is() -> None:
    for path in FILES:
        first, second, *_ = path.read_text().splitlines()
        assert (first, second) == ("/* SPDX-License-Identifier: MIT */", "/*"), path
        assert all(broken(path, name) is not None for name in stated_routines(path)), path

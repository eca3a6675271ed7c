"""The model of a caller: what `models/callers/*.toml` say of the loop of a system call, as values.

models/callers/write.toml explains the keys. A file that does not keep to them is an InputError.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from mcverify.callers.expression import Expression, ExpressionError, Sort, expression
from mcverify.contract import MACHINE_CHECK
from mcverify.errors import InputError
from mcverify.foreign import read_regular
from mcverify.models import models_dir, read_toml
from mcverify.runs.case import PAGE_FAULT

CLAIMS = ("W1", "W2", "W3", "W4")
OLD, RIGHT, WRONG = 0, 1, 2
"""What stands at byte k of the destination: what was there before, byte k of the source, neither."""

CONSTANTS: Mapping[str, int] = {
    "old": OLD, "right": RIGHT, "wrong": WRONG, "page": 4096, "efault": -14, "eintr": -4, "eio": -5,
}  # fmt: skip
"""Names with a fixed value: the pages of x86-64 and riscv64; include/uapi/asm-generic/errno-base.h."""

GIVEN = ("n", "first_bad", "k", "offset", "max_folio")
"""What a call begins with: docs/callers.md."""

_OF_ONE_BYTE = ("k", "at_k", "new_k")
_OF_AN_END = ("result", "failed", "slack")
_OF_A_COPY = ("copied", "new_k")
_STEPS = ("set", "choose", "copy", "end", "again")
_LARGEST = 64 << 10
Faults = Literal["loads", "stores", "both"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a round, done where `when` holds (None: always).

    Exactly one of these is there: values to `set`; `choose`, a name whose value the loop does not decide, any
    that meets `where` (`value` is one); `copy`, so many bytes `at` a place of which the first `ok` can be
    accessed; `end`, the call's result (`failed`: for a reason that is not the copy's). With `again` the next
    round begins after it.
    """

    when: Expression | None
    set: Mapping[str, Expression]
    choose: str
    where: Expression | None
    values: tuple[Expression, ...]
    copy: Expression | None
    at: Expression | None
    ok: Expression | None
    end: Expression | None
    failed: bool
    again: bool


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """The loop of a caller in some kernels: its variables with their first values, its steps, what may hold
    at the start of each round, and the numbers of which, in their order, one falls in each. It is equal to
    itself alone."""

    kernels: str
    source: str
    state: Mapping[str, Expression]
    rounds: tuple[Step, ...]
    invariants: tuple[Expression, ...]
    measure: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed of a call: a formula about each of its ends, None for W4. `broken` says what the call
    does where it does not hold."""

    id: str
    name: str
    holds: str
    broken: str
    formula: Expression | None


@dataclass(frozen=True, slots=True)
class Caller:
    """The loops of one system call. `faults`: which accesses of the routine meet bad bytes, `trap_on_loads`:
    the number of the trap by which loads do; `source` and `destination` in words."""

    name: str
    call: str
    summary: str
    source: str
    destination: str
    faults: Faults
    trap_on_loads: int
    assumed: tuple[str, ...]
    loops: tuple[Loop, ...]


@cache
def names() -> tuple[str, ...]:
    """The callers that have a file."""
    files = (models_dir() / "callers").glob("*.toml")
    return tuple(sorted(file.stem for file in files if file.stem != "claims"))


@cache
def claims() -> tuple[Claim, ...]:
    """The claims, in their order."""
    table = read_toml("callers/claims.toml")
    return tuple(
        Claim(
            key,
            row["name"],
            row["holds"],
            row["broken"],
            expression(row["formula"], "condition") if "formula" in row else None,
        )
        for key, row in ((key, table[key]) for key in CLAIMS)
    )


def find(name: str) -> Caller:
    """The caller of this name, or of the file of this name. Raises InputError."""
    if name in names():
        return _shipped(name)
    if name.endswith(".toml"):
        return _read(Path(name))
    raise InputError(f"there is no caller {name!r}", hint=f"there are {', '.join(names())}, or a FILE.toml")


@cache
def _shipped(name: str) -> Caller:
    return _read(models_dir() / "callers" / f"{name}.toml")


def _read(path: Path) -> Caller:
    """The caller that a file describes. Raises InputError."""
    try:
        table = tomllib.loads(read_regular(path, _LARGEST).decode())
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"it is no TOML: {error}", where=str(path)) from error
    return _Reader(str(path)).caller(table)


class _Reader:
    """Reads the tables of one file, and says what is wrong with it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def caller(self, table: Mapping[str, Any]) -> Caller:
        self._only(table, "the file", _KEYS)
        faults = self._text(table, "faults")
        if faults not in ("loads", "stores", "both"):
            self._wrong(f"faults is {faults!r}, and not loads, stores or both")
        trap = table.get("trap_on_loads", "pf")
        if trap not in _TRAPS:
            self._wrong(f"trap_on_loads is {trap!r}, and not pf or mc")
        versions = table.get("versions")
        if not isinstance(versions, list) or not versions:
            self._wrong("there are no versions")
        return Caller(
            self._text(table, "name"),
            self._text(table, "call"),
            self._text(table, "summary"),
            self._text(table, "source"),
            self._text(table, "destination"),
            cast("Faults", faults),
            _TRAPS[trap],
            tuple(self._texts(table, "assumed")),
            tuple(self._loop(self._table(version, "a version")) for version in versions),
        )

    def _loop(self, table: Mapping[str, Any]) -> Loop:
        self._only(table, "a version", ("kernels", "source", "state", "rounds", "invariants", "measure"))
        state = self._table(table.get("state"), "state")
        known = {*GIVEN, *CONSTANTS}
        first = {
            str(name): self._expression(text, "number", known, f"state {name}")
            for name, text in state.items()
        }
        if "written" not in first:
            self._wrong("the state has no variable written, which the claims speak of")
        if taken := sorted(known.intersection(first)):
            self._wrong(f"{taken[0]} is a name with a meaning of its own, and no variable of the state")
        known |= {*first, "at_k"}
        invariants = [
            self._expression(t, "condition", known, "an invariant") for t in self._texts(table, "invariants")
        ]
        measure = [self._expression(t, "number", known, "the measure") for t in self._texts(table, "measure")]
        if not measure:
            self._wrong("there is no measure, a number that falls in each round")
        steps = self._steps(table.get("rounds"), known)
        return Loop(
            self._text(table, "kernels"),
            self._text(table, "source"),
            first,
            steps,
            tuple(invariants),
            tuple(measure),
        )

    def _steps(self, rows: object, known: set[str]) -> tuple[Step, ...]:
        if not isinstance(rows, list) or not rows:
            self._wrong("a version has no rounds")
        seen = set(known)
        return tuple(self._step(self._table(row, "a step"), seen) for row in rows)

    def _step(self, row: Mapping[str, Any], known: set[str]) -> Step:
        """A step; adds the names that it makes `known`."""
        self._only(row, "a step", ("when", "where", "values", "at", "ok", "failed", *_STEPS))
        kinds = [kind for kind in _STEPS if kind in row]
        if len(kinds) != 1 and kinds != ["set", "again"]:
            self._wrong(
                f"a step has to be one of {', '.join(_STEPS)}, and one has {' and '.join(kinds) or 'none'}"
            )
        values = self._table(row.get("set", {}), "set")
        everything, known = known, known.difference(_OF_ONE_BYTE)
        read = {key: self._optional(row, key, "number", known) for key in ("copy", "at", "ok", "end")}
        step = Step(
            when=self._optional(row, "when", "condition", known),
            set={
                str(n): self._expression(t, "number", everything if n == "at_k" else known, f"set {n}")
                for n, t in values.items()
            },
            choose=self._text(row, "choose") if "choose" in row else "",
            where=self._optional(row, "where", "condition", {*known, str(row.get("choose"))}),
            values=tuple(self._expression(t, "number", known, "values") for t in self._texts(row, "values")),
            copy=read["copy"],
            at=read["at"],
            ok=read["ok"],
            end=read["end"],
            failed=row.get("failed") == 1,
            again=bool(row.get("again")),
        )
        if step.when and (step.choose or step.copy):
            self._wrong("a choice or a copy has a when: what it makes would have no value without it")
        if step.choose and (step.where is None or not step.values):
            self._wrong(f"the choice of {step.choose} has no where or no values")
        if step.copy and (step.at is None or step.ok is None):
            self._wrong("a copy does not say at which byte, or how many are ok")
        made = [*step.set, *([step.choose] if step.choose else [])]
        if step.choose in everything:
            self._wrong(f"the choice of {step.choose} has the name of something else")
        if fresh := sorted(set(step.set).difference(everything)) if step.when else []:
            self._wrong(f"{fresh[0]} is first set under a when: it would have no value without it")
        if taken := sorted({*GIVEN, *CONSTANTS, *_OF_A_COPY, *_OF_AN_END}.intersection(made)):
            self._wrong(f"a step sets {taken[0]}, which is not the loop's to set")
        everything.update(made, _OF_A_COPY if step.copy else ())
        return step

    # -- the small things

    def _optional(
        self, row: Mapping[str, Any], key: str, sort: Sort, known: Iterable[str]
    ) -> Expression | None:
        return self._expression(row[key], sort, known, key) if key in row else None

    def _expression(self, text: object, sort: Sort, known: Iterable[str], what: str) -> Expression:
        try:
            found = expression(text, sort)
        except ExpressionError as error:
            self._wrong(f"{what} {error}")
        if unknown := sorted(found.names.difference(known)):
            self._wrong(f"{what} speaks of {unknown[0]}, which has no value there")
        return found

    def _table(self, value: object, what: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._wrong(f"{what} is not a table")
        return cast("Mapping[str, Any]", value)

    def _text(self, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            self._wrong(f"{key} is not a text")
        return value

    def _texts(self, table: Mapping[str, Any], key: str) -> Sequence[str]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self._wrong(f"{key} is not a list of texts")
        return cast("Sequence[str]", value)

    def _only(self, table: Mapping[str, Any], what: str, keys: Iterable[str]) -> None:
        if unknown := sorted(set(table).difference(keys)):
            self._wrong(f"{what} has a key {unknown[0]!r} that is not known")

    def _wrong(self, message: str) -> NoReturn:
        raise InputError(f"it is no model of a caller: {message}", where=self._path)


_TRAPS = {"pf": PAGE_FAULT, "mc": MACHINE_CHECK}
_KEYS = (
    *("name", "call", "summary", "source", "destination", "faults", "trap_on_loads", "assumed", "versions"),
)

"""What a caller may rely on: any result of the routine that the proved obligations allow.

A copy of `len` bytes at place `at` of the call's buffer, of which the first `ok` can be accessed, gives some
result; each obligation that was proved leaves out some of them. One that was not proved leaves out none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import z3

from mcverify.callers.model import RIGHT, WRONG
from mcverify.proof.result import RoutineResult, Verdict

OBLIGATIONS = ("O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9")
"""Those of which a caller can rely on something; O10 is about the order in which others see the bytes."""

SLACK = "slack"
_WORD = 1 << 64


@dataclass(frozen=True, slots=True)
class Premises:
    """Which obligations were proved, at every exit and for the faults that the caller meets; `over_report`
    is the contract's allowance in bytes, `slack` the proved bound on good bytes left uncopied, or None.
    `rest_zeroed`: the contract lets bytes that are reported left be set to zero."""

    proved: frozenset[str]
    over_report: int = 0
    slack: int | None = None
    rest_zeroed: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The premises that there are, the bound among them."""
        return self.proved | (frozenset() if self.slack is None else {SLACK})

    def without(self, name: str) -> Premises:
        """The same with one premise less."""
        slack = None if name == SLACK else self.slack
        return replace(self, proved=self.proved - {name}, slack=slack)


ALL = Premises(frozenset(OBLIGATIONS), 0, 0)
"""A routine of which everything is proved, with a slack of 0."""


def by(name: str) -> z3.BoolRef:
    """The literal that stands for a premise: what is proved tells of which it made use."""
    return z3.Bool(f"by.{name}")


def premises_of(result: RoutineResult, traps: tuple[int, ...]) -> Premises:
    """What was proved of a routine, where the faults of the result are those that the caller meets, of the
    numbers `traps`. Where anything was not understood, nothing was proved."""
    contract = result.contract
    if contract is None or result.unknowns:
        return Premises(frozenset())
    rows: dict[str, list[Verdict]] = {}
    for row in result.obligations:
        rows.setdefault(row.id, []).append(row.verdict)
    if any(id not in (*OBLIGATIONS, "O10") and set(found) != {Verdict.PROVED} for id, found in rows.items()):
        return Premises(frozenset())
    proved = {id for id, found in rows.items() if set(found) == {Verdict.PROVED}}
    for trap in traps:
        proved &= set(contract.binding(trap))
    over_report = max(contract.over_report_after(trap) for trap in (*traps, None))
    known = frozenset(proved).intersection(OBLIGATIONS)
    return Premises(known, over_report, result.slack, contract.rest_zeroed)


def traps_of(result: RoutineResult, faults: str) -> tuple[int, ...]:
    """The numbers of the traps that the accesses of kind `faults` can take under the result's contract."""
    assert result.contract is not None
    loads = result.contract.load_traps if faults != "stores" else ()
    return tuple(dict.fromkeys((*loads, *(() if faults == "loads" else (14,)))))


@dataclass(frozen=True, slots=True)
class Copy:
    """One call of the routine, as terms. `k` is the byte asked about, counted from the first of this copy.

    `faulted`: a fault was taken, at byte `point` first; `stored` and `right` are about byte `k`, `stored_bad`
    and `right_bad` about byte `ok`, the first that cannot be accessed. `covered`, `kept`, `inside` and
    `returns` say that the kernel survives it, with its registers, its other memory, and an end.
    """

    len: z3.ArithRef
    ok: z3.ArithRef
    k: z3.ArithRef
    copied: z3.ArithRef
    point: z3.ArithRef
    faulted: z3.BoolRef
    stored: z3.BoolRef
    right: z3.BoolRef
    stored_bad: z3.BoolRef
    right_bad: z3.BoolRef
    covered: z3.BoolRef
    kept: z3.BoolRef
    inside: z3.BoolRef
    returns: z3.BoolRef

    @classmethod
    def fresh(cls, tag: str, len: z3.ArithRef, ok: z3.ArithRef, k: z3.ArithRef) -> Copy:
        """One of which nothing is known."""
        numbers = {name: z3.Int(f"{name}.{tag}") for name in ("copied", "point")}
        bits = {f.name: z3.Bool(f"{f.name}.{tag}") for f in fields(cls) if f.type == "z3.BoolRef"}
        return cls(len=len, ok=ok, k=k, **numbers, **bits)

    @property
    def survives(self) -> z3.BoolRef:
        """The caller goes on, with a count that is none of more bytes than it asked for."""
        return z3.And(self.covered, self.kept, self.inside, self.returns, self.copied >= 0)

    def new_at(self, before: z3.ArithRef) -> z3.ArithRef:
        """What stands at byte `k` afterwards."""
        return z3.If(self.stored, z3.If(self.right, z3.IntVal(RIGHT), z3.IntVal(WRONG)), before)

    def allowed(self, premises: Premises) -> z3.BoolRef:
        """The results that `premises` leave, each as far as its literal (:func:`by`) is true."""
        rules = {name: rule(self) for name, rule in _RULES.items() if name in premises.proved}
        if premises.rest_zeroed:
            rules = {**rules, **self._zeroed(rules)}
        elif "O4" in rules:
            within = z3.Implies(self.stored, self.k < self.copied + premises.over_report)
            rules["O4"] = z3.And(rules["O4"], within)
        if premises.slack is not None:
            rules[SLACK] = z3.Implies(self.faulted, self.ok - self.copied <= premises.slack)
        return z3.And(self._always(), *(z3.Implies(by(name), rule) for name, rule in rules.items()))

    def _zeroed(self, rules: Mapping[str, z3.BoolRef]) -> dict[str, z3.BoolRef]:
        """What O4 and O6, where they are among the rules, say if the rest may be zeroed: of what is behind
        the claim, nothing."""
        claimed, bad = self.k < self.copied, self.ok < self.copied
        weaker = {
            "O4": z3.BoolVal(True),
            "O6": z3.And(
                z3.Implies(z3.And(self.stored, self._within, claimed), self.right),
                z3.Implies(z3.And(self.stored_bad, bad), self.right_bad),
            ),
        }
        return {name: rule for name, rule in weaker.items() if name in rules}

    @property
    def _within(self) -> z3.BoolRef:
        return z3.And(self.k >= 0, self.k < self.len)

    def _always(self) -> z3.BoolRef:
        """What needs no proof: the count returned has 64 bits, a fault is taken at a byte that cannot be
        accessed, and such a byte is not copied."""
        return z3.And(
            self.copied <= self.len,
            self.copied > self.len - _WORD,
            self.point >= self.ok,
            z3.Implies(z3.And(self.ok < self.len, self.stored_bad), z3.Not(self.right_bad)),
            z3.Implies(
                z3.And(self.k == self.ok, self.ok < self.len),
                z3.And(self.stored == self.stored_bad, self.right == self.right_bad),
            ),
        )


_RULES: Mapping[str, Callable[[Copy], z3.BoolRef]] = {
    "O1": lambda c: c.covered,
    "O2": lambda c: c.copied >= 0,
    "O3": lambda c: z3.And(
        z3.Implies(z3.And(c.k >= 0, c.k < c.copied), c.stored), z3.Implies(c.ok < c.copied, c.stored_bad)
    ),
    "O4": lambda c: z3.Implies(c.faulted, z3.Implies(c.stored, c.k < c.point)),
    "O5": lambda c: z3.Implies(z3.And(c.faulted, c.copied == 0), c.ok == 0),
    "O6": lambda c: z3.And(
        z3.Implies(z3.And(c.stored, c._within), c.right),
        z3.Implies(z3.And(c.stored_bad, c.ok < c.len), c.right_bad),
    ),
    "O7": lambda c: c.kept,
    "O8": lambda c: z3.And(c.inside, z3.Implies(c.stored, c._within), z3.Implies(c.faulted, c.ok < c.len)),
    "O9": lambda c: z3.And(
        c.returns,
        z3.Implies(
            z3.Not(c.faulted),
            z3.And(
                c.copied == c.len, z3.Implies(c._within, c.stored), z3.Implies(c.ok < c.len, c.stored_bad)
            ),
        ),
    ),
}
"""What each obligation (models/obligations.toml) says of a copy; O4 says more, as the contract allows."""

__all__ = ["ALL", "OBLIGATIONS", "SLACK", "Copy", "Premises", "by", "premises_of", "traps_of"]

"""From what runs showed to guesses about each location."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as replaced
from typing import cast

import z3

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.invariants.affine import Equality, equalities
from mcverify.invariants.candidates import (
    aligned,
    at_least,
    masks,
    multiples,
    neighbours,
    ordered,
    quantities,
    within_line,
)
from mcverify.invariants.carried import Carried, carried
from mcverify.invariants.houdini import Guesses
from mcverify.logic.ghost import HIT, OK, TOP, ZEROED, J
from mcverify.machine.terms import replace, variable, word
from mcverify.paths.faults import LAST_TRAP, trap_numbers
from mcverify.paths.segment import Location, Paths
from mcverify.runs.case import PAGE, Case, Visit
from mcverify.runs.pattern import first_zero

_SMALL = 1 << 40
_MAX_ROWS = 400
_MASKS = (1, 2, 3, 4, 5, 6)
"""Widths of the low parts of a register that may count the bytes behind pairs, words or blocks."""


def guesses(
    paths: Paths,
    contract: Contract,
    cases: Sequence[Case],
    visits: Sequence[Visit],
    len_max: int,
    *,
    persistent: bool,
) -> dict[Location, Guesses]:
    """Guesses for every location but the entry. With `persistent` they may speak of bad bytes."""
    rows = _rows(paths, contract, cases, visits)
    reached = carried(paths)
    found = {}
    for location in paths.locations:
        if location == paths.entry:
            continue
        guesser = _Guesser(paths, contract, location, rows.get(location, []), len_max, persistent)
        found[location] = _completed(guesser.guesses(), location, reached.get(location, Carried()))
    return found


def _completed(found: Guesses, location: Location, reached: Carried) -> Guesses:
    """The guesses with the values of registers of which runs show no equality: vector registers and flags, a
    mask, what only one of several modes of a loop head has. Runs do not tell either whether a non-temporal
    store waits for a fence: what then holds of the inputs are the conditions on the way."""
    solved = found.invariant().definitions
    values = {name: value for name, value in reached.values.items() if name not in solved}
    conditions = reached.conditions if location.unfenced else ()
    return replaced(found, carried=values, facts=[*found.facts, *conditions])


def _rows(
    paths: Paths, contract: Contract, cases: Sequence[Case], visits: Sequence[Visit]
) -> dict[Location, list[dict[str, int]]]:
    """What was seen at each location: registers, stack words, `top`, first bad bytes, entry values
    (``...@0``)."""
    modes: dict[tuple[int, bool], list[Location]] = {}
    for location in paths.locations:
        modes.setdefault((location.address, location.faulted), []).append(location)
    # Visits come by address, not by time: the entry may lie behind a routine that it jumps to.
    starts: dict[int, Visit] = {}
    for visit in visits:
        if visit.address == paths.entry.address:
            starts.setdefault(visit.case, visit)
    rows: dict[Location, list[dict[str, int]]] = {}
    for visit in visits:
        start = starts.get(visit.case)
        if start is None:
            continue
        depth = visit.registers[X86_64.stack_pointer] - start.registers[X86_64.stack_pointer]
        for location in modes.get((visit.address, visit.faulted), ()):
            if location.stack == depth and _is_called_as(location, visit):
                rows.setdefault(location, []).append(_row(contract, visit, start, cases[visit.case]))
    return rows


def _is_called_as(location: Location, visit: Visit) -> bool:
    """Whether the calls that lead to a location are those of the visit. A run may have the code elsewhere
    than the image, but at whole pages from there."""
    return all((visit.stack.get(offset, to) - to) % PAGE == 0 for offset, to in location.frames)


def _row(contract: Contract, visit: Visit, start: Visit, case: Case) -> dict[str, int]:
    row = {name: visit.registers[name] for name in X86_64.general}
    row |= {f"{name}@0": start.registers[name] for name in X86_64.general}
    row |= {f"stack{offset}": value for offset, value in visit.stack.items()}
    length = case.len
    for name, placement in (("bad_src", case.src), ("bad_dst", case.dst)):
        bad = placement.first_bad
        row[name] = length if bad is None else min(bad, length)
    if contract.string_length is not None:
        row["nul@0"] = first_zero(case, contract)
    row["top"] = visit.top
    on_store = row["bad_dst"] < length and row["bad_dst"] <= row["bad_src"]
    row["last_trap"] = 14 if on_store else case.trap
    return row


class _Guesser:
    """Makes the guesses about one location."""

    def __init__(
        self,
        paths: Paths,
        contract: Contract,
        location: Location,
        rows: list[dict[str, int]],
        len_max: int,
        persistent: bool,
    ) -> None:
        self._contract = contract
        self._rows = _spread(rows)
        self._len_max = len_max
        self._persistent = persistent
        live = paths.live.get(location.address, frozenset(X86_64.general))
        slots = [f"stack{offset}" for offset in sorted(paths.slots[location])]
        known = [s for s in slots if all(s in row for row in self._rows)]
        self._faulted = location.faulted
        self._variables = [n for n in X86_64.general if n in live and n != X86_64.stack_pointer] + known
        self._parameters = {
            name: f"{register}@0"
            for name, register in (("dst", contract.dst), ("src", contract.src), ("len", contract.len))
            if register is not None
        }
        self._length = self._parameters.get("len")
        self._first_bad = [f"bad_{buffer}" for buffer in ("src", "dst") if buffer in self._parameters]

    def guesses(self) -> Guesses:
        """The guesses; none but the ghost's where no run came by."""
        if not self._rows:
            return Guesses(facts=[*self._ghost_facts(), *self._trap_facts([])])
        kept = {name: entry for name in self._variables if (entry := self._entry_value(name))}
        changing = [n for n in self._variables if n not in kept]
        parameters = list(self._parameters.values())
        same = [Equality(((name, 1), (entry, -1)), 0) for name, entry in kept.items()]
        offsets = self._add_offsets(changing)
        affine = self._affine([*changing, *offsets, *parameters], offsets)
        found = Guesses(same + affine, (*self._order(kept, changing), "top", *offsets))
        found.bounds = self._bounds(affine, [*changing, *offsets])
        found.facts = [
            *self._facts([*offsets, *changing], found.invariant().definitions),
            *self._ghost_facts(),
            *self._zeroed(offsets),
        ]
        if self._length is not None and not any(self._ties_progress(e, offsets) for e in affine):
            found.facts += self._by_low_bits(changing, offsets, self._length)
        found.facts += [*self._trap_facts(self._variables), *self._value_facts(changing, offsets)]
        return found

    def _by_low_bits(
        self, changing: Sequence[str], offsets: Sequence[str], length: str
    ) -> Iterator[z3.BoolRef]:
        """How far a pointer has come of the length, where the low bits of a register count the bytes behind
        the words: offset + 8 * words + (register & 7) = length."""
        counters = [n for n in changing if self._largest(n) < _SMALL]
        for offset in offsets[:1]:
            for name in changing:
                for bits in _MASKS:
                    low = f"{name}%{1 << bits}"
                    rows = [row | {low: row[name] % (1 << bits)} for row in self._rows]
                    for equality in equalities(rows, [*counters, offset, low, length]):
                        if all(equality.coefficient(n) for n in (low, offset, length)):
                            meaning = z3.ZeroExt(64 - bits, z3.Extract(bits - 1, 0, variable(name)))
                            yield cast("z3.BoolRef", replace(equality.term(), {low: meaning}))

    def _affine(self, columns: Sequence[str], offsets: Sequence[str]) -> list[Equality]:
        """Equalities among registers and arguments, and one that ties `top` to them: by a pointer's offset
        if that serves."""
        found = equalities(self._rows, columns)
        if self._length is not None and not any(self._ties_progress(e, offsets) for e in found):
            found = equalities(self._rows, [*columns, *self._add_remainders(self._length)])
        same = next((o for o in offsets if all(row[o] == row["top"] for row in self._rows)), None)
        if same is not None:
            return [*found, Equality((("top", 1), (same, -1)), 0)]
        with_top = equalities(self._rows, [*columns, "top"])
        return [*found, *[e for e in with_top if e.coefficient("top")][:1]]

    def _ties_progress(self, equality: Equality, offsets: Sequence[str]) -> bool:
        """Whether it says how far a pointer has come of the length; a register that holds a copy of the
        length does not."""
        tied = any(equality.coefficient(offset) for offset in offsets) or not offsets
        return tied and self._length is not None and equality.coefficient(self._length) != 0

    def _add_remainders(self, length: str) -> list[str]:
        """The length modulo 8, 16, 32, 64 as variables: what a loop over words or blocks leaves for later."""
        names = [f"{length}%{size}" for size in (8, 16, 32, 64)]
        for row in self._rows:
            row |= {name: row[length] % int(name.rpartition("%")[2]) for name in names}
        return names

    def _entry_value(self, name: str) -> str | None:
        """The entry register whose value `name` still, or again, holds in every sample: its own, or another
        that is no argument and was put aside there."""
        known = {*self._parameters.values(), *(f"{r}@0" for r in self._contract.given)}
        others = [
            r for r in X86_64.general if r != name and (name not in X86_64.general or f"{r}@0" not in known)
        ]
        candidates = [name, *others] if name in X86_64.general else others
        return next(
            (f"{r}@0" for r in candidates if all(row[name] == row[f"{r}@0"] for row in self._rows)), None
        )

    def _order(self, kept: Mapping[str, str], changing: Sequence[str]) -> tuple[str, ...]:
        """Which variables to solve for first: unchanged ones, addresses, the length, counters."""
        addresses = [n for n in changing if self._largest(n) >= _SMALL]
        counters = [n for n in changing if n not in addresses]
        length = () if self._length is None else (self._length,)
        return (*kept, *addresses, *length, *counters)

    def _add_offsets(self, changing: Sequence[str]) -> list[str]:
        """Offsets of pointers in their buffers as variables of their own, one for each sequence of values."""
        known: set[tuple[int, ...]] = set()
        added = []
        for name in changing:
            for base in (self._parameters[n] for n in ("src", "dst") if n in self._parameters):
                values = tuple((row[name] - row[base]) % (1 << 64) for row in self._rows)
                if (
                    self._largest(name) < _SMALL
                    or max(values) >= _SMALL
                    or values in known
                    or len(set(values)) < 2
                ):
                    continue
                known.add(values)
                added.append(f"{name}~{base}")
                for row, value in zip(self._rows, values, strict=True):
                    row[added[-1]] = value
        return added

    def _largest(self, name: str) -> int:
        return max(row[name] for row in self._rows)

    def _bounds(self, affine: Sequence[Equality], changing: Sequence[str]) -> dict[str, int]:
        """Upper bounds of counters and offsets. One that stands in the length with a factor is at most that
        part of the longest length."""
        bounds = {n: self._limit(n) for n in (*changing, "top") if self._largest(n) < _SMALL}
        for equality in affine:
            unit = abs(equality.coefficient(self._length)) if self._length is not None else 0
            for name, coefficient in equality.coefficients:
                if unit and name in bounds:
                    bounds[name] = min(bounds[name], self._len_max * unit // abs(coefficient))
        return bounds

    def _limit(self, name: str) -> int:
        """What a counter is at most: the longest length, or where that is fixed what fits the bits seen."""
        if self._length is not None or name == "top":
            return self._len_max
        return max(self._len_max, (1 << self._largest(name).bit_length()) - 1)

    def _facts(self, changing: Sequence[str], definitions: Mapping[str, z3.ExprRef]) -> list[z3.BoolRef]:
        names = [*changing, "top", *(() if self._length is None else (self._length,))]
        bases: dict[str, str] = {n: self._parameters[n] for n in ("src", "dst") if n in self._parameters}
        if self._contract.string_length is not None:
            names.append("nul@0")
        if self._persistent:
            names += self._first_bad
        found = quantities(self._rows, names, bases)
        moving = [q for q in found if len(set(q.values)) > 1]
        pointers = [n for n in changing if self._largest(n) >= _SMALL]
        counters = [n for n in changing if n not in pointers and "~" not in n]
        facts = [
            *at_least(found),
            *masks(found),
            *ordered(moving, definitions),
            *multiples([q for q in moving if q.name in counters], definitions),
            *aligned(self._rows, pointers, counters),
        ]
        facts += within_line(self._rows, moving, list(bases.values()))
        for offset in (n for n in changing if "~" in n):
            facts += neighbours(self._rows, offset)
        facts += [q.term == word(q.values[0]) for q in found if len(set(q.values)) == 1]
        return facts

    def _value_facts(self, changing: Sequence[str], offsets: Sequence[str]) -> Iterator[z3.BoolRef]:
        """What a register holds of a value that is stored piece by piece from its low end: its bytes from a
        pointer's offset on."""
        if self._contract.stored_value is None or self._contract.size is None:
            return
        value = f"{self._contract.stored_value}@0"
        for mask in {(1 << 64) - 1, (1 << 8 * self._contract.size) - 1}:
            for offset in offsets:
                for name in changing:
                    if all(row[name] == (row[value] & mask) >> 8 * row[offset] for row in self._rows):
                        rest = z3.LShR(variable(value) & word(mask), variable(offset) * 8)
                        yield variable(name) == rest

    def _trap_facts(self, variables: Sequence[str]) -> list[z3.BoolRef]:
        """What a routine that goes on after a fault still knows of its trap number."""
        if not self._faulted:
            return []
        same = [v for v in variables if all(row[v] == row["last_trap"] for row in self._rows)]
        numbers = tuple(dict.fromkeys((*self._contract.load_traps, *self._contract.store_traps)))
        return [trap_numbers(LAST_TRAP, numbers), *(z3.BitVec(v, 64) == LAST_TRAP for v in same)]

    def _zeroed(self, offsets: Sequence[str]) -> Iterator[z3.BoolRef]:
        """After a fault: what lies between the bytes that were stored and a pointer may be zeroed."""
        if not (self._contract.zeroes_rest and self._faulted):
            return
        dst = self._parameters["dst"]
        for offset in [variable(n) for n in offsets if n.endswith(f"~{dst}")]:
            yield z3.Implies(z3.And(z3.ULE(TOP, J), z3.ULT(J, offset)), ZEROED)

    def _ghost_facts(self) -> list[z3.BoolRef]:
        facts = [z3.Implies(HIT, OK), z3.Implies(HIT, z3.ULT(J, TOP))]
        if self._persistent:
            facts += [z3.Implies(HIT, z3.ULT(J, z3.BitVec(bad, 64))) for bad in self._first_bad]
        return facts


def _spread(rows: list[dict[str, int]]) -> list[dict[str, int]]:
    """At most a few hundred of the rows, from all over."""
    step = max(1, len(rows) // _MAX_ROWS)
    return rows[::step]

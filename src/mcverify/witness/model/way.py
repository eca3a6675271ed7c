"""One segment of the paths as a Python function: tried on concrete values, it says where they lead.

The function checks the segment's conditions as soon as their symbols have values, carries out its
transfers in order on a `Memory`, and gives up where a condition fails, an access meets a bad byte, or the
access that is to fault meets none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain

import z3

from mcverify.arch.known import X86_64
from mcverify.machine.instruction import Kind
from mcverify.machine.state import RETURN_ADDRESS
from mcverify.machine.terms import replace, symbols_of
from mcverify.paths.faults import NUL
from mcverify.paths.segment import Ending, Location, Paths, Segment, Transfer
from mcverify.runs.pattern import FRAME
from mcverify.witness.model.concrete import Source
from mcverify.witness.model.memory import Memory

LANES = 4
"""A vector register is kept as so many words of 64 bits: ymm0.0 is the lowest of ymm0."""

Values = dict[str, int]
"""Of registers (and lanes, flags, stack words), also as they were at entry, by symbol name."""

_LANES_OF = {
    name: z3.Concat([z3.BitVec(f"{name}.{i}", 64) for i in reversed(range(LANES))])
    for register in X86_64.vectors
    for name in (register, f"{register}@0")
}


@dataclass(frozen=True)
class Way:
    """A compiled segment.

    `run` gives the values of `names` at its end, or None if the segment is not the one. `needs` are the
    symbols of all its terms, `checks` those of each check it makes, by its number; `depends` has those of
    each name, `stores` those of each 8 bytes of each stored value. `strange` are those that no run tells,
    or that are not carried to the segment's start. RETURNED_TO is among the names only if the segment returns
    elsewhere than to its caller; `keeps_frame` is False if it stores at or above the return address (None:
    not told).
    """

    segment: Segment
    run: Callable[[Values, Memory], tuple[int, ...] | None]
    names: tuple[str, ...]
    needs: frozenset[str]
    checks: tuple[frozenset[str], ...]
    depends: Mapping[str, frozenset[str]]
    stores: tuple[tuple[frozenset[str], ...], ...]
    strange: frozenset[str]
    keeps_frame: bool | None


def compiled(segment: Segment, paths: Paths) -> Way:
    """The way of one segment of `paths`."""
    return _Compiler(segment, paths).way()


def known_at(paths: Paths, location: Location) -> list[str]:
    """Names of the values that are carried to a location: general registers, what else is live, the
    words of the stack."""
    live = paths.live.get(location.address, frozenset())
    names = [name for name in X86_64.general if name != X86_64.stack_pointer]  # which is the location's own
    names += [name for name in (*X86_64.flags, "id") if name in live]
    names += [f"{name}.{i}" for name in X86_64.vectors if name in live for i in range(LANES)]
    return names + [_slot(offset) for offset in sorted(paths.slots[location])]


@cache
def entry_names() -> frozenset[str]:
    """Names of the symbols of the entry, a lane for each part of a vector register."""
    names = [name for name in X86_64.widths if name not in X86_64.vectors]
    names.append(NUL.decl().name())
    names += [f"{name}@0.{i}" for name in X86_64.vectors for i in range(LANES)]
    return frozenset(name if "@" in name else f"{name}@0" for name in names)


def _slot(offset: int) -> str:
    return f"stack{offset}"


RETURNED_TO = "returned to"
"""Name of the address to which a segment returns that does not return to its caller."""

_RETURN_ADDRESS = RETURN_ADDRESS.decl().name()
_WORD = 8
_AT_END = (*X86_64.general, *X86_64.flags, "df", "ac")


@dataclass(frozen=True)
class _Part:
    """What can be written once the symbols `needs` have values."""

    needs: frozenset[str]
    write: Callable[[], None]


class _Compiler:
    """Writes the function of one segment."""

    def __init__(self, segment: Segment, paths: Paths) -> None:
        self._segment, self._paths = segment, paths
        self._source = Source(_input)
        self._inner = frozenset(_inner_symbols(segment))
        self._defined: set[str] = set()
        self._checks: list[frozenset[str]] = []
        self._stores: list[tuple[frozenset[str], ...]] = []
        self._unordered = {t.at for t in segment.transfers if t.partial}

    def way(self) -> Way:
        segment, outputs = self._segment, dict(self._outputs())
        loads = 0
        for fault in segment.faults:
            is_store = fault.access.kind is Kind.STORE
            self._define(fault.trap, "m.store_trap" if is_store else f"m.load_trap({loads})")
            loads += not is_store
        waiting = self._write_ready([*self._conditions(), *self._done(), *self._strikes()])
        for transfer in segment.transfers:
            self._transfer(transfer)
            waiting = self._write_ready(waiting)
        assert not waiting, "a condition of a segment is about nothing that happens on it"
        facts = [self._source.value(_split(fact)) for fact in segment.fault_facts]
        results = [self._source.value(term) for term in outputs.values()]
        self._write(f"m.facts = {_tuple(facts)}")
        self._write(f"return {_tuple(results)}")
        depends = {name: symbols_of(term) for name, term in outputs.items()}
        needs = frozenset().union(*self._checks, *depends.values(), *chain(*self._stores))
        return Way(
            segment=segment,
            run=self._source.function("v, m"),
            names=tuple(outputs),
            needs=needs,
            checks=tuple(self._checks),
            depends=depends,
            stores=tuple(self._stores),
            strange=frozenset(name for name in needs - self._inner if self._is_unknown(name)),
            keeps_frame=_keeps_frame(segment),
        )

    def _is_unknown(self, name: str) -> bool:
        """Whether `name` has no value at the segment's start."""
        source = self._segment.source
        carried = name in entry_names() or (not source.is_entry and name in known_at(self._paths, source))
        return _is_strange(name) or not (carried or _stack_byte(name) is not None)

    # -- conditions and faults --------------------------------------------------------------------

    def _conditions(self) -> Iterator[_Part]:
        for condition in self._segment.conditions:
            yield _Part(_symbols(condition), partial(self._condition, condition))

    def _condition(self, condition: z3.BoolRef) -> None:
        self._require(self._value(condition), condition)

    def _done(self) -> Iterator[_Part]:
        """The numbers of elements that a REP had done when it faulted."""
        before: set[str] = set()
        for number, fault in enumerate(self._segment.faults):
            names = symbols_of(fault.access.address) & self._inner - before
            before |= names
            for name in names:
                if name.startswith("done"):
                    start = replace(fault.access.address, {name: z3.BitVecVal(0, 64)})
                    done = z3.BitVec(name, 64)
                    yield _Part(_symbols(start), partial(self._define_done, done, start, number))

    def _define_done(self, done: z3.BitVecRef, start: z3.BitVecRef, number: int) -> None:
        access = self._segment.faults[number].access
        told = f", {number}" if access.at in self._unordered else ""
        self._define(done, f"m.element({self._value(start)}, {access.size}{told})")
        self._require(f"{self._value(done)} is not None", start)

    def _strikes(self) -> Iterator[_Part]:
        for number, fault in enumerate(self._segment.faults):
            yield _Part(_symbols(fault.access.address), partial(self._strike, number, fault.access))

    def _strike(self, number: int, access: Transfer) -> None:
        address, is_store = self._value(access.address), access.kind is Kind.STORE
        self._require(f"m.strikes({number}, {is_store}, {address}, {access.size})", access.address)
        told = self._segment.faults[number].address
        if told is not None:
            self._define(told, f"m.struck[{number}]")

    def _write_ready(self, waiting: list[_Part]) -> list[_Part]:
        """Write what has all its symbols; give the rest."""
        while ready := [part for part in waiting if part.needs & self._inner <= self._defined]:
            waiting = [part for part in waiting if part not in ready]
            for part in ready:
                part.write()
        return waiting

    # -- transfers --------------------------------------------------------------------------------

    def _transfer(self, transfer: Transfer) -> None:
        address = self._value(transfer.address)
        if transfer.elements is not None:
            self._repeated(transfer, address, transfer.elements)
        elif transfer.kind is Kind.LOAD:
            assert transfer.value is not None
            name = transfer.value.decl().name()
            self._define(transfer.value, f"m.load({address}, {transfer.size}, {name!r})")
            self._require(f"{self._value(transfer.value)} is not None", transfer.address)
        else:
            value = self._stored(transfer.value)
            self._require(f"m.store({value[0]}, {address}, {transfer.size}, {value[1]})", transfer.address)

    def _repeated(self, transfer: Transfer, address: str, elements: z3.BitVecRef) -> None:
        count = self._value(elements)
        size = f"{count} * {transfer.size}"
        if transfer.partial:
            self._require(f"m.blur({address}, {size})", transfer.address, elements)
        elif transfer.at in self._unordered:
            return  # what an unordered REP has loaded when it faults nobody knows
        elif transfer.kind is Kind.LOAD:
            self._require(f"m.passes({address}, {size})", transfer.address, elements)
        elif transfer.source is not None:
            source = self._value(transfer.source)
            self._require(f"m.copy({address}, {source}, {size})", transfer.address, transfer.source, elements)
        else:
            number, value = self._stored(transfer.value)
            self._require(
                f"m.fill({number}, {address}, {value}, {transfer.size}, {count})", transfer.address, elements
            )

    def _stored(self, value: z3.BitVecRef | None) -> tuple[int, str]:
        """Number and source of a value that is stored."""
        assert value is not None
        self._stores.append(tuple(_symbols(part) for part in _lanes(_split(value))))
        return len(self._stores) - 1, self._value(value)

    # -- values at the end ------------------------------------------------------------------------

    def _outputs(self) -> Iterator[tuple[str, z3.ExprRef]]:
        """The values at the end of the segment, by name, but those that are what they were before."""
        target, final = self._segment.target, self._segment.final
        if not isinstance(target, Location):
            for name in _AT_END:
                yield name, _split(final.registers[name])
            to = self._segment.returned_to
            if to is not None and not to.eq(RETURN_ADDRESS):
                yield RETURNED_TO, _split(to)
            return
        for name in known_at(self._paths, target):
            term = self._final(name)
            if not _is_symbol(term, name):
                yield name, term

    def _final(self, name: str) -> z3.ExprRef:
        final = self._segment.final
        if name.startswith("stack"):
            return _split(final.read(int(name[len("stack") :]), 8))
        register, _, lane = name.partition(".")
        term = _split(final.registers[register])
        if not lane:
            return term
        return z3.simplify(z3.Extract(64 * int(lane) + 63, 64 * int(lane), term))

    # -- writing ----------------------------------------------------------------------------------

    def _value(self, term: z3.ExprRef) -> str:
        return self._source.value(_split(term))

    def _require(self, condition: str, *terms: z3.ExprRef) -> None:
        """Give up unless `condition` holds, which is computed from `terms`."""
        self._write(f"if not {condition}: m.failed = {len(self._checks)}; return None")
        self._checks.append(frozenset().union(*map(_symbols, terms)))

    def _define(self, symbol: z3.ExprRef, source: str) -> None:
        name = symbol.decl().name()
        self._source.define(name, source)
        self._defined.add(name)

    def _write(self, line: str) -> None:
        self._source.lines.append(line)


def _keeps_frame(segment: Segment) -> bool | None:
    """Whether nothing is stored at or above the return address; None where the end does not tell."""
    final = segment.final
    if any(offset >= _WORD for offset in final.stack):
        return False
    if segment.target is Ending.RETURN:
        to, from_its_place = segment.returned_to, final.stack_offset == _WORD
        return True if from_its_place and to is not None and to.eq(RETURN_ADDRESS) else None
    return bool(final.read(0, _WORD).eq(RETURN_ADDRESS))


def _tuple(parts: list[str]) -> str:
    return f"({''.join(f'{part}, ' for part in parts)})"


def _input(name: str) -> str:
    """Source of the value that the symbol `name` has at the start."""
    if _is_strange(name):
        return "0"
    place = _stack_byte(name)
    return f"v[{name!r}]" if place is None else str(FRAME[place - _WORD])


def _is_strange(name: str) -> bool:
    """Whether a symbol stands for what no run tells: a byte of the stack that was given up or is too far
    up, the address to which the routine or a call returns, what a load gave that is not among the transfers,
    an undefined flag."""
    place = _stack_byte(name)
    untold = name == _RETURN_ADDRESS or name.startswith(
        ("load", "clobbered", "code#", "data#", "slot#", "undefined.")
    )
    return untold or (place is not None and not 0 <= place - _WORD < len(FRAME))


def _stack_byte(name: str) -> int | None:
    """The offset of the byte of the stack for which `name` stands."""
    found = re.fullmatch(r"stack\[(-?\d+)\]\.\d+", name)
    return int(found[1]) if found else None


def _inner_symbols(segment: Segment) -> Iterator[str]:
    """Symbols that get their values on the way: loads, trap numbers, elements done."""
    for transfer in segment.transfers:
        if transfer.kind is Kind.LOAD and transfer.value is not None:
            yield transfer.value.decl().name()
    for fault in segment.faults:
        yield fault.trap.decl().name()
        if fault.address is not None:
            yield fault.address.decl().name()
        yield from (name for name in symbols_of(fault.access.address) if name.startswith("done"))


def _is_symbol(term: z3.ExprRef, name: str) -> bool:
    return z3.is_const(term) and term.decl().name() in (name, f"{name}@0")


def _lanes(value: z3.BitVecRef) -> list[z3.BitVecRef]:
    """The words of 8 bytes of a value, from its lowest on; a shorter value is one."""
    if value.size() <= 64:
        return [value]
    return [z3.simplify(z3.Extract(low + 63, low, value)) for low in range(0, value.size(), 64)]


def _symbols(term: z3.ExprRef) -> frozenset[str]:
    return symbols_of(_split(term))


def _split(term: z3.ExprRef) -> z3.ExprRef:
    """`term` with lanes in place of vector registers."""
    found = symbols_of(term) & _LANES_OF.keys()
    if not found:
        return term
    pairs = [(z3.BitVec(name, 64 * LANES), _LANES_OF[name]) for name in sorted(found)]
    return z3.simplify(z3.substitute(term, *pairs))

"""Two segments taken together, one of each revision, on the same inputs: whether both can be taken at once,
and whether they do the same.

What the two share is the machine at entry, the source buffer and the set of bad addresses. So an access that
lies within one which did not fault does not fault; two of the same place and size load the same value and
raise the same trap; a REP from the same place stops at the same element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import z3

from mcverify.machine.instruction import Kind
from mcverify.machine.terms import constant, replace, word
from mcverify.paths.segment import Fault, Segment, Transfer

Values = Mapping[str, z3.ExprRef]
Rename = Callable[[z3.ExprRef], z3.ExprRef]


@dataclass(frozen=True)
class Point:
    """An access as the pairing needs it: where it begins (terms of the pair), its bytes, whether it
    faulted."""

    kind: Kind
    address: z3.BitVecRef
    size: int
    bytes: z3.BitVecRef
    value: z3.ExprRef | None = None
    elements: z3.ExprRef | None = None
    source: z3.BitVecRef | None = None
    fault: Fault | None = None


@dataclass
class Half:
    """One segment, its terms with its own symbols as `rename` names them, then as `values` define them.

    Every term goes through both, whatever symbols it has: one of the newer revision that kept the name of one
    of the older's would be taken for the same value.
    """

    segment: Segment
    values: Values
    rename: Rename = lambda term: term
    _terms: dict[int, tuple[z3.ExprRef, z3.ExprRef]] = field(default_factory=dict)

    def term(self, term: z3.ExprRef) -> z3.ExprRef:
        """A term of the segment, in the words of the pair."""
        known = self._terms.get(term.get_id())
        if known is None:
            found = z3.simplify(replace(self.rename(term), self.values), som=True)
            known = self._terms[term.get_id()] = term, found
        return known[1]

    def linked(self, more: Values) -> Half:
        """The same segment, with some of its symbols replaced further."""
        if not more:
            return self
        values = {name: replace(term, more) for name, term in self.values.items()}
        return Half(self.segment, {**values, **more}, self.rename)

    @property
    def points(self) -> list[Point]:
        """The accesses that were carried out, in order."""
        return [self._point(transfer) for transfer in self.segment.transfers]

    @property
    def faults(self) -> list[Point]:
        """The accesses that faulted."""
        return [self._point(fault.access, fault) for fault in self.segment.faults]

    def _point(self, transfer: Transfer, fault: Fault | None = None) -> Point:
        return Point(
            transfer.kind,
            self.term(transfer.address),
            transfer.size,
            self.term(transfer.bytes),
            None if transfer.value is None else self.term(transfer.value),
            None if transfer.elements is None else self.term(transfer.elements),
            None if transfer.source is None else self.term(transfer.source),
            fault,
        )

    def conditions(self) -> list[z3.BoolRef]:
        """What must hold for the segment to be taken, branches and faults."""
        return [self.term(c) for c in (*self.segment.conditions, *self.segment.fault_facts)]


def apart(one: z3.BitVecRef, other: z3.BitVecRef) -> int | None:
    """`one - other` if it is constant, signed."""
    value = constant(z3.simplify(one - other, som=True))
    if value is None:
        return None
    return value - (1 << 64) if value >> 63 else value


# -- what is the same in both -----------------------------------------------------------------------------


def links(old: Half, new: Half, prefix: str) -> Values:
    """Values of symbols of the newer segment (loaded, trap numbers, elements done) in terms of the
    older's."""
    found: dict[str, z3.ExprRef] = {}
    loads = [p for p in old.points if p.kind is Kind.LOAD and p.value is not None]
    for transfer, point in zip(new.segment.transfers, new.points, strict=True):
        if point.kind is Kind.LOAD and transfer.value is not None:
            same = _loaded(point, loads)
            if same is not None:
                found[prefix + transfer.value.decl().name()] = same
    for one, other in zip(old.faults, new.faults, strict=False):
        found |= _same_fault(one, _begun(old, one), other, _begun(new, other), prefix, found)
    return found


def _loaded(point: Point, loads: Sequence[Point]) -> z3.ExprRef | None:
    """What a load gives, byte by byte, from the loads of the other revision."""
    parts: list[z3.ExprRef] = []
    distances = [(load, apart(point.address, load.address)) for load in loads]
    near = [(load, distance) for load, distance in distances if distance is not None]
    for load, distance in near:
        if distance == 0 and load.size == point.size:
            return load.value
    for k in range(point.size):
        byte = next(
            (
                z3.Extract(8 * at + 7, 8 * at, load.value)
                for load, d in near
                if 0 <= (at := d + k) < load.size
            ),
            None,
        )
        if byte is None:
            return None
        parts.append(byte)
    return z3.simplify(z3.Concat(*reversed(parts)) if len(parts) > 1 else parts[0])


@dataclass(frozen=True)
class _Begun:
    """A REP that a fault cut short: where it began, and the symbol for the number of elements done."""

    address: z3.BitVecRef
    done: z3.BitVecRef


def _same_fault(
    one: Point,
    begun: _Begun | None,
    other: Point,
    other_begun: _Begun | None,
    prefix: str,
    known: Values,
) -> Values:
    """Trap number and elements done, where both faulted at the same access; `known` are the links so far."""
    assert one.fault is not None
    assert other.fault is not None
    if (one.kind, one.size) != (other.kind, other.size):
        return {}
    found: dict[str, z3.ExprRef] = {}
    address = replace(other.address, known)
    if begun is not None and other_begun is not None:
        if apart(begun.address, other_begun.address) != 0:
            return {}
        found[other_begun.done.decl().name()] = begun.done
        address = replace(address, found)
    if apart(one.address, address) == 0:
        found[prefix + other.fault.trap.decl().name()] = one.fault.trap
    return found


def _begun(half: Half, point: Point) -> _Begun | None:
    """Of a fault in a REP the elements before it: those of the same instruction that were carried out, as
    many as a symbol of their own says. None for any other access, also for one that tries again at an address
    which such a symbol tells."""
    assert point.fault is not None
    at, kind = point.fault.access.at, point.kind
    for transfer, done in zip(half.segment.transfers, half.points, strict=True):
        if (transfer.at, transfer.kind, transfer.size) != (at, kind, point.size) or transfer.partial:
            continue
        count = done.elements
        if count is None or not z3.is_const(count) or count.decl().kind() != z3.Z3_OP_UNINTERPRETED:
            continue
        if apart(point.address, done.address + word(point.size) * count) == 0:
            return _Begun(done.address, count)
    return None


# -- whether both can be taken ----------------------------------------------------------------------------


def contradicts(old: Half, new: Half) -> bool:
    """Whether it is plain, without a solver, that not both can be taken."""
    taken = {c.get_id() for c in old.conditions()}
    for condition in new.conditions():
        if z3.is_false(condition) or z3.simplify(z3.Not(condition)).get_id() in taken:
            return True
    return any(z3.is_false(fact) for fact in coupling(old, new))


def coupling(old: Half, new: Half) -> Iterator[z3.BoolRef]:
    """An access which faults in one lies in none that the other carried out."""
    for here, there in ((old, new), (new, old)):
        for fault in here.faults:
            for point in there.points:
                if point.kind is fault.kind:
                    yield _not_within(fault, point)


def _not_within(fault: Point, carried_out: Point) -> z3.BoolRef:
    """That not all bytes of `fault` are among those of `carried_out`, one of which would have faulted too."""
    distance = apart(fault.address, carried_out.address)
    if distance is not None and carried_out.elements is None:
        return z3.BoolVal(not 0 <= distance <= carried_out.size - fault.size)
    offset = z3.simplify(fault.address - carried_out.address, som=True)
    size = word(fault.size)
    inside = z3.And(z3.ULE(size, carried_out.bytes), z3.ULE(offset, carried_out.bytes - size))
    return z3.simplify(z3.Not(inside))


# -- whether both store the same --------------------------------------------------------------------------


def same_stores(old: Half, new: Half) -> list[z3.BoolRef] | None:
    """What must hold for memory to be the same behind both; None where their stores cannot be compared."""
    if any(transfer.partial for half in (old, new) for transfer in half.segment.transfers):
        return None
    goals: list[z3.BoolRef] = []
    groups, others = _groups(old.points), _groups(new.points)
    if len(groups) != len(others):
        return None
    for group, other in zip(groups, others, strict=True):
        found = _same_group(group, other)
        if found is None:
            return None
        goals += found
    return goals


def _groups(points: Sequence[Point]) -> list[list[Point]]:
    """The stores in order: each REP by itself, those between together."""
    groups: list[list[Point]] = [[]]
    for point in points:
        if point.kind is not Kind.STORE:
            continue
        if point.elements is None:
            groups[-1].append(point)
        else:
            groups += [[point], []]
    return groups


def _same_group(group: Sequence[Point], other: Sequence[Point]) -> list[z3.BoolRef] | None:
    if not group and not other:
        return []
    if not group or not other:
        return None
    if group[0].elements is not None or other[0].elements is not None:
        return _same_rep(group[0], other[0])
    base = group[0].address
    here, there = _bytes(group, base), _bytes(other, base)
    if here is None or there is None:
        return _pairwise(group, other)
    if here.keys() != there.keys():
        return None
    return [z3.simplify(here[offset] == there[offset]) for offset in sorted(here)]


def _bytes(stores: Sequence[Point], base: z3.BitVecRef) -> dict[int, z3.ExprRef] | None:
    """What the stores leave, by offset from `base`; None where an offset is not constant."""
    found: dict[int, z3.ExprRef] = {}
    for store in stores:
        distance = apart(store.address, base)
        if distance is None:
            return None
        for k in range(store.size):
            found[distance + k] = z3.simplify(z3.Extract(8 * k + 7, 8 * k, store.value))
    return found


def _pairwise(group: Sequence[Point], other: Sequence[Point]) -> list[z3.BoolRef] | None:
    """The same stores in the same order."""
    if [p.size for p in group] != [p.size for p in other]:
        return None
    return [
        goal
        for one, two in zip(group, other, strict=True)
        for goal in (one.address == two.address, one.value == two.value)
    ]


def _same_rep(one: Point, other: Point) -> list[z3.BoolRef] | None:
    if one.elements is None or other.elements is None:
        return None
    same = [one.address == other.address, one.bytes == other.bytes]
    if one.source is not None and other.source is not None:
        same.append(one.source == other.source)
    elif one.source is None and other.source is None and one.size == other.size:
        same.append(one.value == other.value)
    else:
        return None
    return [z3.Or(z3.And(one.bytes == 0, other.bytes == 0), z3.And(same))]

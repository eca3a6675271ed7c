"""The ghost: what has become of one arbitrary byte of dst.

`j` is a free symbol, an offset not above the largest length (obligation O8 keeps stores below that); what
holds for it holds for every byte, so no quantifier and no array is needed. `hit` tells whether byte j of
dst has been stored, `ok` whether the last store put the right value there, `top` is one more than the
highest offset stored so far. Where a contract lets the bytes that are reported left be zeroed, a zeroed byte
counts as not stored: no claim may hold of it then, and nothing else is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed

import z3

from mcverify.contract import Contract
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import constant, replace, symbols_of, word
from mcverify.paths.explore import address_of, entry_symbol
from mcverify.paths.segment import Transfer

J = z3.BitVec("j", 64)
"""The arbitrary byte's offset."""

HIT, OK, TOP = z3.Bool("hit"), z3.Bool("ok"), z3.BitVec("top", 64)
"""The ghost's symbols at a location."""

ZEROED = z3.Bool("zeroed")
"""Whether there was a store to byte j, and the last one put a constant zero there; followed only where a
contract asks for zeros in what is left."""

_NEVER = z3.BoolVal(False)

RETURNED = z3.Bool("returned")
"""Whether byte j is right in the register that returns a value, at an exit."""

SOURCE_BYTE = z3.BitVec("source_byte", 8)
"""The byte of src at offset j."""


@dataclass(frozen=True, slots=True)
class Run:
    """`length` bytes of dst from `offset` on, all of them right; of the others `ok` is what `before` says."""

    offset: z3.BitVecRef
    length: int
    before: z3.BoolRef

    def ok(self) -> z3.BoolRef:
        """Whether the last store put the right value at byte j."""
        covers = z3.ULT(z3.simplify(J - self.offset, som=True), word(self.length))
        return z3.simplify(z3.Or(covers, self.before))


@dataclass(frozen=True, slots=True)
class Ghost:
    """Values of the ghost at one point of a path. `run` is how `ok` came about, where its last stores are
    known to be right."""

    hit: z3.BoolRef
    ok: z3.BoolRef
    top: z3.BitVecRef
    run: Run | None = None
    zeroed: z3.BoolRef = _NEVER

    def values(self) -> dict[str, z3.ExprRef]:
        """By symbol name, to put into a term about a location."""
        return {"hit": self.hit, "ok": self.ok, "top": self.top, "zeroed": self.zeroed}


AT_ENTRY = Ghost(z3.BoolVal(False), z3.BoolVal(True), word(0))
AT_LOCATION = Ghost(HIT, OK, TOP, zeroed=ZEROED)


class GhostRules:
    """How transfers change the ghost, under a contract and the definitions of the location where they
    start.

    Where a store begins inside or just behind a prefix of dst that is stored already, the new set of stored
    bytes is written as the longer prefix. That its end does not wrap around is obligation O8 of the same
    access, so the rule holds up to the first access that leaves its buffer, and there O8 itself fails.
    """

    def __init__(self, contract: Contract, definitions: Mapping[str, z3.ExprRef]) -> None:
        self._definitions = definitions
        self._contract = contract
        self._src = entry_symbol(contract.src) if contract.src else None
        self._dst = address_of(contract.dst)
        self._expected = _expected(contract)
        self._alternates = (contract.unit or 1) > 1
        self._may_zero = may_zero(contract)
        self._zeroes_rest = contract.zeroes_rest
        self._stores: dict[int, _Store] = {}
        self._load_offsets: dict[str, z3.BitVecRef] = {}

    def start(self, ghost: Ghost) -> Ghost:
        """The ghost at the location, its definitions applied."""
        d = self._definitions
        hit, ok, top = (replace(term, d) for term in (ghost.hit, ghost.ok, ghost.top))
        return Ghost(hit, ok, top, zeroed=ghost.zeroed)

    def after(self, ghost: Ghost, transfers: tuple[Transfer, ...]) -> Ghost:
        """The ghost after `transfers`, in order."""
        for transfer in transfers:
            if transfer.kind is Kind.STORE:
                store = self._store(transfer)
                zeroed = self._zeroed(ghost, store) if self._zeroes_rest else ghost.zeroed
                ghost = changed(self._stored(ghost, store), zeroed=zeroed)
            elif transfer.value is not None and self._src is not None:
                name = transfer.value.decl().name()
                self._load_offsets[name] = self._offset(transfer.address, self._src)
        return ghost

    def returned(self, value: z3.BitVecRef, size: int) -> z3.BoolRef:
        """That `value`, a register at the end of what `after` has seen, holds the first `size` bytes of src,
        zero-extended: byte j, whichever that is, is the one of src."""
        value = replace(value, self._definitions)
        bytes_of_src = [z3.Implies(k == J, self._right_byte(value, word(0), k)) for k in range(size)]
        above = value.size() - 8 * size
        extended = z3.Extract(value.size() - 1, 8 * size, value) == 0 if above else z3.BoolVal(True)
        return z3.simplify(z3.And(*bytes_of_src, extended))

    def _offset(self, address: z3.BitVecRef, base: z3.BitVecRef) -> z3.BitVecRef:
        return z3.simplify(replace(address - base, self._definitions), som=True)

    def _store(self, transfer: Transfer) -> _Store:
        known = self._stores.get(id(transfer))
        if known is None:
            offset = self._offset(transfer.address, self._dst)
            length = replace(transfer.bytes, self._definitions)
            end = z3.simplify(offset + length, som=True)
            covers = z3.ULT(z3.simplify(J - offset, som=True), length)
            if transfer.partial:
                covers = z3.And(covers, z3.Bool(f"stored?{transfer.at:x}"))
            zeroes = self._zeroes(transfer)
            known = _Store(transfer, offset, length, end, covers, self._right(transfer, offset), zeroes)
            self._stores[id(transfer)] = known
        return known

    def _zeroes(self, transfer: Transfer) -> z3.BoolRef:
        """That a store of zeros leaves the bytes as if nothing had been stored there."""
        value = None if transfer.value is None else z3.simplify(replace(transfer.value, self._definitions))
        is_zero = value is not None and constant(value) == 0
        return replace(self._may_zero, self._definitions) if is_zero else z3.BoolVal(False)

    def _exchanged(self, ghost: Ghost, store: _Store) -> Ghost:
        """The ghost after a store where the contract asks for one exchange of the whole word: it is right if
        nothing was stored before, and what is stored is what the contract makes of what was found."""
        right = z3.And(z3.Not(ghost.hit), self._right_exchange(store.transfer, store.offset))
        ok = z3.simplify(z3.If(store.covers, right, z3.BoolVal(False)))
        return Ghost(
            z3.Or(ghost.hit, store.covers),
            ok,
            z3.simplify(z3.If(z3.ULT(ghost.top, store.end), store.end, ghost.top)),
        )

    def _right_exchange(self, transfer: Transfer, offset: z3.BitVecRef) -> z3.BoolRef:
        found, contract = transfer.locked, self._contract
        if (
            found is None
            or transfer.value is None
            or transfer.size != contract.size
            or transfer.elements is not None
        ):
            return z3.BoolVal(False)
        assert contract.stored_value is not None
        given = z3.Extract(8 * transfer.size - 1, 0, entry_symbol(contract.stored_value))
        becomes = {"swap": given, "add": found + given}.get(contract.data)
        if contract.compared is not None:
            old = z3.Extract(8 * transfer.size - 1, 0, entry_symbol(contract.compared))
            becomes = z3.If(found == old, given, found)
        assert becomes is not None
        return z3.And(offset == 0, replace(transfer.value == becomes, self._definitions))

    def _zeroed(self, ghost: Ghost, store: _Store) -> z3.BoolRef:
        """Whether byte j is zeroed after a store."""
        value = store.transfer.value
        is_zero = value is not None and constant(z3.simplify(replace(value, self._definitions))) == 0
        return z3.simplify(z3.If(store.covers, z3.BoolVal(is_zero), ghost.zeroed))

    def _stored(self, ghost: Ghost, store: _Store) -> Ghost:
        if self._contract.is_exchange:
            return self._exchanged(ghost, store)
        if z3.is_false(store.zeroes):
            return self._moved(ghost, store)
        zeroed = Ghost(z3.And(ghost.hit, z3.Not(store.covers)), ghost.ok, ghost.top)
        if z3.is_true(store.zeroes):
            return zeroed
        moved = self._moved(ghost, store)
        return Ghost(
            z3.If(store.zeroes, zeroed.hit, moved.hit),
            z3.If(store.zeroes, zeroed.ok, moved.ok),
            z3.If(store.zeroes, zeroed.top, moved.top),
        )

    @staticmethod
    def _moved(ghost: Ghost, store: _Store) -> Ghost:
        run = _longer(ghost, store)
        ok = run.ok() if run is not None else z3.simplify(z3.If(store.covers, store.right, ghost.ok))
        if store.transfer.partial:
            return Ghost(z3.Or(ghost.hit, store.covers), ok, z3.BitVec(f"top?{store.transfer.at:x}", 64))
        prefix = _prefix(ghost.hit)
        extends = prefix is not None and _reaches(store, prefix)
        hit = z3.ULT(J, store.end) if extends else z3.Or(ghost.hit, store.covers)
        if _reaches(store, ghost.top):
            return Ghost(hit, ok, store.end, run)
        return Ghost(hit, ok, z3.simplify(z3.If(z3.ULT(ghost.top, store.end), store.end, ghost.top)), run)

    def _right(self, transfer: Transfer, offset: z3.BitVecRef) -> z3.BoolRef:
        """That the byte which `transfer` stores at offset j is the expected one."""
        if transfer.source is not None:
            assert self._src is not None
            return z3.simplify(self._offset(transfer.source, self._src) == offset)
        assert transfer.value is not None
        if self._is_moved_whole(transfer, offset):
            return z3.BoolVal(True)
        value = replace(transfer.value, self._definitions)
        if transfer.elements is not None:
            return z3.simplify(z3.And(*self._right_elements(transfer, value, offset)))
        at = z3.simplify(J - offset, som=True)
        parts = [z3.Implies(at == k, self._right_byte(value, offset, k)) for k in range(transfer.size)]
        return z3.simplify(z3.And(parts))

    def _right_elements(
        self, transfer: Transfer, value: z3.BitVecRef, offset: z3.BitVecRef
    ) -> Iterator[z3.BoolRef]:
        """That each byte of `value`, which is stored again and again from `offset` on, is the expected one
        wherever byte j is its place."""
        expected = replace(self._expected, self._definitions)
        low = transfer.size.bit_length() - 1
        for k in range(transfer.size):
            right = z3.Extract(8 * k + 7, 8 * k, value) == expected
            is_here = z3.Extract(low - 1, 0, J - offset) == k if low else z3.BoolVal(True)
            yield z3.Implies(is_here, right) if self._alternates else right

    def _is_moved_whole(self, transfer: Transfer, offset: z3.BitVecRef) -> bool:
        """Whether the store puts a loaded value, all of it, where it came from: every byte is right, whatever
        j is."""
        value = transfer.value
        if value is None or transfer.elements is not None or self._expected is not SOURCE_BYTE:
            return False
        loaded_at = self._load_offsets.get(value.decl().name()) if z3.is_const(value) else None
        return loaded_at is not None and constant(z3.simplify(loaded_at - offset, som=True)) == 0

    def _right_byte(self, value: z3.BitVecRef, offset: z3.BitVecRef, k: int) -> z3.BoolRef:
        """That byte k of `value` is the expected one, given that it goes to offset j."""
        byte = z3.simplify(z3.Extract(8 * k + 7, 8 * k, value))
        loads = {n: self._loaded(n, offset + k, byte) for n in symbols_of(byte) & self._load_offsets.keys()}
        expected = self._expected
        if expected is not SOURCE_BYTE:
            expected = replace(expected, {J.decl().name(): z3.simplify(offset + k)})
        return z3.simplify(replace(byte, loads) == replace(expected, self._definitions))

    def _loaded(self, name: str, j: z3.BitVecRef, like: z3.ExprRef) -> z3.BitVecRef:
        """The loaded value `name`: unknown bytes, but for the one that comes from offset `j` of src."""
        distance = z3.simplify(j - self._load_offsets[name], som=True)
        size = _width(like, name) // 8
        parts = [
            z3.If(distance == m, SOURCE_BYTE, z3.BitVec(f"{name}.{m}", 8)) for m in reversed(range(size))
        ]
        return z3.simplify(z3.Concat(*parts) if size > 1 else parts[0])


@dataclass(frozen=True, slots=True)
class _Store:
    """A store, seen from a location: offset in dst, bytes, end, whether it covers j, and rightly, or zeroes
    it, as the contract allows of bytes left."""

    transfer: Transfer
    offset: z3.BitVecRef
    length: z3.BitVecRef
    end: z3.BitVecRef
    covers: z3.BoolRef
    right: z3.BoolRef
    zeroes: z3.BoolRef


def may_zero(contract: Contract) -> z3.BoolRef:
    """When the contract lets bytes that are reported left be zeroed, or asks for it."""
    if contract.zero_rest is None:
        return z3.BoolVal(contract.rest_zeroed)
    return z3.Extract(31, 0, entry_symbol(contract.zero_rest)) != 0


def _expected(contract: Contract) -> z3.BitVecRef:
    """What byte j of dst is to become."""
    if contract.stored_value is not None:
        at = J if contract.unit is None else J & (contract.unit - 1)
        return z3.simplify(z3.Extract(7, 0, z3.LShR(entry_symbol(contract.stored_value), 8 * at)))
    return SOURCE_BYTE if contract.data == "copy" else z3.BitVecVal(0, 8)


def _prefix(hit: z3.BoolRef) -> z3.BitVecRef | None:
    """The end of the prefix of dst that is stored where `hit` says j < end, also as z3 simplifies it to
    not (end <= j); None where it says something else."""
    if z3.is_false(hit):
        return word(0)
    if z3.is_app_of(hit, z3.Z3_OP_ULT) and hit.arg(0).eq(J):
        return hit.arg(1)
    inner = hit.arg(0) if z3.is_not(hit) else None
    if inner is not None and z3.is_app_of(inner, z3.Z3_OP_ULEQ) and inner.arg(1).eq(J):
        return inner.arg(0)
    return None


def _reaches(store: _Store, prefix: z3.BitVecRef) -> bool:
    """Whether the store begins at or before `prefix` and ends at or behind it, whatever the symbols are."""
    overlap = constant(z3.simplify(prefix - store.offset, som=True))
    if overlap == 0:
        return True
    length = constant(store.length)
    return overlap is not None and length is not None and overlap <= length


def _longer(ghost: Ghost, store: _Store) -> Run | None:
    """The ghost's run with a store that is right everywhere and begins in it, or just behind it; one of that
    store alone where it does not. None if not all of it is known to be right, or how many bytes it has."""
    length = constant(store.length)
    if length is None or store.transfer.partial or not z3.is_true(store.right):
        return None
    run = ghost.run
    distance = constant(z3.simplify(store.offset - run.offset, som=True)) if run is not None else None
    if run is None or distance is None or distance > run.length:
        return Run(store.offset, length, ghost.ok)
    return Run(run.offset, max(run.length, distance + length), run.before)


def _width(term: z3.ExprRef, name: str) -> int:
    """Width in bits of the symbol `name` in `term`."""
    waiting = [term]
    while waiting:
        node = waiting.pop()
        if z3.is_const(node) and node.decl().name() == name:
            return int(node.size())
        waiting.extend(node.children())
    raise KeyError(name)

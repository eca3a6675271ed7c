"""The ghost against a memory: random loads and stores at known places, byte by byte."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import z3
from support.valid import is_valid

from mcverify.contract import Contract, load_contract
from mcverify.logic.ghost import AT_ENTRY, AT_LOCATION, Ghost, GhostRules, J
from mcverify.machine.instruction import Kind
from mcverify.machine.symbols import symbol
from mcverify.machine.terms import word
from mcverify.paths.explore import address_of, entry_symbol
from mcverify.paths.segment import Transfer

BYTES = 20
"""So many bytes of dst are looked at."""

Byte = int | tuple[str, int]
"""What a byte holds: a number, or what stood at an offset of src or of a register."""


class Memory:
    """dst as it is after some stores: what each byte holds, None where nothing was stored."""

    def __init__(self, right: Sequence[Byte], stored: int = 0) -> None:
        self._right = right
        self.bytes: list[Byte | None] = [*right[:stored], *(None for _ in range(BYTES - stored))]
        self.top = stored

    def store(self, at: int, values: Sequence[Byte]) -> None:
        self.bytes[at : at + len(values)] = values
        self.top = max(self.top, at + len(values) if values else 0)

    def hit(self, j: int) -> bool:
        return self.bytes[j] is not None

    def ok(self, j: int) -> bool:
        return self.bytes[j] in (None, self._right[j])


def compare(ghost: Ghost, memory: Memory, values: Sequence[tuple[z3.ExprRef, z3.ExprRef]] = ()) -> None:
    """Every byte, and the highest."""
    for j in range(BYTES):
        here = [*values, (J, word(j))]
        assert is_valid(z3.substitute(ghost.hit, *here)) == memory.hit(j), j
        assert is_valid(z3.substitute(z3.Not(ghost.hit), *here)) != memory.hit(j), j
        assert is_valid(z3.substitute(ghost.ok, *here)) == memory.ok(j), j
    assert is_valid(z3.substitute(ghost.top, *values) == memory.top)


class Work:
    """Random transfers of a contract, as terms and as what they do to a memory."""

    def __init__(self, contract: Contract, choose: random.Random) -> None:
        self.contract = contract
        self.choose = choose
        self.transfers: list[Transfer] = []
        self._loads = 0

    @property
    def right(self) -> list[Byte]:
        """What each byte of dst is to become."""
        if self.contract.stored_value:
            return [("value", k) if k < 8 else 0 for k in range(BYTES)]
        return [("src", k) if self.contract.data == "copy" else 0 for k in range(BYTES)]

    def some(self) -> list[tuple[int, list[Byte]]]:
        """One to four stores: where, and what."""
        return [self._one() for _ in range(self.choose.randint(1, 4))]

    def _one(self) -> tuple[int, list[Byte]]:
        size = self.choose.choice((1, 2, 4, 8))
        at = self.choose.randrange(BYTES - size + 1)
        if self.choose.random() < 0.6:  # just behind what was stored last, or over its end
            last = self.transfers[-1] if self.transfers else None
            end = (self._end if last is not None else 0) - self.choose.choice((0, 0, 0, 1, size))
            at = end if 0 <= end <= BYTES - size else at
        self._end = at + size
        if self.contract.src is None:
            return at, self._number(at, size)
        kinds = (self._whole, self._parts, self._elements, self._number)
        return at, self.choose.choice(kinds)(at, size)

    def _store(self, at: int, size: int, value: z3.BitVecRef | None, **more: z3.BitVecRef) -> None:
        place = address_of(self.contract.dst) + at
        self.transfers.append(Transfer(Kind.STORE, 0, place, size, value, **more))

    def _load(self, at: int, size: int) -> z3.BitVecRef:
        value = z3.BitVec(f"load{self._loads}", 8 * size)
        self._loads += 1
        self.transfers.append(Transfer(Kind.LOAD, 0, entry_symbol(self.contract.src) + at, size, value))
        return value

    def _from(self, at: int, size: int) -> int:
        """Where a load begins that is to be stored at `at`: often there, sometimes beside it."""
        return at if self.choose.random() < 0.7 else self.choose.randrange(BYTES - size + 1)

    def _whole(self, at: int, size: int) -> list[Byte]:
        source = self._from(at, size)
        self._store(at, size, self._load(source, size))
        return [("src", source + k) for k in range(size)]

    def _parts(self, at: int, size: int) -> list[Byte]:
        """Bytes of a wider load, some of them in another order."""
        source = min(self._from(at, size), BYTES - 8)
        value = self._load(source, 8)
        shift = at - source if 0 <= at - source <= 8 - size else 0
        order = [shift + k for k in range(size)]
        if self.choose.random() < 0.3:
            self.choose.shuffle(order)
        parts = [z3.Extract(8 * k + 7, 8 * k, value) for k in order]
        self._store(at, size, z3.Concat(*reversed(parts)) if size > 1 else parts[0])
        return [("src", source + k) for k in order]

    def _elements(self, at: int, size: int) -> list[Byte]:
        """REP MOVS of one or two elements."""
        count = 2 if at + 2 * size <= BYTES and self.choose.random() < 0.5 else 1
        source = min(self._from(at, size), BYTES - size * count)
        self._end = at + size * count
        self._store(at, size, None, elements=word(count), source=entry_symbol(self.contract.src) + source)
        return [("src", source + k) for k in range(size * count)]

    def _number(self, at: int, size: int) -> list[Byte]:
        if self.contract.stored_value and self.choose.random() < 0.7:
            value, source = entry_symbol(self.contract.stored_value), min(self._from(at, size), 8 - size)
            self._store(at, size, z3.Extract(8 * (source + size) - 1, 8 * source, value))
            return [("value", source + k) for k in range(size)]
        if self.choose.random() < 0.5 and at + 2 * size <= BYTES:  # REP STOS, of bytes that are all the same
            self._end = at + 2 * size
            byte = self.choose.choice((0, 0xAB))
            held: list[Byte] = [byte] * size
            wide = z3.BitVecVal(int.from_bytes([*held, *[7] * (8 - size)], "little"), 64)
            self._store(at, size, z3.Extract(8 * size - 1, 0, wide), elements=word(2))
            return held * 2
        number = self.choose.choice((0, 0, 1 << (8 * self.choose.randrange(size))))
        self._store(at, size, z3.BitVecVal(number, 8 * size))
        return list(number.to_bytes(size, "little"))


@pytest.mark.parametrize("name", ["bytes_left", "clear", "put_user_8"])
def test_what_becomes_of_each_byte(name: str) -> None:
    choose = random.Random(name)
    for _ in range(30):
        work = Work(load_contract(name), choose)
        memory, rules = Memory(work.right), GhostRules(work.contract, {})
        for at, held in work.some():
            memory.store(at, held)
        compare(rules.after(rules.start(AT_ENTRY), tuple(work.transfers)), memory)


@pytest.mark.parametrize("name", ["bytes_left", "clear"])
def test_what_becomes_of_each_byte_behind_a_prefix(name: str) -> None:
    """At a loop head all bytes below a register are stored, and rightly."""
    choose = random.Random(name)
    done = symbol("rcx")
    definitions = {"hit": z3.ULT(J, done), "ok": z3.BoolVal(True), "top": done}
    for _ in range(25):
        work = Work(load_contract(name), choose)
        stored = choose.randrange(9)
        memory, rules = Memory(work.right, stored), GhostRules(work.contract, definitions)
        for at, held in work.some():
            memory.store(at, held)
        ghost = rules.after(rules.start(AT_LOCATION), tuple(work.transfers))
        compare(ghost, memory, [(done, word(stored))])


def test_of_a_store_that_was_done_in_part_nothing_is_known() -> None:
    """A fault struck a REP that promises no order: any of its bytes may have been stored, and none others."""
    rules = GhostRules(load_contract("bytes_left"), {})
    source, place = entry_symbol("rsi") + 4, entry_symbol("rdi") + 4
    part = Transfer(Kind.STORE, 0x40, place, 4, None, word(2), source, partial=True)
    whole = Transfer(
        Kind.STORE, 0x30, entry_symbol("rdi") + word(0), 2, None, word(1), entry_symbol("rsi") + word(0)
    )
    ghost = rules.after(rules.start(AT_ENTRY), (whole, part))
    for j in range(BYTES):
        hit = z3.substitute(ghost.hit, (J, word(j)))
        assert is_valid(hit) == (j < 2)
        assert is_valid(z3.Not(hit)) == (not 4 <= j < 12 and j >= 2)
        assert is_valid(z3.substitute(ghost.ok, (J, word(j))))
    assert not is_valid(z3.ULE(ghost.top, word(12)))
    assert ghost.run is None


@pytest.mark.parametrize("wrong", range(4))
def test_elements_with_one_wrong_byte_are_wrong(wrong: int) -> None:
    """Of REP STOS each byte of the register counts."""
    rules = GhostRules(load_contract("clear"), {})
    value = z3.BitVecVal(0xAB << (8 * wrong), 32)
    ghost = rules.after(
        rules.start(AT_ENTRY), (Transfer(Kind.STORE, 0, address_of("rdi") + 4, 4, value, word(2)),)
    )
    for j in (4 + wrong, 8 + wrong):
        assert not is_valid(z3.substitute(ghost.ok, (J, word(j))))
    for j in (3, 12):
        assert is_valid(z3.substitute(ghost.ok, (J, word(j))))


def test_a_loaded_value_that_is_stored_again_and_again_is_right_once() -> None:
    rules = GhostRules(load_contract("bytes_left"), {})
    value = z3.BitVec("load0", 16)
    moved = (
        Transfer(Kind.LOAD, 0, entry_symbol("rsi"), 2, value),
        Transfer(Kind.STORE, 0, entry_symbol("rdi"), 2, value, word(2)),
    )
    ghost = rules.after(rules.start(AT_ENTRY), moved)
    for j in (2, 3):
        assert is_valid(z3.substitute(ghost.hit, (J, word(j))))
        assert not is_valid(z3.substitute(ghost.ok, (J, word(j))))


def test_a_value_that_is_returned_has_each_byte_and_no_other_bits() -> None:
    contract = load_contract("get_user_4")
    rules = GhostRules(contract, {})
    value = z3.BitVec("load0", 32)
    rules.after(
        rules.start(AT_ENTRY), (Transfer(Kind.LOAD, 0, entry_symbol(contract.src) + word(0), 4, value),)
    )
    whole = z3.ZeroExt(32, value)
    swapped = z3.ZeroExt(32, z3.Concat(z3.Extract(15, 0, value), z3.Extract(31, 16, value)))
    more = [z3.SignExt(32, value), whole + 1, whole | (1 << 32), whole | (1 << 63)]
    for register, right in ((whole, range(4)), (swapped, ()), *((term, ()) for term in more)):
        term = rules.returned(register, 4)
        assert [j for j in range(4) if is_valid(z3.substitute(term, (J, word(j))))] == list(right)
    assert is_valid(rules.returned(value, 4))
    low = z3.ZeroExt(48, z3.Extract(15, 0, value))
    assert [j for j in range(5) if is_valid(z3.substitute(rules.returned(low, 4), (J, word(j))))] == [0, 1, 4]
    assert is_valid(rules.returned(low, 2))

"""What is assumed of lengths, addresses and bad bytes: true of every call that is meant, of no other."""

from __future__ import annotations

import pytest
import z3

from mcverify.contract import all_contracts, load_contract
from mcverify.logic.assumptions import USER_END, Assumptions
from mcverify.logic.ghost import J
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import word
from mcverify.paths.explore import entry_symbol
from mcverify.paths.faults import FIRST_BAD

TOP = 1 << 64


def holds(terms: tuple[z3.BoolRef, ...], values: dict[z3.ExprRef, int]) -> bool:
    pairs = [(symbol, word(value % TOP)) for symbol, value in values.items()]
    simple = z3.simplify(z3.substitute(z3.And(*terms, z3.BoolVal(True)), *pairs))
    assert z3.is_true(simple) or z3.is_false(simple), simple
    return bool(z3.is_true(simple))


@pytest.mark.parametrize("name", ["bytes_left", "uaccess", "clear"])
def test_buffers_end_before_memory_does(name: str) -> None:
    """The byte behind a buffer has an address; user memory ends below its own limit."""
    contract = load_contract(name)
    given = Assumptions(contract, 100, 64, persistent=False)
    end = USER_END if contract.user else TOP - 1
    length = entry_symbol(contract.len)
    for size in (0, 1, 99, 100, 101):
        for buffer in (b for b in (contract.src, contract.dst) if b is not None):
            places = (0, 1, end - size - 1, end - size, end - size + 1, TOP - 1)
            for base in (place for place in places if place < TOP):
                others = {entry_symbol(b): 0 for b in (contract.src, contract.dst) if b is not None}
                values = {**others, length: size, entry_symbol(buffer): base}
                expected = size <= 100 and base + size <= end
                assert holds(given.terms(), values) == expected, (size, buffer, base)


@pytest.mark.parametrize("name", ["get_user_8", "put_user_2"])
def test_a_value_in_user_memory_ends_where_that_does(name: str) -> None:
    contract = load_contract(name)
    assert contract.user
    assert contract.size
    given = Assumptions(contract, 100, 64, persistent=False)
    (buffer,) = (b for b in (contract.src, contract.dst) if b is not None)
    for base in (0, USER_END - contract.size, USER_END - contract.size + 1, USER_END, TOP - 1):
        expected = base + contract.size <= USER_END
        assert holds(given.terms(), {entry_symbol(buffer): base}) == expected, base


@pytest.mark.parametrize("granularity", [1, 8, 64])
def test_bad_bytes_begin_at_a_line_or_with_the_buffer(granularity: int) -> None:
    contract = load_contract("bytes_left")
    given = Assumptions(contract, 100, granularity, persistent=True)
    bases = {Kind.LOAD: entry_symbol("rsi"), Kind.STORE: entry_symbol("rdi")}
    for kind, base in bases.items():
        for address in (0x1000, 0x1001, 0x103F):
            for bad in range(72):
                values = dict.fromkeys(bases.values(), 0) | dict.fromkeys(FIRST_BAD.values(), 0)
                values |= {entry_symbol("rdx"): 70, base: address, FIRST_BAD[kind]: bad}
                expected = bad <= 70 and (bad in (0, 70) or (address + bad) % granularity == 0)
                assert holds(given.bad_byte_terms(), values) == expected, (address, bad)


@pytest.mark.parametrize("contract", all_contracts(), ids=lambda contract: contract.name)
def test_what_is_bounded_are_the_length_and_offsets(contract) -> None:
    given = Assumptions(contract, 1000, 64, persistent=False)
    named = [J.decl().name()]
    named += [contract.len + "@0"] if contract.len else []
    named += ["bad_src"] if contract.src else []
    named += ["bad_dst"] if contract.dst else []
    named += ["nul@0"] if contract.string_length else []
    assert given.bounds == dict.fromkeys(named, 1000)
    if contract.len is None:
        assert given.length.as_long() == contract.size
        assert given.remainders() == {}
    else:
        assert given.length.eq(entry_symbol(contract.len))
        for size in (8, 16, 32, 64):
            term = given.remainders()[f"{contract.len}@0%{size}"]
            assert term.size() == 64
            for value in (0, 7, 8, 63, 64, 1000):
                assert z3.simplify(z3.substitute(term, (given.length, word(value)))).as_long() == value % size
        assert len(given.remainders()) == 4

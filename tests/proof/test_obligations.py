"""The goals of the proof and the judge of runs say the same of one concrete end, contract by contract.

They are two statements of the same obligations, one over terms and one over what a CPU left behind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
import z3

from mcverify.arch.known import X86_64
from mcverify.contract import MACHINE_CHECK, Contract, all_contracts, load_contract
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.ghost import HIT, OK, RETURNED, ZEROED, J
from mcverify.machine.instruction import Kind
from mcverify.machine.state import RETURN_ADDRESS, STACK_BASE, Registers, State
from mcverify.machine.terms import word
from mcverify.paths.explore import Options, entry_symbol
from mcverify.paths.faults import FIRST_BAD, LAST_TRAP, NUL
from mcverify.paths.segment import AccessPoint, Ending, Fault, Location, Segment, Transfer
from mcverify.proof.obligations import access_goal, exit_goals
from mcverify.runs import case as runs
from mcverify.runs.case import Case, Outcome, Place, Placement, Preset
from mcverify.runs.judge import judge
from mcverify.runs.pattern import LEAD, contents

LEN_MAX = 1 << 20
BASE = {"src": 0x10000, "dst": 0x20000}
STACK = 0x7000
RETURN_TO = 0x401000
PAGE_FAULT = 14
JUDGED = ("O2", "O3", "O4", "O5", "O6", "O7", "O9")
ENDS = 60


@dataclass(frozen=True)
class End:
    """How a routine came to its end, in numbers. `faults` are offsets of bad bytes with their buffers, the
    last one taken last; `before` of them were taken before the last location."""

    length: int
    stored: frozenset[int]
    wrong: frozenset[int]
    faults: tuple[tuple[str, int], ...]
    before: int
    trap: int
    registers: Mapping[str, int]
    returned_to: int = RETURN_TO
    df: int = 0
    ac: int = 0
    unfenced: bool = False
    seed: int = 1
    persistent: bool = False
    entry: Mapping[str, int] = field(default_factory=dict)
    nul: int = 0
    zeroed: frozenset[int] = frozenset()

    def first_bad(self, buffer: str) -> int | None:
        return next((offset for name, offset in self.faults if name == buffer), None)

    @property
    def last_trap(self) -> int:
        return PAGE_FAULT if self.faults[-1][0] == "dst" else self.trap


# -- ends


def buffers(contract: Contract) -> list[str]:
    """The buffers on which something may fault: a store meets no machine check."""
    named = {"src": contract.src, "dst": contract.dst if contract.traps != "mc" else None}
    return [name for name, register in named.items() if register is not None]


def right_value(contract: Contract, seed: int) -> int:
    size = contract.size or 0
    return int.from_bytes(contents(seed, LEAD + size, signed=True)[LEAD:], "little")


def right_end(contract: Contract, choose: random.Random) -> End:
    """An end at which nothing is broken, but for what a contract asks of the first byte."""
    length = contract.size if contract.size is not None else choose.randrange(5)
    faulting = length > 0 and choose.random() < 0.7
    faults: list[tuple[str, int]] = []
    if faulting:
        places = {name: choose.randrange(length) for name in buffers(contract)}
        taken = choose.sample(sorted(places), choose.randint(1, len(places)))
        faults = [(name, places[name]) for name in taken]
    trap = choose.choice(contract.load_traps or (PAGE_FAULT,))
    done = min(offset for _, offset in faults) if faults else length
    nul = choose.randint(0, length) if contract.string_length else 0
    if contract.string_length:
        done = min(done, nul + 1, length)
    if faults and not contract.left:
        done = choose.randint(0, done)
    entry = {name: choose.getrandbits(64) for name in X86_64.general}
    entry[X86_64.stack_pointer] = STACK
    entry |= {r: BASE[name] for name, r in (("src", contract.src), ("dst", contract.dst)) if r is not None}
    registers = dict(entry) | {X86_64.stack_pointer: STACK + 8}
    seed = choose.randrange(1, 100)
    end = End(
        length,
        frozenset(range(done)) if contract.dst else frozenset(),
        frozenset(),
        tuple(faults),
        choose.randint(0, len(faults)),
        trap,
        registers,
        seed=seed,
        persistent=choose.random() < 0.5,
        entry=entry,
        nul=nul,
        zeroed=frozenset(range(done, length)) if faults else frozenset(),
    )
    if contract.left:
        registers[contract.left] = told(contract, end, done)
    if contract.string_length:
        error = (contract.error or 0) % (1 << contract.error_bits)
        registers[contract.string_length] = error if faults else nul
    if contract.trap:
        registers[contract.trap] = end.last_trap if faults else 0
    if contract.status:
        failed = contract.error if contract.error is not None else int(not contract.status_inverted)
        good = int(contract.status_inverted)
        registers[contract.status] = (failed if faults else good) % (1 << 64)
    if contract.loaded_value:
        registers[contract.loaded_value] = 0 if faults else right_value(contract, seed)
    return end


def told(contract: Contract, end: End, done: int) -> int:
    """What the register of the count returns where so many bytes are done."""
    if contract.told == "address":
        return next((BASE[name] + at for name, at in end.faults if at == done), 0)
    return done if contract.told == "done" else end.length - done


def changed(contract: Contract, end: End, choose: random.Random) -> End:
    """The end with one thing changed."""
    results = (*contract.results, *contract.results, X86_64.stack_pointer)
    match choose.randrange(10):
        case 8 if contract.left:
            left = end.length + choose.choice((-1, 0, 0, 1, 4, 8))
            return replace(end, registers={**end.registers, contract.left: left % (1 << 64)})
        case 9 if contract.dst and len(end.stored) < end.length:
            more = replace(end, stored=end.stored | {min(frozenset(range(end.length)) - end.stored)})
            if not contract.left:
                return more
            left = (end.registers[contract.left] - 1) % (1 << 64)
            return replace(more, registers={**end.registers, contract.left: left})
        case 0 | 1:
            register = choose.choice(results)
            step = choose.choice((-8, -1, 1, 2, 4, 8, 1 << 32))
            value = (end.registers[register] + step) % (1 << 64)
            return replace(end, registers={**end.registers, register: value})
        case 2:
            register = choose.choice(contract.kept)
            return replace(end, registers={**end.registers, register: end.registers[register] ^ 1})
        case 3 if contract.dst and end.length:
            byte = frozenset((choose.randrange(end.length),))
            return replace(end, stored=end.stored ^ byte, wrong=end.wrong - byte)
        case 4 if end.stored:
            return replace(end, wrong=end.wrong ^ frozenset((choose.choice(sorted(end.stored)),)))
        case 5:
            name = choose.choice(("df", "ac"))
            return replace(end, df=int(name == "df"), ac=int(name == "ac"))
        case 6:
            return replace(end, returned_to=RETURN_TO + choose.choice((1, 1 << 40)))
        case _:
            return replace(end, unfenced=True)


# -- as the judge sees it


def broken_for_the_judge(contract: Contract, end: End) -> set[str]:
    taken = tuple(runs.Fault(0x1000, name, offset, name == "dst") for name, offset in end.faults)
    placed = {
        name: Placement(Place.FREE) if (bad := end.first_bad(name)) is None else Placement(Place.HOLE, bad)
        for name in BASE
    }
    ends = Preset(pieces=((end.nul, b"\0"),)) if contract.string_length and end.nul < end.length else None
    case = Case(end.length, placed["src"], placed["dst"], end.trap, end.seed, preset=ends)
    written = bytes(i in end.stored for i in range(end.length))
    correct = bytes(i in end.stored - end.wrong for i in range(end.length))
    outcome = Outcome(
        runs.Ending.RETURNED if end.returned_to == RETURN_TO else runs.Ending.WILD,
        0,
        {**end.registers, "rflags": end.df << 10},
        end.entry,
        taken,
        written,
        correct,
        0,
        ac=bool(end.ac),
        unzeroed=unzeroed(contract, end),
    )
    return {violation.obligation for violation in judge(contract, case, outcome)}


def unzeroed(contract: Contract, end: End) -> int | None:
    """The first byte reported left, before a bad one of dst, that is not zero after a fault."""
    if not (contract.zeroes_rest and end.faults and end.returned_to == RETURN_TO):
        return None
    bad = end.first_bad("dst")
    claim = end.length - contract.left_of(end.registers, end.entry, end.length)
    rest = range(claim, end.length if bad is None else bad) if claim >= 0 else ()
    return next((at for at in rest if at not in end.zeroed), None)


# -- as the proof sees it


def bits(value: int) -> z3.BitVecRef:
    return z3.BitVecVal(value, 64)


def assumed(contract: Contract, *, persistent: bool) -> Assumptions:
    return Assumptions(contract, LEN_MAX, 64, persistent)


def segment(contract: Contract, end: End) -> Segment:
    kinds = {"src": Kind.LOAD, "dst": Kind.STORE}
    faults = tuple(
        Fault(
            Transfer(kinds[name], 0x1000, bits(BASE[name] + offset), 1),
            0x2000,
            bits(PAGE_FAULT if name == "dst" else end.trap),
            State(Registers({}), {}),
        )
        for name, offset in end.faults[end.before :]
    )
    registers = {name: bits(value) for name, value in end.registers.items()}
    flags = {"df": z3.BitVecVal(end.df, 1), "ac": z3.BitVecVal(end.ac, 1)}
    return Segment(
        source=Location(0x1000, bool(end.before), 0),
        target=Ending.RETURN,
        at=0x3000,
        conditions=(),
        fault_facts=(),
        transfers=(),
        faults=faults,
        final=State(Registers({**registers, **flags}), {}),
        trail=(),
        returned_to=bits(end.returned_to),
        faulted=bool(end.faults),
        unfenced=end.unfenced,
    )


def known(contract: Contract, end: End) -> list[tuple[z3.ExprRef, z3.ExprRef]]:
    """The values of the symbols, but for those of one byte."""
    values = {name: bits(value) for name, value in end.entry.items()}
    for register, place in ((contract.src, "src"), (contract.dst, "dst")):
        if register is not None:
            values[register] = bits(BASE[place])
    if contract.len is not None:
        values[contract.len] = bits(end.length)
    right = contract.loaded_value and end.registers[contract.loaded_value] == right_value(contract, end.seed)
    bad = {kind: end.first_bad(name) for kind, name in ((Kind.LOAD, "src"), (Kind.STORE, "dst"))}
    return [
        *((entry_symbol(name), value) for name, value in values.items() if name != X86_64.stack_pointer),
        (NUL, bits(end.nul)),
        (STACK_BASE, bits(STACK)),
        (RETURN_ADDRESS, bits(RETURN_TO)),
        (RETURNED, z3.BoolVal(bool(right))),
        (LAST_TRAP, bits(_trap_before(end))),
        *((FIRST_BAD[kind], bits(end.length if at is None else at)) for kind, at in bad.items()),
    ]


def _trap_before(end: End) -> int:
    """Of the last fault before the last location; anything where there was none."""
    if not end.before:
        return MACHINE_CHECK
    return PAGE_FAULT if end.faults[end.before - 1][0] == "dst" else end.trap


def broken_for_the_proof(contract: Contract, end: End) -> set[str]:
    traps = contract.load_traps, contract.store_traps
    options = Options("src" in buffers(contract), "dst" in buffers(contract), *traps)
    values = known(contract, end)
    broken = set()
    goals = list(exit_goals(segment(contract, end), assumed(contract, persistent=end.persistent), options))
    assert {goal.id for goal in goals if goal.bad_bytes} == resting_on_addresses(contract, end)
    for goal in goals:
        term = z3.simplify(z3.substitute(goal.term, *values))
        if z3.is_true(term):
            continue
        if not all(z3.is_true(z3.simplify(z3.substitute(term, *byte))) for byte in each_byte(end)):
            broken.add(goal.id)
    return broken


def resting_on_addresses(contract: Contract, end: End) -> set[str]:
    """Obligations of which a goal speaks of first bad bytes."""
    asked = set(contract.obligations) | set(contract.on_machine_check)
    found = {"O5"} if end.faults and (contract.left or contract.string_length) else set()
    if end.faults and (end.before or end.persistent):
        found.add("O4")
    if end.faults and contract.zeroes_rest:
        found.add("O6")  # what cannot be written need not be zeroed
    return found & asked


def each_byte(end: End) -> Iterator[list[tuple[z3.ExprRef, z3.ExprRef]]]:
    for j in range(end.length + 1):
        right = j not in end.wrong
        yield [
            (J, bits(j)),
            (HIT, z3.BoolVal(j in end.stored)),
            (OK, z3.BoolVal(right)),
            (ZEROED, z3.BoolVal(j in end.zeroed)),
        ]


def variant(name: str, of: str, **terms: object) -> Contract:
    return replace(load_contract(of), name=name, **terms)


DONE = variant("done", "uaccess", told="done")
FLAGGED = variant("flagged", "fault_address", status="rcx", told="address")
COUNTED = variant("counted", "copy_string", counts_nul=True, error=0)
LENIENT = replace(load_contract("bytes_left"), name="lenient", over_report=1, over_report_on_machine_check=3)
INVERTED = replace(load_contract("status"), name="inverted", status_inverted=True)


@pytest.mark.parametrize(
    "contract",
    [*all_contracts(), LENIENT, INVERTED, DONE, FLAGGED, COUNTED],
    ids=lambda contract: contract.name,
)
def test_the_goals_are_what_the_judge_asks(contract: Contract) -> None:
    choose = random.Random(contract.name)
    seen: set[str] = set()
    for number in range(ENDS):
        end = right_end(contract, choose)
        for _ in range(number % 3):
            end = changed(contract, end, choose)
        compared = set(JUDGED)
        if not end.faults:
            compared -= {"O5"}  # it speaks of what is reported after a fault
        if end.returned_to != RETURN_TO:
            compared = {"O7"}  # the judge looks no further
        expected = broken_for_the_judge(contract, end)
        found = broken_for_the_proof(contract, end)
        assert found & compared == expected & compared, end
        binding = contract.binding(end.last_trap if end.faults else None)
        assert ("O10" in found) == (end.unfenced and "O10" in binding)
        seen |= found
    assert seen >= {"O7", "O9"} & set(contract.obligations)


def test_what_binds_by_the_last_trap_alone() -> None:
    """A contract may ask for more, or for less, after a machine check."""
    contract = replace(load_contract("bytes_left"), obligations=("O2", "O7"), on_machine_check=("O7", "O10"))
    choose = random.Random(7)
    count = {"O2": 0, "O10": 0}
    for _ in range(200):
        end = right_end(contract, choose)
        wrong = {**end.registers, "rax": end.length + 1, "rbx": end.registers["rbx"] ^ 1}
        found = broken_for_the_proof(contract, replace(end, registers=wrong, unfenced=True))
        checked = bool(end.faults) and end.last_trap == MACHINE_CHECK
        assert found == ({"O7", "O10"} if checked else {"O2", "O7"})
        count["O10" if checked else "O2"] += 1
    assert min(count.values()) > 20


def an_end(
    contract: Contract, length: int, faults: tuple[tuple[str, int], ...], left: int, stored: int
) -> End:
    """An end after `stored` bytes, with `left` in rax."""
    entry = dict.fromkeys(X86_64.general, 7) | {X86_64.stack_pointer: STACK}
    registers = entry | {X86_64.stack_pointer: STACK + 8, "rax": left}
    known = frozenset(range(stored))
    return End(length, known, frozenset(), faults, 0, MACHINE_CHECK, registers, entry=entry)


def test_nothing_is_stored_behind_any_of_several_faults() -> None:
    """Nor behind the first, nor behind the last."""
    contract = load_contract("uaccess")
    for faults in ((("src", 3), ("dst", 6)), (("dst", 6), ("src", 3))):
        for stored in range(9):
            end = an_end(contract, 8, faults, 8 - stored, stored)
            for one in (end, replace(end, persistent=True), replace(end, before=1)):
                broken = broken_for_the_proof(contract, one)
                assert ("O4" in broken) == (stored > 3) == ("O4" in broken_for_the_judge(contract, one))


def test_more_may_be_stored_behind_the_claim_after_the_fault_that_allows_it() -> None:
    contract = replace(LENIENT, obligations=("O4",))
    for faults, most in (((), 1), ((("src", 7),), 3)):
        for more in range(6):
            end = an_end(contract, 8, faults, 7, 1 + more)
            assert ("O4" in broken_for_the_proof(contract, end)) == (more > most)


# -- O8


@pytest.mark.parametrize("name", ["bytes_left", "clear", "get_user_4", "put_user_8"])
def test_an_access_is_inside_its_buffer(name: str) -> None:
    contract = load_contract(name)
    given = assumed(contract, persistent=False)
    for kind, register in ((Kind.LOAD, contract.src), (Kind.STORE, contract.dst)):
        for length in range(5) if contract.size is None else (contract.size,):
            values = [(entry_symbol(r), bits(BASE["dst"])) for r in {register} - {None}]
            values += [(entry_symbol(contract.len), bits(length))] if contract.len else []
            for offset in range(-2, length + 3):
                for size, elements in ((1, None), (2, None), (4, None), (2, 0), (2, 1), (1, 3), (8, 1 << 61)):
                    many = None if elements is None else bits(elements)
                    transfer = Transfer(kind, 0x1000, bits(BASE["dst"] + offset), size, elements=many)
                    point = AccessPoint(Location(0x1000, False, 0), (), transfer)
                    term = z3.simplify(z3.substitute(access_goal(point, given), *values))
                    moved = size * (1 if elements is None else elements)
                    inside = register is not None and offset >= 0 and offset + moved <= length
                    assert z3.is_true(term) == (inside or (register is not None and moved == 0)), transfer
                    assert z3.is_true(term) != z3.is_false(term)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_so_many_elements_that_their_bytes_wrap_around_are_too_many(size: int) -> None:
    given = assumed(load_contract("bytes_left"), persistent=False)
    most = (1 << 62) // size
    for elements in (most, most + 1, (1 << 64) // size, (1 << 64) // size + 1):
        transfer = Transfer(Kind.STORE, 0x1000, word(0), size, elements=bits(elements % (1 << 64)))
        term = access_goal(AccessPoint(Location(0x1000, False, 0), (), transfer), given)
        values = [(entry_symbol("rdi"), word(0)), (entry_symbol("rdx"), bits((1 << 64) - 1))]
        assert z3.is_true(z3.simplify(z3.substitute(term, *values))) == (elements % (1 << 64) <= most)

"""The obligations, as goals about the end of a segment or about an access (docs/obligations.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from mcverify.arch.architecture import Architecture
from mcverify.contract import MACHINE_CHECK, Contract
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.count import left_of, result_of
from mcverify.logic.ghost import HIT, OK, RETURNED, ZEROED, J, may_zero
from mcverify.logic.standpoint import last_trap
from mcverify.machine.instruction import Kind
from mcverify.machine.state import RETURN_ADDRESS, STACK_BASE
from mcverify.machine.terms import word
from mcverify.paths.explore import Options, entry_symbol
from mcverify.paths.faults import FIRST_BAD, NUL, strikes
from mcverify.paths.segment import AccessPoint, Segment

__all__ = ["Goal", "access_goal", "exit_goals"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to be proved at the end of a segment: `term` is over final values (and the ghost's
    symbols, for theirs). `bad_bytes`: it speaks of the first bad byte, so it rests on faults being a property
    of addresses; `sooner` implies it, and does not: what holds of faults that come and go as well."""

    id: str
    term: z3.BoolRef
    bad_bytes: bool = False
    sooner: z3.BoolRef | None = None


def exit_goals(segment: Segment, assumptions: Assumptions, options: Options) -> Iterator[Goal]:
    """What the contract asks of a segment that returns."""
    contract = assumptions.contract
    bound = {None: contract.obligations, MACHINE_CHECK: contract.on_machine_check}
    for identifier in dict.fromkeys((*contract.obligations, *contract.on_machine_check)):
        make = _AT_EXIT.get(identifier)
        if make is None:
            continue
        for goal in make(_Exit(segment, assumptions, options)):
            yield _where_it_binds(goal, segment, *(identifier in ids for ids in bound.values()))


def _where_it_binds(goal: Goal, segment: Segment, generally: bool, on_machine_check: bool) -> Goal:
    """The goal, restricted to the trap numbers after which its contract asks for it."""
    if generally and on_machine_check:
        return goal
    is_machine_check = last_trap(segment) == MACHINE_CHECK if segment.faulted else z3.BoolVal(False)
    condition = is_machine_check if on_machine_check else z3.Not(is_machine_check)
    sooner = None if goal.sooner is None else z3.Implies(condition, goal.sooner)
    return Goal(goal.id, z3.Implies(condition, goal.term), goal.bad_bytes, sooner)


@dataclass(frozen=True)
class _Exit:
    segment: Segment
    assumptions: Assumptions
    options: Options

    @property
    def contract(self) -> Contract:
        return self.assumptions.contract

    @property
    def architecture(self) -> Architecture:
        return self.segment.final.registers.architecture

    @property
    def length(self) -> z3.BitVecRef:
        return self.assumptions.length

    def register(self, name: str) -> z3.BitVecRef:
        return self.segment.final.registers[name]

    def result(self, role: str) -> z3.BitVecRef | None:
        """The result `role` as 64 bits, what lies above its width left out; None where there is none."""
        return result_of(self.contract, role, self.register)

    @property
    def left(self) -> z3.BitVecRef | None:
        return left_of(self.contract, self.length, self.segment)

    @property
    def bad(self) -> list[z3.BitVecRef]:
        """First bad byte of each buffer on which accesses may fault."""
        return [FIRST_BAD[kind] for kind, _ in self.assumptions.buffers if self.options.may_fault(kind)]


def _in_range(at: _Exit) -> Iterator[Goal]:
    if at.left is not None:
        yield Goal("O2", z3.ULE(at.left, at.length))


def _no_over_claim(at: _Exit) -> Iterator[Goal]:
    if at.left is not None:
        claimed = z3.ULT(J, at.length - at.left)
        yield Goal("O3", z3.Implies(z3.And(z3.ULE(at.left, at.length), claimed), HIT))


def _nothing_beyond(at: _Exit) -> Iterator[Goal]:
    if at.contract.string_length is not None:
        yield Goal("O4", z3.Implies(HIT, z3.ULE(J, NUL)))
    if at.left is not None:
        end = at.length - at.left + _over_report(at)
        yield Goal("O4", z3.Implies(z3.And(z3.ULE(at.left, at.length), HIT), z3.ULT(J, end)))
    if not at.segment.faulted:
        return
    before_faults = z3.Implies(HIT, z3.And([z3.ULT(J, offset) for offset in _fault_offsets(at)]))
    if at.segment.source.faulted or at.assumptions.persistent:
        before_bad = z3.Implies(HIT, z3.And([z3.ULT(J, bad) for bad in at.bad]))
        yield Goal("O4", before_bad, bad_bytes=True)
    else:
        yield Goal("O4", before_faults)


def _over_report(at: _Exit) -> z3.BitVecRef:
    """How many bytes behind the claim may be stored, by the number of the last fault."""
    usually, after_machine_check = (word(at.contract.over_report_after(t)) for t in (None, MACHINE_CHECK))
    if not at.segment.faulted or usually.eq(after_machine_check):
        return usually
    return z3.If(last_trap(at.segment) == MACHINE_CHECK, after_machine_check, usually)


def _fault_offsets(at: _Exit) -> Iterator[z3.BitVecRef]:
    """Where the accesses that faulted begin: at or before the bytes that made them fault."""
    bases = dict(at.assumptions.buffers)
    return (f.access.address - bases[f.access.kind] for f in at.segment.faults)


def _progress(at: _Exit) -> Iterator[Goal]:
    if at.contract.string_length is not None and at.segment.faulted:
        within = z3.Or([z3.And(z3.ULE(bad, NUL), z3.ULT(bad, at.length)) for bad in at.bad])
        sooner = z3.Implies(_is_error(at), _struck(at, NUL)) if at.segment.faults else None
        yield Goal("O5", z3.Implies(_is_error(at), within), bad_bytes=True, sooner=sooner)
    if at.left is not None and at.segment.faulted:
        nothing = z3.And(at.left == at.length, at.length != 0)
        first_is_bad = z3.Or([bad == 0 for bad in at.bad])
        sooner = z3.Implies(nothing, _struck(at, word(0))) if at.segment.faults else None
        yield Goal("O5", z3.Implies(nothing, first_is_bad), bad_bytes=True, sooner=sooner)


def _struck(at: _Exit, most: z3.BitVecRef) -> z3.BoolRef:
    """That the last fault was of a byte up to number `most`, wherever the bad bytes were before it: there is
    none beyond of all places of the first one that would make that access fault."""
    access = at.segment.faults[-1].access
    bad, base = FIRST_BAD[access.kind], dict(at.assumptions.buffers)[access.kind]
    possible = z3.And(strikes(access, base), *at.assumptions.bad_byte_terms())
    return z3.Implies(possible, z3.ULE(bad, most))


def _is_error(at: _Exit) -> z3.BoolRef:
    """That a string's routine returns the error in place of a length."""
    assert at.contract.error is not None
    return at.result("string_length") == word(at.contract.error % (1 << at.contract.error_bits))


def _string(at: _Exit) -> z3.BoolRef:
    """That the length of the string is returned, and all of it is copied, the zero byte as well."""
    contract, value = at.contract, at.result("string_length")
    right = value == NUL
    if contract.counts_nul:
        right = z3.If(z3.ULT(NUL, at.length), value == NUL + 1, z3.UGT(value, at.length))
    if contract.dst is None:
        return right
    return z3.And(right, z3.Implies(z3.And(z3.ULE(J, NUL), z3.ULT(J, at.length)), HIT))


def _right_data(at: _Exit) -> Iterator[Goal]:
    """Of the bytes that are stored, and of a value that is returned: it is zero after a fault."""
    if at.contract.dst is not None:
        yield Goal("O6", z3.Implies(HIT, OK))
    if at.contract.zeroes_rest and at.segment.faulted:
        yield _rest_zeroed(at)
    if at.contract.loaded_value is not None:
        value = at.register(at.contract.loaded_value)
        yield Goal("O6", value == 0 if at.segment.faulted else RETURNED)
    if at.contract.is_exchange:
        yield Goal("O6", z3.Not(HIT) if at.segment.faulted else _found(at))


def _found(at: _Exit) -> z3.BoolRef:
    """That the word is returned which the one exchange of the way here has found."""
    exchanges = [t.locked for t in at.segment.transfers if t.kind is Kind.STORE and t.locked is not None]
    if at.contract.found is None:
        return z3.BoolVal(True)
    if len(exchanges) != 1:
        return z3.BoolVal(False)
    return z3.Extract(exchanges[0].size() - 1, 0, at.register(at.contract.found)) == exchanges[0]


def _rest_zeroed(at: _Exit) -> Goal:
    """Each byte that is reported left is zero, as far as it can be written."""
    assert at.left is not None
    rest = [may_zero(at.contract), z3.ULE(at.left, at.length), z3.ULE(at.length - at.left, J)]
    rest.append(z3.ULT(J, at.length))
    may_fault = at.options.may_fault(Kind.STORE)
    if may_fault:
        rest.append(z3.ULT(J, FIRST_BAD[Kind.STORE]))
    return Goal("O6", z3.Implies(z3.And(rest), ZEROED), bad_bytes=may_fault)


def _machine_state(at: _Exit) -> Iterator[Goal]:
    kept = [at.register(name) == entry_symbol(name) for name in at.contract.kept]
    clear = [at.register(mode) == value for mode, value in at.architecture.modes.items()]
    stack = at.register(at.architecture.stack_pointer) == STACK_BASE + at.architecture.return_bytes
    returned = at.segment.returned_to
    assert returned is not None
    yield Goal("O7", z3.And(*kept, *clear, stack, returned == RETURN_ADDRESS))


def _outcome(at: _Exit) -> Iterator[Goal]:
    """Success is reported if and only if no fault was taken, and a fault by its own number."""
    yield Goal("O9", z3.And(*(_failure(at) if at.segment.faulted else _success(at)), z3.BoolVal(True)))


def _success(at: _Exit) -> Iterator[z3.BoolRef]:
    if at.contract.string_length is not None:
        yield _string(at)
        return
    if at.contract.dst is not None:
        yield z3.Implies(z3.ULT(J, at.length), HIT)
    if at.left is not None:
        yield at.left == 0
    trap, status = at.result("trap"), at.result("status")
    if trap is not None:
        yield trap == 0
    if status is None or at.contract.success_unasked:
        return
    if at.contract.status_is_bool:
        yield status == 1
    else:
        yield status != 0 if at.contract.status_inverted else status == 0


def _failure(at: _Exit) -> Iterator[z3.BoolRef]:
    if at.contract.string_length is not None:
        yield z3.Or(_is_error(at), _string(at))
        return
    trap, status = at.result("trap"), at.result("status")
    if trap is not None:
        yield trap == last_trap(at.segment)
    if status is not None:
        if at.contract.error is not None:
            bits = at.contract.error_bits
            yield z3.Extract(bits - 1, 0, status) == z3.BitVecVal(at.contract.error, bits)
            return
        yield status == 0 if at.contract.status_inverted else status != 0


def _fenced(at: _Exit) -> Iterator[Goal]:
    yield Goal("O10", z3.BoolVal(not at.segment.unfenced))


_AT_EXIT: dict[str, Callable[[_Exit], Iterator[Goal]]] = {
    "O2": _in_range,
    "O3": _no_over_claim,
    "O4": _nothing_beyond,
    "O5": _progress,
    "O6": _right_data,
    "O7": _machine_state,
    "O9": _outcome,
    "O10": _fenced,
}


def access_goal(point: AccessPoint, assumptions: Assumptions) -> z3.BoolRef:
    """O8 of one access: it lies inside its buffer. The elements of a REP are few enough that their bytes
    can be counted."""
    transfer = point.transfer
    is_exchange = transfer.locked is not None and assumptions.contract.is_exchange
    base = dict(assumptions.buffers).get(Kind.STORE if is_exchange else transfer.kind)
    if base is None:
        return z3.BoolVal(False)
    offset, length = transfer.address - base, assumptions.length
    inside = z3.And(z3.ULE(offset, length), z3.ULE(transfer.bytes, length - offset))
    if transfer.elements is None:
        return inside
    countable = z3.ULE(transfer.elements, word((1 << 62) // transfer.size))
    return z3.And(countable, z3.Or(transfer.elements == 0, inside))

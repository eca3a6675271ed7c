"""That an instruction which faulted, executed again, does what it would have done without the fault.

The state in which it is executed again is the one that the fault left, but that the access goes through. Of
an ordinary instruction this is the state before it (the Intel SDM, vol. 3A, 6.5, of faults), with what its
own stores before the faulting access have left; of a REP it is the closed form after k of n elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import z3

from mcverify.machine.instruction import Access, Instruction, Kind, Rep, Step
from mcverify.machine.terms import word

_N, _K, _S, _D, _AT = (z3.BitVec(f"resume.{name}", 64) for name in ("n", "k", "s", "d", "at"))
_MOST_BYTES = 1 << 62
"""Bytes that a REP moves at most where they can be counted (obligation O8)."""


@dataclass(frozen=True, slots=True)
class ResumeClaim:
    """A claim, to be valid, about the access `number` (from 0 on) of the instruction at `address`."""

    address: int
    number: int
    words: str
    term: z3.BoolRef


def resume_claims(instruction: Instruction, *, ordered: bool) -> Iterator[ResumeClaim]:
    """What makes each access of the instruction resumable; nothing for one without accesses. `ordered`: a REP
    keeps to the order that the manual promises."""
    if instruction.rep is not None:
        yield from _of_rep(instruction, instruction.rep, ordered=ordered)
        return
    for step in instruction.steps:
        for number in range(len(step.accesses)):
            yield from _of_access(instruction, step, number)


def _of_access(instruction: Instruction, step: Step, number: int) -> Iterator[ResumeClaim]:
    """Nothing has changed, or no load of the instruction reads what it has stored before it faulted: the rest
    of the state is as before, so the same step is taken, to the same addresses, with the same values."""
    stored = [access for access in step.accesses[:number] if access.kind is Kind.STORE]
    loads = [access for access in step.accesses if access.kind is Kind.LOAD]
    apart = [_apart(load, store) for load in loads for store in stored]
    words = (
        "no load of it reads what it stored before the fault"
        if apart
        else "the fault left the state before it"
    )
    yield ResumeClaim(instruction.address, number, words, z3.Implies(step.guard, z3.And(*apart)))


def _apart(load: Access, store: Access) -> z3.BoolRef:
    between = store.address - load.address
    return z3.And(z3.UGE(between, load.size), z3.UGE(-between, store.size))


def _of_rep(instruction: Instruction, rep: Rep, *, ordered: bool) -> Iterator[ResumeClaim]:
    """k elements, and from there n - k, are n: in their registers, the bytes stored, and where each element
    comes from and goes to."""
    number = 1 if rep.reads_source else 0
    if not ordered:
        words = "without a promised order, its registers do not tell which elements are done"
        yield ResumeClaim(instruction.address, number, words, z3.BoolVal(False))
        return
    size = word(rep.size)
    counted = z3.And(z3.ULE(_K, _N), z3.ULE(_N, word(_MOST_BYTES // rep.size)))
    rest, source, destination = _N - _K, _S + size * _K, _D + size * _K
    claims = {
        "k elements and n - k leave the registers of n": z3.And(
            rest - rest == 0,
            source + size * rest == _S + size * _N,
            destination + size * rest == _D + size * _N,
        ),
        "the bytes of k elements and of n - k are those of n": z3.ULT(_AT, size * _N)
        == z3.Or(
            z3.ULT(_AT, size * _K), z3.And(z3.UGE(_AT, size * _K), z3.ULT(_AT - size * _K, size * rest))
        ),
        "element j of the rest is element k + j of all": z3.And(
            source + size * _AT == _S + size * (_K + _AT), destination + size * _AT == _D + size * (_K + _AT)
        ),
    }
    for words, term in claims.items():
        yield ResumeClaim(instruction.address, number, words, z3.Implies(counted, term))

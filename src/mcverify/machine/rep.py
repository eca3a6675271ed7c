"""REP as one transition, and the proof that it is what the lifted instruction does, iteration by iteration.

The closed form (models/x86_64/rep.toml, the Intel SDM's rule): from rcx = n, rsi = s, rdi = d, after k <= n
elements of e bytes the registers are n - k, s + e*k, d + e*k; element k is loaded from and stored to just
there; a fault at element k finds the registers so; and the bytes stored before it are [d, d + e*k).
"""

from __future__ import annotations

from collections.abc import Iterator

import z3

from mcverify.machine.instruction import Instruction, Kind, Rep, Step
from mcverify.machine.terms import replace, word

_N, _S, _D, _K = (z3.BitVec(name, 64) for name in ("rep.n", "rep.s", "rep.d", "rep.k"))


def closed_form_claims(instruction: Instruction) -> Iterator[tuple[str, z3.BoolRef]]:
    """Claims, each to be valid, that make the closed form follow from the lifted steps by induction on k."""
    rep = instruction.rep
    assert rep is not None
    done = [s for s in instruction.steps if s.target == rep.next and not s.accesses]
    iteration = [s for s in instruction.steps if s.target == instruction.address]
    if len(done) != 1 or len(iteration) != 1 or len(instruction.steps) != 2:
        yield "one step ends the instruction and one repeats it", z3.BoolVal(False)
        return
    at_k = _state(rep, _K)
    more = z3.ULT(_K, _N)
    yield "at k = n it ends", replace(done[0].guard, _state(rep, _N))
    yield "it ends without a change", z3.BoolVal(not done[0].writes)
    yield "below n it goes on", z3.Implies(more, replace(iteration[0].guard, at_k))
    yield "element k leaves the registers of k + 1", z3.Implies(more, _advances(iteration[0], rep))
    yield (
        "element k lies where the closed form says",
        _accesses_match(iteration[0], rep),
    )
    yield "one more element is e more bytes", _bytes_grow(rep.size)


def _state(rep: Rep, k: z3.BitVecRef) -> dict[str, z3.BitVecRef]:
    moved = word(rep.size) * k
    modes = {mode: z3.BitVecVal(0, 1) for mode in rep.modes}
    return {rep.count: _N - k, rep.source: _S + moved, rep.destination: _D + moved, **modes}


def _advances(step: Step, rep: Rep) -> z3.BoolRef:
    now, following = _state(rep, _K), _state(rep, _K + 1)
    written = {name for name in step.writes if name not in (rep.count, rep.source, rep.destination)}
    same = [
        replace(step.writes.get(name, z3.BitVec(name, 64)), now) == following[name]
        for name in (rep.count, rep.destination, *((rep.source,) if rep.source in step.writes else ()))
    ]
    return z3.And(z3.BoolVal(not written), *same)


def _accesses_match(step: Step, rep: Rep) -> z3.BoolRef:
    size, reads_source = rep.size, rep.reads_source
    kinds = (Kind.LOAD, Kind.STORE) if reads_source else (Kind.STORE,)
    if tuple(a.kind for a in step.accesses) != kinds or any(a.size != size for a in step.accesses):
        return z3.BoolVal(False)
    now = _state(rep, _K)
    store = step.accesses[-1]
    stored = step.accesses[0].value if reads_source else z3.Extract(8 * size - 1, 0, z3.BitVec(rep.value, 64))
    places = [
        replace(a.address, now) == now[rep.source if a.kind is Kind.LOAD else rep.destination]
        for a in step.accesses
    ]
    return z3.And(*places, store.value == stored)


def _bytes_grow(size: int) -> z3.BoolRef:
    """Of counts whose bytes can be counted (obligation O8), [d, d+e*k) and [d+e*k, d+e*(k+1)) are [d,
    d+e*(k+1))."""
    at = z3.BitVec("rep.at", 64)
    moved = word(size) * _K
    both = z3.Or(z3.ULT(at, moved), z3.ULT(at - moved, word(size)))
    return z3.Implies(z3.ULT(_K, word((1 << 62) // size)), z3.ULT(at, moved + size) == both)

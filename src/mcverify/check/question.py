"""What a proof must be about: the contract as it is shipped, and the domain, neither taken from the bundle.

The bundle names a contract and says which faults and lengths it took on. What is asked here comes from the
name of the routine, the contracts that come with mcverify, and the command line; a bundle that took on less
is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from mcverify.arch.known import X86_64
from mcverify.check.code import decode
from mcverify.check.manifest import Routine
from mcverify.contract import (
    OBLIGATIONS,
    Contract,
    FaultModel,
    Faults,
    Traps,
    all_contracts,
    can_fault,
    contracts_for,
    faults_by_entry,
    faults_in_words,
)
from mcverify.errors import InputError
from mcverify.image.callees import callees
from mcverify.image.image import Image
from mcverify.image.live import borne
from mcverify.kernels import overlap
from mcverify.layouts import Layout
from mcverify.scopes import Scope, needs_transient

RepModel = Literal["ordered", "unordered"]

LONGEST = X86_64.limits.max_rw_count
"""The largest length in bytes that is asked for by default."""

GRANULARITY = X86_64.granularity
"""Bad regions begin and end on multiples of so many bytes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; None where it says nothing. `contract` is that of every routine, `table`
    are the layouts of which the exception table may be (none: all that are known)."""

    contract: Contract | None = None
    faults: Faults | None = None
    traps: Traps | None = None
    len_max: int | None = None
    rep_model: RepModel = "ordered"
    fault_model: FaultModel | None = None
    table: tuple[Layout, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What the obligations of one routine are stated from: its contract, where faults of other kinds than it
    knows do not happen, the accesses that may fault, the largest length in bytes, and what REP promises.
    `why` is why it is this contract."""

    contract: Contract
    faults: Faults
    len_max: int
    rep_model: RepModel
    why: str = ""

    def may_fault(self, kind: str) -> bool:
        """Whether some accesses of that kind ("load", "store") may fault."""
        return can_fault(self.faults, kind)

    def traps(self, kind: str) -> tuple[int, ...]:
        """The numbers of the traps that an access of that kind may raise."""
        return self.contract.load_traps if kind == "load" else self.contract.store_traps


def of_prover(routine: Routine, contract: Contract) -> Question:
    """The question as the prover answered it."""
    return Question(contract, routine.faults, routine.len_max, routine.rep_model)


def asked_of(routine: Routine, image: Image, asked: Asked, where: str) -> Question:
    """The question that the proof of a routine must answer.

    It is stated for all that the bundle took on, which must be what is asked for at least. Raises InputError
    where it is less, or where nothing but the bundle knows the contract.
    """
    contract, why = _contract(routine, image, asked, where)
    if contract.window is not None:
        raise InputError(
            f"{routine.title} is about a handler that is set, which is not checked yet", where=where
        )
    if contract.is_exchange:
        raise InputError(f"{routine.title} is about an exchange, which is not checked yet", where=where)
    contract = contract.restricted(routine.traps)
    if asked.fault_model is not None:
        contract = contract.under(asked.fault_model)
    wanted = asked.traps or (asked.contract or _shipped(contract.name) or contract).traps
    for says in (
        *_missing(routine, contract, asked, wanted),
        *_spared(routine, contract, asked, image),
        *_only_if_faults_stay(routine, contract),
    ):
        raise InputError(f"{routine.title} is proved for less than is asked: {says}", where=where)
    return Question(contract, routine.faults, routine.len_max, routine.rep_model, why)


def _contract(routine: Routine, image: Image, asked: Asked, where: str) -> tuple[Contract, str]:
    """The contract, and where it comes from."""
    if asked.contract is not None:
        if asked.contract.name != routine.contract:
            sentence = f"{routine.title} is proved against {routine.contract}, not {asked.contract.name}"
            raise InputError(sentence, where=where)
        return asked.contract, "which was given"
    known = contracts_for(routine.name)
    fitting = _borne(routine.name, image, known)
    by_name = next((contract for contract in fitting if contract.name == routine.contract), None)
    if by_name is not None:
        era = f" in kernels {by_name.routines[routine.name]}" if len(known) > 1 else ""
        return by_name, f"which its name bears{era}"
    shipped = _shipped(routine.contract)
    if known:
        names = " or ".join(contract.name for contract in fitting or known)
        raise InputError(
            f"{routine.title} is proved against {routine.contract}, and its name bears {names}",
            where=where,
            hint=f"if that is the contract you ask for, say so: --contract {routine.contract}",
        )
    if shipped is None:
        raise InputError(
            f"{routine.title} is proved against {routine.contract}, which does not come with mcverify",
            where=where,
            hint="give the contract: --contract FILE.toml",
        )
    return shipped, "which the bundle names"


def _borne(name: str, image: Image, known: tuple[Contract, ...]) -> list[Contract]:
    """The contracts of a name that the code may bear: those of the kernels that it is for, as far as it
    tells; where the code tells by what it reads, that one. The only one that a name has borne may be said to
    be of no kernel."""
    if len(known) < 2:
        return list(known)
    if any(contract.when_reads for contract in known):
        own = borne(image, name)
        return [own] if own is not None else []
    kernels = image.kernels
    return [c for c in known if kernels and overlap(c.routines[name], kernels)] or list(known)


def _shipped(name: str) -> Contract | None:
    return next((contract for contract in all_contracts() if contract.name == name), None)


def _missing(routine: Routine, contract: Contract, asked: Asked, wanted: Traps) -> Iterator[str]:
    """What a proof of the routine leaves out of what is asked."""
    size = contract.size
    length = size if size is not None else LONGEST if asked.len_max is None else asked.len_max
    if routine.len_max < length or (size is not None and routine.len_max != size):
        yield f"lengths up to {routine.len_max:#x} of {length:#x} (--len-max asks for less)"
    if routine.traps not in ("both", wanted):
        yield f"the traps {routine.traps} of {wanted} (--trap asks for less)"
    if asked.rep_model == "unordered" and routine.rep_model != "unordered":
        yield "REP in order (--rep-model unordered asks for more)"


def _only_if_faults_stay(routine: Routine, contract: Contract) -> Iterator[str]:
    """What the proof has only if bad addresses stay bad, and is asked under faults that come and go."""
    hint = "(--fault-model persistent asks for less)"
    for what in routine.resting:
        if what not in (*OBLIGATIONS, *_BESIDE):
            yield f"{what!r}, which is nothing that a contract asks, only if bad addresses stay bad"
            continue
        identifier = _BESIDE.get(what, what)
        scope: Scope = "exit" if what == identifier else cast("Scope", what)
        if needs_transient(identifier, scope, contract):
            yield f"{identifier} only if a bad address stays bad {hint}"
    by_address = next((path for path in routine.paths if path.by_address), None)
    if by_address is not None and needs_transient("O1", "end", contract):
        yield f"that {by_address.name} is not taken, only if a bad address stays bad {hint}"


def _spared(routine: Routine, contract: Contract, asked: Asked, image: Image) -> Iterator[str]:
    """Accesses that may fault by what is asked, and do not in the proof."""
    usual: Faults = contract.faults
    by_table = asked.faults is None and contract.faults_by_table and usual == "both"
    if asked.faults is None and contract.src is not None and contract.dst is not None:
        usual = _AND_ENTRIES.get(usual, usual)
    faults = asked.faults or usual
    traps = {"load": contract.load_traps, "store": contract.store_traps}
    for kind in ("load", "store"):
        wanted, done = (_reach(each, kind) for each in (faults, routine.faults))
        if wanted <= done or not traps[kind]:
            continue
        moving = {s.at for p in routine.paths for s in p.steps for m in s.moved if m.kind == kind}
        if by_table and not any(image.entry_at(at) is not None for at in moving):
            continue
        struck = [at for at in sorted(moving) if wanted == _ALL or image.entry_at(at) is not None]
        if struck:
            yield f"{kind}s such as that at {struck[0]:#x} may fault (--faults asks for less)"


_BESIDE = {"access": "O8", "frame": "O7", "loops": "O9"}
"""The obligations of what is asked beside the exits."""

_NONE, _BY_ENTRY, _ALL = range(3)
_AND_ENTRIES: Mapping[Faults, Faults] = {"loads": "loads and entries", "stores": "stores and entries"}


def _reach(faults: Faults, kind: str) -> int:
    """Which accesses of a kind may fault: none, those with an entry, or all."""
    if faults_by_entry(faults) == kind:
        return _BY_ENTRY
    return _ALL if can_fault(faults, kind) else _NONE


def sentences(routine: Routine, question: Question, image: Image) -> Iterator[str]:
    """What the proof takes for granted, as it follows from the question, the paths and the code."""
    contract = question.contract
    size = contract.size
    yield f"len = {size}" if size is not None else f"0 <= len <= {question.len_max:#x}"
    both = contract.src is not None and contract.dst is not None
    verb, rest = (
        ("do", "overlap each other or the stack frame") if both else ("does", "overlap the stack frame")
    )
    yield f"{contract.buffers} {verb} not wrap around the address space, nor {rest}"
    if contract.told == "address" and contract.status is None:
        yield f"{contract.buffers} not at address 0, which says that no fault was taken"
    if contract.user:
        end = X86_64.limits.user_end
        yield f"{contract.buffers} {'lie' if both else 'lies'} in user memory, below {end:#x}"
    if image.table:
        yield image.table
    what = faults_in_words(question.faults)
    only = {"both": "", "pf": ", by page faults alone", "mc": ", by machine checks alone"}[contract.traps]
    yield f"{what} may fault{only}"
    resting = list(_resting(routine, question))
    if resting:
        yield (
            "a bad address stays bad, and bad regions begin and end on multiples of"
            f" {GRANULARITY} bytes (for {', '.join(resting)})"
        )
    for register, value in contract.given.items():
        yield f"{register} = {value} at entry"
    visited = sorted({step.at for path in routine.paths for step in path.steps})
    outside = callees(image)
    for address in visited:
        if address in outside:
            yield outside[address].summary(routine.entry)
    code = [found for at in visited if at not in outside and (found := decode(image.code_at(at), at))]
    if any(instruction.text.startswith("rep") and not instruction.returns for instruction in code):
        yield f"REP: {X86_64.model('rep.toml')[question.rep_model]['summary']}"
    hints = {instruction.text.split()[0] for instruction in code if instruction.hints}
    if hints:
        yield f"{', '.join(sorted(hints))}: {X86_64.model('instructions.toml')['hints']['summary']}"


def _resting(routine: Routine, question: Question) -> Iterator[str]:
    """What is proved only if bad addresses stay bad."""
    wanted = (*question.contract.obligations, *question.contract.on_machine_check)
    faulted = {location.name for location in routine.locations if location.faulted}
    returns = [p for p in routine.paths if p.end == "return" and (p.faulted or p.source in faulted)]
    found = {_BESIDE.get(what, what) for what in routine.resting}
    if any(path.by_address for path in routine.paths):
        found.add("O1")
    if "O4" in wanted and any(path.source in faulted for path in returns):
        found.add("O4")
    if "O5" in wanted and returns and question.contract.left:
        found.add("O5")
    yield from (o for o in OBLIGATIONS if o in found)
    if routine.slack is not None:
        yield "slack"

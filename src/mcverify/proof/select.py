"""Which routines of an image are to be proved, against which contract."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from mcverify.contract import Contract, Faults, all_contracts, contract_for, load_contract
from mcverify.errors import InputError
from mcverify.image.image import Image, Symbol
from mcverify.proof.options import ProveOptions


@dataclass(frozen=True, slots=True)
class Task:
    """One routine to be proved. `contract` None: nobody says what it promises."""

    name: str
    entry: int
    contract: Contract | None
    faults: Faults


def tasks(image: Image, options: ProveOptions) -> list[Task]:
    """The routines that `options` name, or all that have table entries or a contract in the file.

    Raises InputError where there is nothing to prove, a routine does not exist, or a contract is unknown.
    """
    given = load_contract(options.contract) if options.contract else None
    chosen = [_named(image, name) for name in options.routines] or _all(image)
    if not chosen:
        raise InputError(
            "it has no exception table, so there is no fixup to prove",
            where=str(image.path),
            hint="name a routine with --routine to prove it without one",
        )
    return [_task(image, symbol, given, options) for symbol in chosen]


def _task(image: Image, symbol: Symbol, given: Contract | None, options: ProveOptions) -> Task:
    annotated = _annotation(image, symbol.name, "contract")
    contract = given or (load_contract(annotated) if annotated else contract_for(symbol.name))
    faults = options.faults or _annotation(image, symbol.name, "faults") or (contract.faults if contract else "loads")
    if faults not in ("loads", "stores", "both"):
        raise InputError(f"faults are loads, stores or both, not {faults!r}", where=str(image.path))
    return Task(symbol.name, symbol.address, contract, faults)


def _annotation(image: Image, routine: str, key: str) -> str | None:
    """The value of a `mcverify: KEY VALUE [for ROUTINE]` comment; one for this routine goes before one for all."""
    general = None
    for annotation in image.annotations:
        if annotation.key != key:
            continue
        value, _, owner = annotation.value.partition(" for ")
        if owner.strip() == routine:
            return value.strip()
        if not owner:
            general = value.strip()
    return general


def _named(image: Image, name: str) -> Symbol:
    symbol = next((s for s in image.symbols if s.name == name and image.code_at(s.address)), None)
    if symbol is not None:
        return symbol
    known = [s.name for s in image.functions]
    near = get_close_matches(name, known, n=3) or known[:8]
    hint = f"did you mean {' or '.join(near)}?" if near else "the file has no functions"
    raise InputError(f"there is no routine {name!r}", where=str(image.path), hint=hint)


def _all(image: Image) -> list[Symbol]:
    """Functions that hold a faulting instruction of the table, or that the source gives a contract."""
    owners = {a.value.partition(" for ")[2].strip() for a in image.annotations if a.key == "contract"}
    starts = image.functions
    found = []
    for number, symbol in enumerate(starts):
        following = starts[number + 1].address if number + 1 < len(starts) else None
        end = symbol.address + symbol.size if symbol.size else following
        holds = any(symbol.address <= e.insn and (end is None or e.insn < end) for e in image.entries)
        if holds or symbol.name in owners or contract_for(symbol.name) is not None:
            found.append(symbol)
    if not found and any(a.key == "contract" for a in image.annotations):
        return list(starts)
    return found


def no_contract(task: Task) -> str:
    """The sentence for a routine that nobody gives a contract."""
    names = ", ".join(contract.name for contract in all_contracts())
    return f"no contract is known for {task.name}: give one with --contract ({names}) or in a comment"

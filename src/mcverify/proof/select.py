"""Which routines of an image are to be proved, against which contract."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import cast

from mcverify.contract import (
    Contract,
    FaultModel,
    Faults,
    Traps,
    all_contracts,
    can_fault,
    contract_for,
    contracts_for,
    faults_by_entry,
    load_contract,
    shipped_contract,
)
from mcverify.errors import InputError
from mcverify.image.extable import NO_TABLE
from mcverify.image.functions import Functions
from mcverify.image.image import Annotation, Image, Symbol
from mcverify.image.live import borne
from mcverify.kernels import overlap
from mcverify.proof.options import Held, ProveOptions
from mcverify.proof.result import Domain, RoutineResult, Verdict
from mcverify.runs.code import effects, reachable, touches_more_than_stack
from mcverify.runs.operands import directions


@dataclass(frozen=True, slots=True)
class Task:
    """One routine to be proved, at [`entry`, `end`). `contract` None: nobody says what it promises.

    `by_comment` says what a comment in the file makes other than the routine's name has it: its author may
    have asked for less. `said` is what the file says by itself, by a comment or the routine's name; `changed`
    how that differs from what the routine is held to. `by_era` says of which kernels the contract is, where
    the routine's name has borne others.
    """

    name: str
    entry: int
    end: int
    contract: Contract | None
    faults: Faults
    by_comment: tuple[str, ...] = ()
    by_era: str = ""
    said: Held | None = None
    changed: str = ""


def tasks(image: Image, options: ProveOptions) -> list[Task]:
    """The routines that `options` name, or all that have table entries or a contract in the file.

    Raises InputError where there is nothing to prove, a routine does not exist, or a contract is unknown.
    """
    given = load_contract(options.contract) if options.contract is not None else None
    functions = Functions(image)
    _check_annotations(image, functions)
    chosen = [s for name in dict.fromkeys(options.routines) for s in _named(image, functions, name)]
    if not chosen:
        chosen = _all(image, functions, options.known)
        if given is not None and not chosen:
            chosen = _setting_handlers(image, functions)
        chosen += [symbol for symbol in _unsaid(image, functions) if symbol not in chosen]
        if image.built and not options.all_routines and given is None:
            chosen = [s for s in chosen if contract_for(s.name) is not None]
    if not chosen:
        raise _nothing(image, functions)
    return [_task(image, functions, symbol, given, options) for symbol in chosen]


def _nothing(image: Image, functions: Functions) -> InputError:
    """Why there is no routine to prove."""
    names = [s.name for s in functions.starts]
    if not image.symbols and (image.entries or image.linked):
        return InputError(
            "it has no symbols, so there is no routine to be found by name",
            where=str(image.path),
            hint="give those of a linked kernel with --system-map FILE"
            if image.linked
            else "give the file before it was stripped",
        )
    if image.entries and image.built and _all(image, functions):
        return InputError(
            "none of its functions with table entries has a known contract",
            where=str(image.path),
            hint="--all takes them all, `mcverify scan` lists them, --contract gives them a contract",
        )
    if image.entries:
        return InputError(
            "its exception-table entries lie in no function",
            where=str(image.path),
            hint="mark the routine as a function (SYM_FUNC_START, or .type NAME, @function)",
        )
    return InputError(
        "it has no exception table, so there is no fixup to prove",
        where=str(image.path),
        hint=f"name a routine with --routine to prove it without one; {_has(names)}",
    )


def _task(
    image: Image, functions: Functions, symbol: Symbol, given: Contract | None, options: ProveOptions
) -> Task:
    said = _said(image, symbol.name)
    held = options.held.get(symbol.name) if given is None else None
    contract = given or (held.contract if held else said.contract if said else None)
    commented = held.faults if held else _commented_faults(image, symbol.name)
    faults = cast("Faults", options.faults or commented or usual_faults(contract))
    if contract is not None and options.trap is not None:
        contract = contract.restricted(cast("Traps", options.trap))
    if contract is not None and options.fault_model is not None:
        contract = contract.under(cast("FaultModel", options.fault_model))
    if contract is not None and not contract.store_traps:
        faults = _on_loads(faults, contract, image, symbol)
    by_comment = tuple(_by_comment(image, symbol.name, given, options, faults)) if held is None else ()
    changed = _changed(held, said) if held is not None else ""
    by_era = "" if given is not None or held else _by_era(image, symbol.name)
    task = Task(
        symbol.name,
        symbol.address,
        functions.end(symbol),
        contract,
        faults,
        by_comment,
        by_era,
        said,
        changed,
    )
    return task if options.faults or commented else _with_table(task, image)


def _with_table(task: Task, image: Image) -> Task:
    """The task with the faults that its table shows, where its contract leaves that to it: a kind of access
    without any entry is of memory that does not fault."""
    if task.contract is None or not task.contract.faults_by_table or task.faults != "both":
        return task
    kinds = [kind for kind in ("load", "store") if any(_entries_of(task, image, kind))]
    return replace(task, faults=cast("Faults", f"{kinds[0]}s")) if len(kinds) == 1 else task


def _by_era(image: Image, routine: str) -> str:
    """Of which kernels the contract is that the routine bears by its name, where that has borne others; and
    what tells it."""
    contract, known = borne(image, routine), contracts_for(routine)
    if contract is None or len(known) < 2 or _annotation(image, routine, "contract"):
        return ""
    fitting = [c for c in known if image.kernels and overlap(c.routines[routine], image.kernels)]
    others = ", ".join(f"{c.name} ({c.routines[routine]})" for c in known if c is not contract)
    if contract.when_reads:
        why = f"its code reads {', '.join(contract.when_reads)} as arguments"
    elif any(c.when_reads for c in known):
        why = "its code takes no further arguments"
    else:
        why = f"{image.kernels}: {image.kernels_by}" if len(fitting) == 1 else "nothing tells which it is for"
    return f"{routine} is held to {contract.name} of {contract.routines[routine]} ({why}), not to {others}"


def _said(image: Image, routine: str) -> Held | None:
    """What the file says of a routine by itself."""
    contract = contract_in(image, routine)
    return None if contract is None else Held(contract, _commented_faults(image, routine))


def _commented_faults(image: Image, routine: str) -> str | None:
    found = _annotation(image, routine, "faults")
    return None if found is None else found.value


def _changed(held: Held, said: Held | None) -> str:
    """How what a file says differs from what its routine is held to, in words; "" where it does not."""
    if said is None:
        return f"nothing says any more that its contract is {held.contract.name}, to which it is held"
    if said.contract.terms != held.contract.terms:
        return f"its contract would be {said.contract.name}, and it is held to {held.contract.name}"
    if said.faults != held.faults:
        now, before = said.faults or "those of the contract", held.faults or "those of the contract"
        return f"its faults would be {now}, and it is held to {before}"
    return ""


def _by_comment(
    image: Image, routine: str, given: Contract | None, options: ProveOptions, faults: Faults
) -> Iterator[str]:
    """What comments change of the contract that the routine bears by its name, as far as no option does."""
    usual, own = borne(image, routine), contract_in(image, routine)
    if usual is None:
        return
    if given is None and own is not None and own.terms != usual.terms:
        yield f"held to {own.name} by a comment in the file, not to {usual.name} as its name says"
    as_asked = usual_faults(given or own)
    commented = options.faults is None and _commented_faults(image, routine) is not None
    if commented and faults != as_asked:
        yield f"faults on {faults} by a comment in the file, not on {as_asked}"


def usual_faults(contract: Contract | None) -> Faults:
    """Which accesses may fault where neither an option nor the file says it: those of the contract, and
    every other one to its buffers that has an entry."""
    if contract is None:
        return "loads"
    if contract.src is None or contract.dst is None or contract.faults == "both":
        return contract.faults
    return cast("Faults", f"{contract.faults} and entries")


def settled(task: Task, image: Image) -> Task:
    """The task for one variant of the code, `image`: without "and entries" if no entry there is for an access
    of the other kind."""
    kind = faults_by_entry(task.faults)
    if kind is None or any(_entries_of(task, image, kind)):
        return task
    return replace(task, faults=cast("Faults", task.faults.removesuffix(" and entries")))


def not_struck(task: Task, image: Image) -> tuple[str, int]:
    """The kind of access ("loads", "stores") that is taken not to fault although the contract has a buffer
    for it, and how many entries there are for such accesses; ("", 0) where there is no such kind."""
    contract = task.contract
    if contract is not None:
        for kind, buffer in (("load", contract.src), ("store", contract.dst)):
            if buffer is not None and not can_fault(task.faults, kind):
                return f"{kind}s", sum(1 for _ in _entries_of(task, image, kind))
    return "", 0


def _entries_of(task: Task, image: Image, kind: str) -> Iterator[int]:
    """Instructions with an entry that the routine reaches and that may have an access of the kind."""
    for address in reachable(image, task.entry):
        if image.entry_at(address) is not None:
            found = directions(effects(image, address))
            if found is None or (kind == "store") in found:
                yield address


def contract_in(image: Image, routine: str) -> Contract | None:
    """The contract that the file, or else the routine's name, says. Raises InputError for an unknown one."""
    annotated = _annotation(image, routine, "contract")
    return shipped_contract(annotated.value) if annotated else borne(image, routine)


def _on_loads(faults: Faults, contract: Contract, image: Image, symbol: Symbol) -> Faults:
    """The faults that are left where none but machine checks happen."""
    if faults.startswith("stores"):
        raise InputError(
            f"{symbol.name} can meet no machine check: its loads are not to fault, and a store never does"
            f" so (contract {contract.name})",
            where=str(image.path),
            hint="ask with --trap pf, or with --faults loads",
        )
    return "loads"


def _check_annotations(image: Image, functions: Functions) -> None:
    """Refuse comments that name what there is not."""
    if not image.annotations:
        return
    missing = {note.split()[1] for note in image.notes if _is_missing(note)}
    known = {s.name for s in image.symbols} | missing
    for annotation in image.annotations:
        value, _, owner = (part.strip() for part in annotation.value.partition(" for "))
        where = str(annotation.where)
        if annotation.key == "contract":
            try:
                shipped_contract(value)
            except InputError as error:
                raise InputError(error.message, where=error.where or where, hint=error.hint) from error
        elif annotation.key == "faults" and value not in ("loads", "stores", "both"):
            raise InputError(f"faults are loads, stores or both, not {value!r}", where=where)
        elif annotation.key not in ("contract", "faults", "expect"):
            raise InputError(
                f"the comment says mcverify: {annotation.key}, which is unknown",
                where=where,
                hint="known: contract, faults",
            )
        if owner and annotation.key != "expect" and owner not in known:
            raise InputError(
                f"the comment is for {owner}, which is not in the file",
                where=where,
                hint=_near(owner, _names(functions)),
            )


def _annotation(image: Image, routine: str, key: str) -> Annotation | None:
    """The `mcverify: KEY VALUE [for ROUTINE]` comment: one for this routine goes before one for all."""
    general = None
    for annotation in image.annotations:
        value, _, owner = (part.strip() for part in annotation.value.partition(" for "))
        if annotation.key == key and owner == routine:
            return replace(annotation, value=value)
        if annotation.key == key and not owner:
            general = replace(annotation, value=value)
    return general


def _named(image: Image, functions: Functions, name: str) -> list[Symbol]:
    """The routines of that name: files that were linked together may each have a local one."""
    named = {s.address: s for s in image.symbols if s.name == name and image.code_at(s.address)}
    if named:
        return list(named.values())
    missing = next((note for note in image.notes if _is_missing(note) and note.split()[1] == name), None)
    if not image.symbols and (image.entries or image.linked):
        raise _nothing(image, functions)
    hint = missing or _near(name, _names(functions))
    raise InputError(f"there is no routine {name!r}", where=str(image.path), hint=hint)


def _is_missing(note: str) -> bool:
    """Whether a note of the image is about a routine of the source that the object lacks."""
    return note.startswith("routine ")


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else _has(known)


def _has(names: Sequence[str]) -> str:
    """What the file has instead, in a few words."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"it has {', '.join(names[:8])}{more}" if names else "it has no functions"


def _names(functions: Functions) -> list[str]:
    return [s.name for s in functions.starts]


def _all(image: Image, functions: Functions, known: Collection[str] = ()) -> list[Symbol]:
    """Functions that hold a faulting instruction of the table, or that the source gives a contract, or that
    are `known` to have been looked at before."""
    # A contract without an owner is that of every function of the file.
    owners = {a.value.partition(" for ")[2].strip() for a in image.annotations if a.key == "contract"}
    insns = sorted(entry.insn for entry in image.entries)
    found = []
    for symbol in functions.starts:
        holds = bisect_left(insns, symbol.address) < bisect_left(insns, functions.end(symbol))
        named = symbol.name in owners or symbol.name in known or contract_for(symbol.name) is not None
        if holds or "" in owners or named:
            found.append(symbol)
    return sorted([*found, *_ways_in(image, functions)], key=lambda s: s.address)


def _setting_handlers(image: Image, functions: Functions) -> list[Symbol]:
    """Functions that hold addresses of the file's code, as those do that set a handler; of a file without a
    table."""
    if image.layout != NO_TABLE:
        return []
    places = sorted(image.code_references)
    ends = [(symbol, functions.end(symbol)) for symbol in functions.starts]
    return [s for s, end in ends if bisect_left(places, s.address) < bisect_left(places, end)]


def _unsaid(image: Image, functions: Functions) -> Iterator[Symbol]:
    """Functions that access memory, of a source whose comments give contracts: the author of a comment that
    is missing, or of entries that are, did not mean that nobody looks."""
    if image.built or not any(annotation.key == "contract" for annotation in image.annotations):
        return
    for symbol in functions.starts:
        inside = (a for a in reachable(image, symbol.address) if symbol.address <= a < functions.end(symbol))
        if any(touches_more_than_stack(image, address) for address in inside):
            yield symbol


def _ways_in(image: Image, functions: Functions) -> Iterator[Symbol]:
    """Global labels within a function that bear a contract by their name, such as __put_user_nocheck_8: what
    is called there is a routine of its own."""
    starts = {symbol.address for symbol in functions.starts}
    for symbol in image.symbols:
        inside = symbol.is_global and symbol.address not in starts and image.code_at(symbol.address, 1)
        if inside and contract_for(symbol.name) is not None:
            yield symbol


def not_looked_at(image: Image, chosen: Sequence[Task]) -> str:
    """A sentence that names the functions of the file that no task is about; "" if there are none."""
    if image.built:
        return _not_looked_at_of_many(image, chosen)
    names = [s.name for s in image.functions if s.name not in {task.name for task in chosen}]
    more = ", ..." if len(names) > 12 else ""
    return f"{image.path.name}: not looked at: {', '.join(names[:12])}{more}" if names else ""


def _not_looked_at_of_many(image: Image, chosen: Sequence[Task]) -> str:
    """Of a whole kernel, or a module, only the functions with table entries are counted."""
    entries = {task.entry for task in chosen}
    rest = [s for s in _all(image, Functions(image)) if s.address not in entries]
    functions = f"{len(rest)} more function{'' if len(rest) == 1 else 's'} with table entries or a contract"
    more = ": --all takes them too, `mcverify scan` lists them"
    return f"{image.path.name}: not looked at: {functions}{more}" if rest else ""


def no_contract(task: Task, fitting: str = "") -> str:
    """The sentence for a routine that nobody gives a contract; `fitting` says which ones its runs keep."""
    names = ", ".join(contract.name for contract in all_contracts())
    comment = f"/* mcverify: contract NAME for {task.name} */"
    return (
        f"no contract is known for {task.name}: give one with --contract NAME, or in a comment {comment};"
        f" {fitting or f'NAME is one of {names}'}"
    )


def unknown_without_contract(
    image: Image, task: Task, options: ProveOptions, fitting: str = ""
) -> RoutineResult:
    """The result for a routine of which nobody says what it promises; `fitting` as in `no_contract`."""
    return unknown_because(no_contract(task, fitting), image, task, options)


def unknown_because(why: str, image: Image, task: Task, options: ProveOptions) -> RoutineResult:
    """The result for a routine that was not looked at."""
    return RoutineResult(
        task.name, str(image.path), task.contract, Verdict.UNKNOWN, Domain(0, options.len_max), (), (), (),
        None, (), (why,), {}, 0.0, faults=task.faults, entry=task.entry, sha256=image.sha256,
    )  # fmt: skip

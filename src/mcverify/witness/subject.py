"""The routine of a witness as its file has it now, and what has changed in it since."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from mcverify.contract import Contract, Faults
from mcverify.errors import InputError
from mcverify.image.image import Image, TableEntry
from mcverify.proof.listing import listing, table
from mcverify.proof.result import ListingLine, titled
from mcverify.proof.select import Task, settled, tasks, usual_faults
from mcverify.proof.variants import variants
from mcverify.witness.file import Witness

_BRANCH = re.compile(r"(?P<mnemonic>\S+) (?P<target>0x[0-9a-f]+)")
_SAID_ONLY = ("summary", "source", "routines")
"""Fields of a contract that bind nobody."""


@dataclass(frozen=True)
class Subject:
    """The code that a case is to be run on.

    `changes` are sentences on what differs from the recorded routine, `notes` on what differs besides and
    does not matter. `addresses` maps the recorded addresses of instructions to those of now; it is empty
    where the code has changed.
    """

    image: Image
    name: str
    entry: int
    end: int
    contract: Contract
    faults: Faults
    listing: tuple[ListingLine, ...]
    table: tuple[TableEntry, ...]
    changes: tuple[str, ...]
    notes: tuple[str, ...]
    addresses: Mapping[int, int]

    def place(self, address: int) -> str:
        """A label, or where there is none the source line or offset."""
        return self.image.label_at(address) or self.image.where(address)


def file_of(witness: Witness, beside: Path) -> Path:
    """The routine's file: as it was named, from here or else from the folder of the witness file `beside`.

    Raises InputError if it is gone.
    """
    named = Path(witness.file)
    for path in (named, beside.parent / named):
        if path.exists():
            return path
    raise InputError(
        f"{witness.file} is gone, the file of {witness.routine}",
        where=str(beside),
        hint="go to the folder in which it was proved, or name the file with --file",
    )


def refuse_outside(witness: Witness, beside: Path) -> None:
    """Raise InputError where the witness file `beside` names a file or folder that lies neither in the
    working folder nor with it, or that is hidden there: whoever wrote it could have any of them read."""
    options = witness.options
    named = [witness.file, *map(str, options.include), options.kernel, options.config, options.system_map]
    if options.contract is not None and _is_path(options.contract):
        named.append(options.contract)
    roots = (Path.cwd().resolve(), beside.parent.resolve())
    for name in named:
        if name is None:
            continue
        found = Path(name).resolve()
        inside = [found.relative_to(root).parts for root in roots if found.is_relative_to(root)]
        if not any(all(not part.startswith(".") for part in parts) for parts in inside):
            raise InputError(
                f"it names {name}, which lies neither in the working folder nor beside it",
                where=str(beside),
                hint="--trust-paths has it read all the same, if you know who wrote this file",
            )


def subject(witness: Witness, path: Path) -> Subject:
    """The routine of `witness` in the file `path`, compared with what was recorded.

    Raises InputError where the file cannot be read or has no such routine.
    """
    image = witness.options.image(path)
    task, notes = _task(image, witness)
    image = _variant(image, task, witness)
    task = settled(task, image)
    lines = listing(image, task.entry)
    entries = table(image, lines)
    contract = task.contract or witness.contract
    code = _code_change(witness.listing, lines)
    changes = [
        *([code] if code else _table_changes(witness, lines, entries)),
        *_contract_changes(witness.contract, contract),
    ]
    if task.faults != witness.faults:
        changes.append(f"{witness.faults} might fault, now {task.faults} may")
    if not changes and image.sha256 != witness.sha256:
        notes.append(f"{path} has changed since, but neither the code nor the table of {witness.title}")
    elif changes and image.sha256 == witness.sha256:
        notes.append(f"{path} is the same: headers, macros, the compiler or the contract differ")
    pairs = zip(witness.listing, lines, strict=True) if not code else ()
    return Subject(
        image=image,
        name=witness.title,
        entry=task.entry,
        end=task.end,
        contract=contract,
        faults=task.faults,
        listing=lines,
        table=entries,
        changes=tuple(changes),
        notes=tuple(notes),
        addresses={old.address: new.address for old, new in pairs},
    )


def _task(image: Image, witness: Witness) -> tuple[Task, list[str]]:
    """What the file, the models and the options of then say of the routine, and a note where one is gone."""
    options = witness.options
    if options.contract is None or not _is_gone(options.contract):
        (task,) = tasks(image, options)
        if task.contract is None and task.faults == usual_faults(None):
            task = replace(task, faults=witness.faults)  # the recorded contract counts, and its faults
        return task, []
    (task,) = tasks(image, replace(options, contract=None))
    note = f"the contract {options.contract} is gone: the recorded one counts"
    return replace(task, contract=witness.contract, faults=witness.faults), [note]


def _variant(image: Image, task: Task, witness: Witness) -> Image:
    """What runs on the CPUs of the witness. Raises InputError where its features choose nothing any more."""
    found = {variant.name: variant.image for variant in variants(image, task.entry)}
    if witness.variant in found:
        return found[witness.variant]
    known = ", ".join(titled(task.name, name) for name in found)
    raise InputError(
        f"there is no {witness.title} any more",
        where=str(image.path),
        hint=f"alternatives make of it {known}",
    )


def _is_gone(contract: str) -> bool:
    return _is_path(contract) and not Path(contract).exists()


def _is_path(contract: str) -> bool:
    return contract.endswith(".toml") or "/" in contract


# ---- What has changed ------------------------------------------------------------------


def _code_change(before: Sequence[ListingLine], now: Sequence[ListingLine]) -> str:
    """A sentence on the first instruction that differs, "" if none does.

    Another routine of the file may have moved this one: addresses and distances of jumps do not count.
    """
    old, new = _numbered(before), _numbered(now)
    for i in range(max(len(before), len(now))):
        if i >= len(before):
            return f"the code differs from {now[i].where} on: {_words(now[i], now)} is new"
        if i >= len(now):
            return f"the code differs: {_words(before[i], before)}, then at {before[i].where}, is gone"
        if _essence(before[i], old) != _essence(now[i], new):
            was, here = _words(before[i], before), _words(now[i], now)
            if was == here:
                was, here = f"{was} ({before[i].code.hex(' ')})", f"{here} ({now[i].code.hex(' ')})"
            return f"the code differs at {now[i].where}: it was {was}, now it is {here}"
    return ""


def _numbered(lines: Sequence[ListingLine]) -> dict[int, int]:
    return {line.address: number for number, line in enumerate(lines)}


def _essence(line: ListingLine, numbers: Mapping[int, int]) -> tuple[str, int | None] | bytes:
    """What an instruction is wherever the routine lies: of a direct jump, the place in the listing."""
    branch = _BRANCH.fullmatch(line.text)
    if branch is None:
        return line.code
    return branch["mnemonic"], numbers.get(int(branch["target"], 16))


def _words(line: ListingLine, lines: Sequence[ListingLine]) -> str:
    """The instruction, with the label that a direct jump goes to."""
    branch = _BRANCH.fullmatch(line.text)
    if branch is None:
        return f"'{line.text}'"
    target = int(branch["target"], 16)
    label = next((other.label for other in lines if other.address == target), "")
    return f"'{branch['mnemonic']} {label or branch['target']}'"


def _table_changes(
    witness: Witness, lines: Sequence[ListingLine], entries: Sequence[TableEntry]
) -> Iterator[str]:
    """Sentences on the exception-table entries that differ, where the code is the same."""
    old_numbers, new_numbers = _numbered(witness.listing), _numbered(lines)
    before = {old_numbers.get(entry.insn): entry for entry in witness.table}
    now = {new_numbers[entry.insn]: entry for entry in entries}
    for number, line in enumerate(lines):
        was, here = before.get(number), now.get(number)
        if was is None and here is None:
            continue
        place = f"{line.where} ({line.text})"
        if was is None or here is None:
            yield f"the exception-table entry for {place} is {'new' if was is None else 'gone'}"
        elif old_numbers.get(was.fixup) != new_numbers.get(here.fixup):
            old, new = _place(witness.listing, was.fixup), _place(lines, here.fixup)
            yield f"the exception-table entry for {place} went to {old}, now it goes to {new}"
        elif was.handler != here.handler:
            yield (
                f"the exception-table entry for {place} had the handler {_handler(was)},"
                f" now it has {_handler(here)}"
            )


def _place(lines: Sequence[ListingLine], address: int) -> str:
    line = next((line for line in lines if line.address == address), None)
    return (line.label or line.where) if line is not None else hex(address)


def _handler(entry: TableEntry) -> str:
    handler = entry.handler
    return f"{handler.name} ({handler.register}, {handler.imm})" if handler.register else handler.name


def _contract_changes(before: Contract, now: Contract) -> Iterator[str]:
    for field in fields(Contract):
        was, here = getattr(before, field.name), getattr(now, field.name)
        if field.name not in _SAID_ONLY and was != here:
            yield f"the contract {now.name} differs: {field.name} was {_value(was)}, now it is {_value(here)}"


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {number:#x}" for name, number in value.items()) or "empty"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

"""Changes that may repair what one counterexample breaks, found in its run: the smallest first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mcverify.arch.known import X86_64
from mcverify.runs.case import Ending
from mcverify.runs.code import decode
from mcverify.witness.edits import (
    Edit,
    Operation,
    Size,
    conditions,
    is_control,
    operation,
    removal,
    renamed,
    variations,
)
from mcverify.witness.rules import broken_state
from mcverify.witness.source import Statement
from mcverify.witness.suspects import Suspects
from mcverify.witness.table_edits import for_uncovered, other_fixups
from mcverify.witness.walk import Step

MOST = 240
"""Candidates for one counterexample."""

_MASKS = tuple((1 << bits) - 1 for bits in range(1, 7))
_SHIFTS = (3, 4, 5, 6)
_FARTHEST = 6
_EFAULT = -14
_CLEARS = {"df": "cld", "ac": "clac"}
_WORD = (1 << 64) - 1


def candidates(suspects: Suspects) -> list[Edit]:
    """Edits worth a try. Those of the fixup and of the table come before those of the main way, small ones
    before large ones, those that the run's numbers suggest before guesses."""
    main = {statement.line for statement in suspects.elsewhere}
    unique: dict[tuple[object, ...], Edit] = {}
    for edit in _all(suspects):
        unique.setdefault((*edit.replaced.items(), None, *edit.inserted.items()), edit)
    return sorted(unique.values(), key=lambda e: (bool(main & e.lines), e.size, not e.is_suggested))[:MOST]


def without(edit: Edit, suspects: Suspects) -> Edit | None:
    """The removal of the one statement that `edit` changes: if that is right too, the change says nothing."""
    if edit.size >= Size.REMOVED or len(edit.replaced) != 1 or edit.inserted or edit.size is Size.TABLE:
        return None
    statement = suspects.source.statement(next(iter(edit.replaced)))
    what = operation(statement)
    return None if statement is None or what is None or is_control(what) else removal(statement)


def _all(suspects: Suspects) -> Iterator[Edit]:
    yield from _statements(suspects)
    yield from _table(suspects)
    yield from _results(suspects)
    yield from _inserted(suspects)
    yield from _later(suspects)
    yield from _renamed(suspects)
    yield from _pops(suspects)


# ---- One statement changed ---------------------------------------------------------------


def _statements(suspects: Suspects) -> Iterator[Edit]:
    if suspects.obligation in ("O1", "O10"):
        return
    loops = suspects.run.outcome.ending is Ending.TIMEOUT
    for statement in (*suspects.stub, *suspects.elsewhere):
        what = operation(statement)
        if what is None:
            continue
        # What a branch decides is right, as far as it does not decide whether the loop ends.
        if loops:
            yield from conditions(what)
        if not is_control(what):
            yield from variations(what, suspects.palette)


def _table(suspects: Suspects) -> Iterator[Edit]:
    fault, image = suspects.run.last_fault, suspects.run.image
    if fault is None:
        return
    label = image.label_at(fault.address)
    if suspects.obligation == "O1" and label is not None:
        idle = {s.address for s in suspects.run.steps if not s.touched}
        misplaced = {name for address in idle for name in image.names_at(address)}
        yield from for_uncovered(suspects.source, label, misplaced)
    elif suspects.obligation not in ("O1", "O10"):
        yield from other_fixups(suspects.source, image, fault.address, suspects.code, suspects.orphans)


# ---- What is returned --------------------------------------------------------------------


def _results(suspects: Suspects) -> Iterator[Edit]:
    """Another value for the register that is returned, where the run's numbers suggest one."""
    contract, told = suspects.run.contract, suspects.told
    if contract.status is not None and suspects.obligation == "O9":
        failed = bool(suspects.run.outcome.faults) != contract.status_inverted
        for _, what in _last_writer(suspects, contract.status):
            value = f"${_EFAULT}" if failed else "$0"
            text = what.text([value, f"%{contract.status}"], mnemonic="mov")
            yield what.changed(Size.INSTRUCTION, f"{value[1:]} should be returned", text)
    if contract.loaded_value is not None and suspects.obligation == "O6":
        yield from _extended(suspects, contract.loaded_value)
    if contract.left is not None and told.expected is not None:
        for step, what in _last_writer(suspects, contract.left):
            for name in suspects.palette.registers:
                if name != contract.left and step.before[name] == told.expected:
                    text = what.text([f"%{name}", f"%{contract.left}"], mnemonic="mov")
                    yield what.changed(Size.INSTRUCTION, f"{name} should be returned", text)


def _extended(suspects: Suspects, register: str) -> Iterator[Edit]:
    """A load into the low byte or word of the register that clears the rest of it."""
    _, whole, word, byte, *_ = X86_64.names_of(register)
    extensions = {f"%{byte}": "movzbl", f"%{word}": "movzwl"}
    for what in map(operation, suspects.statements_of(suspects.parted)):
        if what is not None and what.mnemonic.startswith("mov") and what.operands[-1] in extensions:
            new = extensions[what.operands[-1]]
            text = what.text([*what.operands[:-1], f"%{whole}"], mnemonic=new)
            words = f"{what.mnemonic} should be {new}"
            yield what.changed(Size.INSTRUCTION, words, text, is_suggested=True)


def _last_writer(suspects: Suspects, register: str) -> Iterator[tuple[Step, Operation]]:
    """The step of the run that writes `register` last, and its statement."""
    for step in reversed(suspects.run.steps[:-1]):
        if register in suspects.operands.written(step.address):
            for what in map(operation, suspects.statements_of([step])):
                if what is not None and len(what.operands) == 2:
                    yield step, what
            return


# ---- A statement that is missing -----------------------------------------------------------


def _inserted(suspects: Suspects) -> Iterator[Edit]:
    for text in dict.fromkeys(_missing(suspects)):
        for number in _places(suspects):
            yield Edit(Size.INSERTED, f"{' '.join(text.split())} is missing", inserted={number: text})


def _places(suspects: Suspects) -> list[int]:
    """Before the return, and at the beginning of the fixups that the run went through."""
    steps = suspects.run.steps
    faults = {step.number for step in steps if step.fault is not None}
    starts = [steps[-1], *(step for step in steps if step.number - 1 in faults)]
    numbers = dict.fromkeys(suspects.source.line_of(step.address) for step in starts)
    return [n for n in numbers if n is not None and n not in suspects.shared and suspects.source.is_free(n)]


def _missing(suspects: Suspects) -> Iterator[str]:
    run = suspects.run
    match suspects.obligation:
        case "O7":
            broken = {what for what, _ in broken_state(run.contract, run.case, run.outcome)}
            yield from (_as_elsewhere(suspects, _CLEARS[flag]) for flag in _CLEARS if flag in broken)
        case "O10":
            yield _as_elsewhere(suspects, "sfence")
        case "O6" if run.contract.loaded_value is not None:
            name = X86_64.names_of(run.contract.loaded_value)[1]
            yield f"xor\t%{name}, %{name}"
        case "O6":
            yield from _pointer_moves(suspects)
        case _:
            yield from _count_steps(suspects)


def _as_elsewhere(suspects: Suspects, mnemonic: str) -> str:
    """The instruction as this source writes it where it has it, perhaps by a macro."""
    for address in suspects.code:
        instruction, number = decode(suspects.run.image, address), suspects.source.line_of(address)
        if instruction is not None and instruction.mnemonic == mnemonic and number is not None:
            statement = suspects.source.statement(number)
            if statement is not None:
                return statement.text
    return mnemonic


def _pointer_moves(suspects: Suspects) -> Iterator[str]:
    """The source pointer put back by as much as the data are off."""
    run = suspects.run
    for step in suspects.parted:
        stores = [a for a in step.accesses if a.is_store]
        loads = [a for s in run.steps[: step.number + 1] for a in s.accesses if a.buffer == "src"]
        off = loads[-1].offset - stores[0].offset if loads and stores else 0
        if off and run.contract.src is not None:
            yield f"{'sub' if off > 0 else 'add'}\t${abs(off)}, %{run.contract.src}"


def _count_steps(suspects: Suspects) -> Iterator[str]:
    """One more step of the sum, which gives the right count in this run."""
    left, value, expected = suspects.run.contract.left, suspects.told.value, suspects.told.expected
    if left is None or value is None or expected is None:
        return
    if -value & _WORD == expected:
        yield f"neg\t%{left}"
    yield from (f"and\t${mask}, %{X86_64.names_of(left)[1]}" for mask in _MASKS if value & mask == expected)
    yield from (f"shl\t${shift}, %{left}" for shift in _SHIFTS if value << shift == expected)
    registers = suspects.run.steps[-1].before
    for name in suspects.palette.registers:
        if name != left and value + registers[name] & _WORD == expected:
            yield f"add\t%{name}, %{left}"
        if name != left and value - registers[name] & _WORD == expected:
            yield f"sub\t%{name}, %{left}"


# ---- Changes of several lines --------------------------------------------------------------


def _later(suspects: Suspects) -> Iterator[Edit]:
    """The statement at which account and memory part, a few statements later."""
    source = suspects.source
    moved = suspects.statements_of(suspects.parted) if suspects.delta is not None else ()
    for statement in moved:
        behind = range(statement.line + 1, len(source.lines) + 1)
        for anchor in islice(_following(suspects, behind), 1, _FARTHEST):
            if source.is_free(anchor.line):
                words = f"{statement.plain} should come later, before {anchor.plain}"
                yield Edit(Size.SEVERAL, words, {statement.line: ""}, {anchor.line: statement.text})


def _following(suspects: Suspects, numbers: range) -> Iterator[Statement]:
    found = (suspects.source.statement(number) for number in numbers)
    return (statement for statement in found if statement is not None)


def _renamed(suspects: Suspects) -> Iterator[Edit]:
    """Another register instead of one that the fixup must not use, wherever the fixup uses it."""
    run, contract = suspects.run, suspects.run.contract
    spoilt: list[str] = []
    if suspects.obligation == "O7":
        spoilt = [w for w, _ in broken_state(contract, run.case, run.outcome) if w in X86_64.general]
    elif suspects.obligation == "O9" and contract.trap is not None:
        spoilt = [contract.trap]
    for old in spoilt:
        for new in suspects.palette.registers:
            if new == old or new in contract.kept:
                continue
            names = dict(zip(X86_64.names_of(old)[:4], X86_64.names_of(new)[:4], strict=True))
            replaced = {s.line: t for s in suspects.stub if (t := renamed(s.text, names)) != s.text}
            if replaced:
                yield Edit(Size.SEVERAL, f"{old} should be {new}", replaced)


def _pops(suspects: Suspects) -> Iterator[Edit]:
    """No pops in a fixup that is reached with nothing pushed."""
    pops = [s for s in suspects.stub if s.text.startswith("pop")]
    if suspects.obligation == "O7" and pops:
        yield Edit(Size.SEVERAL, "nothing should be popped", {s.line: "" for s in pops})

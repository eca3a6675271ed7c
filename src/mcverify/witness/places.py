"""Where a run begins to go wrong: for each obligation the instruction, and a sentence on what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mcverify.contract import Contract
from mcverify.image.callees import assumed_at, calling
from mcverify.proof.exits import exit_of_fault
from mcverify.runs.case import Access, Case, Ending, Outcome
from mcverify.runs.code import accesses_memory, decode, is_fence, is_nontemporal, must_be_aligned, reachable
from mcverify.runs.judge import Judged
from mcverify.runs.operands import Operands
from mcverify.witness.formula import shown
from mcverify.witness.handed import handed
from mcverify.witness.parting import Parting, parting
from mcverify.witness.returned import Blame, bits, blame, part
from mcverify.witness.rules import broken_state, counted, spans
from mcverify.witness.source import SourceText, Texts
from mcverify.witness.walk import Step, Walk

_FLAGS = {"df": ("the direction flag", "cld", 1 << 10), "ac": ("AC", "clac", 1 << 18)}

Told = Iterator[tuple[Step, str]]
"""Steps with what happens there, the best first."""


def returns_wrong_trap(contract: Contract, case: Case, outcome: Outcome) -> bool:
    """Whether the trap number returned is not that of the last fault."""
    expected = Judged(contract, case, outcome, (), hex).last_trap or 0
    return contract.trap is not None and contract.result("trap", outcome.registers) != expected


@dataclass(frozen=True)
class Places:
    """Looks for the place in a run that breaks `obligation` at `exit`. `counts` are the exits' counts."""

    run: Walk
    obligation: str
    exit: str
    counts: Mapping[str, str]

    def first(self) -> tuple[str, str]:
        """The instruction at which it begins to go wrong, as `file:line: text`, and a sentence; two empty
        strings if nothing is to be said."""
        for step, how in _PLACES[self.obligation](self):
            return self._texts.place(step.address), how
        return "", ""

    @cached_property
    def _texts(self) -> Texts:
        return Texts(self.run.image, self.run.entry)

    @cached_property
    def _source(self) -> SourceText:
        return SourceText(self.run.image)

    @cached_property
    def _judged(self) -> Judged:
        return Judged(self.run.contract, self.run.case, self.run.outcome, (), hex)

    def _uncovered(self) -> Told:
        last = self.run.steps[-1]
        if self.run.outcome.ending is Ending.TRAPPED:
            size = must_be_aligned(self.run.image, last.address)
            yield last, f"its address must be a multiple of {size}, and is not"
        else:
            yield last, self._table_around(last.address)

    def _table_around(self, address: int) -> str:
        """What is odd about the table's entries for the routine: what may have been meant for `address`."""
        image = self.run.image
        code = reachable(image, self.run.entry)
        entries = [e for e in image.entries if e.insn in code]
        for entry in entries:
            lines = self._lines_of_entries(entry.insn)
            if not accesses_memory(image, entry.insn):
                return f"the table{lines} covers {self._named(entry.insn)}, which does not access memory"
            if sum(e.insn == entry.insn for e in entries) > 1:
                return f"the table{lines} covers {self._named(entry.insn)} twice and this instruction never"
        return f"the table has {counted(len(entries), 'entry', 'entries')} for this routine, and none for it"

    def _lines_of_entries(self, insn: int) -> str:
        """` in line 53 and line 54`: those that have an entry for `insn`, where the source is at hand."""
        label = self.run.image.label_at(insn)
        numbers = self._source.entries_for(label) if label else []
        return " in " + " and ".join(f"line {number}" for number in numbers) if numbers else ""

    def _counted(self) -> Told:
        given = handed(self.run) if self.run.is_consistent else None
        if given is not None and given.count != given.missing:
            how = f"it hands a count of {given.count} to {given.callee}, while {_missing(given.missing)}"
            yield given.at, how
        found = parting(self.run, self.obligation, self.exit)
        if found is not None:
            yield found.at, self._parting(found)

    def _returned_count(self) -> Told:
        """As `_counted`; where no account can be asked (a fixup that stores), what wrote the count."""
        yield from self._counted()
        yield from self._last_write(self.run.contract.left)

    def _parting(self, found: Parting) -> str:
        exit_id = exit_of_fault(self.run.image, found.asked)
        name = self.counts.get(exit_id) or f"what {exit_id} would return"
        missing = _missing(found.missing)
        if found.before is None:
            said = f"a fault here is counted as {shown(found.after)} left, while {missing}"
            if found.right is not None and found.right.address != found.at.address:
                return f"{said}; one at {self._named(found.right.address)} would have been counted right"
            return said
        before = f"before it {name} is {shown(found.before)}, just what is missing"
        if found.before != found.due:
            before = (
                f"before it {name} is {shown(found.before)}, which is allowed while {_missing(found.due)}"
            )
        if found.after == found.before:
            stored = counted(found.due - found.missing, "byte")
            return f"{before}; the {stored} that it stores are not taken off"
        return f"{before}; after it {shown(found.after)}, while {missing}, and the two do not meet again"

    def _beyond_fault(self) -> Told:
        last = self.run.last_fault
        is_own = last is not None and not assumed_at(self.run.image, last.address)
        for step, how in self._counted():
            # The fixup of the last fault is named anyway.
            is_earlier = last is not None and is_own and step.number <= last.number
            yield step, how + (self._after_fault(step) if is_earlier else "")
        point = self._judged.fault_point
        for step in self.run.steps:
            for access in step.accesses:
                if point is not None and _is_store_to_dst(access) and access.offset + access.size > point:
                    yield step, f"it stores {_span(access)}, and byte {point} is the one that faulted"

    def _no_progress(self) -> Told:
        fault = self.run.last_fault
        if fault is None or fault.fault is None:
            return
        if fault.stored:
            yield from self._counted()
        bad = fault.fault
        if bad.buffer and bad.offset > 0:
            good = spans([(0, bad.offset)], bad.buffer)
            yield fault, f"the fault is at {bad.buffer}[{bad.offset}]; {good} could have been copied"

    def _wrong_data(self) -> Told:
        if self.run.contract.loaded_value is not None:
            yield from self._wrong_value(self.run.contract.loaded_value)
        found = self._first_wrong_store()
        if found is None:
            yield from self._unzeroed()
            return
        step, stored = found
        load = self._last_load_before(step)
        how = f"it stores {_span(stored)}, and what it stores is wrong"
        if load is not None:
            how = f"it stores {_span(stored)}{self._origin(load, stored, step)}"
        yield step, how + self._after_fault(step)

    def _unzeroed(self) -> Told:
        """The end of a run that leaves a byte as it was which must be zero."""
        left = self.run.outcome.unzeroed
        if left is not None and self.run.steps:
            yield self.run.steps[-1], f"it is reached while dst[{left}] is as it was: nothing has zeroed it"

    def _after_fault(self, step: Step) -> str:
        """`, after the fault at ...` where one came before the step."""
        fault = next((s for s in reversed(self.run.steps) if s.fault and s.number < step.number), None)
        if fault is None:
            return ""
        entry = self.run.image.entry_at(fault.address)
        onward = f" was continued at {self._named(entry.fixup)}" if entry else ""
        return f", after the fault at {self._named(fault.address)}{onward}"

    def _wrong_value(self, register: str) -> Told:
        """Where a value that is returned comes from, or where it is not written."""
        right, value = self._judged.right_value, self._judged.register(register)
        found = blame(self.run, register, right)
        if found is None:
            return
        old = f"{part(value, found.wrong):#x}"
        if found.is_of_call and found.written:
            how = (
                f"it writes {bits(found.written)} of {register} alone: {bits(found.wrong)} are still those of"
            )
            yield found.at, f"{how} the call, {old}, and nothing clears them up to {self._return}"
        elif found.is_of_call:
            how = f"from here up to {self._return} nothing writes {register}, which still is"
            yield found.at, f"{how} what it was at the call, {old}"
        else:
            yield found.at, self._last_written(register, found, value, right)

    def _last_written(self, register: str, found: Blame, value: int, right: int) -> str:
        loaded = [a for a in found.at.accesses if not a.is_store and a.buffer == "src"]
        what = f" from {_span(loaded[0])}" if loaded else ""
        how = f"it is the last to write {bits(found.wrong)} of {register}{what}"
        fault = self.run.last_fault
        if fault is not None and found.at.number < fault.number:
            how += f", before the fault at {self._named(fault.address)}"
        values = f"{part(value, found.wrong):#x}", f"{part(right, found.wrong):#x}"
        return f"{how}: it leaves {values[0]} there, and {values[1]} is right"

    def _origin(self, load: Step, stored: Access, store: Step) -> str:
        """Where the bytes of a wrong store come from: another place of src, or changed on their way."""
        loaded = next(a for a in load.accesses if not a.is_store)
        if not (loaded.offset <= stored.offset and stored.offset < loaded.offset + loaded.size):
            return f" from {_span(loaded)}, loaded at {self._named(load.address)}"
        changes = self._changes_between(load, store)
        if changes:
            texts = (f"{self._texts.of(s.address)} ({self._line(s.address)})" for s in changes)
            by = ", ".join(dict.fromkeys(texts))
            return f", loaded at {self._named(load.address)} and changed on the way by {by}"
        return f", loaded at {self._named(load.address)}, and what it stores is wrong"

    def _changes_between(self, load: Step, store: Step) -> list[Step]:
        """The steps between a load and a store that write the register loaded."""
        operands = Operands(self.run.image)
        registers = operands.written(load.address)
        between = (s for s in self.run.steps if load.number < s.number < store.number)
        return [step for step in between if registers & operands.written(step.address)]

    def _first_wrong_store(self) -> tuple[Step, Access] | None:
        """The first of the steps that stored, last of all, a byte that is wrong in the end."""
        judged = self._judged
        open_bytes = {i for a, b in judged.wrong for i in range(max(a, 0), min(b, self.run.case.len))}
        found = None
        for step in reversed(self.run.steps):
            for access in filter(_is_store_to_dst, step.accesses):
                touched = open_bytes.intersection(range(access.offset, access.offset + access.size))
                if touched:
                    open_bytes -= touched
                    found = step, access
        return found

    def _last_load_before(self, step: Step) -> Step | None:
        """The last step up to `step` that loaded from src."""
        loads = [
            earlier
            for earlier in self.run.steps
            if earlier.number <= step.number
            and any(a.buffer == "src" and not a.is_store for a in earlier.accesses)
        ]
        return loads[-1] if loads else None

    # -- the machine state ----------------------------------------------------------------------

    def _state(self) -> Told:
        for what, _ in broken_state(self.run.contract, self.run.case, self.run.outcome):
            if what == "rsp":
                yield from self._unbalanced()
            elif what in _FLAGS:
                yield from self._flag_set(what)
            elif what == "frame":
                yield from self._frame_stored()
            else:
                yield from self._clobbered(what)

    def _clobbered(self, register: str) -> Told:
        for step in reversed(self.run.steps):
            if step.after and step.changed(register):
                yield step, f"it writes {register}, which belongs to the caller, and nothing restores it"
                return

    def _flag_set(self, flag: str) -> Told:
        name, clear, bit = _FLAGS[flag]
        for step in reversed(self.run.steps):
            if step.after and step.after["rflags"] & bit and not step.before["rflags"] & bit:
                yield step, f"it sets {name}, and no {clear} follows up to {self._return}"
                return

    def _frame_stored(self) -> Told:
        for step in self.run.steps:
            for access in step.accesses:
                if access.buffer == "stack" and access.is_store and access.offset + access.size > 0:
                    where = f"rsp{access.offset:+d} of the call"
                    yield step, f"it stores to the caller's frame, at {where}"

    def _unbalanced(self) -> Told:
        """The pop that has no push, or the push that has no pop."""
        slot = self.run.return_slot
        *inner, last = self.run.steps
        for step in inner:
            if step.before["rsp"] == slot < step.after.get("rsp", 0):
                yield step, "it takes the return address off the stack: nothing was pushed that it could pop"
                return
        if last.before["rsp"] < slot:
            for step in reversed(inner):
                if step.before["rsp"] >= slot > step.after.get("rsp", slot):
                    deep = slot - last.before["rsp"]
                    yield step, f"of what is pushed from here on {deep} bytes are still there at the return"
                    return

    # -- the footprint --------------------------------------------------------------------------

    def _outside(self) -> Told:
        length = self.run.case.len
        for step in self.run.steps:
            for access in step.touched:
                if not access.is_allowed(length):
                    verb = "stores" if access.is_store else "loads"
                    yield step, f"it {verb} {_span(access)}, and len is {length}"

    # -- the outcome ----------------------------------------------------------------------------

    def _result(self) -> Told:
        contract = self.run.contract
        if self.run.outcome.ending is Ending.OVERFLOW:
            yield from self._goes_on_in_c()
        elif self.run.outcome.ending is Ending.TIMEOUT:
            yield from self._comes_back()
        elif returns_wrong_trap(contract, self.run.case, self.run.outcome):
            yield from self._last_write(contract.trap)
        elif contract.status is not None or contract.string_length is not None:
            yield from self._last_write(contract.status or contract.string_length)
        else:
            yield from self._returned_count()

    def _goes_on_in_c(self) -> Told:
        """The last step of the routine's own, where it goes to one in C that calls it again."""
        stand_in = calling(self.run.image)
        own = [step for step in self.run.steps if not assumed_at(self.run.image, step.address)]
        if stand_in is not None and own:
            yield (
                own[-1],
                f"it goes on in {stand_in.name}(), which calls this routine again for the same byte",
            )

    def _last_write(self, register: str | None) -> Told:
        operands = Operands(self.run.image)
        for step in reversed(self.run.steps):
            if register is not None and register in operands.written(step.address):
                value = f" as {shown(step.after[register])}" if step.after else ""
                yield step, f"it is the last to write {register}, which is returned{value}"
                return

    def _comes_back(self) -> Told:
        cycle = self.run.cycle
        if not cycle:
            return
        pairs = list(pairwise((*cycle, cycle[0])))
        back = [step for step, then in pairs if then.address < step.address]
        in_order = sorted(pairs, key=lambda pair: pair[0].address)
        jumps = dict.fromkeys(self._taken(step, then) for step, then in in_order)
        how = f"{counted(len(cycle), 'instruction')} later it is here again with the same registers and flags"
        chosen = ", ".join(filter(None, jumps))
        yield back[-1] if back else cycle[0], f"{how}: {chosen}" if chosen else how

    def _taken(self, step: Step, then: Step) -> str:
        """What a conditional jump did: `ja .Lread_w (line 15) is not taken`; "" for other steps."""
        instruction = decode(self.run.image, step.address)
        if instruction is None or len(instruction.targets) != 2:
            return ""
        verb = "is" if then.address != instruction.end else "is not"
        return f"{self._texts.of(step.address)} ({self._line(step.address)}) {verb} taken"

    def _unfenced(self) -> Told:
        last = None
        for step in self.run.steps:
            if is_nontemporal(self.run.image, step.address) and step.fault is None:
                last = step
            elif is_fence(self.run.image, step.address):
                last = None
        if last is not None:
            yield last, f"it is the last non-temporal store, and no fence follows up to {self._return}"

    @property
    def _return(self) -> str:
        return f"the return in {self._line(self.run.steps[-1].address)}"

    def _named(self, address: int) -> str:
        """`.Lread_w (line 15)`."""
        label, line = self.run.image.label_at(address), self._line(address)
        return f"{label} ({line})" if label else line

    def _line(self, address: int) -> str:
        """`line 15` in the file that is proved, `FILE:15` elsewhere."""
        number = self._source.line_of(address)
        return self.run.image.where(address) if number is None else f"line {number}"


_PLACES: Mapping[str, Callable[[Places], Told]] = {
    "O1": Places._uncovered,
    "O2": Places._returned_count,
    "O3": Places._returned_count,
    "O4": Places._beyond_fault,
    "O5": Places._no_progress,
    "O6": Places._wrong_data,
    "O7": Places._state,
    "O8": Places._outside,
    "O9": Places._result,
    "O10": Places._unfenced,
}


def _is_store_to_dst(access: Access) -> bool:
    return access.is_store and access.buffer == "dst"


def _span(access: Access) -> str:
    if not access.buffer:
        return f"{access.size} bytes at {access.offset:#x}"
    return spans([(access.offset, access.offset + access.size)], access.buffer)


def _missing(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'} missing"

"""Runs a routine in Unicorn: on hosts that are no x86-64 Linux, and for what a CPU cannot show.

It can record every memory access, and it can break the promise that `rep movs` copies in order
(`models/x86_64/rep.toml`), which shows what a routine owes to it.
"""

from __future__ import annotations

import itertools
import mmap
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Literal

from mcverify.arch.decoded import Repetition
from mcverify.arch.known import X86_64
from mcverify.contract import MACHINE_CHECK, Contract
from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.image.callees import NESTED, calling
from mcverify.image.image import Image
from mcverify.image.recovery import fatal_entries, handler_of
from mcverify.runner_choice import chosen
from mcverify.runs.apart import Apart
from mcverify.runs.case import PAGE, PAGE_FAULT, Access, Case, Ending, Fault, Outcome, Visit, touches
from mcverify.runs.code import must_be_aligned, opens_user_access, reachable, returning_externals
from mcverify.runs.effects import Effect, Operation, operations
from mcverify.runs.layout import Buffer, bias_of, by_page, lay_out, needed, page_end
from mcverify.runs.pattern import (
    FRAME,
    LEAD,
    REGISTERS,
    STACK,
    STACK_BYTES,
    complement,
    contents_of,
    initial_registers,
    initial_vectors,
    is_value,
    mix,
    stack_entry,
)
from mcverify.runs.rep import Schedule, order

Step = tuple[int, dict[str, int]]
NumberedStep = tuple[int, int, dict[str, int]]
RepModel = Literal["ordered", "unordered"]

LONGEST = 1 << 20
"""Longest buffer, in bytes, that is emulated."""

_MASK = (1 << 64) - 1
_FLAG_DF, _FLAG_AC = 1 << 10, 1 << 18
_NOP3 = bytes.fromhex("0f1f00")
_RETURN_PAGE = 0x7000_0000_0000
_STACK_GUARD = 16 * PAGE
"""Bytes below the stack in which an access shows that it has run out."""
_STACK_ENTRY = stack_entry(1)
_MOST_FAULTS = 16384
_FRAME_BYTES = 256
"""Of an exception frame and the first that its handler pushes (frame_push() in harness.c)."""
_STEPS_BETWEEN_LOOKS = 4096
"""Steps between two looks at the clock: some hundredths of a second."""
_MOST_SLOTS = 32
_NOT_AT_ALL, _ABOUT, _DONE = -1, -2, -3
"""Where a run stands that executes one instruction with a page accessible; else the address that it has
reached."""
_MOST_STUB_STEPS = 200
_MOST_THUNKS = 4


def available() -> str | None:
    """Why Unicorn cannot be used; None if it can."""
    if chosen() == "nowhere":
        return "nothing is to be run (--no-run)"
    try:
        _unicorn()
        # It translates code into such memory, and ends the process if it gets none.
        mmap.mmap(-1, PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except ImportError as error:
        return f"unicorn cannot be imported: {error}"
    except OSError:
        return "this host does not let a program make memory executable, which the emulator needs too"
    return None


class EmulatorRunner:
    """Runs the routine at `entry` of `image`, called as `contract` says, in Unicorn, in a process of its own.

    With `rep_model` "unordered" the elements of a `rep movs` or `rep stos` that meets a bad one
    are done in the order of `schedule`. A run in which an access of the kind `unstruck` ("load", "store")
    faults that has no entry is refused. Every method raises OutOfTime when `deadline` is reached, and
    LostProcess where the process ends by itself.
    """

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        *,
        rep_model: RepModel = "ordered",
        schedule: Schedule = "descending",
        deadline: Deadline | None = None,
        unstruck: str | None = None,
    ) -> None:
        why = available()
        if why is not None:
            raise InputError(f"nothing can be run: {why}")
        deadline = deadline or Deadline(None)
        order = schedule if rep_model == "unordered" else None
        self._apart = Apart(partial(_Emulation, image, entry, contract, order, deadline, unstruck), deadline)

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """The outcome of each case, in order; those longer than LONGEST are refused."""
        found: list[Outcome] = self._apart.ask("run", cases)
        return found

    def sample(self, cases: Sequence[Case], addresses: Iterable[int], limit: int = 4000) -> list[Visit]:
        """The states before each instruction of `addresses`, at most about `limit` at each, as on the CPU."""
        found: list[Visit] = self._apart.ask("sample", cases, frozenset(addresses), limit)
        return found

    def trace(self, case: Case) -> list[Step]:
        """Every step of one case: address and registers before it."""
        found: list[Step] = self._apart.ask("trace", case)
        return found

    def ends(self, case: Case, count: int) -> list[NumberedStep]:
        """The first `count` steps of one case and as many of the last ones, each with its number."""
        found: list[NumberedStep] = self._apart.ask("ends", case, count)
        return found

    def after_fault(
        self, insn: int, registers: Mapping[str, int], stack: int, trap: int
    ) -> dict[str, int] | None:
        """The registers at the return, had an access of the instruction at `insn` faulted with `registers`
        before it: what its handler and its fixup compute. `stack` is where the return address lies.

        None where no entry covers it, or its fixup does not return without touching a buffer. Registers that
        come from the own frame, which is not known here, are left out.
        """
        found: dict[str, int] | None = self._apart.ask("after_fault", insn, dict(registers), stack, trap)
        return found

    def footprint(
        self, case: Case, of: Callable[[Access], bool] = lambda access: True
    ) -> tuple[Outcome, tuple[Access, ...]]:
        """The outcome, and every memory access that was carried out, in order, or those for which `of` is
        true."""
        found: tuple[Outcome, tuple[Access, ...]] = self._apart.ask("footprint", case)
        return found[0], tuple(filter(of, found[1]))


class _Emulation:
    """What EmulatorRunner asks, in the process that runs it."""

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        schedule: Schedule | None,
        deadline: Deadline,
        unstruck: str | None,
    ) -> None:
        self._machine = _Machine(image, entry, contract)
        self._machine.unstruck = unstruck
        self._deadline = deadline
        self._schedule = schedule

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        return [self._run(case, _Watch()) for case in cases]

    def sample(self, cases: Sequence[Case], watched: frozenset[int], limit: int) -> list[Visit]:
        per_case = max(4, limit // max(1, len(cases)))
        visits: list[Visit] = []
        for number, case in enumerate(cases):
            watch = _Watch(watched=watched, case=number)
            self._run(case, watch)
            for group in watch.visits.values():
                visits += _ends(group, per_case)
        return visits

    def trace(self, case: Case) -> list[Step]:
        steps: list[Step] = []
        self._run(case, _Watch(on_step=steps.append))
        return steps

    def ends(self, case: Case, count: int) -> list[NumberedStep]:
        first: list[NumberedStep] = []
        last: deque[NumberedStep] = deque(maxlen=count)
        numbers = itertools.count()

        def keep(step: Step) -> None:
            number = next(numbers)
            (first if number < count else last).append((number, *step))

        self._run(case, _Watch(on_step=keep))
        return [*first, *last]

    def after_fault(
        self, insn: int, registers: Mapping[str, int], stack: int, trap: int
    ) -> dict[str, int] | None:
        moved = {**registers, "rsp": _STACK_ENTRY + registers["rsp"] - stack}
        found = [_resumed(self._machine, insn, moved, trap, filling) for filling in (b"\0", b"\x5a")]
        if found[0] is None or found[1] is None:
            return None
        return {name: value for name, value in found[0].items() if found[1][name] == value}

    def footprint(self, case: Case) -> tuple[Outcome, tuple[Access, ...]]:
        watch = _Watch(accesses=[])
        outcome = self._run(case, watch)
        return outcome, tuple(watch.accesses or ())

    def _run(self, case: Case, watch: _Watch) -> Outcome:
        if max(case.len, case.src.at, case.dst.at) > LONGEST:
            return Outcome(Ending.REFUSED, 0, {}, {}, (), b"", b"", 0, on="emulator")
        return _Run(self._machine, case, watch, self._schedule, self._deadline).outcome()


def _resumed(
    machine: _Machine, insn: int, registers: Mapping[str, int], trap: int, filling: bytes
) -> dict[str, int] | None:
    """The registers at the return after a fault at `insn`, with the own frame full of one byte; None where
    that cannot be told, since the handler hands on an address."""
    fixup, effects = machine.fixups.get((insn - machine.bias) & _MASK, (0, None))
    for name, value in registers.items():
        machine.set(name, value)
    if effects is None or "address" in machine.contract.handed or not machine.apply(effects, trap, 0):
        return None
    machine.uc.mem_write(STACK, filling * (_STACK_ENTRY - STACK))
    machine.uc.mem_write(_STACK_ENTRY, _RETURN_PAGE.to_bytes(8, "little"))
    for _ in range(_MOST_THUNKS):
        try:
            machine.uc.emu_start(fixup, _RETURN_PAGE, count=_MOST_STUB_STEPS)
        except _unicorn().UcError:
            if machine.rip not in machine.returning:
                return None
            fixup = machine.leave()
            continue
        break
    return machine.registers() if machine.rip == _RETURN_PAGE else None


def _ends(visits: list[Visit], count: int) -> list[Visit]:
    """The first and the last ones."""
    if len(visits) <= count:
        return visits
    return visits[: count // 2] + visits[count // 2 - count :]


@dataclass
class _Watch:
    """What is recorded of a run besides its outcome."""

    watched: frozenset[int] = frozenset()
    case: int = 0
    visits: dict[tuple[int, bool], list[Visit]] = field(default_factory=dict)
    on_step: Callable[[Step], None] | None = None
    accesses: list[Access] | None = None


class _Machine:
    """Unicorn with the image's code in it, and what the image says of it."""

    unstruck: str | None = None
    stack = _STACK_ENTRY
    """Where the return address of the run under way lies."""

    def __init__(self, image: Image, entry: int, contract: Contract) -> None:
        code = reachable(image, entry)
        self.calling = calling(image)
        self.bias = bias_of(needed(image, code))
        if self.bias:
            # Unicorn 2.1 fetches no instruction from the upper half of the address space.
            image, entry = _moved(image, self.bias), entry - self.bias
            code = reachable(image, entry)
        self.image, self.entry, self.contract, self.code = image, entry, contract, code
        self.fatal = fatal_entries(image, contract)
        self.fixups = {
            e.insn: (e.fixup, operations(handler_of(e, contract))) for e in reversed(image.entries)
        }
        self.user_access = opens_user_access(image, code)
        self.aligned = {a: alignment for a in code if (alignment := must_be_aligned(image, a))}
        self.reps = {i.address: i.repeats for i in code.values() if i.repeats and i.repeats.width}
        self.returning = returning_externals(image)
        self.uc: Any = _unicorn().Uc(_unicorn().UC_ARCH_X86, _unicorn().UC_MODE_64)
        self._map_image()
        self.uc.mem_map(_RETURN_PAGE, PAGE)
        self.uc.mem_map(STACK, STACK_BYTES)

    def registers(self) -> dict[str, int]:
        return {name: self.uc.reg_read(_numbers()[name]) for name in REGISTERS}

    def set(self, name: str, value: int) -> None:
        self.uc.reg_write(_numbers()[name], value if name in X86_64.vectors else value & _MASK)

    def reset(self) -> None:
        """Let the x87, MMX and control registers hold what they hold on the CPU."""
        for number, value in _state_at_entry().items():
            self.uc.reg_write(number, value)

    def get(self, name: str) -> int:
        return int(self.uc.reg_read(_numbers()[name]))

    def shown(self, address: int) -> int:
        """The address as the image has it."""
        return (address + self.bias) & _MASK

    def loads_constant(self, at: int, address: int, size: int) -> bool:
        """Whether a load by the instruction at `at` is of data that are never written, or a word of a jump
        table."""
        word = self.image.code_words.get(address)
        if word is not None and word.width == size:
            return True
        instruction = self.code.get(at)
        length = len(instruction.code) if instruction is not None else 0
        return self.image.constant_at(at, length, address, size) is not None

    def told(self, address: int, *, is_store: bool) -> int:
        """The instruction at `address`, as the image has it, or that of a stand-in that has called it."""
        if self.calling is None or not self.is_nested:
            return self.shown(address)
        return self.calling.store_at if is_store else self.calling.load_at

    @property
    def is_nested(self) -> bool:
        """Whether the routine is one that a stand-in has called."""
        return self.calling is not None and self.get("rsp") <= self.stack - NESTED

    @property
    def rip(self) -> int:
        return int(self.uc.reg_read(_rip_number()))

    def leave(self) -> int:
        """Take the return address off the stack and give it."""
        rsp = self.get("rsp")
        self.set("rsp", rsp + 8)
        return int.from_bytes(self.uc.mem_read(rsp, 8), "little")

    def apply(self, effects: Sequence[Operation], trap: int, address: int) -> bool:
        """Do what a handler does; False if that is not modelled."""
        for effect in effects:
            match effect.effect:
                case Effect.SET_TRAP:
                    self.set(effect.target, trap)
                case Effect.SET_ADDRESS:
                    self.set(effect.target, address)
                case Effect.SET_IMM:
                    self.set(effect.target, effect.imm)
                case Effect.ADD_IMM:
                    self.set(effect.target, self.get(effect.target) + effect.imm)
                case Effect.SCALE_ADD:
                    scaled = effect.imm * self.get(effect.target)
                    self.set(effect.target, scaled + self.get(effect.operand))
                case _:
                    return False
        return True

    def in_code(self, address: int) -> bool:
        section = self.image.section_at(address)
        return section is not None and section.executable

    def _map_image(self) -> None:
        sections = needed(self.image, self.code)
        for group in by_page(sections):
            start = group[0].address & -PAGE
            self.uc.mem_map(start, page_end(group) - start)
        for section in sections:
            self.uc.mem_write(section.address, section.data)
        for address in self.user_access:
            self.uc.mem_write(address, _NOP3)


def _moved(image: Image, bias: int) -> Image:
    """The image `bias` bytes further down; what a run does not need of it is left out."""
    return replace(
        image,
        sections=tuple(replace(s, address=s.address - bias) for s in image.sections),
        entries=tuple(replace(e, insn=e.insn - bias, fixup=e.fixup - bias) for e in image.entries),
        externals={address - bias & _MASK: name for address, name in image.externals.items()},
        symbols=(),
        lines={},
    )


class _Run:
    """One case under way."""

    def __init__(
        self, machine: _Machine, case: Case, watch: _Watch, schedule: Schedule | None, deadline: Deadline
    ) -> None:
        self._machine, self._case, self._watch, self._schedule = machine, case, watch, schedule
        self._deadline = deadline
        self._uc = machine.uc
        machine.stack = stack_entry(case.seed)
        flickers = bool(case.flicker)
        self._touches = touches(case.flicker)
        self._through_to = _NOT_AT_ALL
        self._away: dict[int, bytes] = {}
        self._dst = lay_out(case.dst, case.len, _base(case.seed, 1), flickers=flickers)
        self._src = (
            lay_out(case.src, case.len, _base(case.seed, 2), flickers=flickers)
            if machine.contract.src
            else None
        )
        self._buffers = [b for b in (self._src, self._dst) if b is not None]
        self._faults: list[Fault] = []
        self._unzeroed: int | None = None
        self._loads = 0
        self._was_nested = False
        self._ending: Ending | None = None
        self._rip = 0
        self._ac = False
        self._steps_left = 5000 + 100 * case.len
        self._at = -1
        self._access = _NO_ACCESS
        self._undo: list[tuple[int, bytes]] = []
        self._accesses_before = 0
        self._bad_element: tuple[int, bool] | None = None
        self._is_reordered = False
        self._top = self._store_end = 0

    def outcome(self) -> Outcome:
        """Run the case."""
        hooks = self._add_hooks()
        for buffer in self._buffers:
            self._map(buffer)
        try:
            return self._execute()
        finally:
            for hook in hooks:
                self._uc.hook_del(hook)
            for buffer in self._buffers:
                self._bring_back(buffer)
            for first, end in (pages for buffer in self._buffers for pages in buffer.pages):
                self._uc.mem_unmap(first, end - first)

    # ---- Memory ----

    def _map(self, buffer: Buffer) -> None:
        for first, end in buffer.pages:
            self._uc.mem_map(first, end - first)
        pattern = self._fresh() if buffer is self._dst else self._contents()
        for a, b in buffer.spans:
            self._uc.mem_write(buffer.at + a, pattern[LEAD + a : LEAD + b])
        self._take_away(buffer)

    def _take_away(self, buffer: Buffer) -> None:
        """Unmap the page that comes and goes, and remember what it holds. (Unicorn still lets accesses
        through that it has seen before, where only the rights of a page change.)"""
        if buffer.flickers:
            self._away[buffer.hole] = bytes(self._uc.mem_read(buffer.hole, PAGE))
            self._uc.mem_unmap(buffer.hole, PAGE)

    def _bring_back(self, buffer: Buffer) -> None:
        """Map the page again, if it is away."""
        if buffer.hole in self._away:
            self._uc.mem_map(buffer.hole, PAGE)
            self._uc.mem_write(buffer.hole, self._away.pop(buffer.hole))

    def _contents(self) -> bytes:
        return contents_of(self._case, self._machine.contract, self._case.len + 2 * LEAD)

    def _fresh(self) -> bytes:
        known = self._contents()
        return known if self._machine.contract.data == "zero" else complement(known)

    def _wanted(self) -> bytes:
        known = self._contents()
        return bytes(len(known)) if self._machine.contract.data == "zero" else known

    def _buffer_of(self, address: int) -> tuple[str, int]:
        """Name of the buffer that an address belongs to, and its offset there."""
        if self._src is not None and self._src.holds(address):
            return "src", address - self._src.at
        if self._dst.holds(address):
            return "dst", address - self._dst.at
        if STACK <= address < self._machine.stack + 8:
            return "stack", address - self._machine.stack
        return "", address

    def _first_bad(self, address: int, size: int) -> int | None:
        """First inaccessible byte of an access to a buffer."""
        return next((b.first_bad(address, size) for b in self._buffers if b.holds(address)), None)

    # ---- Hooks ----

    def _add_hooks(self) -> list[int]:
        uc = _unicorn()
        return [
            self._uc.hook_add(uc.UC_HOOK_CODE, self._on_code),
            self._uc.hook_add(uc.UC_HOOK_MEM_READ | uc.UC_HOOK_MEM_WRITE, self._on_access),
            self._uc.hook_add(
                uc.UC_HOOK_MEM_READ_UNMAPPED | uc.UC_HOOK_MEM_WRITE_UNMAPPED, self._on_unmapped
            ),
        ]

    def _on_code(self, _uc: object, address: int, _size: int, _data: object) -> None:
        if address == _RETURN_PAGE:
            return
        if self._through_to == _DONE:
            self._through_to = address
            self._uc.emu_stop()
            return
        again, self._at, self._access = address == self._at, address, _NO_ACCESS
        self._undo.clear()
        self._accesses_before = len(self._watch.accesses or ())
        if self._through_to == _ABOUT:
            self._through_to = _DONE
            return
        self._top, self._store_end = max(self._top, self._store_end), 0
        self._steps_left -= 1
        is_late = self._steps_left % _STEPS_BETWEEN_LOOKS == 0 and self._deadline.remaining() == 0
        if self._steps_left < 0 or is_late:
            self._stop(Ending.TIMEOUT, address)
        elif not self._machine.in_code(address):
            self._stop(Ending.WILD, address)
        else:
            self._before(address, again)

    def _before(self, address: int, again: bool) -> None:
        # Unicorn comes back to a REP that has no element left; a CPU does not.
        if not (again and address in self._machine.reps and not self._machine.get("rcx")):
            self._record(address)
        self._ac = self._machine.user_access.get(address, self._ac)
        rep = self._machine.reps.get(address)
        if rep is not None and self._schedule is not None:
            self._unordered(rep, self._schedule)

    def _on_access(self, _uc: object, kind: int, address: int, size: int, _value: int, _data: object) -> None:
        if self._access is _NO_ACCESS and self._is_misaligned(address):
            self._stop(self._refusal(), self._at)
        access = self._access = _Access(address, size, kind == _unicorn().UC_MEM_WRITE)
        name, offset = self._buffer_of(address)
        if access.is_store and name == "dst":
            bad = self._first_bad(address, size)
            self._undo.append((address, bytes(self._uc.mem_read(address, (bad or address + size) - address))))
            self._store_end = max(self._store_end, offset + size)
        # A load of data that are never written belongs to the code, as its immediates do.
        is_constant = not access.is_store and self._machine.loads_constant(self._at, address, size)
        if self._watch.accesses is not None and not is_constant:
            insn = self._machine.told(self._at, is_store=access.is_store)
            known = Access(insn, name, offset, size, access.is_store)
            self._watch.accesses.append(known)

    def _is_misaligned(self, address: int) -> bool:
        """Whether the access that begins at `address` raises a general protection fault, which Unicorn does
        not do by itself."""
        alignment = self._machine.aligned.get(self._at, 0)
        return bool(alignment) and address % alignment != 0

    def _refusal(self) -> Ending:
        """How a run ends at a general protection fault of an access."""
        covered = self._at in self._machine.fixups
        return Ending.TRAPPED if self._at in self._machine.aligned and not covered else Ending.ILLEGAL

    def _on_unmapped(
        self, _uc: object, kind: int, address: int, size: int, _value: int, _data: object
    ) -> bool:
        """Unicorn announces what it comes to first: the access, or its first bad byte."""
        is_store = kind == _unicorn().UC_MEM_WRITE_UNMAPPED
        known = self._access
        if not (known.is_store == is_store and known.address <= address < known.address + known.size):
            self._access = _Access(address, size, is_store)
        return False

    def _stop(self, ending: Ending, rip: int) -> None:
        self._ending, self._rip = ending, rip
        self._uc.emu_stop()

    def _record(self, address: int) -> None:
        if self._machine.is_nested:
            return
        watch, address = self._watch, self._machine.shown(address)
        if watch.on_step is not None:
            watch.on_step((address, self._registers()))
        if address in watch.watched:
            visit = self._visit(address)
            watch.visits.setdefault((address, visit.faulted), []).append(visit)

    def _visit(self, address: int) -> Visit:
        registers = self._registers()
        depth = self._machine.stack - registers["rsp"]
        slots = depth // 8 if depth % 8 == 0 and 0 <= depth <= 8 * _MOST_SLOTS else 0
        memory = bytes(self._uc.mem_read(registers["rsp"], 8 * slots)) if slots else b""
        stack = {8 * (i - slots): int.from_bytes(memory[8 * i : 8 * i + 8], "little") for i in range(slots)}
        return Visit(address, bool(self._faults), registers, stack, self._top, self._watch.case)

    def _registers(self) -> dict[str, int]:
        registers = self._machine.registers()
        if self._ac:
            registers["rflags"] |= _FLAG_AC
        return registers

    # ---- REP without order ----

    def _unordered(self, rep: Repetition, schedule: Schedule) -> None:
        machine = self._machine
        count, rsi, rdi = (machine.get(name) for name in ("rcx", "rsi", "rdi"))
        if machine.get("rflags") & _FLAG_DF or not self._meets_bad(rep, count, rsi, rdi):
            return
        self._is_reordered |= count > 1
        for k in order(schedule, count):
            bad = self._element(rep, rsi + k * rep.width, rdi + k * rep.width)
            if bad is not None:
                machine.set("rcx", count - k)
                machine.set("rdi", rdi + k * rep.width)
                if rep.loads:
                    machine.set("rsi", rsi + k * rep.width)
                self._bad_element = bad
                self._uc.emu_stop()
                return

    def _meets_bad(self, rep: Repetition, count: int, rsi: int, rdi: int) -> bool:
        size = count * rep.width
        known = self._dst.holds(rdi) and (not rep.loads or (self._src is not None and self._src.holds(rsi)))
        if not known or not size or size > 2 * LONGEST:
            return False
        return self._first_bad(rdi, size) is not None or (
            rep.loads and self._first_bad(rsi, size) is not None
        )

    def _element(self, rep: Repetition, rsi: int, rdi: int) -> tuple[int, bool] | None:
        """Do one element, or give its first bad address and whether the store met it."""
        for address, is_store in ((rsi, False), (rdi, True)):
            if is_store or rep.loads:
                bad = self._first_bad(address, rep.width)
                if bad is not None:
                    return bad, is_store
        if rep.loads:
            data = bytes(self._uc.mem_read(rsi, rep.width))
        else:
            data = self._machine.get("rax").to_bytes(8, "little")[: rep.width]
        self._uc.mem_write(rdi, data)
        self._store_end = max(self._store_end, rdi + rep.width - self._dst.at)
        return None

    # ---- Running ----

    def _execute(self) -> Outcome:
        machine, dst = self._machine, self._dst
        initial = initial_registers(
            self._case, machine.contract, dst.at, self._src.at if self._src else 0, self._machine.stack
        )
        for name, value in (initial | initial_vectors(self._case)).items():
            machine.set(name, value)
        machine.reset()
        self._uc.mem_write(self._machine.stack, _RETURN_PAGE.to_bytes(8, "little") + FRAME)
        rip = machine.entry
        while self._ending is None:
            rip = self._go_on(rip)
        if self._is_misaligned(self._access.address):
            self._untear()
        self._deadline.check("runs")
        return self._result(initial, self._ending)

    def _go_on(self, rip: int) -> int:
        """Run from `rip` to the end or to a fault; the address to go on at after a fault."""
        try:
            self._uc.emu_start(rip, _RETURN_PAGE)
        except _unicorn().UcError as error:
            return self._interrupted(error.errno)
        if self._bad_element is not None:
            (address, is_store), self._bad_element = self._bad_element, None
            return self._fault(address, is_store)
        if self._ending is None and self._machine.rip == _RETURN_PAGE:
            self._ending = Ending.RETURNED
        elif self._ending is None:  # `hlt` stops Unicorn without an error
            self._ending, self._rip = Ending.ILLEGAL, self._at
        return 0

    def _interrupted(self, error: int) -> int:
        uc = _unicorn()
        if self._ending is not None:
            return 0
        if error in (uc.UC_ERR_FETCH_UNMAPPED, uc.UC_ERR_FETCH_PROT):
            return self._outside(self._machine.rip)
        unmapped = (
            uc.UC_ERR_READ_UNMAPPED,
            uc.UC_ERR_WRITE_UNMAPPED,
            uc.UC_ERR_READ_PROT,
            uc.UC_ERR_WRITE_PROT,
        )
        if error in unmapped and _is_canonical(self._access.address):
            access = self._access
            self._untear()
            if self._is_misaligned(access.address):
                self._ending, self._rip = self._refusal(), self._at
                return 0
            coming = next((b for b in self._buffers if b.flickers and access.meets(b.hole)), None)
            if coming is not None and not next(self._touches):
                return self._through(coming)
            bad = self._first_bad(access.address, access.size)
            return self._fault(access.address if bad is None else bad, access.is_store)
        self._ending, self._rip = Ending.WILD if self._at_return() else self._refusal(), self._at
        return 0

    def _through(self, buffer: Buffer) -> int:
        """Execute the instruction, or the iteration of a REP, with the page of the buffer accessible; the
        address to go on at."""
        self._bring_back(buffer)
        self._through_to = _ABOUT
        try:
            self._uc.emu_start(self._at, _RETURN_PAGE)
        except _unicorn().UcError as error:
            return self._interrupted(error.errno)
        finally:
            self._take_away(buffer)
            reached, self._through_to = self._through_to, _NOT_AT_ALL
        return reached if reached >= 0 else self._machine.rip

    def _untear(self) -> None:
        """Unicorn may have stored the first bytes when it comes to a bad one; a CPU stores all or none."""
        for address, memory in reversed(self._undo):
            self._uc.mem_write(address, memory)
        self._store_end = 0
        if self._watch.accesses is not None:
            del self._watch.accesses[self._accesses_before :]

    def _outside(self, rip: int) -> int:
        """Control is at an address that is not the image's."""
        if not _is_canonical(rip) and self._at_return():
            # A CPU refuses the return itself.
            self._machine.set("rsp", self._machine.get("rsp") - 8)
            rip = self._at
        if rip in self._machine.returning:
            return self._machine.leave()
        self._ending, self._rip = Ending.ESCAPED if rip in self._machine.image.externals else Ending.WILD, rip
        return 0

    def _at_return(self) -> bool:
        code = self._machine.image.code_at(self._at, 2)
        return code[:1] in (b"\xc3", b"\xc2") or code in (b"\xf3\xc3", b"\xf2\xc3")

    def _fault(self, address: int, is_store: bool) -> int:
        insn, found = self._at, self._machine.fixups.get(self._at)
        if STACK - _STACK_GUARD <= address < STACK:
            self._ending, self._rip = Ending.OVERFLOW, insn
            return 0
        if found is None and self._at_return():
            self._ending, self._rip = Ending.WILD, insn
            return 0
        name, offset = self._buffer_of(address)
        name, offset = (name, offset) if name in ("src", "dst") else ("", address)
        told = self._machine.told(insn, is_store=is_store)
        if self._machine.is_nested and self._was_nested:
            # One byte is tried in several ways, and one fault is told.
            self._loads -= not self._faults.pop().is_store
        self._faults.append(Fault(told, name, offset, is_store))
        self._was_nested = self._machine.is_nested
        self._push_frame()
        if found is None:
            within = name in ("src", "dst") and 0 <= offset < self._case.len
            happens = not within or self._machine.unstruck != ("store" if is_store else "load")
            self._ending, self._rip = Ending.OOPS if happens else Ending.REFUSED, insn
        elif not is_store and insn in self._machine.fatal and self._next_is_machine_check:
            self._ending, self._rip = Ending.OOPS, insn
        elif len(self._faults) == _MOST_FAULTS:
            self._ending, self._rip = Ending.TIMEOUT, insn
        elif not self._machine.apply(found[1], self._trap(is_store=is_store), address):
            self._ending, self._rip = Ending.ESCAPED, insn
        return found[0] if found else 0

    @property
    def _next_is_machine_check(self) -> bool:
        """Whether the fault on a load that was taken last is one, before its number is told."""
        return self._case.trap_of_load(self._loads) == MACHINE_CHECK

    def _push_frame(self) -> None:
        """The kernel has no red zone: its exception frame overwrites what lies below rsp."""
        rsp = self._machine.get("rsp")
        if STACK + _FRAME_BYTES <= rsp <= STACK + STACK_BYTES - PAGE:
            self._uc.mem_write(rsp - _FRAME_BYTES, b"\xa5" * _FRAME_BYTES)

    def _trap(self, *, is_store: bool) -> int:
        """The number that the handler reports for the fault that was taken last."""
        self._loads += not is_store
        return PAGE_FAULT if is_store else self._case.trap_of_load(self._loads - 1)

    # ---- The outcome ----

    def _undo_zeros(self, initial: dict[str, int], ending: Ending) -> None:
        """What was zeroed of the bytes that are reported left counts as not stored, where the contract allows
        that."""
        contract, length = self._machine.contract, self._case.len
        if not contract.zeroes(initial):
            return
        is_back = ending is Ending.RETURNED
        left = contract.left_of(self._registers(), initial, length) if is_back else length
        claim = length - left if left <= length else 0
        if contract.zeroes_rest and is_back and self._faults and left <= length and not self._case.flicker:
            self._unzeroed = self._first_unzeroed(claim)
        # Nothing was copied at or behind a fault, so that a zero is none of src's.
        struck = (fault.offset for fault in self._faults if fault.buffer and fault.offset >= 0)
        claim = min([claim, *struck])
        known, fresh = self._contents(), self._fresh()
        for first, end in self._dst.spans:
            start = max(first, 0)
            memory = bytes(self._uc.mem_read(self._dst.at + start, max(0, min(end, length) - start)))
            for at, byte in enumerate(memory, start):
                if not byte and (at >= claim or known[LEAD + at]):
                    self._uc.mem_write(self._dst.at + at, fresh[LEAD + at : LEAD + at + 1])

    def _first_unzeroed(self, claim: int) -> int | None:
        """The first byte of dst from `claim` on, and before a bad one, that is not zero."""
        bad = self._case.dst.first_bad
        end = self._case.len if bad is None else min(bad, self._case.len)
        if end <= claim:
            return None
        memory = bytes(self._uc.mem_read(self._dst.at + claim, end - claim))
        return next((claim + at for at, byte in enumerate(memory) if byte), None)

    def _result(self, initial: dict[str, int], ending: Ending) -> Outcome:
        self._bring_back(self._dst)
        self._undo_zeros(initial, ending)
        base, end = self._dst.extent
        fresh, wanted = self._fresh(), self._wanted()
        written, correct = bytearray(end - base), bytearray(end - base)
        for a, b in self._dst.spans:
            memory = bytes(self._uc.mem_read(self._dst.at + a, b - a))
            for i, byte in enumerate(memory, a):
                written[i - base] = byte != fresh[LEAD + i]
                correct[i - base] = byte == wanted[LEAD + i]
        frame = bytes(self._uc.mem_read(self._machine.stack, 8 + len(FRAME)))
        return Outcome(
            ending=ending,
            rip=self._machine.shown(self._rip) if self._rip else 0,
            registers=self._registers(),
            initial=initial,
            faults=tuple(self._faults),
            written=bytes(written),
            correct=bytes(correct),
            base=base,
            ac=self._ac,
            on="emulator",
            frame_intact=frame == _RETURN_PAGE.to_bytes(8, "little") + FRAME,
            unzeroed=self._unzeroed,
            schedule=(self._schedule or "") if self._is_reordered else "",
        )


@dataclass(frozen=True, slots=True)
class _Access:
    """The access that Unicorn has announced last."""

    address: int
    size: int
    is_store: bool

    def meets(self, page: int) -> bool:
        """Whether some of its bytes lie in the page."""
        return self.address < page + PAGE and page < self.address + self.size


_NO_ACCESS = _Access(0, 0, False)


def _is_canonical(address: int) -> bool:
    return address >> 47 in (0, (1 << 17) - 1)


def _base(seed: int, buffer: int) -> int:
    """Where a buffer's pages begin: far from the other's, and another place for each seed."""
    if is_value(seed):
        return (buffer << 44) + (1 << 32) - 2 * PAGE  # lay_out puts FREE two pages behind
    return (buffer << 44) + (mix(seed * 2 + buffer & _MASK) & 0xFFF_FFFF_F000)


@cache
def _unicorn() -> Any:
    import unicorn

    return unicorn


@cache
def _numbers() -> dict[str, int]:
    """Unicorn's numbers of the registers, by name."""
    from unicorn import x86_const

    return {name: getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in (*REGISTERS, *X86_64.vectors)}


@cache
def _state_at_entry() -> dict[int, int | tuple[int, int]]:
    """Values of registers besides, by Unicorn's numbers: as at the start of a process, and zero in mm0 to
    mm7."""
    from unicorn import x86_const

    zero = {getattr(x86_const, f"UC_X86_REG_FP{n}"): (0, 0) for n in range(8)}
    return {
        **zero,
        x86_const.UC_X86_REG_MXCSR: 0x1F80,
        x86_const.UC_X86_REG_FPCW: 0x37F,
        x86_const.UC_X86_REG_FPSW: 0,
        x86_const.UC_X86_REG_FPTAG: 0xFFFF,
    }


def _rip_number() -> int:
    from unicorn import x86_const

    return int(x86_const.UC_X86_REG_RIP)

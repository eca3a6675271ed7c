"""From bytes to an :class:`Instruction`: angr lifts and steps it, once, from a free state.

The instruction is lifted alone and at optimisation level 0 (above it VEX merges and drops loads, and with
them places where a fault may strike), its size is compared with capstone's, and every successor that angr's
engine makes becomes a step: nothing is pruned, since no solver is asked. Flags enter as six free bits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import takewhile
from typing import Any, ClassVar

import capstone
import claripy
import z3

from mcverify.arch.known import X86_64
from mcverify.arch.x86_64.boot import is_rip_relative
from mcverify.arch.x86_64.decoder import decoder
from mcverify.arch.x86_64.forms import form_of
from mcverify.arch.x86_64.handler_slots import of_handler
from mcverify.arch.x86_64.locked import address_of_operand, locked_exchange
from mcverify.arch.x86_64.undefined import with_undefined
from mcverify.image.image import Image
from mcverify.machine.events import Event, EventMemory
from mcverify.machine.instruction import Access, Instruction, Kind, Leave, Refused, Rep, Step
from mcverify.machine.symbols import data_symbol, per_cpu_symbol, symbol
from mcverify.machine.vex import amd64g_calculate_rflags_all, angr, archinfo, pyvex

logging.getLogger("angr").setLevel(logging.CRITICAL)
logging.getLogger("pyvex").setLevel(logging.CRITICAL)
logging.getLogger("claripy").setLevel(logging.CRITICAL)

_OPTIONS = {
    angr.options.LAZY_SOLVES,
    angr.options.NO_SYMBOLIC_JUMP_RESOLUTION,
    angr.options.NO_IP_CONCRETIZATION,
} | (angr.options.symbolic - {angr.options.COMPOSITE_SOLVER})

_VEX_ARCH = archinfo.ArchAMD64()
_FLAG_THUNK = ("cc_op", "cc_dep1", "cc_dep2", "cc_ndep")
_MODELLED_VEX = {*X86_64.general, *X86_64.vectors, *_FLAG_THUNK, "rip", "d", "ac", "id"}
_LOW_HALF = {f"xmm{n}": f"ymm{n}" for n in range(16)}

_OPERAND_SIZE, _LOCK = 0x66, 0xF0
_BY_SIZE = {"refused_16_bit": 2, "refused_32_bit": 4}
"""Tables of `models/x86_64/instructions.toml`, by the size in bytes of an operand."""
_MOST_KEPT = 5000
_WORD = 8
_PLAIN_JUMPS = {"Ijk_Boring", "Ijk_Call", "Ijk_Ret"}
_TRAP_JUMPS = {"Ijk_SigSEGV", "Ijk_SigBUS", "Ijk_SigTRAP", "Ijk_SigILL", "Ijk_SigFPE"}
_WIDTHS = {"b": 1, "w": 2, "d": 4, "q": 8}
_REP_STRING = {
    f"{name}{w}": (size, name == "movs") for name in ("movs", "stos") for w, size in _WIDTHS.items()
}
"""Element size in bytes, and whether a source is read."""


class Lifter:
    """Lifts the instructions of one image. Each encoding is stepped once and kept for all images, in which it
    means the same: a routine is looked at again to predict its runs, and with one line changed to repair it.
    """

    _known: ClassVar[dict[bytes, Instruction]] = {}

    def __init__(self, image: Image) -> None:
        self._image = image
        self.seconds = 0.0
        self._models = X86_64.model("instructions.toml")

    def instruction(self, address: int) -> Instruction:
        """The instruction at `address`.

        Raises :class:`Refused` for what is not understood: bytes that do not decode, an instruction without a
        model, one that touches state which is not modelled, a disagreement between the two decoders.
        """
        code = self._image.code_at(address)
        decoded = next(decoder().disasm(code, address, 1), None) if code else None
        if decoded is None:
            raise Refused(address, f"the code {code[:4].hex(' ')}".strip(), "is no instruction that is known")
        variable_read = self._per_cpu(decoded)
        if variable_read is not None:
            return variable_read
        of_slot = of_handler(self._image, decoded, f"{decoded.mnemonic} {decoded.op_str}".strip())
        if of_slot is not None and not _rex_is_ignored(decoded):
            return replace(of_slot, form=form_of(decoded))
        self._refuse_unsettled(decoded)
        address_of_data = self._address_of_data(decoded)
        if address_of_data is not None:
            return address_of_data
        key = code[: decoded.size]
        if key not in self._known:
            start = time.monotonic()
            instruction = self._lift(decoded)
            self.seconds += time.monotonic() - start
            if _depends_on_address(decoded):
                return instruction
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[key] = instruction
        return _moved(self._known[key], address)

    def _per_cpu(self, decoded: Any) -> Instruction | None:
        """The instruction if it loads a register with a per-CPU variable of `percpu.toml`, by gs and
        its address alone."""
        if decoded.id != capstone.x86.X86_INS_MOV or len(decoded.operands) != 2:
            return None
        read, target = decoded.operands  # in the order of AT&T
        if target.type != capstone.CS_OP_REG or read.type != capstone.CS_OP_MEM or read.size != _WORD:
            return None
        memory = read.mem
        if memory.segment != capstone.x86.X86_REG_GS or memory.index:
            return None
        at = memory.disp
        if memory.base == capstone.x86.X86_REG_RIP:
            at += decoded.address + decoded.size
        elif memory.base:
            return None
        register = decoded.reg_name(target.reg)
        name = next((n for n in self._image.names_of_datum(at) if n in X86_64.model("percpu.toml")), None)
        if name is None or register not in X86_64.general or register == X86_64.stack_pointer:
            return None
        follows = decoded.address + decoded.size
        step = Step(z3.BoolVal(True), (), {register: per_cpu_symbol(name)}, follows)
        text = f"{decoded.mnemonic} {decoded.op_str}"
        return Instruction(decoded.address, decoded.size, text, (step,), form=form_of(decoded))

    def _address_of_data(self, decoded: Any) -> Instruction | None:
        """The instruction if it is a `lea` that gives the address of a jump table."""
        if not _is_relative_lea(decoded) or decoded.addr_size != _WORD or _rex_is_ignored(decoded):
            return None
        source, target = decoded.operands  # in the order of AT&T
        register = decoded.reg_name(target.reg)
        follows = decoded.address + decoded.size
        at = follows + source.mem.disp
        refers = self._image.refers_to_words(decoded.address, decoded.size, at)
        if not refers or at not in self._image.code_words:
            return None
        if register not in X86_64.general or register == X86_64.stack_pointer:
            return None
        step = Step(z3.BoolVal(True), (), {register: data_symbol(at)}, follows)
        text = f"{decoded.mnemonic} {decoded.op_str}"
        return Instruction(decoded.address, decoded.size, text, (step,), form=form_of(decoded))

    def _refuse_unsettled(self, decoded: Any) -> None:
        """Refuse what is not yet the code that will run, however it reads here."""
        reason = None
        if self._image.holds_address(decoded.address, decoded.size):
            reason = "holds an address, which is not known before it is linked and loaded"
        if self._takes_distance_for_number(decoded):
            reason = "holds a distance as a number, which is not known before it is linked"
        if (section := self._image.rewritten_at(decoded.address, decoded.size)) is not None:
            reason = f"is rewritten as the kernel boots or runs ({section})"
        if not self._image.built and self._leaves_section(decoded):
            reason = "goes out of its section, and what lies there is not known before it is linked"
        if reason:
            raise Refused(decoded.address, f"{decoded.mnemonic} {decoded.op_str}".strip(), reason)

    def _takes_distance_for_number(self, decoded: Any) -> bool:
        """Whether a distance that a relocation wrote is no branch's, nor that of an operand from rip."""
        holds = self._image.holds_distance(decoded.address, decoded.size)
        return holds and not _goes_by_distance(decoded) and not is_rip_relative(decoded)

    def _leaves_section(self, decoded: Any) -> bool:
        """Whether a branch goes out of its section by a distance that no relocation wrote."""
        if not _goes_by_distance(decoded):
            return False
        places = range(decoded.address, decoded.address + decoded.size)
        section = self._image.section_at(decoded.address)
        target = decoded.operands[0].imm
        if section is None or any(place in self._image.relocated for place in places):
            return False
        return not section.address <= target <= section.end

    def _lift(self, decoded: Any) -> Instruction:
        text = f"{decoded.mnemonic} {decoded.op_str}".strip()
        name = decoded.mnemonic.split()[-1]
        if _repeating(decoded) <= {_LOCK} and not _rex_is_ignored(decoded):
            locked = locked_exchange(decoded, text)
            if locked is not None:
                return replace(locked, form=form_of(decoded))
        for reason in self._refusals(decoded, name):
            raise Refused(decoded.address, text, reason)
        model = self._models.get(name)
        if model is not None:
            return replace(_from_model(decoded, text, model), form=form_of(decoded))
        irsb = self._vex(decoded, text)
        self._refuse_silent(decoded, text, irsb)
        written = _written(irsb)
        steps = [self._step(decoded, text, s, written) for s in self._successors(decoded, text, irsb)]
        _check_sizes(decoded, text, steps)
        steps = [self._undefined(decoded, step) for step in steps]
        if self._must_be_aligned(decoded, steps):
            steps = [_aligned(step) for step in steps]
        return Instruction(
            decoded.address,
            decoded.size,
            text,
            _exhaustive(steps),
            _rep(decoded),
            is_nontemporal=name.startswith(("movnt", "vmovnt")) and not name.endswith("a"),
            form=form_of(decoded),
        )

    def _refuse_silent(self, decoded: Any, text: str, irsb: Any) -> None:
        """Refuse what has no effect to the lifter, unless it is known to have none: a lifter says the same of
        what it does not know."""
        known = self._models["silent"]["names"]
        if _is_silent(irsb) and not _is_branch(decoded) and decoded.insn_name() not in known:
            raise Refused(decoded.address, text, "is without any effect to the lifter, which is not believed")

    def _refusals(self, decoded: Any, name: str) -> Iterator[str]:
        """Why the instruction is refused though the lifter takes it."""
        sizes = {operand.size for operand in decoded.operands}
        for narrow in (self._models[key] for key in _BY_SIZE if _BY_SIZE[key] in sizes):
            if decoded.insn_name() in narrow["names"]:
                yield narrow["reason"]
        other = self._models["refused_opcode"]
        if decoded.insn_name() in other["names"] and _opcode_before_registers(decoded) == other["opcode"]:
            yield other["reason"]
        if decoded.prefix[2] == _OPERAND_SIZE and _is_branch(decoded):
            yield "is a branch with an operand-size prefix, which not all CPUs read alike"
        if _is_relative_lea(decoded):
            yield "gives an address of the code, which is not known before it is loaded"
        if _rex_is_ignored(decoded):
            yield "has a REX prefix that is not the last prefix: a CPU ignores it, decoders do not"
        model = self._models.get(name)
        if model is not None and not _repeating(decoded) <= {model.get("prefix")}:
            yield "has a prefix with which it is another instruction or none"
        refused = self._models["refused"]
        yield from (refused[known] for known in (name, name[:-1]) if known in refused)

    def _must_be_aligned(self, decoded: Any, steps: Sequence[Step]) -> bool:
        """Whether an SSE operand in memory raises #GP at an odd address without a way that says so."""
        is_sse = not decoded.mnemonic.startswith("v") and any(o.size == 16 for o in decoded.operands)
        has_way = any(step.target is Leave.TRAP for step in steps)
        return is_sse and not has_way and decoded.insn_name() not in self._models["unaligned"]["names"]

    def _undefined(self, decoded: Any, step: Step) -> Step:
        return replace(step, writes=with_undefined(decoded, step.writes, self._models["undefined_flags"]))

    def _vex(self, decoded: Any, text: str) -> Any:
        irsb = pyvex.lift(bytes(decoded.bytes), decoded.address, _VEX_ARCH, opt_level=0, max_inst=1)
        if irsb.jumpkind == "Ijk_NoDecode" or irsb.size == 0:
            raise Refused(decoded.address, text, "is unknown to the lifter")
        if irsb.size != decoded.size:
            raise Refused(
                decoded.address, text, f"is {decoded.size} bytes to one decoder and {irsb.size} to the other"
            )
        for statement in irsb.statements:
            _check_statement(decoded.address, text, statement)
        return irsb

    @cached_property
    def _project(self) -> Any:
        return angr.load_shellcode(b"\x90", "amd64", load_address=0)

    @cached_property
    def _free_state(self) -> Any:
        """A state in which every register is a symbol and the flags are six free bits."""
        state = angr.SimState(
            project=self._project, plugins={"memory": EventMemory()}, mode="symbolic", options=_OPTIONS
        )
        for name in (*X86_64.general, *X86_64.vectors):
            setattr(state.regs, name, _claripy_symbol(name))
        state.regs.cc_op = 0
        state.regs.cc_dep1 = _packed_flags()
        state.regs.cc_dep2 = 0
        state.regs.cc_ndep = 0
        state.regs.d = claripy.If(_claripy_symbol("df") == 1, claripy.BVV(-1, 64), claripy.BVV(1, 64))
        state.regs.ac = _claripy_symbol("ac").zero_extend(63)
        state.regs.id = _claripy_symbol("id").zero_extend(63)
        return state

    def _successors(self, decoded: Any, text: str, irsb: Any) -> list[Any]:
        state = self._free_state.copy()
        state.regs.rip = decoded.address
        try:
            successors = self._project.factory.successors(state, irsb=irsb, addr=decoded.address)
        except Exception as error:  # angr raises many kinds: all mean the same to a proof
            raise Refused(decoded.address, text, f"angr cannot step it: {error}") from error
        if not successors.all_successors:
            raise Refused(decoded.address, text, "angr gives it no successor")
        return list(successors.all_successors)

    def _step(self, decoded: Any, text: str, successor: Any, written: frozenset[str]) -> Step:
        jumpkind = successor.history.jumpkind
        if jumpkind not in _PLAIN_JUMPS | _TRAP_JUMPS:
            raise Refused(decoded.address, text, f"leaves the code ({jumpkind})")
        events: tuple[Event, ...] = successor.memory.events
        if any(event.condition is not None for event in events):
            raise Refused(decoded.address, text, "accesses memory under a condition")
        if jumpkind in _TRAP_JUMPS:
            return Step(_z3(successor.history.jump_guard), (), {}, Leave.TRAP)
        return Step(
            guard=_z3(successor.history.jump_guard),
            accesses=tuple(_access(event) for event in events),
            writes=_writes(decoded.address, text, successor, written),
            target=_target(successor, jumpkind),
            is_call=jumpkind == "Ijk_Call",
            goes_to=_goes_to(successor),
        )


def _opcode_before_registers(decoded: Any) -> int | None:
    """The opcode of an instruction that names registers alone and ends with ModRM. (Of one with a VEX prefix
    the decoder gives the prefix.)"""
    has_registers = all(operand.type == capstone.CS_OP_REG for operand in decoded.operands)
    return int(decoded.bytes[-2]) if has_registers else None


def _claripy_symbol(name: str) -> claripy.ast.BV:
    return claripy.BVS(name, X86_64.widths[name], explicit_name=True)


def _packed_flags() -> claripy.ast.BV:
    """rflags as VEX's OP_COPY thunk wants it: the six arithmetic flags in place, zero elsewhere."""
    bits = {bit: _claripy_symbol(name) for name, bit in X86_64.flags.items()}
    low = [bits.get(bit, claripy.BVV(0, 1)) for bit in range(11, -1, -1)]
    return claripy.Concat(claripy.BVV(0, 52), *low)


def _z3(term: Any) -> Any:
    return z3.simplify(claripy.backends.z3.convert(term))


def _access(event: Event) -> Access:
    kind = Kind.STORE if event.is_store else Kind.LOAD
    return Access(kind, _z3(event.address), event.size, _z3(event.value))


def _target(successor: Any, jumpkind: str) -> int | Leave:
    if jumpkind == "Ijk_Ret":
        return Leave.RETURN
    target = successor.history.jump_target
    return target.concrete_value if target.concrete else Leave.INDIRECT


def _is_silent(irsb: Any) -> bool:
    """Whether a block does nothing but go on: it puts no register but rip, and accesses nothing."""
    quiet = (pyvex.stmt.IMark, pyvex.stmt.AbiHint, pyvex.stmt.NoOp, pyvex.stmt.MBE)
    return irsb.jumpkind == "Ijk_Boring" and all(
        isinstance(s, quiet)
        or (isinstance(s, pyvex.stmt.Put) and _register_name(s.offset) == "rip")
        or (isinstance(s, pyvex.stmt.WrTmp) and not isinstance(s.data, pyvex.expr.Load))
        for s in irsb.statements
    )


def _goes_to(successor: Any) -> z3.BitVecRef | None:
    """Where it goes, if that is no constant."""
    target = successor.history.jump_target
    return None if target.concrete else _z3(target)


def _written(irsb: Any) -> frozenset[str]:
    """Names of the registers that a block puts; halves of vector registers count as the whole."""
    puts = (s.offset for s in irsb.statements if isinstance(s, pyvex.stmt.Put))
    return frozenset(_register_name(offset) for offset in puts)


def _aligned(step: Step) -> Step:
    """The way, taken only where its accesses of 16 bytes are aligned; `_exhaustive` makes the rest a trap."""
    low = [z3.Extract(3, 0, access.address) == 0 for access in step.accesses if access.size == 16]
    return replace(step, guard=z3.simplify(z3.And(step.guard, *low)))


def _exhaustive(steps: list[Step]) -> tuple[Step, ...]:
    """The steps, and a trap for the states that none of them covers: angr makes no successor for
    the exits by which VEX raises an exception (a misaligned SSE operand)."""
    rest = z3.simplify(z3.Not(z3.Or([step.guard for step in steps])))
    if z3.is_false(rest) or _is_impossible(rest):
        return tuple(steps)
    return (*steps, Step(rest, (), {}, Leave.TRAP))


def _is_impossible(condition: z3.BoolRef) -> bool:
    solver = z3.SimpleSolver()
    solver.add(condition)
    return bool(solver.check() == z3.unsat)


def _writes(address: int, text: str, after: Any, written: frozenset[str]) -> Mapping[str, z3.BitVecRef]:
    writes: dict[str, Any] = {
        name: _z3(getattr(after.regs, name)) for name in written if name in X86_64.widths
    }
    if written & set(_FLAG_THUNK):
        writes |= _flag_writes(address, text, after)
    if "d" in written:
        writes["df"] = z3.simplify(z3.Extract(63, 63, _z3(after.regs.d)))
    for name in written & {"ac", "id"}:
        writes[name] = z3.simplify(z3.Extract(0, 0, writes[name]))
    return {name: term for name, term in writes.items() if not term.eq(symbol(name))}


def _flag_writes(address: int, text: str, after: Any) -> dict[str, Any]:
    try:
        packed = _z3(_rflags(after, *(getattr(after.regs, part) for part in _FLAG_THUNK)))
    except Exception as error:  # angr's ccalls raise many kinds
        raise Refused(address, text, f"its flags are not known: {error}") from error
    return {name: z3.simplify(z3.Extract(bit, bit, packed)) for name, bit in X86_64.flags.items()}


def _rflags(state: Any, op: Any, *operands: Any) -> Any:
    """The packed flags of a VEX thunk. A shift by cl leaves the flags alone if cl is 0: `op` is then a
    choice."""
    if op.op == "If":
        condition, then, otherwise = op.args
        return claripy.If(condition, _rflags(state, then, *operands), _rflags(state, otherwise, *operands))
    if not op.concrete:
        raise ValueError("the operation that sets them is not known")
    return amd64g_calculate_rflags_all(state, op, *operands)


def _check_statement(address: int, text: str, statement: Any) -> None:
    """Refuse a VEX statement that touches state outside the model, instead of forgetting it."""
    if isinstance(statement, pyvex.stmt.IMark | pyvex.stmt.AbiHint | pyvex.stmt.NoOp | pyvex.stmt.MBE):
        return
    if isinstance(statement, pyvex.stmt.Put):
        _check_register(address, text, statement.offset, "writes")
    elif not isinstance(statement, pyvex.stmt.WrTmp | pyvex.stmt.Store | pyvex.stmt.Exit):
        raise Refused(address, text, f"needs {type(statement).__name__}, which is not modelled")
    for expression in statement.expressions:
        if isinstance(expression, pyvex.expr.Get):
            _check_register(address, text, expression.offset, "reads")
        elif isinstance(expression, pyvex.expr.GetI):
            raise Refused(address, text, "reads the x87 stack, which is not modelled")


def _check_sizes(decoded: Any, text: str, steps: Sequence[Step]) -> None:
    """Refuse an instruction that accesses more memory to the decoder than to the lifter: VEX reads 8 of the
    16 bytes of `psrlq (%rsi), %xmm0`, since no more count."""
    operand = max((o.size for o in decoded.operands if o.type == capstone.CS_OP_MEM), default=0)
    for accesses in (step.accesses for step in steps if step.accesses):
        lifted = max(sum(a.size for a in accesses if a.kind is kind) for kind in Kind)
        if lifted < operand:
            reason = f"accesses {operand} bytes to one decoder and {lifted} to the other"
            raise Refused(decoded.address, text, reason)


def _register_name(offset: int) -> str:
    base, _ = _VEX_ARCH.get_base_register(offset) or (offset, 0)
    name = _VEX_ARCH.register_names.get(base, f"guest state offset {base}")
    return str(_LOW_HALF.get(name, name))


def _check_register(address: int, text: str, offset: int, verb: str) -> None:
    name = _register_name(offset)
    if name not in _MODELLED_VEX:
        raise Refused(address, text, f"{verb} {name}, which is not modelled")


def _from_model(decoded: Any, text: str, model: Mapping[str, Any]) -> Instruction:
    writes = {
        name: z3.BitVecVal(value, X86_64.widths[name]) for name, value in model.get("writes", {}).items()
    }
    step = Step(z3.BoolVal(True), (), writes, decoded.address + decoded.size)
    hint = _hinted_at(decoded, text) if model.get("hint", False) else None
    return Instruction(
        decoded.address, decoded.size, text, (step,), is_fence=model.get("fence", False), hint=hint
    )


def _hinted_at(decoded: Any, text: str) -> z3.BitVecRef:
    """The address that is the operand of a hint."""
    (operand,) = decoded.operands
    return address_of_operand(decoded, operand, text)


def _rep(decoded: Any) -> Rep | None:
    prefix, _, string = decoded.mnemonic.partition(" ")
    if prefix not in ("rep", "repe", "repz", "repne", "repnz"):
        return None
    if decoded.group(capstone.CS_GRP_RET):
        return None  # `rep ret`: the prefix only pads it
    size = {"movsl": "movsd", "stosl": "stosd"}.get(string, string)
    if size not in _REP_STRING:
        raise Refused(
            decoded.address, f"{decoded.mnemonic} {decoded.op_str}".strip(), "is a string compare or load"
        )
    if decoded.addr_size != 8:
        raise Refused(
            decoded.address, f"{decoded.mnemonic} {decoded.op_str}".strip(), "has a 32-bit address size"
        )
    element, reads = _REP_STRING[size]
    return Rep(element, reads, decoded.address + decoded.size, "rcx", "rdi", "rsi", "rax", ("df",))


def _depends_on_address(decoded: Any) -> bool:
    """Whether the same bytes mean something else elsewhere, beyond a relative branch: a pushed
    return address or an operand relative to rip, or to its lower half."""
    return is_rip_relative(decoded) or decoded.group(capstone.CS_GRP_CALL)


def _is_relative_lea(decoded: Any) -> bool:
    return is_rip_relative(decoded) and bool(decoded.insn_name() == "lea")


_REX = range(0x40, 0x50)
_LEGACY = {0xF0, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, 0x66, 0x67}
_REPEATING = {0xF0, 0xF2, 0xF3, _OPERAND_SIZE}


def _prefixes(decoded: Any) -> list[int]:
    """The prefixes in front of the opcode, REX among them, in their order."""
    code = bytes(decoded.bytes)
    return list(takewhile(lambda byte: byte in _LEGACY or byte in _REX, code))


def _rex_is_ignored(decoded: Any) -> bool:
    """Whether a REX prefix has another prefix behind it (Intel SDM vol. 2, 2.2.1)."""
    return any(byte in _REX for byte in _prefixes(decoded)[:-1])


def _repeating(decoded: Any) -> set[int]:
    """The prefixes that choose among the instructions of one opcode, or are not allowed."""
    return set(_prefixes(decoded)) & _REPEATING


def _is_branch(decoded: Any) -> bool:
    # To capstone `loop` is a relative branch, but no jump.
    jumps = (capstone.CS_GRP_JUMP, capstone.CS_GRP_BRANCH_RELATIVE)
    return any(decoded.group(group) for group in (*jumps, capstone.CS_GRP_CALL, capstone.CS_GRP_RET))


def _goes_by_distance(decoded: Any) -> bool:
    """Whether it is a branch that names its target. (That of a `ret` is a number of bytes.)"""
    names = bool(decoded.operands) and decoded.operands[0].type == capstone.CS_OP_IMM
    return names and _is_branch(decoded) and not decoded.group(capstone.CS_GRP_RET)


def _moved(instruction: Instruction, address: int) -> Instruction:
    """The same encoding at another address: branch targets are relative and move with it."""
    shift = address - instruction.address
    if shift == 0:
        return instruction
    steps = tuple(
        replace(s, target=s.target + shift) if isinstance(s.target, int) else s for s in instruction.steps
    )
    rep = instruction.rep and replace(instruction.rep, next=instruction.rep.next + shift)
    return replace(instruction, address=address, steps=steps, rep=rep)

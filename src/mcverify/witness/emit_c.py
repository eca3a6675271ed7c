"""A counterexample as one C file of its own, which shows the bug with a C compiler alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path, PurePath
from textwrap import wrap
from typing import Any

import jinja2

from mcverify import __version__
from mcverify.arch.known import X86_64
from mcverify.contract import MACHINE_CHECK, WORD, Contract
from mcverify.errors import InputError
from mcverify.image.image import Section, TableEntry
from mcverify.image.recovery import fatal_entries
from mcverify.proof.result import Counterexample, ListingLine
from mcverify.runs import wire
from mcverify.runs.case import PAGE, Case, Ending, Outcome, Place, Placement
from mcverify.runs.code import (
    decode,
    effects,
    is_fence,
    is_nontemporal,
    must_be_aligned,
    returning_externals,
    text_at,
)
from mcverify.runs.effects import Effect, Operation, operations
from mcverify.runs.judge import judge
from mcverify.runs.layout import bias_of, lay_out
from mcverify.runs.pattern import LEAD, REGISTERS, initial_registers, initial_vectors, is_value, told_by
from mcverify.witness.subject import Subject

TEMPLATE = Path(__file__).with_name("repro.c.jinja")

MARK = "Made by mcverify"
"""Stands at the head of every file that is written here."""

_MASK = (1 << 64) - 1
_VECTOR = re.compile(r"%[xyz]mm\d")
_PERIOD = 509 * PAGE
"""As in the template."""

_WIDTH = 100
_MOST_CODE = 64 << 10
_MOST_DATA = 64 << 10
_DST_AT, _SRC_AT = 0x2000_0000_0000, 0x3000_0000_0000
_STACK_AT = 0x4000_0000_0000 + 16 * PAGE - 8
_EFFECTS = {
    Effect.SET_TRAP: "SET_TRAP",
    Effect.SET_IMM: "SET_IMM",
    Effect.ADD_IMM: "ADD_IMM",
    Effect.SCALE_ADD: "SCALE_ADD",
}


def emit_c(subject: Subject, found: Counterexample, name: str) -> str:
    """The C program that runs the case of `found` on the code of `subject`; it is to be the file `name`.

    Raises InputError where no CPU can show the violation, or the code is too much for a file to be read.
    """
    _refuse(subject, found)
    return _template().render(_context(subject, found, name))


def command(path: str) -> str:
    """The command that compiles such a file and runs the program, both in the folder of the file.

    The program's name ends in `.out`: beside `x.o.c` or `vmlinux.c` there may be an `x.o` or a `vmlinux`.
    """
    path = f"./{path}" if path.startswith("-") else path
    is_c = PurePath(path).suffix == ".c"
    program = f"{path.removesuffix('.c')}.out"
    run = program if "/" in program else f"./{program}"
    language = "" if is_c else "-x c "
    return f"gcc -O2 {language}{shlex.quote(path)} -o {shlex.quote(program)} && {shlex.quote(run)}"


def is_ours(text: str) -> bool:
    """Whether a file that begins with `text` was written here, so that it may be overwritten."""
    return text.startswith(f"/*\n * {MARK} ")


def knows(contract: Contract) -> bool:
    """Whether a program can judge what the contract asks for."""
    return not (
        contract.string_length
        or contract.zeroes_rest
        or contract.handed
        or contract.told != "left"
        or contract.status in X86_64.flags
    )


def _refuse(subject: Subject, found: Counterexample) -> None:
    where = str(subject.image.path)
    if found.case.flicker:
        raise InputError(
            "no C program can show it: a page comes and goes in this run",
            where=where,
            hint="mcverify replay runs it again",
        )
    last = found.outcome.faults[-1].insn if found.outcome.faults else None
    is_checked = found.case.trap_after(found.outcome.faults) == MACHINE_CHECK
    # Code that was mended since the run may have an entry where it had none.
    fatal = fatal_entries(subject.image, subject.contract) if is_checked else frozenset()
    if found.outcome.ending is Ending.OOPS and last in fatal:
        raise InputError(
            "no C program can show it: the kernel does not recover from a machine check at this entry",
            where=where,
        )
    if found.outcome.schedule:
        raise InputError(
            "no C program can show it: the run rests on a REP that does its elements in no order",
            where=where,
            hint="mcverify replay runs it on the emulator",
        )
    if not knows(subject.contract):
        raise InputError(
            "no C program can show it: it knows no contract that asks for zeros, with a string, a count of"
            " bytes done, the address of a fault, or a flag",
            where=where,
            hint="mcverify replay runs it",
        )
    for entry in _entries(subject, _code(subject)):
        if any(operation.effect is Effect.UNMODELLED for operation in operations(entry.handler)):
            raise InputError(
                f"no C program can show it: what the handler {entry.handler.name} does is not modelled",
                where=subject.image.where(entry.insn),
            )
    size = sum(len(line.code) for line in subject.listing)
    if size > _MOST_CODE:
        raise InputError(f"the routine has {size} bytes of code, too much for a C file", where=where)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        block_start_string="@%",
        block_end_string="%@",
        variable_start_string="@<",
        variable_end_string=">@",
        comment_start_string="@#",
        comment_end_string="#@",
        line_statement_prefix="//%",
        keep_trailing_newline=True,
        autoescape=False,
        undefined=jinja2.StrictUndefined,
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


# ---- What the template is filled with -----------------------------------------------------


def _context(subject: Subject, found: Counterexample, name: str) -> dict[str, Any]:
    lines = _code(subject)
    bias = bias_of([s for s in map(subject.image.section_at, _addresses(lines)) if s is not None])
    mode = _mode(subject.contract, found)
    data = _data(subject, lines)
    case, contract = found.case, subject.contract
    buffers = _buffers(contract, case, found.outcome)
    at = {buffer["name"]: buffer["address_now"] for buffer in buffers}
    stack = found.outcome.initial.get("rsp", _STACK_AT)
    registers = initial_registers(case, contract, at["dst"], at.get("src", 0), stack)
    return {
        "header": _header(subject, found, name),
        "title": _string(f"{subject.name} in {subject.image.path}, contract {contract.name}"),
        "contract_title": _comment(
            f"{contract.name}: {contract.summary}" if contract.summary else contract.name
        ),
        "contract": _contract(contract),
        "length": f"{case.len:#x}ull" if case.len >= 1 << 20 else f"{case.len}",
        "traps": ", ".join(map(str, case.traps)),
        "seed": case.seed,
        "contents": _contents_rule(case, contract),
        "pieces": _pieces(case),
        "vectors": _vectors(case, lines),
        "aligned": ", ".join([*_aligned(subject, lines, bias), "0"]),
        "buffers": buffers,
        "registers": _registers(registers, contract),
        "entry": _hex(subject.entry - bias),
        "bias": _hex(bias) if bias else "",
        "mode": mode,
        "listing": [_line(subject, line, bias, mode) for line in lines],
        "no_extra": {"plain": "", "watched": ", 0", "stepped": ", PLAIN"}[mode],
        "pages": _pages(subject, lines, data, bias),
        "data": [_blob(section, bias) for section in data],
        "table": [_entry(subject, entry, bias) for entry in _entries(subject, lines)],
        "user_access": _user_access(subject, lines, bias),
        "externals": _externals(subject, lines, bias),
    }


def _contents_rule(case: Case, contract: Contract) -> dict[str, str]:
    """How the bytes of src follow from random ones: bits that are set, cleared, and what stands for a byte
    that does not occur; whether the seed is a value; the word that stands everywhere."""
    signed = contract.size is not None and contract.size <= WORD
    bit, value = told_by(case.seed)
    every = case.preset.every if case.preset is not None else b""
    return {
        "ones": _hex(0 if signed else value << bit),
        "zeros": _hex(0 if signed else (1 - value) << bit),
        "other": "0x55" if signed or (0x55 >> bit & 1) == value else "0xaa",
        "nor": "" if signed else " || contents[i] == 255",
        "value": _hex(case.seed & 0x7F) if is_value(case.seed) else "",
        "every": f"{_hex(int.from_bytes(every, 'little'))}ull" if every else "",
        "unit": str(contract.unit or ""),
    }


def _pieces(case: Case) -> list[dict[str, Any]]:
    """The bytes of src that the case names, by their index in the contents."""
    pieces = case.preset.pieces if case.preset is not None else ()
    return [
        {"index": offset + LEAD, "bytes": ", ".join(f"{byte:#04x}" for byte in piece)}
        for offset, piece in pieces
        if 0 <= offset + LEAD <= _PERIOD - len(piece)
    ]


def _vectors(case: Case, lines: Iterable[ListingLine]) -> list[str]:
    """The vector registers at the call, as words; none where the routine has no instruction that names
    one."""
    if not any(_VECTOR.search(line.text) for line in lines):
        return []
    values = initial_vectors(case).values()
    return [", ".join(_hex(value >> 64 * lane & _MASK) for lane in range(4)) for value in values]


def _aligned(subject: Subject, lines: Iterable[ListingLine], bias: int) -> list[str]:
    image = subject.image
    uncovered = (line.address for line in lines if image.entry_at(line.address) is None)
    return [_hex(address - bias) for address in uncovered if must_be_aligned(image, address)]


def _header(subject: Subject, found: Counterexample, name: str) -> str:
    """The comment at the top: what it is, how it is used."""
    kept = found.sentence or "the run keeps its contract"
    at = {"*": "any exit"}.get(found.exit, found.exit)
    parts = [
        f"{MARK} {__version__}: a counterexample as a program.",
        f"The routine {subject.name} of {subject.image.path}, contract {subject.contract.name}:",
        f"\t{', '.join(found.obligations)} at {at}: {kept}",
        "This file holds its machine code and its exception table, calls it once on this CPU, with real"
        " faults, and says what came back. It needs nothing else:",
        f"\t{command(name)}",
        "Exit code: 1 the contract is broken, 0 it is kept, 2 the run cannot be made here.",
    ]
    text = "\n\n".join("\n".join(_wrapped(part)) for part in parts)
    lines = (f" *{line}" if line.startswith("\t") else f" * {line}".rstrip() for line in text.split("\n"))
    return "/*\n" + "\n".join(lines) + "\n */"


def _wrapped(part: str) -> list[str]:
    indent = "\t" if part.startswith("\t") else ""
    return wrap(_comment(part.strip()), _WIDTH - 8 * len(indent), initial_indent=indent,
                subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _mode(contract: Contract, found: Counterexample) -> str:
    """How closely the run must be watched to see the violation: "plain", each access, or each instruction."""
    if "O10" in found.obligations or found.outcome.ending is Ending.TIMEOUT:
        return "stepped"
    seen = {v.obligation for v in judge(contract, found.case, found.outcome)}
    return "watched" if "O8" in found.obligations and "O8" not in seen else "plain"


def _contract(contract: Contract) -> list[tuple[str, str]]:
    def register(name: str | None) -> str:
        return "NONE" if name is None else name.upper()

    def bits(words: Iterable[str]) -> str:
        return " | ".join(f"BIT({word})" for word in words) or "0"

    return [
        *((key, register(getattr(contract, key))) for key in ("dst", "src", "len", "left", "status", "trap")),
        *((key, register(getattr(contract, key))) for key in ("stored_value", "loaded_value")),
        *((f"{key}_mask", f"{(1 << contract.bits(key)) - 1:#x}") for key in ("left", "status", "trap")),
        ("status_is_bool", _bool(contract.status_is_bool)),
        ("status_inverted", _bool(contract.status_inverted)),
        ("success_unasked", _bool(contract.success_unasked)),
        ("has_error", _bool(contract.error is not None)),
        ("error", f"{(contract.error or 0) % (1 << contract.error_bits):#x}"),
        ("error_mask", f"{(1 << contract.error_bits) - 1:#x}"),
        ("zero", _bool(contract.data == "zero")),
        ("rest_zeroed", _bool(contract.rest_zeroed)),
        ("zero_rest", register(contract.zero_rest)),
        ("over_report", str(contract.over_report)),
        ("over_report_on_mc", str(contract.over_report_on_machine_check)),
        ("kept", bits(register.upper() for register in contract.kept)),
        # No outcome shows O10 unless it is watched for; its bit does no harm.
        ("obligations", bits(obligation[1:] for obligation in contract.obligations)),
        ("on_machine_check", bits(obligation[1:] for obligation in contract.on_machine_check)),
    ]


def _buffers(contract: Contract, case: Case, outcome: Outcome) -> list[dict[str, Any]]:
    """The buffers, src first; where they lay in the recorded run, if that is known."""
    found = []
    for name, register, placement, otherwise in (
        ("src", contract.src, case.src, _SRC_AT),
        ("dst", contract.dst, case.dst, _DST_AT),
    ):
        # A dst that the routine is not given lies there all the same, and is to stay as it is.
        if register is not None or name == "dst":
            recorded = outcome.initial.get(register, otherwise) if register else otherwise
            found.append(_buffer(name, placement, case, recorded))
    for buffer in found:
        buffer["pattern"] = "contents" if buffer["name"] == "src" else "fresh"
    return found


def _buffer(name: str, placement: Placement, case: Case, recorded: int) -> dict[str, Any]:
    laid = lay_out(placement, case.len, 0)
    end = laid.end
    if wire.is_long(case):
        end = min(end, laid.back - (-case.len // PAGE) * PAGE + PAGE)
    at = (recorded & -PAGE) + laid.at % PAGE
    return {
        "name": name,
        "address": f"&{name}",
        "address_now": at,
        "words": _placement_words(placement, case.len),
        "at": _hex(at),
        **{key: _signed(value - laid.at) for key, value in (
            ("start", laid.start), ("hole", laid.hole), ("back", laid.back), ("end", end),
        )},
    }  # fmt: skip


def _placement_words(placement: Placement, length: int) -> str:
    match placement.place:
        case Place.HOLE if placement.at < length:
            return f"its first bad byte is that at offset {placement.at}"
        case Place.INSIDE:
            return "its first byte is bad"
        case Place.END:
            return "it ends where a bad page begins"
        case Place.FRONT:
            return "it starts where a bad page ends"
        case _:
            return "all of it can be accessed"


def _registers(values: dict[str, int], contract: Contract) -> list[tuple[str, str]]:
    return [(r.upper(), _hex(values[r])) for r in REGISTERS if r not in contract.arguments]


# ---- Code and data ------------------------------------------------------------------------


def _code(subject: Subject) -> list[ListingLine]:
    """The routine's code by address: what is reached by known ways, and the rest of its own extent, to which
    a jump through a table may lead."""
    lines = {line.address: line for line in subject.listing}
    if subject.end - subject.entry <= _MOST_CODE:
        at = subject.entry
        while at < subject.end:
            if at not in lines:
                following = min((a for a in lines if a > at), default=subject.end)
                line = _unreached(subject, at, min(following, subject.end))
                if not line.code:
                    break
                lines[at] = line
            at += len(lines[at].code)
    return [lines[address] for address in sorted(lines)]


def _unreached(subject: Subject, at: int, end: int) -> ListingLine:
    """The instruction at `at`, or the bytes up to `end` where there is none."""
    image = subject.image
    instruction = decode(image, at)
    code = (
        instruction.code
        if instruction is not None and instruction.end <= end
        else image.code_at(at, end - at)[:15]
    )
    return ListingLine(
        at, code, image.architecture.text(code, at) or "(data)", image.label_at(at) or "", image.where(at)
    )


def _addresses(lines: Iterable[ListingLine]) -> list[int]:
    return [line.address for line in lines]


def _line(subject: Subject, line: ListingLine, bias: int, mode: str) -> dict[str, str]:
    extra = ""
    if mode == "watched":
        extra = f", {_access_width(subject, line)}"
    elif mode == "stepped":
        is_weak, fences = (kind(subject.image, line.address) for kind in (is_nontemporal, is_fence))
        extra = ", NONTEMPORAL" if is_weak else ", FENCE" if fences else ", PLAIN"
    return {
        "title": f"{_comment(line.label)}:" if line.label else "",
        "address": _hex(line.address - bias),
        "code": ", ".join(f"{byte:#04x}" for byte in line.code),
        "text": _string(line.text),
        "label": _string(line.label),
        "where": _string(line.where),
        "extra": extra,
    }


def _access_width(subject: Subject, line: ListingLine) -> int:
    """How many bytes the memory operand of an instruction has, 0 without one."""
    done = effects(subject.image, line.address)
    return max((operand.size for operand in done.explicit), default=0) if done is not None else 0


def _data(subject: Subject, lines: Iterable[ListingLine]) -> list[Section]:
    """The sections of data that the code names."""
    found = {}
    for line in lines:
        done = effects(subject.image, line.address)
        for address in done.names if done is not None else ():
            section = subject.image.section_at(address)
            if section is not None and not section.executable and len(section.data) <= _MOST_DATA:
                found[section.address] = section
    return [found[address] for address in sorted(found)]


def _blob(section: Section, bias: int) -> dict[str, Any]:
    rows = [
        ", ".join(f"{byte:#04x}" for byte in section.data[i : i + 12]) + ","
        for i in range(0, len(section.data), 12)
    ]
    return {"title": _comment(section.name), "address": _hex(section.address - bias), "rows": rows}


def _pages(
    subject: Subject, lines: Sequence[ListingLine], data: Sequence[Section], bias: int
) -> list[dict[str, str]]:
    touched: dict[int, tuple[bool, str]] = {}
    spans = [(line.address, len(line.code), True) for line in lines]
    spans += [(section.address, len(section.data), False) for section in data]
    for start, size, executable in sorted(spans):
        section = subject.image.section_at(start)
        name = section.name if section is not None else ""
        for page in range(start // PAGE, (start + size - 1) // PAGE + 1):
            before = touched.get(page, (False, name))
            touched[page] = before[0] or executable, before[1]
    found = []
    for _, group in groupby(
        enumerate(sorted(touched)), key=lambda item: (item[1] - item[0], touched[item[1]])
    ):
        numbers = [page for _, page in group]
        executable, name = touched[numbers[0]]
        found.append({
            "start": _hex(numbers[0] * PAGE - bias),
            "end": _hex((numbers[-1] + 1) * PAGE - bias),
            "executable": _bool(executable),
            "words": _comment(name),
        })  # fmt: skip
    return found


def _entries(subject: Subject, lines: Iterable[ListingLine]) -> list[TableEntry]:
    found = (subject.image.entry_at(line.address) for line in lines)
    return [entry for entry in found if entry is not None]


def _entry(subject: Subject, entry: TableEntry, bias: int) -> dict[str, str]:
    effects = [_effect(operation) for operation in operations(entry.handler)] or ["{ END, 0, 0, 0 }"]
    text = text_at(subject.image, entry.insn)
    where, fixup = subject.image.where(entry.insn), subject.place(entry.fixup)
    return {
        "words": _comment(f"{where} ({text}) -> {fixup}, handler {entry.handler.name}"),
        "insn": _hex(entry.insn - bias),
        "fixup": _hex(entry.fixup - bias),
        "effects": ", ".join(effects),
    }


def _effect(operation: Operation) -> str:
    target, operand = operation.target.upper(), operation.operand.upper()
    return f"{{ {_EFFECTS[operation.effect]}, {target}, {operand}, {_hex(operation.imm)} }}"


def _user_access(subject: Subject, lines: Iterable[ListingLine], bias: int) -> list[dict[str, str]]:
    found = []
    for line in lines:
        done = effects(subject.image, line.address)
        if done is not None and "ac" in done.sets:
            found.append({"address": _hex(line.address - bias), "ac": _bool(bool(done.sets["ac"]))})
    return found


def _externals(subject: Subject, lines: Iterable[ListingLine], bias: int) -> list[dict[str, str]]:
    image, returning = subject.image, returning_externals(subject.image)
    instructions = (decode(image, line.address) for line in lines)
    targets = sorted({target for i in instructions if i is not None for target in i.targets})
    return [
        {
            "address": _hex(target - bias),
            "returns": _bool(target in returning),
            "name": _string(image.externals[target]),
        }
        for target in targets
        if target in image.externals
    ]


# ---- C ------------------------------------------------------------------------------------


def _hex(value: int) -> str:
    return f"{value & (1 << 64) - 1:#x}"


def _signed(value: int) -> str:
    return f"-{-value:#x}" if value < 0 else f"{value:#x}"


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _string(text: str) -> str:
    """A C string; what is not plain ASCII is written as octal numbers, which have three digits at most."""
    plain = {chr(code) for code in range(0x20, 0x7F)} - set('"\\?')
    return '"' + "".join(
        c if c in plain else "".join(f"\\{byte:03o}" for byte in c.encode("utf-8", "surrogateescape"))
        for c in text
    ) + '"'  # fmt: skip


def _comment(text: str) -> str:
    """Text that a C comment can hold, whatever the compiler warns of in comments."""
    plain = re.sub(r"[^\x20-\x7e]|\\", "_", text)
    return plain.replace("*/", "*_/").replace("/*", "/_*")

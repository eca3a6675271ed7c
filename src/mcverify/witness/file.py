"""Counterexamples as a file: the document of `mcverify prove --json`, read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mcverify.arch.known import X86_64
from mcverify.contract import OBLIGATIONS, REGISTERS, Contract, Faults, contract_of
from mcverify.errors import InputError
from mcverify.foreign import opened
from mcverify.image.image import Handler, TableEntry
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import (
    Counterexample,
    Explanation,
    ListingLine,
    Prediction,
    Relevance,
    Repair,
    TraceStep,
    titled,
)
from mcverify.runs import pattern
from mcverify.runs.case import PAGE, Access, Case, Ending, Fault, Outcome, Place, Placement, Preset
from mcverify.shown import printable
from mcverify.witness import document

SCHEMA = 1
"""The schema of the documents that are read."""

LARGEST = 64 << 20
"""Larger files, in bytes, are refused: a document has some kilobytes for each routine."""

_HINT = "a witness file is what mcverify prove --json FILE writes"
_AT = re.compile(r"(?P<what>.*) - at `\$\.?(?P<path>[^`]*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_MALFORMED = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Witness:
    """One counterexample with all that is needed to run it again.

    `file` is the routine's file as it was named, `sha256` its digest then, `entry`, `listing` and `table`
    the routine's address, code and exception-table entries in that file's image; `contract` and `faults`
    what it was asked to keep, `options` what it was asked with. `variant` are
    the CPU features that chose its code.
    """

    file: str
    sha256: str
    routine: str
    entry: int
    contract: Contract
    faults: Faults
    listing: tuple[ListingLine, ...]
    table: tuple[TableEntry, ...]
    options: ProveOptions
    counterexample: Counterexample
    variant: str = ""

    @property
    def title(self) -> str:
        """The routine's name with its variant, as in results."""
        return titled(self.routine, self.variant)


def read_witnesses(path: Path) -> tuple[Witness, ...]:
    """The counterexamples of a document, in its order; there is at least one.

    Raises InputError where the file cannot be read, is no such document or holds no counterexample.
    """
    data = _read(path)
    try:
        head = _decode(data, document.Head, path)
        if head.schema != SCHEMA:
            raise InputError(
                f"it is of schema {head.schema} (mcverify {head.mcverify}); this one reads schema {SCHEMA}",
                where=str(path),
            )
        found = _decode(data, document.Document, path)
        witnesses = tuple(_witnesses(found))
    except _WrongFieldError as error:
        raise InputError(str(error), where=str(path), hint=_HINT) from error
    if not witnesses:
        what = ", ".join(routine.name for routine in found.routines[:8]) or "no routine"
        raise InputError(f"it holds no counterexample: nothing in it ({what}) was refuted", where=str(path))
    return witnesses


class _WrongFieldError(Exception):
    """A field of the document is wrong; the text begins with its path."""


# ---- The file ------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        with opened(path) as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("it is a folder", where=str(path), hint=_HINT) from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > LARGEST:
        raise InputError(
            f"it has more than {LARGEST >> 20} MiB: no witness file is so large", where=str(path)
        )
    if not data.lstrip().startswith(b"{"):
        raise InputError("it is no JSON object" if data else "the file is empty", where=str(path), hint=_HINT)
    return data


def _decode(data: bytes, kind: type[_T], path: Path) -> _T:
    """`data` as a value of `kind`. Raises InputError for no JSON, _WrongFieldError for a wrong field."""
    try:
        return msgspec.convert(_shown(msgspec.json.decode(data)), type=kind)
    except msgspec.ValidationError as error:
        raise _WrongFieldError(_in_words(str(error))) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        text = str(error)
        malformed = _MALFORMED.fullmatch(text)
        if malformed is not None:
            line = data.count(b"\n", 0, int(malformed["byte"])) + 1
            raise InputError(f"it is no JSON: {malformed['what']}", where=f"{path}:{line}") from error
        if "truncated" in text:
            raise InputError("it ends in the middle: the file was cut off", where=str(path)) from error
        raise InputError(f"it is no JSON: {text[:1].lower()}{text[1:]}", where=str(path)) from error


def _shown(value: object) -> object:
    """A value of JSON with every text in it fit to be shown."""
    match value:
        case str():
            return printable(value)
        case list():
            return [_shown(each) for each in value]
        case dict():
            return {printable(str(key)): _shown(each) for key, each in value.items()}
        case _:
            return value


def _in_words(text: str) -> str:
    """What msgspec says of a wrong field, the field's path first."""
    match = _AT.fullmatch(text)
    what, path = (match["what"], match["path"]) if match else (text, "")
    missing = _MISSING.fullmatch(what)
    if missing is not None:
        return f"{path}{'.' if path else ''}{missing['field']} is missing"
    return f"{path or 'the document'}: {what[:1].lower()}{what[1:]}"


# ---- From the document to values -------------------------------------------------------


def _witnesses(found: document.Document) -> Iterator[Witness]:
    for number, routine in enumerate(found.routines):
        if not routine.counterexamples:
            continue
        path = f"routines[{number}]"
        contract = _contract(routine.terms, f"{path}.terms")
        listing, table = _listing(routine, path), _table(routine, path)
        for i, counterexample in enumerate(routine.counterexamples):
            yield Witness(
                file=routine.file,
                sha256=routine.sha256,
                routine=routine.name,
                entry=_number(routine.entry),
                contract=contract,
                faults=routine.faults,
                listing=listing,
                table=table,
                options=_options(found.options, routine.name),
                counterexample=_counterexample(counterexample, f"{path}.counterexamples[{i}]"),
                variant=routine.variant,
            )


def _options(options: document.Options, routine: str) -> ProveOptions:
    return ProveOptions(
        routines=(routine,),
        contract=options.contract,
        faults=options.faults,
        trap=options.trap,
        fault_model=options.fault_model,
        len_max=options.len_max,
        rep_model=options.rep_model,
        include=tuple(map(Path, options.include)),
        defines=options.defines,
        system_map=_path(options.system_map),
        kernel=_path(options.kernel),
        config=_path(options.config),
        ignore_annotations=options.ignore_annotations,
        table=options.table,
        syntax=options.syntax,
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _named(terms: document.Terms, role: str) -> str | None:
    """The register of a result, or the part of it that its width names."""
    register = getattr(terms, role)
    return None if register is None else X86_64.part_name(register, terms.widths.get(role, 64))


def _asks_of_no_result(terms: document.Terms) -> bool:
    """Whether it is a contract that asks nothing of what is returned, not one whose result was lost."""
    return terms.left is None and terms.status is None and not {"O2", "O3", "O5"} & set(terms.obligations)


def _contract(terms: document.Terms | None, path: str) -> Contract:
    """The contract, checked like one from a TOML file."""
    if terms is None:
        raise _WrongFieldError(f"{path}: there are counterexamples, but no contract that they break")
    tree = {
        "name": terms.name,
        "summary": terms.summary,
        "source": terms.source,
        "obligations": list(terms.obligations),
        "faults": terms.faults,
        "faults_by_table": terms.faults_by_table,
        "data": terms.data,
        "over_report": terms.over_report,
        "fault_model": terms.fault_model,
        "arguments": _given(
            {
                "dst": terms.dst,
                "src": terms.src,
                "len": terms.len,
                "size": terms.size,
                "value": _value(terms),
                "zero_rest": terms.zero_rest,
                "old": terms.compared,
            }
        ),
        "result": _given(
            {
                _TOLD[terms.told]: _named(terms, "left"),
                "status": _named(terms, "status"),
                "trap": _named(terms, "trap"),
                "length": _named(terms, "string_length"),
                "found": _named(terms, "found"),
                "value": terms.loaded_value,
                "error": terms.error,
            }
        )
        | {"status_inverted": terms.status_inverted, "success_unasked": terms.success_unasked}
        | {"counts_nul": terms.counts_nul}
        | {"nothing": _asks_of_no_result(terms)}
        | {"rest_zeroed": terms.rest_zeroed, "zeroes_rest": terms.zeroes_rest},
        "state": {
            "given": _numbers(terms.given),
            "preserved": list(terms.preserved),
            "user": terms.user,
            "clobbered": list(terms.clobbered),
        },
        "fault": dict(terms.handed),
        **({} if terms.window is None else {"window": dict(terms.window)}),
        "traps": terms.traps,
        "machine_check": _machine_check(terms),
        "routines": dict(terms.routines),
    }
    try:
        return contract_of(tree, path)
    except InputError as error:
        raise _WrongFieldError(f"{path}: {error.message}") from error


_TOLD = {"left": "left", "done": "done", "address": "fault_address"}
"""The keys of `[result]` of a register that tells the count of bytes left."""


def _value(terms: document.Terms) -> str | None:
    """The register whose bytes are stored, or of a fill the part of it that is."""
    if terms.stored_value is None or terms.unit is None:
        return terms.stored_value
    return X86_64.part_name(terms.stored_value, 8 * terms.unit)


def _machine_check(terms: document.Terms) -> dict[str, Any]:
    allowed = terms.over_report_on_machine_check
    said = {} if allowed is None else {"over_report": allowed}
    where = {"src": "user" if terms.reads_user else "kernel", "recoverable": terms.recoverable}
    return {"obligations": list(terms.on_machine_check)} | said | where


def _given(values: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {key: value for key, value in values.items() if value is not None}


def _listing(routine: document.Routine, path: str) -> tuple[ListingLine, ...]:
    if not routine.listing:
        raise _WrongFieldError(f"{path}.listing: there are counterexamples, but no code")
    return tuple(
        ListingLine(
            address=_number(line.address),
            code=bytes.fromhex(line.code),
            text=line.text,
            label=line.label,
            where=line.where,
            fixup=None if line.fixup is None else _number(line.fixup),
            handler=line.handler,
        )
        for line in routine.listing
    )


def _table(routine: document.Routine, path: str) -> tuple[TableEntry, ...]:
    for i, entry in enumerate(routine.table):
        if entry.register is not None:
            _known(entry.register, REGISTERS, f"{path}.table[{i}].register")
    return tuple(
        TableEntry(
            insn=_number(entry.insn),
            fixup=_number(entry.fixup),
            handler=Handler(entry.handler, entry.effects, entry.register, entry.imm),
            index=entry.index,
        )
        for entry in routine.table
    )


def _counterexample(found: document.Counterexample, path: str) -> Counterexample:
    for i, obligation in enumerate(found.obligations):
        _known(obligation, OBLIGATIONS, f"{path}.obligations[{i}]")
    return Counterexample(
        obligations=found.obligations,
        exit=found.exit,
        case=_case(found.case, f"{path}.case"),
        outcome=_outcome(found.outcome, f"{path}.outcome"),
        sentence=found.sentence,
        others=found.others,
        relevance=tuple(Relevance(r.input, r.values, r.runs) for r in found.relevance),
        trace=tuple(map(_step, found.trace)),
        explanation=_explanation(found.explanation) if found.explanation else None,
        prediction=_prediction(found.prediction) if found.prediction else None,
    )


def _prediction(found: document.Prediction) -> Prediction:
    return Prediction(found.registers, found.bytes, found.by, found.why)


def _case(case: document.Case, path: str) -> Case:
    return Case(
        len=case.len,
        src=_placement(case.src, f"{path}.src"),
        dst=_placement(case.dst, f"{path}.dst"),
        trap=case.trap,
        seed=case.seed,
        later_traps=case.later_traps,
        flicker=case.flicker,
        preset=_preset(case.preset, f"{path}.preset") if case.preset is not None else None,
    )


def _preset(preset: document.Preset, path: str) -> Preset:
    for name in preset.registers:
        _known(name, pattern.PRESET, f"{path}.registers")
    widths = {name: 256 if name in X86_64.vectors else 64 for name in preset.registers}
    values = _numbers(preset.registers)
    for name, value in values.items():
        if value >> widths[name]:
            raise _WrongFieldError(f"{path}.registers.{name}: it has more than {widths[name]} bits")
    pieces = ((piece.offset, bytes.fromhex(piece.bytes)) for piece in preset.pieces)
    return Preset(tuple(values.items()), bytes.fromhex(preset.every), tuple(pieces))


def _placement(placement: document.Placement, path: str) -> Placement:
    place = Place(placement.place)
    if place is Place.INSIDE and placement.at >= PAGE:
        raise _WrongFieldError(f"{path}.at: a bad page has offsets 0 to {PAGE - 1}, not {placement.at}")
    return Placement(place, placement.at)


def _outcome(outcome: document.Outcome, path: str) -> Outcome:
    if len(outcome.written) != len(outcome.correct):
        raise _WrongFieldError(f"{path}.correct: it is not as long as {path}.written")
    for field in ("registers", "initial"):
        names = set(getattr(outcome, field))
        if names != set(pattern.REGISTERS) and (names or outcome.ending != "died"):
            wrong = ", ".join(sorted(names ^ set(pattern.REGISTERS)))
            raise _WrongFieldError(f"{path}.{field}: registers are missing or unknown: {wrong}")
    return Outcome(
        ending=Ending(outcome.ending),
        rip=_number(outcome.rip),
        registers=_numbers(outcome.registers),
        initial=_numbers(outcome.initial),
        faults=tuple(map(_fault, outcome.faults)),
        written=_flags(outcome.written),
        correct=_flags(outcome.correct),
        base=outcome.base,
        ac=outcome.ac,
        on=outcome.on,
        frame_intact=outcome.frame_intact,
        stored=outcome.stored,
        wrong=outcome.wrong,
        schedule=outcome.schedule,
    )


def _fault(fault: document.Fault) -> Fault:
    return Fault(_number(fault.insn), fault.buffer, fault.offset, fault.is_store)


def _access(access: document.Access) -> Access:
    return Access(_number(access.insn), access.buffer, access.offset, access.size, access.is_store)


def _step(step: document.Step) -> TraceStep:
    return TraceStep(
        address=_number(step.address),
        where=step.where,
        label=step.label,
        text=step.text,
        registers=_numbers(step.registers),
        accesses=tuple(map(_access, step.accesses)),
        fault=_fault(step.fault) if step.fault else None,
        stored=step.stored,
        times=step.times,
    )


def _explanation(said: document.Explanation) -> Explanation:
    repair = said.repair
    return Explanation(
        rule=said.rule,
        fixup=said.fixup,
        label=said.label,
        access=said.access,
        formula=said.formula,
        numbers=said.numbers,
        value=said.value,
        expected=said.expected,
        parted=said.parted,
        how=said.how,
        repair=Repair(repair.where, repair.before, repair.after, repair.sentence) if repair else None,
    )


def _known(word: str, known: Iterable[str], path: str) -> None:
    if word not in known:
        raise _WrongFieldError(f"{path}: {word!r} is unknown")


def _number(word: str) -> int:
    return int(word, 16)


def _numbers(words: Mapping[str, str]) -> dict[str, int]:
    return {name: _number(word) for name, word in words.items()}


def _flags(bits: str) -> bytes:
    return bytes(bit == "1" for bit in bits)

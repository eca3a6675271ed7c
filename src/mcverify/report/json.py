"""The result as JSON, schema 1: docs/json.md describes it, docs/schema/prove.schema.json checks it.

`mcverify.witness.file` reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcverify import __version__
from mcverify.contract import Contract
from mcverify.image.image import TableEntry
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import (
    Counterexample,
    Domain,
    Exit,
    Explanation,
    ListingLine,
    ObligationResult,
    Prediction,
    Repair,
    ResumeResult,
    RoutineResult,
    TraceStep,
)
from mcverify.report.callers import caller_document
from mcverify.report.cause import causes
from mcverify.report.mark import is_document
from mcverify.runs.case import Access, Case, Fault, Outcome, Placement, Preset, Run

SCHEMA = 1
"""Counts up when a field changes its meaning or goes away; new fields do not change it."""


def to_json(results: Sequence[RoutineResult], options: ProveOptions) -> str:
    """All results as one JSON document, indented, with a newline at its end."""
    return json.dumps(document(results, options), indent=2) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` begins like a document of :func:`to_json`."""
    return is_document(text, "options")


def document(results: Sequence[RoutineResult], options: ProveOptions) -> dict[str, Any]:
    """All results, and the options they were asked with, as plain dicts, lists, strings and numbers."""
    return {
        "schema": SCHEMA,
        "mcverify": __version__,
        "options": _options(options),
        "routines": [routine_document(result) for result in results],
    }


def _options(options: ProveOptions) -> dict[str, Any]:
    return {
        "contract": options.contract,
        "faults": options.faults,
        "trap": options.trap,
        "fault_model": options.fault_model,
        "len_max": options.len_max,
        "rep_model": options.rep_model,
        "include": [str(folder) for folder in options.include],
        "defines": list(options.defines),
        "system_map": _path(options.system_map),
        "kernel": _path(options.kernel),
        "config": _path(options.config),
        "second_solver": options.second_solver,
        "ignore_annotations": options.ignore_annotations,
        "callers": list(options.callers),
        "resumable": options.resumable,
        "table": options.table,
        "syntax": options.syntax,
    }


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def routine_document(result: RoutineResult) -> dict[str, Any]:
    """Everything about one routine."""
    return {
        "name": result.name,
        "variant": result.variant,
        "file": result.file,
        "sha256": result.sha256,
        "contract": result.contract.name if result.contract else "",
        "terms": _terms(result.contract) if result.contract else None,
        "by_comment": list(result.by_comment),
        "faults": result.faults,
        "verdict": str(result.verdict),
        "domain": _domain(result.domain),
        "slack": result.slack,
        "second": None if result.second is None else asdict(result.second),
        "exits": [_exit(row) for row in result.exits],
        "obligations": [_obligation(obligation) for obligation in result.obligations],
        "counterexamples": [_counterexample(found) for found in result.counterexamples],
        "mistakes": [{"exits": list(cause.exits), "idea": cause.idea} for cause in causes(result)],
        "assumptions": list(result.assumptions),
        "unknowns": list(result.unknowns),
        "notes": list(result.notes),
        "callers": [caller_document(caller) for caller in result.callers],
        "resume": None if result.resume is None else _resume(result.resume),
        "only_if_faults_stay": list(result.resting),
        "entries_not_looked_at": result.unlooked,
        "entries_not_taken": list(result.untaken),
        "phases": {name: round(seconds, 6) for name, seconds in result.phases.items()},
        "seconds": round(result.seconds, 6),
        "entry": hex(result.entry),
        "listing": [_line(line) for line in result.listing],
        "table": [_table_entry(entry) for entry in result.table],
    }


def _terms(contract: Contract) -> dict[str, Any]:
    return {
        "name": contract.name,
        "summary": contract.summary,
        "dst": contract.dst,
        "src": contract.src,
        "len": contract.len,
        "left": contract.left,
        "status": contract.status,
        "trap": contract.trap,
        "obligations": list(contract.obligations),
        "on_machine_check": list(contract.on_machine_check),
        "faults": contract.faults,
        "data": contract.data,
        "over_report": contract.over_report,
        "over_report_on_machine_check": contract.over_report_on_machine_check,
        "traps": contract.traps,
        "reads_user": contract.reads_user,
        "recoverable": contract.recoverable,
        "widths": dict(contract.widths),
        "fault_model": contract.fault_model,
        "faults_by_table": contract.faults_by_table,
        "status_inverted": contract.status_inverted,
        "size": contract.size,
        "stored_value": contract.stored_value,
        "loaded_value": contract.loaded_value,
        "unit": contract.unit,
        "string_length": contract.string_length,
        "counts_nul": contract.counts_nul,
        "told": contract.told,
        "handed": dict(contract.handed),
        "compared": contract.compared,
        "found": contract.found,
        "window": None if contract.window is None else contract.window.keys,
        "success_unasked": contract.success_unasked,
        "rest_zeroed": contract.rest_zeroed,
        "zeroes_rest": contract.zeroes_rest,
        "zero_rest": contract.zero_rest,
        "error": contract.error,
        "user": contract.user,
        "clobbered": list(contract.clobbered),
        "given": _words(contract.given),
        "preserved": list(contract.preserved),
        "routines": dict(contract.routines),
        "when_reads": list(contract.when_reads),
        "source": contract.source,
    }


def _line(line: ListingLine) -> dict[str, Any]:
    return {
        "address": hex(line.address),
        "code": line.code.hex(),
        "text": line.text,
        "label": line.label,
        "where": line.where,
        "fixup": None if line.fixup is None else hex(line.fixup),
        "handler": line.handler,
    }


def _table_entry(entry: TableEntry) -> dict[str, Any]:
    return {
        "insn": hex(entry.insn),
        "fixup": hex(entry.fixup),
        "handler": entry.handler.name,
        "effects": list(entry.handler.effects),
        "register": entry.handler.register,
        "imm": entry.handler.imm,
        "index": entry.index,
    }


def _domain(domain: Domain) -> dict[str, Any]:
    return {
        "len_min": domain.len_min,
        "len_max": domain.len_max,
        "breaks_at": domain.breaks_at,
        "breaks_how": domain.breaks_how,
    }


def _exit(row: Exit) -> dict[str, Any]:
    return {"id": row.id, "label": row.label, "where": row.where, "access": row.access, "count": row.count}


def _obligation(obligation: ObligationResult) -> dict[str, Any]:
    return {
        "id": obligation.id,
        "exit": obligation.exit,
        "verdict": str(obligation.verdict),
        "seconds": round(obligation.seconds, 6),
        "reason": obligation.reason,
    }


def _counterexample(found: Counterexample) -> dict[str, Any]:
    return {
        "obligations": list(found.obligations),
        "exit": found.exit,
        "sentence": found.sentence,
        "case": case_document(found.case),
        "outcome": outcome_document(found.outcome),
        "others": found.others,
        "relevance": [{"input": r.input, "values": r.values, "runs": r.runs} for r in found.relevance],
        "trace": [step_document(step) for step in found.trace],
        "explanation": _explanation(found.explanation) if found.explanation else None,
        "prediction": _prediction(found.prediction) if found.prediction else None,
    }


def _resume(resume: ResumeResult) -> dict[str, Any]:
    return {
        "verdict": str(resume.verdict),
        "sentence": resume.sentence,
        "accesses": resume.accesses,
        "cases": resume.cases,
        "faults": resume.faults,
        "case": None if resume.case is None else case_document(resume.case),
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "registers": prediction.registers,
        "bytes": prediction.bytes,
        "by": prediction.by,
        "why": prediction.why,
    }


def step_document(step: TraceStep) -> dict[str, Any]:
    """One executed instruction."""
    return {
        "address": hex(step.address),
        "where": step.where,
        "label": step.label,
        "text": step.text,
        "registers": _words(step.registers),
        "accesses": [_access(access) for access in step.accesses],
        "fault": _fault(step.fault) if step.fault else None,
        "stored": step.stored,
        "times": step.times,
    }


def _explanation(explanation: Explanation) -> dict[str, Any]:
    return {
        "rule": explanation.rule,
        "fixup": explanation.fixup,
        "label": explanation.label,
        "access": explanation.access,
        "formula": explanation.formula,
        "numbers": explanation.numbers,
        "value": explanation.value,
        "expected": explanation.expected,
        "parted": explanation.parted,
        "how": explanation.how,
        "repair": _repair(explanation.repair) if explanation.repair else None,
    }


def _repair(repair: Repair) -> dict[str, Any]:
    return {
        "where": repair.where,
        "before": repair.before,
        "after": repair.after,
        "sentence": repair.sentence,
    }


def case_document(case: Case) -> dict[str, Any]:
    """The input of a run."""
    return {
        "len": case.len,
        "src": _placement(case.src),
        "dst": _placement(case.dst),
        "trap": case.trap,
        "seed": case.seed,
        "later_traps": list(case.later_traps),
        "flicker": case.flicker,
        "preset": _preset(case.preset) if case.preset is not None else None,
    }


def _preset(preset: Preset) -> dict[str, Any]:
    return {
        "registers": _words(dict(preset.registers)),
        "every": preset.every.hex(),
        "pieces": [{"offset": offset, "bytes": piece.hex()} for offset, piece in preset.pieces],
    }


def _placement(placement: Placement) -> dict[str, Any]:
    return {"place": placement.place.value, "at": placement.at}


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """What a run did."""
    return {
        "on": outcome.on,
        "schedule": outcome.schedule,
        "ending": outcome.ending.value,
        "rip": hex(outcome.rip),
        "registers": _words(outcome.registers),
        "initial": _words(outcome.initial),
        "faults": [_fault(fault) for fault in outcome.faults],
        "base": outcome.base,
        "written": _bits(outcome.written),
        "correct": _bits(outcome.correct),
        "stored": _runs(outcome.stored),
        "wrong": _runs(outcome.wrong),
        "ac": outcome.ac,
        "frame_intact": outcome.frame_intact,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "insn": hex(fault.insn),
        "buffer": fault.buffer,
        "offset": fault.offset,
        "is_store": fault.is_store,
    }


def _access(access: Access) -> dict[str, Any]:
    return {
        "insn": hex(access.insn),
        "buffer": access.buffer,
        "offset": access.offset,
        "size": access.size,
        "is_store": access.is_store,
    }


def _words(registers: Mapping[str, int]) -> dict[str, str]:
    return {name: hex(value) for name, value in registers.items()}


def _runs(runs: Iterable[Run] | None) -> list[list[int]] | None:
    return None if runs is None else [list(run) for run in runs]


def _bits(flags: bytes) -> str:
    """One character for each byte of dst: "1" where the flag is set, else "0"."""
    return "".join("1" if flag else "0" for flag in flags)

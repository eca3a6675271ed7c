"""The result as JSON, schema 1: docs/json.md describes it, docs/schema/prove.schema.json checks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mcverify import __version__
from mcverify.proof.result import Counterexample, Domain, Exit, ObligationResult, RoutineResult
from mcverify.runs.case import Case, Outcome, Placement

SCHEMA = 1
"""Counts up when a field changes its meaning or goes away; new fields do not change it."""


def to_json(results: Sequence[RoutineResult]) -> str:
    """All results as one JSON document, indented, with a newline at its end."""
    return json.dumps(document(results), indent=2) + "\n"


def document(results: Sequence[RoutineResult]) -> dict[str, Any]:
    """All results as plain dicts, lists, strings and numbers."""
    return {"schema": SCHEMA, "mcverify": __version__, "routines": [_routine(result) for result in results]}


def _routine(result: RoutineResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "file": result.file,
        "contract": result.contract.name if result.contract else "",
        "verdict": str(result.verdict),
        "domain": _domain(result.domain),
        "slack": result.slack,
        "exits": [_exit(row) for row in result.exits],
        "obligations": [_obligation(obligation) for obligation in result.obligations],
        "counterexamples": [_counterexample(found) for found in result.counterexamples],
        "assumptions": list(result.assumptions),
        "unknowns": list(result.unknowns),
        "notes": list(result.notes),
        "phases": {name: round(seconds, 6) for name, seconds in result.phases.items()},
        "seconds": round(result.seconds, 6),
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
        "case": _case(found.case),
        "outcome": _outcome(found.outcome),
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "len": case.len,
        "src": _placement(case.src),
        "dst": _placement(case.dst),
        "trap": case.trap,
        "seed": case.seed,
    }


def _placement(placement: Placement) -> dict[str, Any]:
    return {"place": placement.place.value, "at": placement.at}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "on": outcome.on,
        "ending": outcome.ending.value,
        "rip": hex(outcome.rip),
        "registers": {name: hex(value) for name, value in outcome.registers.items()},
        "initial": {name: hex(value) for name, value in outcome.initial.items()},
        "faults": [
            {"insn": hex(f.insn), "buffer": f.buffer, "offset": f.offset, "is_store": f.is_store}
            for f in outcome.faults
        ],
        "base": outcome.base,
        "written": _bits(outcome.written),
        "correct": _bits(outcome.correct),
        "ac": outcome.ac,
    }


def _bits(flags: bytes) -> str:
    """One character for each byte of dst: "1" where the flag is set, else "0"."""
    return "".join("1" if flag else "0" for flag in flags)

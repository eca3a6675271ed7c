"""Both sides of a disagreement as values for JSON, to be kept and looked into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from mcverify import __version__
from mcverify.runs.case import Case, Outcome
from mcverify.witness.model.compare import Difference, Predicted

SCHEMA = 1


def states(
    case: Case, outcome: Outcome, found: Sequence[Difference], predicted: Predicted | Mapping[str, int]
) -> dict[str, Any]:
    """The case, what was executed, what was predicted (registers only, where the model has no end), and the
    differences. Registers are hexadecimal strings, maps of bytes one character for each byte."""
    sides = {"case": case, "executed": outcome, "predicted": predicted, "differences": list(found)}
    return {"schema": SCHEMA, "mcverify": __version__} | {name: plain(side) for name, side in sides.items()}


def plain(value: Any) -> Any:
    """`value` as dicts, lists, strings and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    match value:
        case Enum():
            return value.value
        case bytes():
            return "".join("1" if flag else "0" for flag in value)
        case Mapping():
            return {name: hex(item) if isinstance(item, int) else plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value

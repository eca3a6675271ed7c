"""The result of one routine's proof: what every report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mcverify.runs.case import Case, Outcome

SUCCESS = "success"
"""Exit id of the return without a fault."""

EVERYWHERE = "*"
"""Exit id of an obligation that belongs to no single exit: coverage, footprint, termination."""


class Verdict(StrEnum):
    """Three verdicts, never two."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out of the routine.

    `id` is unique within the routine: "success", or the label of the fixup (with the faulting
    access where several share a fixup). `where` is the `file:line` of the fixup (of the return for
    the success exit), `access` that of the faulting instruction. `count` is what is
    returned as bytes left, in the routine's own terms ("64*ecx + edx"); "" where the contract returns none.
    """

    id: str
    label: str
    where: str
    access: str
    count: str


@dataclass(frozen=True, slots=True)
class ObligationResult:
    """Verdict on one obligation (O1..O10) at one exit. `reason` is a sentence where it is not proved."""

    id: str
    exit: str
    verdict: Verdict
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A concrete run that breaks obligations at an exit; it has been executed, `outcome.on` says where."""

    obligations: tuple[str, ...]
    exit: str
    case: Case
    outcome: Outcome
    sentence: str


@dataclass(frozen=True, slots=True)
class Domain:
    """The lengths for which the verdict holds, in bytes, both ends included. `breaks_at` is a length beyond
    `len_max` for which a run was seen to break the contract, `breaks_how` one sentence on it."""

    len_min: int
    len_max: int
    breaks_at: int | None = None
    breaks_how: str = ""


@dataclass(frozen=True, slots=True)
class RoutineResult:
    """Everything that is reported about one routine.

    `slack` is a proved bound on the good bytes before the bad one that are left uncopied (None: no
    bound was proved). `assumptions` are sentences; `unknowns` name what was not understood, with
    its place; `notes` are other remarks on the input; `phases` maps a phase ("lift", "paths", "runs",
    "invariants", "proof") to seconds.
    """

    name: str
    file: str
    contract: str
    verdict: Verdict
    domain: Domain
    exits: tuple[Exit, ...]
    obligations: tuple[ObligationResult, ...]
    counterexamples: tuple[Counterexample, ...]
    slack: int | None
    assumptions: tuple[str, ...]
    unknowns: tuple[str, ...]
    phases: Mapping[str, float]
    seconds: float
    notes: tuple[str, ...] = ()

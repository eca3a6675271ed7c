"""The result of one routine's proof: what every report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcverify.check.manifest import Routine
from mcverify.contract import Contract
from mcverify.image.image import TableEntry
from mcverify.runs.case import Access, Case, Fault, Outcome

SUCCESS = "success"
"""Exit id of the return without a fault."""

EVERYWHERE = "*"
"""Exit id of an obligation that belongs to no single exit: coverage, footprint, termination."""

Row = tuple[str, str]
"""An obligation and an exit: a cell of the table."""


def titled(routine: str, variant: str) -> str:
    """A routine's name with its variant, if it has several."""
    return f"{routine} [{variant}]" if variant else routine


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
class Relevance:
    """One input of a counterexample, and for which values of it the same obligation breaks at the same exit.

    `input` is "len", "src alignment", "dst alignment", "fault offset" (with " in src" and " in dst" where
    both are bad), "trap" or "contents"; `values` are words such as "any of 0 to 63", "only 3" or
    "16 or more (338 tried, up to 65536)". `runs` were executed to find out, the other inputs as they are.
    """

    input: str
    values: str
    runs: int


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One executed instruction of a counterexample. `registers` are those that it changed, with their
    new values; `accesses` what it loaded and stored; `stored` counts the bytes of dst that are right
    from its start on, after the step; `times` is above 1 where equal iterations are folded into one."""

    address: int
    where: str
    label: str
    text: str
    registers: Mapping[str, int]
    accesses: tuple[Access, ...] = ()
    fault: Fault | None = None
    stored: int = 0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Repair:
    """A small change that makes the routine proved: assembled and proved again before it is said.

    `before` and `after` are the statements of the lines that change, as written, in their order; mostly there
    is one. `before` is empty for a line that is missing (`where` is the one that it goes before), `after` for
    one that should go.
    """

    where: str
    before: str
    after: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run breaks its obligation.

    `fixup` and `access` are the `file:line` of the fixup and of the faulting instruction ("" without
    a fault), `formula` the count in the routine's own terms, `numbers` the same with the run's values
    put in, `value` what came out, `expected` what the bytes in memory say ("" and None where the
    obligation is not about the count). `rule` is the obligation in one sentence. `parted` is the first
    instruction (`file:line: text`) at which the routine's accounting and memory part, or where the
    obligation is about something else the one that breaks it; `how` is a sentence on what happens there.
    """

    rule: str
    fixup: str = ""
    label: str = ""
    access: str = ""
    formula: str = ""
    numbers: str = ""
    value: int | None = None
    expected: int | None = None
    parted: str = ""
    how: str = ""
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the proof's own model of the routine says of the run, and how much of it the run confirmed:
    registers (and flags) and bytes of dst compared, all equal (a difference ends the program, exit code 4).

    Where the model cannot follow the run, `by` is "emulator" instead of "model", and `why` a sentence on it.
    `exit` is the exit to which the proof counts the run: mostly that of its last fault, but "after a fault"
    where a loop lies between that and the return; "" where only the emulator made it.
    """

    registers: int
    bytes: int
    by: str = "model"
    why: str = ""
    exit: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A concrete run that breaks obligations at an exit; it has been executed, `outcome.on` says where.

    `others` counts further cases of the same origin that were seen to fail. What lies behind it is found
    out later (`mcverify.witness`): for which inputs it happens too (`relevance`), its `trace`,
    the `explanation` and the `prediction` that agrees with it.
    """

    obligations: tuple[str, ...]
    exit: str
    case: Case
    outcome: Outcome
    sentence: str
    others: int = 0
    relevance: tuple[Relevance, ...] = ()
    trace: tuple[TraceStep, ...] = ()
    explanation: Explanation | None = None
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class ListingLine:
    """One instruction of a routine: `code` are its bytes, `label` the label on it ("" for none), `where`
    its `file:line`. A fault on it continues at `fixup` by way of `handler` (None, "": no entry)."""

    address: int
    code: bytes
    text: str
    label: str
    where: str
    fixup: int | None = None
    handler: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A proof as it was written down, to be checked by others, its contract, and the object that it is about.
    Of a linked kernel or a module that is empty, and `cut` is what the routine needs of it (`image.cut`)."""

    routine: Routine
    contract: Contract
    object_code: bytes = field(repr=False)
    cut: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What the second `solver` said of the questions of which Z3 said "unsat": how many it `agreed` on, how
    many it left `undecided`, and the seconds that it took."""

    solver: str
    agreed: int
    undecided: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CallRound:
    """One round of a caller's loop that was carried out: the loop's variables at its start (`state`), and the
    copy in it: `asked` bytes, of which the first `ok` could be accessed and `copied` were counted."""

    state: Mapping[str, int]
    asked: int
    ok: int
    copied: int


@dataclass(frozen=True, slots=True)
class CallShown:
    """A system call that was carried out, with the routine itself run for each copy (`on`: what ran it).

    `n` bytes were asked for, of which the first `first_bad` could be accessed; the buffer that is `bad`
    ("src", "dst", "" for neither) had its first bad byte there, the other one began at `offset` in its page.
    `rounds` are the first few, of `count`; `returned` is what it returned, None where it came to no end, and
    `back_at` the number of the earlier round, from 1 on, whose state came back then.
    """

    n: int
    first_bad: int
    offset: int
    bad: str
    on: str
    rounds: tuple[CallRound, ...]
    count: int
    returned: int | None
    back_at: int | None = None


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """Verdict on one claim (W1..W4) about a system call that makes its copies by the routine.

    `rests_on` are the premises of which the proof makes use: obligations, and "slack". Where there is no
    proof, `lacking` are those that were not proved and by which, with the others, it would follow, `sentence`
    says what is wrong, `example` is the smallest state of the loop in which a routine of which no more than
    that is known goes wrong, and `shown` a call that was seen to.
    """

    id: str
    name: str
    verdict: Verdict
    rests_on: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    sentence: str = ""
    example: Mapping[str, int] = field(default_factory=dict)
    shown: CallShown | None = None


@dataclass(frozen=True, slots=True)
class CallerResult:
    """What a routine's obligations mean for a system call, in the kernels that have this loop of it.

    `source` is where the loop stands, `invariants` what was proved to hold at the start of each of its
    rounds, `assumed` what the model takes for granted. `apart` says why the routine is none that the caller
    calls ("" where it may be): then there are no `claims`.
    """

    caller: str
    call: str
    kernels: str
    source: str
    claims: tuple[ClaimResult, ...]
    invariants: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    apart: str = ""

    @property
    def verdict(self) -> Verdict:
        """Refuted before unknown before proved; proved where nothing is claimed."""
        found = {claim.verdict for claim in self.claims}
        worst = (v for v in (Verdict.REFUTED, Verdict.UNKNOWN) if v in found)
        return next(worst, Verdict.PROVED)


@dataclass(frozen=True, slots=True)
class ResumeResult:
    """Whether the routine ends as if there had been no fault where the cause of one is repaired and the
    instruction executed again. `accesses` were proved to bear that, `cases` were run with it and took
    `faults` faults in all; `sentence` says what is wrong, `case` is the one that was seen to go wrong."""

    verdict: Verdict
    sentence: str
    accesses: int = 0
    cases: int = 0
    faults: int = 0
    case: Case | None = None


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
    "invariants", "proof") to seconds. `contract` is None where nobody says what the routine promises,
    `faults` which accesses might fault, `entry` the routine's address, `listing` its reachable code by
    address, `table` the exception-table entries of that code, `sha256` the digest of the input file.
    `variant` are the CPU features that chose the code that was proved ("ERMS,!FSRM"), "" where none matters.
    `unlooked` counts the entries for accesses of the kind `unstruck` ("loads", "stores") that are taken not
    to fault, `untaken` names those other entries of the routine that no path takes, by `file:line`.
    `resting` are the obligations that were proved, at some exit, only for faults that stay.
    `held` are the rows that the proof holds whatever runs have shown: a run that breaks one contradicts it.
    `by_comment` says what a comment in the file makes other than the routine's name has it.
    `proof` is the proof as it was written down, if that was asked for, `second` what a second solver said.
    `callers` are the system calls that were asked about, and `resume` whether it can be resumed, if that was;
    the `verdict` leaves both out.
    """

    name: str
    file: str
    contract: Contract | None
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
    faults: str = "loads"
    entry: int = 0
    listing: tuple[ListingLine, ...] = ()
    table: tuple[TableEntry, ...] = ()
    sha256: str = ""
    variant: str = ""
    unstruck: str = ""
    unlooked: int = 0
    untaken: tuple[str, ...] = ()
    resting: tuple[str, ...] = ()
    held: frozenset[Row] = frozenset()
    proof: Record | None = None
    second: SecondOpinion | None = None
    by_comment: tuple[str, ...] = ()
    callers: tuple[CallerResult, ...] = ()
    resume: ResumeResult | None = None

    @property
    def title(self) -> str:
        """The routine's name, with the variant where there are several: unique within a run."""
        return titled(self.name, self.variant)

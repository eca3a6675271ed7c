"""The result of a review: what every report on it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcverify.proof.result import RoutineResult, Verdict
from mcverify.review.revision import Revision
from mcverify.runs.case import Access, Case, Outcome


class Change(StrEnum):
    """What became of one obligation at one exit.

    BROKEN     it is refuted now, and was not
    UNDECIDED  it was decided, and is unknown now
    FIXED      it is proved now, and was not
    NEW, GONE  the exit, or the question, is there in one of the two revisions only
    SAME       neither
    """

    BROKEN = "broken"
    UNDECIDED = "undecided"
    FIXED = "fixed"
    NEW = "new"
    GONE = "gone"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Cell:
    """An exit in one revision: its id, where the kernel continues (`file:line`), the access that it serves
    with its label and text, what is returned as bytes left, and the verdicts by obligation. `has_entry` is
    False for an access that may fault and has none; `recovers` tells that the kernel recovers there from a
    machine check. `lines` are the places of the access and of the code from
    the fixup on; of the success, of all that runs without a fault. `code` are those instructions, without the
    places that they jump to."""

    exit: str
    where: str
    access: str
    label: str
    text: str
    count: str
    verdicts: Mapping[str, Verdict]
    has_entry: bool = True
    recovers: bool = False
    lines: tuple[str, ...] = ()
    code: tuple[str, ...] = ()

    @property
    def returns(self) -> str:
        """What is returned as bytes left, or why nothing is; "" where that is not known in words."""
        if not self.has_entry:
            return "no entry"
        goes_on = self.access and not self.count and not self.verdicts.keys() - {"O1"}
        return "(tries again)" if goes_on else self.count


@dataclass(frozen=True, slots=True)
class Row:
    """One exit through all revisions: by the access that it serves. `name` is unique in the routine; a cell
    is None where the revision has no such exit."""

    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class ChangedObligation:
    """One obligation at one exit (a row's name, or "everywhere"), in two revisions. `is_cut`: it is unknown
    now since a limit was reached, and another run might decide it. `why` is said of a change that no run
    shows."""

    change: Change
    row: str
    obligation: str
    before: Verdict | None
    after: Verdict | None
    is_cut: bool = False
    why: str = ""


class State(StrEnum):
    """What is known of a routine in a revision: one of four; or it is not there."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    NOT_ASSEMBLED = "not assembled"
    ABSENT = "not there"


@dataclass(frozen=True, slots=True)
class Standing:
    """A state, and of what is undecided or not assembled, why."""

    state: State
    why: str = ""


@dataclass(frozen=True, slots=True)
class ChangedCount:
    """What one exit returned, and returns now; "" where that is not known in words."""

    row: str
    before: str
    after: str


class Kind(StrEnum):
    """In what two runs of one case differ. PROMISE: one of the two breaks an obligation in a way that the
    outcome does not show, such as a missing fence, which is proved of the other."""

    ENDING = "ending"
    COUNT = "count"
    BYTES = "bytes"
    OUTSIDE = "outside"
    REGISTERS = "registers"
    PROMISE = "promise"


@dataclass(frozen=True, slots=True)
class Difference:
    """Inputs on which two revisions differ, executed with both. `row` is an exit that one of the two takes,
    `kinds` what differs, `sentence` how, in one sentence."""

    row: str
    kinds: tuple[Kind, ...]
    case: Case
    before: Outcome
    after: Outcome
    sentence: str
    before_outside: tuple[Access, ...] = ()
    after_outside: tuple[Access, ...] = ()


class Relation(StrEnum):
    """How the behaviours of two revisions of a routine stand to each other.

    IDENTICAL   the same code and table
    EQUIVALENT  other code that was proved to do the same on all inputs
    DIFFERENT   a run shows a difference
    OPEN        no difference was found, and equivalence was not proved
    UNASKED     not looked at
    """

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    OPEN = "open"
    UNASKED = "unasked"


@dataclass(frozen=True, slots=True)
class ExitBehaviour:
    """How the runs that take an exit, in one of the two revisions, stand to each other: DIFFERENT, EQUIVALENT
    or OPEN. Several faults on a run are several exits that it takes; the success is taken where neither meets
    a fault. `changed`: its code, its count or a verdict is another. The scratch registers may be changed, by
    a run that ends there, in one of the two only."""

    row: str
    relation: Relation
    changed: bool
    clobbered_before: tuple[str, ...] = ()
    clobbered_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The relation of two revisions, why it holds or is not known (a sentence), the differences that were
    seen, the smallest for each exit, and the scratch registers that only one of the two changes. `tried`
    cases were run with both; `beyond` is a difference at a length beyond the domain; `exits` say it for each
    exit, where the codes differ and were compared."""

    relation: Relation
    why: str = ""
    differences: tuple[Difference, ...] = ()
    exits: tuple[ExitBehaviour, ...] = ()
    clobbered_before: tuple[str, ...] = ()
    clobbered_after: tuple[str, ...] = ()
    tried: int = 0
    beyond: Difference | None = None


@dataclass(frozen=True, slots=True)
class ChangedContract:
    """The newer revision asks for another contract, in a sentence. Unless the operator has `accepted` that,
    its routine is held to the old one, and it is worse that it asks."""

    sentence: str
    accepted: bool


@dataclass(frozen=True)
class Step:
    """What changed from one revision to the next that has the routine; `old` and `new` are their numbers.
    `contract` is None where it stayed the same."""

    old: int
    new: int
    obligations: tuple[ChangedObligation, ...]
    counts: tuple[ChangedCount, ...]
    behaviour: Behaviour
    code_changed: bool
    contract: ChangedContract | None = None

    def exits(self, relation: Relation) -> list[ExitBehaviour]:
        """The exits of which this is known."""
        return [found for found in self.behaviour.exits if found.relation is relation]

    def of(self, *changes: Change) -> list[ChangedObligation]:
        """The obligations that changed in one of these ways."""
        return [o for o in self.obligations if o.change in changes]

    @property
    def worse(self) -> list[ChangedObligation]:
        """What got worse, what is new and refuted, and what is not asked any more at an exit that is still
        there."""
        new = [o for o in self.of(Change.NEW) if o.after is Verdict.REFUTED]
        undecided = self.of(Change.UNDECIDED)
        lost = [o for o in undecided if o.why or (o.before is Verdict.PROVED and not o.is_cut)]
        return [*self.of(Change.BROKEN), *new, *lost, *self._unasked]

    @property
    def _unasked(self) -> list[ChangedObligation]:
        """What was proved, and is not asked any more where its exit is still there, unless by a contract
        that the operator accepts, or for lack of time."""
        if self.contract is not None and self.contract.accepted:
            return []
        return [o for o in self.of(Change.GONE) if o.why and o.before is Verdict.PROVED and not o.is_cut]

    @property
    def is_worse(self) -> bool:
        """Whether anything got worse."""
        return bool(self.worse) or (self.contract is not None and not self.contract.accepted)


@dataclass(frozen=True)
class RoutineReview:
    """One routine through all revisions. `results` has None where a revision lacks it, `names` what it is
    called there, `unread` what is known of it where its file was not assembled, by numbers of revisions."""

    name: str
    results: tuple[RoutineResult | None, ...]
    rows: tuple[Row, ...]
    everywhere: tuple[Mapping[str, Verdict], ...]
    steps: tuple[Step, ...]
    unread: Mapping[int, Standing] = field(default_factory=dict)

    @property
    def standings(self) -> tuple[Standing, ...]:
        """What is known of it in each revision."""
        return tuple(_standing(result, self.unread.get(n)) for n, result in enumerate(self.results))

    @property
    def names(self) -> tuple[str, ...]:
        """Its title in each revision, "" where it is not there."""
        return tuple(result.title if result is not None else "" for result in self.results)


def _standing(result: RoutineResult | None, unread: Standing | None) -> Standing:
    if result is None:
        return unread or Standing(State.ABSENT)
    match result.verdict:
        case Verdict.PROVED:
            return Standing(State.PROVED)
        case Verdict.REFUTED:
            return Standing(State.REFUTED)
        case Verdict.UNKNOWN:
            return Standing(State.UNDECIDED, undecided_for(result))


def undecided_for(result: RoutineResult) -> str:
    """Why a result is undecided, the first reason."""
    open_ = (o.reason for o in result.obligations if o.verdict is Verdict.UNKNOWN and o.reason)
    return next(iter([*result.unknowns, *open_]), "nobody says why")


@dataclass(frozen=True)
class Review:
    """Everything that is reported. `failures` are sentences by number of the revision whose file could not be
    read or assembled, `cut` on files that were not, as a limit was reached; `notes` other remarks;
    `interrupted`: it was cut short."""

    revisions: tuple[Revision, ...]
    routines: tuple[RoutineReview, ...]
    failures: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    cut: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reused: int = 0
    proved: int = 0
    interrupted: bool = False

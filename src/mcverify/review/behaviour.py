"""Whether two revisions of a routine do the same, and where not, on which inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import LostProcess
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import EVERYWHERE, SUCCESS, RoutineResult, Verdict
from mcverify.review.answer import Answer
from mcverify.review.clobber import scratch, scratch_by_exit
from mcverify.review.differ import ExitName, Pair
from mcverify.review.kept import LastTwo
from mcverify.review.prove import Progress, Proved
from mcverify.review.result import Behaviour, ExitBehaviour, Relation

if TYPE_CHECKING:
    from mcverify.review.equivalence import Explored

_NONE: frozenset[str] = frozenset()
_IDENTICAL = Behaviour(Relation.IDENTICAL, "code, table and contract are the same")


@dataclass(frozen=True)
class Exits:
    """The exits of two revisions, by their rows: what the row for an access of the old (0) or the new (1) one
    is called, all that are there, and those of which the code, the count or a verdict changed."""

    name: ExitName
    rows: tuple[str, ...] = ()
    changed: frozenset[str] = frozenset()


def behaviour(
    before: Proved,
    after: Proved,
    exits: Exits,
    options: ProveOptions,
    deadline: Deadline,
    progress: Progress,
    explored: LastTwo[Explored] | None = None,
) -> Behaviour:
    """How the behaviours of two revisions with different code stand to each other, as a whole and at each of
    the `exits`. What is `explored` is not explored again."""
    if before.task.contract is None or after.task.contract is None:
        return Behaviour(Relation.OPEN, "no contract says how it is called")
    if _calling(before) != _calling(after):
        return Behaviour(Relation.OPEN, "their contracts do not call them alike")
    comparison = _Comparison(before, after, exits, options, deadline, progress, explored)
    try:
        comparison.compare()
    except (OutOfTime, LostProcess) as cut:
        comparison.answer = replace(comparison.answer, why=str(cut))
    return comparison.behaviour()


def identical() -> Behaviour:
    """The relation of two revisions with the same code, table and contract."""
    return _IDENTICAL


def _calling(proved: Proved) -> tuple[object, ...]:
    contract = proved.task.contract
    assert contract is not None
    results = (contract.left, contract.status, contract.trap, contract.loaded_value, contract.size)
    told = contract.told, dict(contract.handed), contract.unit, contract.string_length, contract.counts_nul
    faults = proved.task.faults.removesuffix(" and entries")  # these are what may differ
    called = dict(contract.widths), dict(contract.given), contract.data, faults
    return (*contract.arguments, *results, *told, *called)


@dataclass
class _Comparison:
    """Two revisions, what their runs showed, and what was proved of both at once."""

    before: Proved
    after: Proved
    exits: Exits
    options: ProveOptions
    deadline: Deadline
    progress: Progress
    explored: LastTwo[Explored] | None
    answer: Answer = field(default_factory=lambda: Answer(""))

    @cached_property
    def _scratch(self) -> list[dict[str, frozenset[str]]]:
        """The scratch registers that each of the two may change, by exit."""
        return [
            {SUCCESS if at is None else self.pair.row_of(side, at): found for at, found in own.items()}
            for side, own in enumerate((scratch_by_exit(self.before), scratch_by_exit(self.after)))
        ]

    def __post_init__(self) -> None:
        self.pair = Pair(self.before, self.after, self.exits.name, self.options.len_max, self.deadline)

    def compare(self) -> None:
        """Look for differences, prove that there are none at the exits where none was seen, and look closer
        at the rest. Raises OutOfTime."""
        pair = self.pair
        self.progress("comparing runs")
        pair.known()
        pair.glance()
        tried_all = bool(pair.found)
        if tried_all:
            pair.grid()
        self.answer = self._asked()
        if not self._undecided():
            if not tried_all:
                pair.sample()
            if not pair.found:
                pair.far()
        else:
            self.progress("comparing more runs")
            if not tried_all:
                pair.grid()
            if self._undecided():
                pair.closer(self.answer.hints)
            if self._undecided() and not all(_stays_inside(p.result) for p in (self.before, self.after)):
                pair.outside()
            if not pair.found:
                pair.far()
        pair.check(row for row in pair.found if self.answer.holds_at(row))
        pair.broken(self._undecided())
        self.progress("comparing runs: simpler ones")
        pair.simplify()

    def _asked(self) -> Answer:
        from mcverify.review.equivalence import Equivalence

        return Equivalence(
            self.before,
            self.after,
            self.options,
            self.deadline,
            self.progress,
            self.explored or LastTwo(),
            self.pair.row_of,
            frozenset(self.pair.found),
        ).answer()

    def _rows(self) -> list[str]:
        """The exits, and what is open or differs besides."""
        more = sorted({*(self.answer.open or ()), *self.pair.found})
        return list(dict.fromkeys([*self.exits.rows, *more]))

    def _undecided(self) -> list[str]:
        """The exits at which no difference was seen, and none is proved to be."""
        rows = (row for row in self._rows() if row not in self.pair.found)
        return [row for row in rows if not self.answer.holds_at(row)]

    def behaviour(self) -> Behaviour:
        """What came of it."""
        return Behaviour(
            self._relation(),
            self._why(),
            self.pair.differences,
            tuple(self._exit(row) for row in self._rows()),
            tried=self.pair.tried,
            beyond=self.pair.beyond,
            clobbered_before=self._clobbered(self.before, self.after),
            clobbered_after=self._clobbered(self.after, self.before),
        )

    def _relation(self) -> Relation:
        if self.pair.found:
            return Relation.DIFFERENT
        return Relation.EQUIVALENT if self.answer.proved else Relation.OPEN

    def _why(self) -> str:
        if self.answer.proved and not self.pair.found:
            return f"{self.answer.why}; for every len up to {self.options.len_max:#x}"
        return self.answer.why if self._undecided() else ""

    def _exit(self, row: str) -> ExitBehaviour:
        relation = Relation.EQUIVALENT if self.answer.holds_at(row) else Relation.OPEN
        one, other = self._scratch
        old, new = (one[row], other[row]) if row in one and row in other else (_NONE, _NONE)
        return ExitBehaviour(
            row,
            Relation.DIFFERENT if row in self.pair.found else relation,
            row in self.exits.changed,
            tuple(sorted(old - new)),
            tuple(sorted(new - old)),
        )

    @staticmethod
    def _clobbered(one: Proved, other: Proved) -> tuple[str, ...]:
        """The scratch registers that only `one` writes anywhere."""
        return tuple(sorted(scratch(one) - scratch(other)))


def _stays_inside(result: RoutineResult) -> bool:
    found: Sequence[Verdict] = [o.verdict for o in result.obligations if (o.id, o.exit) == ("O8", EVERYWHERE)]
    return bool(found) and all(verdict is Verdict.PROVED for verdict in found)

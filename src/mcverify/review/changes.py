"""What changed from one revision to the next: verdicts and counts, exit by exit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mcverify.proof.result import Verdict
from mcverify.review.essence import code_of
from mcverify.review.prove import Proved
from mcverify.review.result import Cell, Change, ChangedCount, ChangedObligation, Row

EVERYWHERE = "everywhere"
NO_RECOVERY = "the kernel no longer recovers from a machine check there"
NOT_ASKED = "nobody asks it any more"
NO_ENTRY = "the access is still there, and has lost its entry"


def changed_obligations(
    rows: Sequence[Row], everywhere: Sequence[Mapping[str, Verdict]], old: int, new: int, *, is_cut: bool
) -> tuple[ChangedObligation, ...]:
    """Every obligation of the two revisions, the worse ones first. `is_cut`: a limit was reached in the proof
    of the newer one."""
    found = [c for row in rows for c in _of_row(row, old, new)]
    found += [
        replace(c, why=NOT_ASKED if c.change is Change.GONE else c.why)
        for c in _between(EVERYWHERE, everywhere[old], everywhere[new])
    ]
    order = list(Change)
    told = (replace(c, is_cut=is_cut and c.after in (Verdict.UNKNOWN, None)) for c in found)
    return tuple(sorted(told, key=lambda c: order.index(c.change)))


def _of_row(row: Row, old: int, new: int) -> Iterator[ChangedObligation]:
    before, after = row.cells[old], row.cells[new]
    found = _between(row.name, before.verdicts if before else {}, after.verdicts if after else {})
    lost = _loss(before, after) if before is not None and after is not None else None
    for changed in found:
        if changed.change is Change.GONE and after is not None:
            yield replace(changed, why=NOT_ASKED)
        elif lost is None or changed.obligation != "O1" or changed.change is Change.BROKEN:
            yield changed
        else:
            change, was, now, why = lost
            yield replace(changed, change=change, before=was or changed.before, after=now, why=why)


def _loss(before: Cell, after: Cell) -> tuple[Change, Verdict | None, Verdict, str] | None:
    """What is worse of O1 at an access whatever the verdicts were: it has no entry any more, or one from
    which the kernel does not recover as it did."""
    if _loses_recovery(before, after):
        return Change.BROKEN, Verdict.PROVED, Verdict.REFUTED, NO_RECOVERY
    if before.has_entry and not after.has_entry and after.verdicts.get("O1") is not Verdict.PROVED:
        return Change.UNDECIDED, None, Verdict.UNKNOWN, NO_ENTRY
    return None


def _loses_recovery(before: Cell, after: Cell) -> bool:
    """Whether the kernel recovered from a machine check at the entry, and does so no more."""
    return before.recovers and after.has_entry and not after.recovers


def _between(
    row: str, before: Mapping[str, Verdict], after: Mapping[str, Verdict]
) -> Iterator[ChangedObligation]:
    for identifier in sorted({*before, *after}, key=lambda i: int(i[1:])):
        was, now = before.get(identifier), after.get(identifier)
        yield ChangedObligation(_change(was, now), row, identifier, was, now)


def _change(before: Verdict | None, after: Verdict | None) -> Change:
    if before is after:
        return Change.SAME
    if before is None:
        return Change.NEW
    match after:
        case None:
            return Change.GONE
        case Verdict.REFUTED:
            return Change.BROKEN
        case Verdict.UNKNOWN:
            return Change.UNDECIDED
        case Verdict.PROVED:
            return Change.FIXED


def changed_counts(rows: Sequence[Row], old: int, new: int) -> tuple[ChangedCount, ...]:
    """The exits that return something else than before, in the words of the routine."""
    pairs = ((row.name, row.cells[old], row.cells[new]) for row in rows)
    return tuple(
        ChangedCount(name, before.returns, after.returns)
        for name, before, after in pairs
        if before is not None and after is not None and before.returns != after.returns
    )


def changed_exits(rows: Sequence[Row], old: int, new: int) -> frozenset[str]:
    """The rows of which the code from the fixup on (of the success: all of it), what it returns or a verdict
    changed, and those that are there in one revision only."""
    return frozenset(row.name for row in rows if _essence(row.cells[old]) != _essence(row.cells[new]))


def _essence(cell: Cell | None) -> object:
    return None if cell is None else (cell.code, cell.returns, cell.verdicts, cell.has_entry)


def same_code(before: Proved, after: Proved) -> bool:
    """Whether code, table and contract are the same, wherever they lie and whatever the labels."""
    old, new = before.result, after.result
    if old.contract != new.contract or old.faults != new.faults:
        return False
    return list(code_of(before.image, before.task)) == list(code_of(after.image, after.task))

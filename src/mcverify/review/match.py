"""Which routine, and which exit, of one revision is which of the next."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace

from mcverify.contract import MACHINE_CHECK
from mcverify.image.recovery import recovers
from mcverify.proof.result import EVERYWHERE, SUCCESS, RoutineResult, Verdict
from mcverify.review.access import FaultPoint, fault_points, likeness_of_code, paired
from mcverify.review.prove import Proved, ProvedRevision
from mcverify.review.result import Cell, Row
from mcverify.runs.code import reachable
from mcverify.scopes import at_return

_ALIKE = 0.6
"""So much of its code a routine under another name must have in common with an old one."""

AFTER_FAULT = "after a fault"

_ORDER = (Verdict.REFUTED, Verdict.UNKNOWN, Verdict.PROVED)


# -- routines ---------------------------------------------------------------------------------------------


def tracks(revisions: Sequence[ProvedRevision]) -> list[list[Proved | None]]:
    """The routines, each with what it is in every revision (None: not there). By file and name, else by name;
    one that has no namesake goes on in the most similar routine that is new in the next revision. One whose
    file could not be read goes on in no other."""
    found: list[list[Proved | None]] = []
    for number, revision in enumerate(revisions):
        free = list(revision.routines)
        last = [(track, _last(track)) for track in found]
        for track, _ in last:
            track.append(None)
        _follow(last, free, _same_place)
        readable = [(track, before) for track, before in last if before.result.file not in revision.missing]
        _follow(readable, free, _same_name)
        if revision.routines:
            _follow(readable, free, _alike)
        found += [[*([None] * number), proved] for proved in free]
    return found


def _last(track: Sequence[Proved | None]) -> Proved:
    return next(proved for proved in reversed(track) if proved is not None)


_Likeness = Callable[[RoutineResult, RoutineResult], float]


def _same_place(before: RoutineResult, now: RoutineResult) -> float:
    return float((before.file, before.title) == (now.file, now.title)) * _code_alike(before, now)


def _same_name(before: RoutineResult, now: RoutineResult) -> float:
    return float(before.title == now.title) * _code_alike(before, now)


def _code_alike(before: RoutineResult, now: RoutineResult) -> float:
    """More than 0, and the more the more alike their codes are."""
    return 1 + likeness_of_code(before.listing, now.listing)


def _alike(before: RoutineResult, now: RoutineResult) -> float:
    like = likeness_of_code(before.listing, now.listing)
    return like if before.variant == now.variant and like >= _ALIKE else 0


def _follow(last: Sequence[tuple[list[Proved | None], Proved]], free: list[Proved], like: _Likeness) -> None:
    """Let those tracks that have not gone on yet go on in `free` routines, the most alike first."""
    ended = [(track, before) for track, before in last if track[-1] is None]
    pairs = sorted(
        (
            (likeness, -number, -index)
            for number, (_, before) in enumerate(ended)
            for index, now in enumerate(free)
            if (likeness := like(before.result, now.result)) > 0
        ),
        reverse=True,
    )
    taken: set[int] = set()
    for _, number, index in pairs:
        track = ended[-number][0]
        if track[-1] is None and -index not in taken:
            track[-1] = free[-index]
            taken.add(-index)
    free[:] = [proved for index, proved in enumerate(free) if index not in taken]


# -- exits ------------------------------------------------------------------------------------------------


def rows(track: Sequence[Proved | None]) -> tuple[Row, ...]:
    """The exits of one routine through all revisions."""
    plain = [_plain_row(exit_id, track) for exit_id in (SUCCESS, AFTER_FAULT)]
    cells = [_cells(proved) if proved is not None else [] for proved in track]
    chains: list[list[Cell | None]] = []
    at: dict[int, int] = {}  # which chain goes through each access of the last revision that has the routine
    before: Sequence[FaultPoint] = ()
    for number, (proved, own) in enumerate(zip(track, cells, strict=True)):
        if proved is None:
            for chain in chains:
                chain.append(None)
            continue
        points = [point for point, _ in own]
        became = paired(before, points)
        chain_of = {new: at[old] for old, new in became.items()}
        for chain in chains:
            chain.append(None)
        for index, (_, cell) in enumerate(own):
            if index not in chain_of:
                chain_of[index] = len(chains)
                chains.append([None] * (number + 1))
            chains[chain_of[index]][number] = cell
        at, before = chain_of, points
    chains = [_without_entries(chain) for chain in chains]
    shown = [chain for chain in chains if any(cell is not None and _is_exit(cell) for cell in chain)]
    named = _named([tuple(c if c is not None and _is_exit(c) else None for c in chain) for chain in shown])
    return (*(row for row in plain if any(row.cells)), *named)


def _without_entries(chain: Sequence[Cell | None]) -> list[Cell | None]:
    """An access in all revisions: where it has lost its entry, and none says that it may fault, nobody knows
    whether it does."""
    had = False
    found: list[Cell | None] = []
    for cell in chain:
        is_lost = had and cell is not None and not cell.has_entry and not cell.verdicts
        found.append(replace(cell, verdicts={"O1": Verdict.UNKNOWN}) if cell and is_lost else cell)
        had = had or (cell is not None and cell.has_entry)
    return found


def _is_exit(cell: Cell) -> bool:
    return cell.has_entry or bool(cell.verdicts)


def _named(chains: Sequence[tuple[Cell | None, ...]]) -> Iterator[Row]:
    """Rows by the newest name of their exit; by the access too where several share it."""
    newest = [next(cell for cell in reversed(chain) if cell is not None) for chain in chains]
    names = [cell.exit for cell in newest]
    used: dict[str, int] = {}
    for chain, cell in zip(chains, newest, strict=True):
        name = _short(cell.exit)
        if names.count(cell.exit) > 1:
            access = cell.label or _short(cell.access.rpartition(": ")[2])  # without the file of a callee
            name = f"{name}/{access.removeprefix(name.rpartition(':')[0] + ':')}"
        used[name] = used.get(name, 0) + 1
        yield Row(name if used[name] == 1 else f"{name} #{used[name]}", chain)


def _short(name: str) -> str:
    """A label as it is, a place without the folders of its file."""
    return name.rpartition("/")[2]


def _plain_row(exit_id: str, track: Sequence[Proved | None]) -> Row:
    return Row(exit_id, tuple(_plain_cell(exit_id, proved) if proved else None for proved in track))


def _plain_cell(exit_id: str, proved: Proved) -> Cell | None:
    result = proved.result
    row = next((row for row in result.exits if row.id == exit_id), None)
    verdicts = _verdicts_at(result, exit_id)
    if exit_id == SUCCESS or verdicts:
        verdicts = {**_open(result, faulted=exit_id != SUCCESS), **verdicts}
    if row is None and not verdicts:
        return None
    lines, code = _way(proved, result.entry) if exit_id == SUCCESS else ((), ())
    return Cell(
        exit_id, row.where if row else "", "", "", "", row.count if row else "", verdicts,
        lines=lines, code=code,
    )  # fmt: skip


def _way(proved: Proved, start: int, access: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The places of `access` and of the instructions that `start` leads to without another fault, and these
    instructions without the places that they jump to."""
    found = reachable(proved.image, start, faults=False)
    own = [line for line in proved.result.listing if line.address in found]
    places = dict.fromkeys(
        [access, *(line.where for line in own)] if access else (line.where for line in own)
    )
    return tuple(places), tuple(_without_place(line.text) for line in own)


def _without_place(text: str) -> str:
    return text.partition(" ")[0] if text.startswith(("j", "call", "loop")) else text


def _cells(proved: Proved) -> list[tuple[FaultPoint, Cell]]:
    result = proved.result
    counts = {row.id: row for row in result.exits}
    named = {*counts, *(o.exit for o in result.obligations)}
    found = []
    for point in fault_points(result, proved.image):
        line = point.line
        at_access = _verdicts_at(result, _name(point.where, line.where, named))
        uncovered = {i: v for i, v in at_access.items() if i == "O1"}
        if line.fixup is None:
            cell = Cell(
                point.where, "", line.where, line.label, line.text, "", uncovered, has_entry=False,
                lines=(line.where,),
            )  # fmt: skip
        else:
            place = proved.image.where(line.fixup)
            exit_id = _name(proved.image.label_at(line.fixup) or place, place, named)
            row = counts.get(exit_id)
            at_exit = _verdicts_at(result, exit_id)
            covered = {"O1": Verdict.PROVED} if "O1" in _asked(result) else {}
            verdicts = {**covered, **_open(result, faulted=True), **at_exit, **uncovered}
            lines, code = _way(proved, line.fixup, line.where)
            cell = Cell(
                exit_id, row.where if row else "", line.where, line.label, line.text,
                row.count if row else "", verdicts, lines=lines, code=code,
                recovers=point.loads and _recovers(proved, line.address),
            )  # fmt: skip
        found.append((point, cell))
    return found


def _recovers(proved: Proved, address: int) -> bool:
    """Whether the kernel recovers from a machine check at the instruction with an entry at `address`."""
    entry, contract = proved.image.entry_at(address), proved.result.contract
    if entry is None or contract is None or MACHINE_CHECK not in contract.load_traps:
        return False
    return recovers(proved.image, entry, from_user=contract.reads_user)


def _open(result: RoutineResult, *, faulted: bool) -> dict[str, Verdict]:
    """What a proof that was not finished had to ask of an exit: unknown unless it says otherwise."""
    if not _is_unfinished(result):
        return {}
    if result.contract is None:
        return {"O1": Verdict.UNKNOWN}
    return dict.fromkeys(at_return(result.contract, faulted=faulted), Verdict.UNKNOWN)


def _is_unfinished(result: RoutineResult) -> bool:
    return bool(result.unknowns) or not result.obligations


def _name(label: str, place: str, known: Container[str]) -> str:
    """What an exit is called in a result: a proof that was made before the label was there has its place."""
    return place if label not in known and place in known else label


def _asked(result: RoutineResult) -> set[str]:
    return {o.id for o in result.obligations}


def _verdicts_at(result: RoutineResult, exit_id: str) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for o in result.obligations:
        if o.exit == exit_id:
            found[o.id] = min(found.get(o.id, o.verdict), o.verdict, key=_ORDER.index)
    return found


def everywhere(result: RoutineResult | None) -> Mapping[str, Verdict]:
    """The obligations that belong to no exit; one that fails at a place only is told there."""
    if result is None:
        return {}
    found = {**_open_everywhere(result), **_verdicts_at(result, EVERYWHERE)}
    placed = {o.id for o in result.obligations if o.exit != EVERYWHERE and o.verdict is not Verdict.PROVED}
    told = {"O1"} if result.table else set()  # at each access
    return {i: v for i, v in found.items() if i not in told and (v is Verdict.PROVED or i not in placed)}


def _open_everywhere(result: RoutineResult) -> dict[str, Verdict]:
    if not _is_unfinished(result):
        return {}
    asked = result.contract.obligations if result.contract is not None else _EVERYWHERE
    return dict.fromkeys((i for i in _EVERYWHERE if i in asked), Verdict.UNKNOWN)


_EVERYWHERE = ("O1", "O8", "O9")
"""Obligations that are asked of a routine as a whole."""

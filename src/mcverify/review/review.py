"""The way through a review: revisions -> proofs -> exits matched -> changes -> differences."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcverify.deadline import Deadline
from mcverify.errors import ExitCode, InputError
from mcverify.proof.options import Held, ProveOptions
from mcverify.proof.result import Verdict
from mcverify.review.behaviour import Exits, behaviour, identical
from mcverify.review.cache import Cache, is_cut_short
from mcverify.review.changes import (
    changed_counts,
    changed_exits,
    changed_obligations,
    same_code,
)
from mcverify.review.kept import LastTwo
from mcverify.review.match import AFTER_FAULT, everywhere, rows, tracks
from mcverify.review.prove import Progress, Proved, ProvedRevision, Prover
from mcverify.review.reading import Reader
from mcverify.review.result import (
    Behaviour,
    ChangedContract,
    Relation,
    Review,
    RoutineReview,
    Row,
    Standing,
    Step,
)
from mcverify.review.revision import Revision

if TYPE_CHECKING:
    from mcverify.review.equivalence import Explored

FAIL_ON = ("broken", "refuted", "unknown")


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """What a user can ask of a review besides the proofs: whether to look for differences in behaviour,
    and whether a revision may have another contract than the one before."""

    prove: ProveOptions
    differences: bool = True
    accept_contract: bool = False


def review(
    revisions: Sequence[Revision],
    options: ReviewOptions,
    cache: Cache,
    progress: Progress,
    notes: Sequence[str] = (),
) -> Review:
    """The review of `revisions`, oldest first. Raises InputError where there is nothing to compare."""
    with ExitStack() as stack:
        deadline = Deadline(options.prove.timeout)
        reader = Reader(options.prove, stack, deadline, accept_contract=options.accept_contract)
        reads = reader.read(revisions, progress)
        prover = Prover(reads, options.prove, deadline.remaining(), cache, progress, reader.stopped)
        proved = prover.revisions()
    _check(proved)
    parents = [_parents(revision, number) for number, revision in enumerate(revisions)]
    found = [
        replace(_routine(track, parents, options, prover, progress), unread=_unread(track, proved))
        for track in tracks(proved)
    ]
    return Review(
        revisions=tuple(replace(revision, tree=None) for revision in revisions),
        routines=tuple(_distinct(found)),
        failures={n: p.failures for n, p in enumerate(proved) if p.failures},
        cut={n: tuple(p.cut.values()) for n, p in enumerate(proved) if p.cut},
        notes=(*notes, *_on_headers(proved)),
        reused=sum(p.reused for p in proved),
        interrupted=bool(prover.stopped),
        proved=sum(p.proved for p in proved),
    )


def _on_headers(proved: Sequence[ProvedRevision]) -> list[str]:
    """With whose headers the sources of each revision were assembled, where those of a kernel's tree were at
    hand."""
    found: dict[str, list[str]] = {}
    for own in proved:
        said = [note for routine in own.routines for note in routine.result.assumptions if _on_header(note)]
        for note in dict.fromkeys(said or (["mcverify's stand-in headers"] if own.routines else [])):
            found.setdefault(note, []).append(own.revision.name)
    if not any(map(_on_header, found)):
        return []
    return [f"{', '.join(names)}: {note}" for note, names in found.items()]


def _on_header(note: str) -> bool:
    return note.startswith(("headers of the kernel ", "mcverify's stand-in headers were taken"))


def _prefixed(progress: Progress, prefix: str) -> Progress:
    return lambda text: progress(f"{prefix}: {text}")


def _check(proved: Sequence[ProvedRevision]) -> None:
    """Refuse what cannot be reviewed: no revision with a routine, none in common, the last one without. Where
    files were not assembled for lack of time nothing is refused."""
    if any(p.cut for p in proved):
        return
    failures = [sentence for p in proved for sentence in p.failures]
    having = [p for p in proved if p.routines]
    if not having:
        first = next(
            iter([*failures, *(s for p in proved for s in p.empty)]), "there is no routine to compare"
        )
        raise InputError(first)
    last = proved[-1]
    gone = [p for p in proved if not p.routines and not p.failures]
    if last in gone:
        names = ", ".join(_titles(having[-1]))
        raise InputError(
            f"{last.revision.name} has none of the routines any more ({names}): nothing is left to prove"
        )
    if (
        len(proved) == 2
        and len(having) == 2
        and not failures
        and not any(len(_both(t)) == 2 for t in tracks(proved))
    ):
        old, new = (f"{p.revision.name} has {', '.join(_titles(p))}" for p in proved)
        raise InputError(
            f"the two have no routine in common: {old}, {new}",
            hint="routines are matched by name, or where most of their code is the same",
        )


def _titles(proved: ProvedRevision) -> list[str]:
    return list(dict.fromkeys(routine.result.title for routine in proved.routines))


def _both(track: Sequence[Proved | None]) -> list[Proved]:
    return [proved for proved in track if proved is not None]


def _distinct(routines: Sequence[RoutineReview]) -> Iterator[RoutineReview]:
    """The routines under names that differ: those that several files define have the file behind it."""
    names = [routine.name for routine in routines]
    for routine in routines:
        newest = next(result for result in reversed(routine.results) if result is not None)
        name = f"{routine.name} ({newest.file})" if names.count(routine.name) > 1 else routine.name
        yield replace(routine, name=name)


def _unread(track: Sequence[Proved | None], proved: Sequence[ProvedRevision]) -> dict[int, Standing]:
    """What is known of a routine where its file was not assembled, by the numbers of the revisions where that
    is so: its file is the one in which it was before, or, where it is not known to have been, the next."""
    found = {}
    file = next(routine.result.file for routine in track if routine is not None)
    for number, (routine, revision) in enumerate(zip(track, proved, strict=True)):
        file = routine.result.file if routine is not None else file
        if routine is None and file in revision.missing:
            found[number] = revision.missing[file]
    return found


def _parents(revision: Revision, number: int) -> tuple[int, ...]:
    """The numbers of the revisions that one is compared with."""
    if revision.parents is None:
        return (number - 1,) if number else ()
    return revision.parents


def _pairs(there: Container[int], parents: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Each revision that has a routine, with the nearest ones that it was made from and that have it too."""
    for new in range(len(parents)):
        waiting = [*parents[new]] if new in there else []
        seen: set[int] = set()
        while waiting:
            old = waiting.pop(0)
            if old in there:
                yield old, new
            elif old not in seen:
                seen.add(old)
                waiting += parents[old]


def _routine(
    track: Sequence[Proved | None],
    parents: Sequence[Sequence[int]],
    options: ReviewOptions,
    prover: Prover,
    progress: Progress,
) -> RoutineReview:
    own = rows(track)
    results = tuple(proved.result if proved is not None else None for proved in track)
    spread = tuple(everywhere(result) for result in results)
    there = [number for number, proved in enumerate(track) if proved is not None]
    name = results[there[-1]].title  # type: ignore[union-attr]
    steps = []
    explored: LastTwo[Explored] = LastTwo()
    for old, new in dict.fromkeys(_pairs(there, parents)):
        before, after = track[old], track[new]
        assert before is not None
        assert after is not None
        same = same_code(before, after)
        say = _prefixed(progress, name)
        is_cut = is_cut_short(after.result)
        steps.append(
            Step(
                old,
                new,
                changed_obligations(own, spread, old, new, is_cut=is_cut),
                changed_counts(own, old, new),
                _behaviour(before, after, _exits(own, old, new), options, prover, say, explored, same=same),
                code_changed=not same,
                contract=_other_contract(before, after, options),
            )
        )
    return RoutineReview(name, results, own, spread, tuple(steps))


def _other_contract(before: Proved, after: Proved, options: ReviewOptions) -> ChangedContract | None:
    """What the newer revision says of its contract, if that is another than the older's."""
    if after.task.changed:
        return ChangedContract(after.task.changed, accepted=False)
    old, new = before.task.said, after.task.said
    if options.prove.contract is not None or old is None or new is None:
        return None
    if old.contract.terms == new.contract.terms and old.faults == new.faults:
        return None
    said = f"its contract was {_in_words(old)}, and is {_in_words(new)}"
    return ChangedContract(said, accepted=options.accept_contract)


def _in_words(held: Held) -> str:
    return held.contract.name + (f" with faults on {held.faults}" if held.faults else "")


def _behaviour(
    before: Proved,
    after: Proved,
    exits: Exits,
    options: ReviewOptions,
    prover: Prover,
    progress: Progress,
    explored: LastTwo[Explored],
    *,
    same: bool,
) -> Behaviour:
    if same:
        return identical()
    if not options.differences:
        return Behaviour(Relation.UNASKED)
    if prover.stopped:
        return Behaviour(Relation.OPEN, prover.stopped)
    try:
        return behaviour(
            before, after, exits, options.prove, prover.shares.next().with_memory(), progress, explored
        )
    except KeyboardInterrupt:
        prover.stop()
        return Behaviour(Relation.OPEN, prover.stopped)


def _exits(own: Sequence[Row], old: int, new: int) -> Exits:
    """The rows of two revisions, by where their accesses lie."""
    names: dict[tuple[int, str], str] = {}
    for row in own:
        for side, number in enumerate((old, new)):
            cell = row.cells[number]
            if cell is not None and cell.access:
                names[side, cell.access] = row.name
    there = [row for row in own if row.name != AFTER_FAULT and (row.cells[old] or row.cells[new])]
    return Exits(
        lambda side, access: names.get((side, access), ""),
        tuple(row.name for row in there),
        changed_exits(there, old, new),
    )


def exit_code(review: Review, fail_on: Sequence[str]) -> ExitCode:
    """0 nothing got worse, 1 something did or is refuted in the newest revision, 2 a revision could not be
    read, 3 something is unknown in the newest, or a file was not assembled in time. With `fail_on` only what
    it names counts, and what was not read."""
    named = fail_on or FAIL_ON
    newest = [r.results[-1] for r in review.routines if r.results[-1] is not None]
    verdicts = {result.verdict for result in newest if result is not None}
    worse = any(step.is_worse for r in review.routines for step in r.steps)
    if ("broken" in named and worse) or ("refuted" in named and Verdict.REFUTED in verdicts):
        return ExitCode.REFUTED
    if review.failures:
        return ExitCode.USAGE
    if review.cut:
        return ExitCode.UNKNOWN
    if "unknown" in named and Verdict.UNKNOWN in verdicts:
        return ExitCode.UNKNOWN
    return ExitCode.PROVED

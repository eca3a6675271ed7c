"""From revisions to the results of their routines: each is proved, unless it was before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mcverify import interrupt
from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.proof.listing import listing
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import Job, finished, proved
from mcverify.proof.result import RoutineResult
from mcverify.proof.select import Task, unknown_because
from mcverify.review.cache import Cache
from mcverify.review.limit import Shares
from mcverify.review.reading import INTERRUPTED, Piece, Read, named_as
from mcverify.review.recast import moved, with_words
from mcverify.review.result import Standing, State
from mcverify.review.revision import Revision
from mcverify.witness.study import study

Progress = Callable[[str], None]
_Results = tuple[RoutineResult, ...]


@dataclass(frozen=True)
class Proved:
    """One routine variant of a revision: its result, and the code itself, to be run and explored again."""

    result: RoutineResult
    image: Image
    task: Task


@dataclass(frozen=True)
class ProvedRevision:
    """A revision with what was found out of its routines, in the order of its files. `unread` says of each
    file that could not be read or assembled why not, `cut` of each that a limit, or an interruption, has kept
    from it; `reused` counts the routines that the cache knew."""

    revision: Revision
    routines: tuple[Proved, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    cut: Mapping[str, str] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    reused: int = 0
    proved: int = 0

    @property
    def failures(self) -> tuple[str, ...]:
        """Sentences on its files that could not be read or assembled."""
        return tuple(self.unread.values())

    @property
    def missing(self) -> Mapping[str, Standing]:
        """What is known of each file that was not assembled, for whatever reason."""
        found = {name: Standing(State.NOT_ASSEMBLED, why) for name, why in self.unread.items()}
        return found | {name: Standing(State.UNDECIDED, why) for name, why in self.cut.items()}


class Prover:
    """Proves the routines of revisions, each code once. `shares` hands out the time, so many `seconds` (None:
    no limit); what is not begun once `stopped` says why is unknown for that reason."""

    def __init__(
        self,
        reads: Sequence[Read],
        options: ProveOptions,
        seconds: float | None,
        cache: Cache,
        progress: Progress,
        stopped: str = "",
    ) -> None:
        self._reads, self._options, self._cache, self._progress = reads, options, cache, progress
        self._known: dict[str, _Results | InputError] = {}
        self._kept: set[str] = set()
        self.stopped = stopped
        self.shares = Shares(seconds, self._expected())

    def _expected(self) -> int:
        """How many pieces of work are to be expected: a proof of each code that the cache does not know, and
        a comparison wherever the code of a routine changes."""
        codes: dict[str, set[str]] = {}
        for piece in (piece for found in self._reads for piece in found.pieces):
            codes.setdefault(piece.task.name, set()).add(piece.key)
            if piece.key not in self._kept and (kept := self._cache.get(piece.key)) is not None:
                self._known[piece.key] = kept
                self._kept.add(piece.key)
        new = sum(len(keys - self._kept) for keys in codes.values())
        return new + sum(len(keys) - 1 for keys in codes.values())

    def revisions(self) -> list[ProvedRevision]:
        """What was found out of each; the newest is proved first."""
        newest_first = [
            self._revision(self._reads[number], number) for number in reversed(range(len(self._reads)))
        ]
        return newest_first[::-1]

    def _revision(self, found: Read, number: int) -> ProvedRevision:
        about = f"{found.revision.name} ({number + 1} of {len(self._reads)})"
        routines: list[Proved] = []
        unread = dict(found.unread)
        reused = 0
        for piece in found.pieces:
            was_known = piece.key in self._known
            results = self._results(piece, lambda text: self._progress(f"{about}: {text}"))
            if isinstance(results, InputError):
                unread[piece.plain(str(piece.image.path))] = with_words(str(results), piece.plain)
                continue
            reused += len(results) if was_known else 0
            routines += [
                Proved(result, named_as(job.variant.image, piece.plain), job.task)
                for result, job in zip(results, piece.jobs, strict=True)
            ]
        return ProvedRevision(
            found.revision,
            tuple(routines),
            unread,
            found.cut,
            tuple(found.empty),
            reused,
            len(routines) - reused,
        )

    def _results(self, piece: Piece, progress: Progress) -> _Results | InputError:
        try:
            return self._found(piece, progress)
        except KeyboardInterrupt:
            self.stop()
            return _undone(self.stopped, piece, self._options)

    def stop(self) -> None:
        """Begin nothing more: it was interrupted, and what is known is to be told."""
        self.stopped = INTERRUPTED
        interrupt.take_time()

    def _found(self, piece: Piece, progress: Progress) -> _Results | InputError:
        known = self._known.get(piece.key)
        if isinstance(known, InputError):
            return known
        if known is not None and (placed := _placed(known, piece)) is not None:
            return placed
        if self.stopped:
            return _undone(self.stopped, piece, self._options)
        found = self._proof(piece, progress)
        self._known[piece.key] = found
        if not isinstance(found, InputError):
            self._cache.put(piece.key, found)
            return _with_remarks(found, piece)
        return found

    def _proof(self, piece: Piece, progress: Progress) -> _Results | InputError:
        """The results of all variants, without the remarks on this file."""

        def studied(image: Image, result: RoutineResult, until: Deadline, told: Progress) -> RoutineResult:
            return study(image, result, self._options, until, told, repair=False)

        (found,) = proved([piece.jobs], self._options, self.shares.next(), progress, studied)
        if isinstance(found, InputError):
            return found
        return tuple(
            with_words(_without_remarks(result, job), piece.plain)
            for result, job in zip(found, piece.jobs, strict=True)
        )


def _undone(why: str, piece: Piece, options: ProveOptions) -> _Results:
    """What is known of a routine that nobody looked at: its code."""
    results = (
        finished(unknown_because(why, job.variant.image, job.task, options), job) for job in piece.jobs
    )
    return tuple(with_words(result, piece.plain) for result in results)


def _placed(known: Sequence[RoutineResult], piece: Piece) -> _Results | None:
    """Results of the same code in the words of this file; None where they do not fit it."""
    if len(known) != len(piece.jobs):
        return None
    found = []
    for result, job in zip(known, piece.jobs, strict=True):
        lines = with_words(listing(job.variant.image, piece.task.entry), piece.plain)
        now = moved(result, lines, piece.plain(str(piece.image.path)), piece.image.sha256)
        if now is None or now.variant != job.variant.name:
            return None
        found.append(now)
    return _with_remarks(found, piece)


def _without_remarks(result: RoutineResult, job: Job) -> RoutineResult:
    """The result without what is said of its file alone: its assumptions end with the image's notes, what no
    path takes with the entries that no variant reaches."""
    return replace(
        result,
        assumptions=_without_end(result.assumptions, job.variant.image.notes),
        untaken=_without_end(result.untaken, job.unreached),
        notes=(),
        by_comment=(),
    )


def _without_end(words: tuple[str, ...], end: tuple[str, ...]) -> tuple[str, ...]:
    return words[: -len(end)] if end and words[-len(end) :] == end else words


def _with_remarks(results: Iterable[RoutineResult], piece: Piece) -> _Results:
    return tuple(
        replace(
            result,
            assumptions=(*result.assumptions, *map(piece.plain, job.variant.image.notes)),
            untaken=(*result.untaken, *map(piece.plain, job.unreached)),
            notes=tuple(map(piece.plain, job.notes)),
            by_comment=job.task.by_comment,
        )
        for result, job in zip(results, piece.jobs, strict=True)
    )

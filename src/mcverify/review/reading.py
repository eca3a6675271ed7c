"""From a revision to what is to be proved of it: each routine of each of its files, as it lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify import interrupt
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.proof.options import Held, ProveOptions
from mcverify.proof.prove import Job, jobs_of
from mcverify.proof.select import Task
from mcverify.review.cache import key_of
from mcverify.review.recast import with_words
from mcverify.review.revision import Revision, laid_out, readable_of

Words = Callable[[str], str]
"""Says a sentence, or a name, without the folder in which a revision's files lie for the time being."""


@dataclass(frozen=True)
class Piece:
    """One routine of a file of a revision, in all of its variants. `key` stands for all that a proof of it
    depends on, wherever it lies and whatever its labels and the remarks on its file."""

    task: Task
    jobs: tuple[Job, ...]
    plain: Words
    key: str

    @property
    def image(self) -> Image:
        """What the file holds, as it lies on the disk."""
        return self.jobs[0].variant.origin


@dataclass
class Read:
    """A revision, and what is to be proved of it. `unread` says of each file that could not be read or
    assembled why not, `empty` of each that is right and has no routine to be proved, `cut` of each that was
    not assembled since a limit was reached or somebody interrupted."""

    revision: Revision
    pieces: list[Piece] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    cut: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Loaded:
    """A file that was assembled, and how its routines are chosen."""

    name: str
    image: Image
    plain: Words
    options: ProveOptions


class Reader:
    """Reads revisions: all routines that have table entries or a contract; those that `options` name, as far
    as they are there. The newest is assembled first. Once the deadline is reached, or `stopped` says why, the
    rest is `cut`. The files lie on the disk until the `stack` is left."""

    def __init__(
        self, options: ProveOptions, stack: ExitStack, deadline: Deadline, *, accept_contract: bool
    ) -> None:
        self._options, self._stack, self._deadline = options, stack, deadline
        self._accept_contract = accept_contract
        self.stopped = ""

    def read(self, revisions: Sequence[Revision], progress: Callable[[str], None]) -> list[Read]:
        """All revisions, oldest first: each is held to what those before it say of their contracts."""
        reads = [Read(revision) for revision in revisions]
        loaded: dict[int, list[_Loaded]] = {}
        for number in reversed(range(len(reads))):
            progress(f"{revisions[number].name} ({number + 1} of {len(reads)}): reading")
            loaded[number] = list(self._loaded(reads[number]))
        for number, found in enumerate(reads):
            held = {} if self._accept_contract else _held_by(reads[:number])
            known = frozenset(piece.task.name for before in reads[:number] for piece in before.pieces)
            for one in loaded[number]:
                with self._failing(found, one.name, one.plain):
                    found.pieces += _pieces(one, held, known)
        return reads

    def _loaded(self, found: Read) -> Iterator[_Loaded]:
        """The files of a revision that can be assembled in time."""
        options = replace(self._options, readable=readable_of(found.revision))
        done: set[str] = set()
        for name, path in self._laid_out(found.revision).items():
            if self.stopped:
                break
            done.add(name)
            plain = _without(path, name, found.revision)
            with self._failing(found, name, plain):
                yield _Loaded(name, options.image(path, self._deadline), plain, options)
        found.cut |= {name: _cut(name, self.stopped) for name in found.revision.paths if name not in done}

    def _laid_out(self, revision: Revision) -> Mapping[str, Path]:
        try:
            return {} if self.stopped else self._stack.enter_context(laid_out(revision))
        except KeyboardInterrupt:
            self._stop()
            return {}

    @contextmanager
    def _failing(self, found: Read, name: str, plain: Words) -> Iterator[None]:
        """Keep what is wrong with one file, so that the others are read."""
        try:
            yield
        except InputError as error:
            sentence = with_words(str(error), plain)
            if _is_nothing(error):
                found.empty.append(sentence)
            else:
                found.unread[name] = sentence
        except OutOfTime as error:
            found.cut[name] = _cut(name, str(error))
        except KeyboardInterrupt:
            self._stop()
            found.cut[name] = _cut(name, self.stopped)

    def _stop(self) -> None:
        self.stopped = INTERRUPTED
        interrupt.take_time()


INTERRUPTED = "it was interrupted before that was decided"


def _cut(name: str, why: str) -> str:
    return f"{name} was not assembled: {why}"


def _held_by(reads: Iterable[Read]) -> dict[str, Held]:
    """What the routines of revisions are held to, by name: what the first that has one says of it."""
    found: dict[str, Held] = {}
    for piece in (piece for one in reads for piece in one.pieces):
        if piece.task.said is not None:
            found.setdefault(piece.task.name, piece.task.said)
    return found


_NOTHING = ("no exception table", "lie in no function", "there is no routine", "the file is empty")


def _is_nothing(error: InputError) -> bool:
    """Whether the file is right, and has no routine to be proved."""
    return any(words in error.message for words in _NOTHING)


def _without(path: Path, name: str, revision: Revision) -> Words:
    """Says names of files in a temporary folder as the revision has them, and the folder as its tree."""
    folder = str(path)[: -len(name)] if str(path).endswith(name) and str(path) != name else ""
    if not folder:
        return lambda text: text
    root = revision.tree.name if revision.tree is not None else "."
    root += f" with the headers that {revision.name} changes" if revision.headers else ""
    return lambda text: text.replace(folder, "").replace(folder.rstrip("/"), root)


def _pieces(loaded: _Loaded, held: Mapping[str, Held], known: frozenset[str]) -> list[Piece]:
    options = replace(loaded.options, held=held, known=known)
    jobs = jobs_of(loaded.image, _for_file(loaded.image, options), {})
    return [_piece(own, loaded.plain, options) for own in _by_routine(jobs)]


def _by_routine(jobs: Iterable[Job]) -> list[tuple[Job, ...]]:
    """The jobs, those for the variants of one routine together."""
    found: dict[int, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.task.entry, []).append(job)
    return [tuple(own) for own in found.values()]


def _piece(jobs: tuple[Job, ...], plain: Words, options: ProveOptions) -> Piece:
    return Piece(jobs[0].task, jobs, plain, key_of(jobs, options))


def _for_file(image: Image, options: ProveOptions) -> ProveOptions:
    """The options, with those of the named routines that this file has; if it has none, an InputError follows
    where the first is looked for."""
    there = {symbol.name for symbol in image.symbols}
    here = tuple(name for name in options.routines if name in there)
    return replace(options, routines=here or options.routines)


def named_as(image: Image, words: Words) -> Image:
    """The image with every name of a file as `words` has it: what is called by its place has the same name in
    each run."""
    return replace(
        image,
        path=Path(words(str(image.path))),
        lines={at: replace(line, file=words(line.file)) for at, line in image.lines.items()},
        annotations=tuple(with_words(note, words) for note in image.annotations),
        notes=tuple(map(words, image.notes)),
    )

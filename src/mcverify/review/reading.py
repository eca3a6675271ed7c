"""From a revision to what is to be proved of it: each routine of each of its files, as it lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify.deadline import Deadline
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
    assembled why not, `empty` of each that is right and has no routine to be proved."""

    revision: Revision
    pieces: list[Piece] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)


def held_by(reads: Iterable[Read]) -> dict[str, Held]:
    """What the routines of revisions are held to, by name: what the first that has one says of it."""
    found: dict[str, Held] = {}
    for piece in (piece for one in reads for piece in one.pieces):
        if piece.task.said is not None:
            found.setdefault(piece.task.name, piece.task.said)
    return found


def read(revision: Revision, options: ProveOptions, stack: ExitStack, deadline: Deadline) -> Read:
    """All routines of a revision that have table entries or a contract; those that `options` name, as far as
    they are there. Its files lie on the disk until the `stack` is left."""
    found = Read(revision)
    options = replace(options, readable=readable_of(revision))
    for name, path in stack.enter_context(laid_out(revision)).items():
        plain = _without(path, name, revision)
        try:
            found.pieces += _pieces(path, plain, options, deadline)
        except InputError as error:
            sentence = with_words(str(error), plain)
            if _is_nothing(error):
                found.empty.append(sentence)
            else:
                found.unread[name] = sentence
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


def _pieces(path: Path, plain: Words, options: ProveOptions, deadline: Deadline) -> list[Piece]:
    image = options.image(path, deadline)
    jobs = jobs_of(image, _for_file(image, options), {})
    return [_piece(own, plain, options) for own in _by_routine(jobs)]


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

"""From a revision to the results of its routines: each is proved, unless the cache knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.proof.listing import listing
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import RoutineResult
from mcverify.proof.select import Task, settled, tasks
from mcverify.proof.variants import Variant, variants
from mcverify.review.cache import Cache, key_of
from mcverify.review.recast import moved, with_words
from mcverify.review.revision import Revision, laid_out, readable_of
from mcverify.review.tree import Tree
from mcverify.witness.study import study

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Proved:
    """One routine variant of a revision: its result, and the code itself, to be run and explored again."""

    result: RoutineResult
    image: Image
    task: Task


@dataclass(frozen=True)
class ProvedRevision:
    """A revision with what was found out of its routines, by title. `failures` are sentences on files that
    could not be read or assembled; `reused` counts the routines that the cache knew."""

    revision: Revision
    routines: Mapping[str, Proved] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    reused: int = 0
    proved: int = 0


def prove_revision(
    revision: Revision, options: ProveOptions, cache: Cache, progress: Progress, deadline: Deadline
) -> ProvedRevision:
    """All routines of a revision that have table entries or a contract; those that `options` name, as far as
    they are there."""
    found: dict[str, Proved] = {}
    failures: list[str] = []
    empty: list[str] = []
    reused = fresh = 0
    with laid_out(revision) as files:
        options = replace(options, readable=readable_of(revision))
        for name, path in files.items():
            folder = str(path)[: -len(name)] if str(path).endswith(name) and str(path) != name else ""
            plain = _without(folder, revision.tree)
            try:
                results, hits = _of_file(path, plain, options, cache, progress, deadline)
            except InputError as error:
                sentence = with_words(str(error), plain)
                (empty if _is_nothing(error) else failures).append(sentence)
                continue
            found |= {proved.result.title: proved for proved in results}
            reused, fresh = reused + hits, fresh + len(results) - hits
    return ProvedRevision(revision, found, tuple(failures), tuple(empty), reused, fresh)


_NOTHING = ("no exception table", "lie in no function", "there is no routine", "the file is empty")


def _is_nothing(error: InputError) -> bool:
    """Whether the file is right, and has no routine to be proved."""
    return any(words in error.message for words in _NOTHING)


def _without(folder: str, tree: Tree | None) -> Callable[[str], str]:
    """Says names of files in a temporary folder as the revision has them, and the folder as its tree."""
    if not folder:
        return lambda text: text
    name = tree.name if tree is not None else "."
    return lambda text: text.replace(folder, "").replace(folder.rstrip("/"), name)


def _of_file(
    path: Path,
    plain: Callable[[str], str],
    options: ProveOptions,
    cache: Cache,
    progress: Progress,
    deadline: Deadline,
) -> tuple[list[Proved], int]:
    image = options.image(path)
    chosen = tasks(image, _for_file(image, options))
    made = {task.name: _variants(image, task) for task in chosen}
    notes = tuple(map(plain, image.notes))
    keys = {task.name: key_of(task, made[task.name], options, notes) for task in chosen}
    known = {t.name: _known(t, made[t.name], cache.get(keys[t.name]), plain, image) for t in chosen}
    missing = [name for name, results in known.items() if results is None]
    if missing:
        names = () if len(missing) == len(chosen) else tuple(missing)
        results = _prove(path, replace(options, routines=names or options.routines), progress, deadline)
        for name in missing:
            own = known[name] = tuple(with_words(r, plain) for r in results if r.name == name)
            cache.put(keys[name], own)
    found = []
    for task in chosen:
        for result, variant in zip(known[task.name] or (), made[task.name], strict=True):
            found.append(Proved(result, variant.image, settled(task, variant.image)))
    hits = sum(len(results) for name, results in made.items() if name not in missing)
    return found, hits


def _for_file(image: Image, options: ProveOptions) -> ProveOptions:
    """The options, with those of the named routines that this file has; if it has none, an InputError follows
    where the first is looked for."""
    there = {symbol.name for symbol in image.symbols}
    here = tuple(name for name in options.routines if name in there)
    return replace(options, routines=here or options.routines)


def _variants(image: Image, task: Task) -> tuple[Variant, ...]:
    return variants(image, task.entry) if task.contract is not None else (Variant("", {}, image, image),)


def _known(
    task: Task,
    made: Sequence[Variant],
    kept: tuple[RoutineResult, ...] | None,
    plain: Callable[[str], str],
    image: Image,
) -> tuple[RoutineResult, ...] | None:
    """What the cache has, in the words of this revision; None if any of it is missing."""
    if kept is None or len(kept) != len(made):
        return None
    file = plain(str(image.path))
    found = []
    for result, variant in zip(kept, made, strict=True):
        lines = with_words(listing(variant.image, task.entry), plain)
        now = moved(result, lines, file, image.sha256)
        if now is None or now.variant != variant.name:
            return None
        found.append(now)
    return tuple(found)


def _prove(
    path: Path, options: ProveOptions, progress: Progress, deadline: Deadline
) -> Iterable[RoutineResult]:
    def studied(image: Image, result: RoutineResult, until: Deadline, told: Progress) -> RoutineResult:
        return study(image, result, options, until, told, repair=False)

    remaining = deadline.remaining()
    within = options if remaining is None else replace(options, timeout=max(0.01, remaining))
    return prove_file(path, within, progress, studied)

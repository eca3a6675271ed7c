"""The revisions of a range of commits."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify.errors import InputError
from mcverify.image.kernel_tree import LIBRARY, is_for_32_bits
from mcverify.review.foreign import folded, left_out
from mcverify.review.gather import Gathered, NothingToReview
from mcverify.review.git import Commit, Repository
from mcverify.review.revision import Revision, included, including
from mcverify.review.tree import HEADER_FOLDERS, CommitTree

SOURCE_SUFFIXES = (".S", ".s")
_ANY_SOURCE = tuple(f":(top,glob)**/*{suffix}" for suffix in SOURCE_SUFFIXES)
_TABLE = re.compile(rb"EXTABLE|ex_table|mcverify:", re.IGNORECASE)
_MOST = 200
"""Commits of one review that touch a routine."""
_IN_HEADERS = tuple(f"{folder}/" for folder in HEADER_FOLDERS)
_MOST_HEADERS = 300
"""Where more headers than this changed since the first commit, a revision has a tree of its own."""


def revisions_of_range(text: str, paths: Sequence[str], folder: Path) -> Gathered:
    """The commit before a range, and every commit of it that changes an assembly file with table entries,
    those of merged branches too: each beside what it was made from."""
    repository = Repository.around(folder)
    if repository is None:
        raise InputError(f"{folder} lies in no git repository", hint="--git looks in the current folder")
    old, new = _ends(text, repository)
    every = repository.count(old, new, paths)
    touched, foreign = _touched(repository, old, new, paths or _ANY_SOURCE)
    watched: frozenset[str] = frozenset()
    if not touched:
        touched, watched = _including(repository, old, new, paths)
    if not touched:
        where = f" under {', '.join(paths)}" if paths else ""
        what = "no commit" if every else "nothing"
        besides = f" ({'; '.join(foreign)})" if foreign else ""
        raise NothingToReview(
            f"{what} in {text}{where} changes an assembly file with exception-table entries{besides}"
        )
    walk = _Walk(repository, touched, watched)
    walk.base(old)
    for commit, parents in repository.commits(old, new, walk.concerned(new)).items():
        walk.add(commit, parents)
    found = _in_tree(repository, old, walk.columns)
    if len(found) > _MOST:
        raise InputError(f"{len(found)} commits change {', '.join(touched)}: more than {_MOST} columns")
    return Gathered(tuple(found), (*foreign, *_left_out(every - walk.added)))


@dataclass
class _Walk:
    """The columns that commits make, parents first. A commit that leaves the files as one of its parents has
    them, and takes nothing away that another brings, has the column of that parent."""

    repository: Repository
    touched: Sequence[str]
    watched: Collection[str]
    columns: list[Revision] = field(default_factory=list)
    added: int = 0
    _column_of: dict[str, int] = field(default_factory=dict)
    _behind: list[frozenset[int]] = field(default_factory=list)
    """By column, those that it was made from, and itself."""

    def concerned(self, *more: str) -> list[str]:
        """The files that matter, as git takes them: also those that are included, in the columns so far and
        in `more` commits."""
        known = [*self.columns, *(self._revision(identifier) for identifier in more)]
        included = [name for revision in known for name in revision.others]
        names = dict.fromkeys([*self.touched, *included, *sorted(self.watched)])
        return [f":(top,literal){name}" for name in names]

    def base(self, identifier: str) -> int:
        """The column of a commit of which only the files are asked: the one before the range, or the one that
        a merged branch began at."""
        revision = self._revision(identifier)
        same = next((n for n, known in enumerate(self.columns) if revision.same_files(known)), None)
        self._column_of[identifier] = self._new(revision, ()) if same is None else same
        return self._column_of[identifier]

    def add(self, identifier: str, parents_of_it: Sequence[str]) -> None:
        """Give a commit its column."""
        parents = tuple(dict.fromkeys(map(self._parent, parents_of_it)))
        revision = self._revision(identifier)
        for column in parents:
            others = set(parents) - {column}
            if revision.same_files(self.columns[column]) and others <= self._behind[column]:
                self._column_of[identifier] = column
                return
        self._column_of[identifier] = self._new(revision, parents)
        self.added += 1

    def _parent(self, identifier: str) -> int:
        known = self._column_of.get(identifier)
        return self.base(identifier) if known is None else known

    def _new(self, revision: Revision, parents: tuple[int, ...]) -> int:
        own = len(self.columns)
        self.columns.append(replace(revision, parents=parents))
        self._behind.append(frozenset({own}).union(*(self._behind[parent] for parent in parents)))
        return own

    def _revision(self, identifier: str) -> Revision:
        return _revision(self.repository, self.repository.describe(identifier), self.touched, self.watched)


def _in_tree(repository: Repository, old: str, revisions: Sequence[Revision]) -> list[Revision]:
    """The revisions within the kernel's tree of their commits, if it is one: that of `old`, and the headers
    that are other ones since."""
    tree = CommitTree.of(repository, old)
    if tree is None:
        return [*revisions]
    return [_with_tree(repository, tree, revision) for revision in revisions]


def _with_tree(repository: Repository, tree: CommitTree, revision: Revision) -> Revision:
    commit = repository.commit(revision.name)
    paths = repository.changed(tree.commit, commit, [f":(top){folder}" for folder in HEADER_FOLDERS])
    if len(paths) > _MOST_HEADERS:
        return replace(revision, tree=CommitTree(repository, commit))
    headers: dict[str, bytes | None] = dict.fromkeys(paths)
    headers |= dict(repository.contents(commit, paths)) if paths else {}
    return replace(revision, tree=tree, headers=headers)


def _left_out(count: int) -> tuple[str, ...]:
    if count <= 0:
        return ()
    return (f"{count} commit{'s' if count > 1 else ''} of the range left the files as they were",)


def _ends(text: str, repository: Repository) -> tuple[str, str]:
    """The two commits of `OLD..NEW`; of one commit, its parent and itself."""
    if "..." in text:
        raise InputError(f"{text} is no range with a direction", hint="write it OLD..NEW")
    old, dots, new = text.partition("..")
    if not dots:
        return repository.commit(f"{old}^"), repository.commit(old)
    return repository.commit(old or "HEAD"), repository.commit(new or "HEAD")


def _touched(
    repository: Repository, old: str, new: str, paths: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The assembly files with a table that any commit changes, and sentences on those that are left out."""
    found: dict[str, None] = {}
    foreign: dict[str, str] = {}
    for before, commit, path in _changes(repository, repository.commits(old, new, paths), paths):
        if path in found or path in foreign or not path.endswith(SOURCE_SUFFIXES):
            continue
        contents = [repository.file(where, path) for where in (before, commit)]
        if not any(has_table(content) for content in contents):
            continue
        said = left_out(path, contents)
        if said:
            foreign[path] = said
        else:
            found[path] = None
    return tuple(found), folded(tuple(foreign.values()))


def _changes(
    repository: Repository, commits: Mapping[str, Sequence[str]], paths: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Each parent, its commit and a file in which the two differ."""
    for commit, parents in commits.items():
        for parent in parents:
            for path in repository.changed(parent, commit, paths):
                yield parent, commit, path


def has_table(content: bytes | None) -> bool:
    """Whether an assembly source speaks of exception-table entries, or to us."""
    return content is not None and _TABLE.search(content) is not None


def _including(
    repository: Repository, old: str, new: str, paths: Sequence[str]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The assembly files with a table beside a kernel's copy routines that include a header which some commit
    changes, and those headers."""
    tree = CommitTree.of(repository, old)
    commits = repository.commits(old, new, paths or [f":(top){folder}" for folder in HEADER_FOLDERS])
    changed = {path for _, _, path in _changes(repository, commits, paths)}
    headers = {path for path in changed if path.endswith(".h") and path.startswith(_IN_HEADERS)}
    if tree is None or not headers:
        return (), frozenset()
    sources = (p for p in repository.sources(old, LIBRARY) if not is_for_32_bits(p))
    read = ((path, repository.file(old, path)) for path in sources)
    files = {path: content for path, content in read if content is not None and has_table(content)}
    others = with_included(files, lambda path: repository.file(old, path))
    found = including(Revision("", files=files, others=others, tree=tree), headers)
    return tuple(found), frozenset().union(*found.values())


def _revision(
    repository: Repository, commit: Commit, paths: Iterable[str], watched: Collection[str]
) -> Revision:
    contents = {path: repository.file(commit.id, path) for path in paths}
    files = {path: content for path, content in contents.items() if content is not None}
    others = with_included(files, lambda path: repository.file(commit.id, path))
    headers: dict[str, bytes | None] = {path: repository.file(commit.id, path) for path in sorted(watched)}
    return Revision(commit.short, commit.subject, files, others, author=commit.author, headers=headers)


def with_included(files: Mapping[str, bytes], read: Callable[[str], bytes | None]) -> dict[str, bytes]:
    """What `files` include in quotes, and what that includes, as far as `read` finds it in the tree."""
    found: dict[str, bytes] = {}
    waiting = list(files.items())
    while waiting:
        path, content = waiting.pop()
        for name in included(path, content):
            if name not in files and name not in found and (text := read(name)) is not None:
                found[name] = text
                waiting.append((name, text))
    return found

"""The revisions of a range of commits."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mcverify.errors import InputError
from mcverify.image.kernel_tree import LIBRARY, is_for_32_bits
from mcverify.review.gather import Gathered, NothingToReview
from mcverify.review.git import Commit, Repository
from mcverify.review.revision import Revision, included, including
from mcverify.review.tree import HEADER_FOLDERS, CommitTree

SOURCE_SUFFIXES = (".S", ".s")
_TABLE = re.compile(rb"EXTABLE|ex_table|mcverify:", re.IGNORECASE)
_MOST = 200
"""Commits of one review that touch a routine."""
_IN_HEADERS = tuple(f"{folder}/" for folder in HEADER_FOLDERS)
_MOST_HEADERS = 300
"""Where more headers than this changed since the first commit, a revision has a tree of its own."""


def revisions_of_range(text: str, paths: Sequence[str], folder: Path) -> Gathered:
    """The commit before a range, and every commit of it that changes an assembly file with table entries."""
    repository = Repository.around(folder)
    if repository is None:
        raise InputError(f"{folder} lies in no git repository", hint="--git looks in the current folder")
    old, new = _ends(text, repository)
    commits = repository.commits(old, new, paths)
    touched = _touched(repository, old, commits, paths)
    watched: frozenset[str] = frozenset()
    if not touched:
        touched, watched = _including(repository, old, commits, paths)
    if not touched:
        where = f" under {', '.join(paths)}" if paths else ""
        what = "no commit" if commits else "nothing"
        raise NothingToReview(
            f"{what} in {text}{where} changes an assembly file with exception-table entries"
        )
    found: list[Revision] = []
    for commit in (repository.describe(old), *commits):
        revision = _revision(repository, commit, touched, watched)
        if not found or not revision.same_files(found[-1]):
            found.append(revision)
    found = _in_tree(repository, old, found)
    if len(found) > _MOST:
        raise InputError(f"{len(found)} commits change {', '.join(touched)}: more than {_MOST} columns")
    return Gathered(tuple(found), _left_out(len(commits) + 1 - len(found)))


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
    repository: Repository, old: str, commits: Sequence[Commit], paths: Sequence[str]
) -> tuple[str, ...]:
    """The assembly files with a table that any commit changes, and those that include what it changes."""
    found: dict[str, None] = {}
    before = old
    for commit in commits:
        for path in repository.changed(before, commit.id, paths):
            contents = (repository.file(where, path) for where in (before, commit.id))
            if path.endswith(SOURCE_SUFFIXES) and any(has_table(content) for content in contents):
                found[path] = None
        before = commit.id
    return tuple(found)


def has_table(content: bytes | None) -> bool:
    """Whether an assembly source speaks of exception-table entries, or to us."""
    return content is not None and _TABLE.search(content) is not None


def _including(
    repository: Repository, old: str, commits: Sequence[Commit], paths: Sequence[str]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The assembly files with a table beside a kernel's copy routines that include a header which some commit
    changes, and those headers."""
    tree = CommitTree.of(repository, old)
    ends = zip((old, *(commit.id for commit in commits)), (commit.id for commit in commits), strict=False)
    changed = {path for before, after in ends for path in repository.changed(before, after, paths)}
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

"""The revisions that patches make, one after the other, of the files of a base; all in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import read_beneath, regular_files
from mcverify.image.kernel_tree import LIBRARY, is_for_32_bits
from mcverify.review.apply import FileChange, applied, changes
from mcverify.review.foreign import folded, left_out
from mcverify.review.gather import Gathered, NothingToReview
from mcverify.review.git import Repository
from mcverify.review.history import SOURCE_SUFFIXES, has_table, with_included
from mcverify.review.mail import Patch, patches
from mcverify.review.revision import PATCHED, Revision, including
from mcverify.review.tree import CommitTree, FolderTree, Tree
from mcverify.shown import printable_text

_HEADERS = (".h", ".inc")


@dataclass(frozen=True)
class Base:
    """What a series applies to: `read` gives a file by its path, `blob` one by its id. `tree` is the kernel's
    that it is, if any, `sources` lists the assembly files beside its copy routines."""

    name: str
    read: Callable[[str], bytes | None]
    blob: Callable[[str], bytes | None] = lambda _: None
    tree: Tree | None = None
    sources: Callable[[], Sequence[str]] = tuple


def revisions_of_patches(
    inputs: Sequence[tuple[str, bytes]], base_name: str | None, folder: Path
) -> Gathered:
    """The base and what each patch makes of it; of several inputs, what each of them makes of the base as a
    whole."""
    base = _base(base_name, folder)
    series = [(name, patches(name, content)) for name, content in inputs]
    tracked, notes = _tracked(series, base)
    found: list[Revision] = []
    before: dict[str, bytes | None] = {}
    for name, members in series:
        tree = _Tree(base)
        for number, patch in enumerate(members, 1):
            label = _label(patch, number, len(members))
            tree.apply(patch, _where(name, patch, label), notes)
            if len(series) == 1:
                found.append(_revision(tree, tracked, label, patch))
        if len(series) > 1:
            whole = replace(members[-1], text="\n".join(member.text for member in members))
            found.append(_revision(tree, tracked, Path(name).stem if name != "-" else "stdin", whole))
        before = tree.before | before
        notes += tree.remarks()
    first = _Tree(base, {}, before)
    start = Revision("base", base.name, *first.contents(tracked), tree=base.tree, headers=first.headers())
    columns = [start] if start.files else []
    for revision in found:
        last = columns[-1] if columns else start
        if revision.same_files(last):
            notes.append(f"{revision.name} ({revision.title}) leaves the routines' files as they are")
        else:
            columns.append(revision)
    if start.files and len(columns) == 1:
        raise NothingToReview("; ".join(dict.fromkeys(notes)))
    return Gathered(_unique(columns), tuple(dict.fromkeys(notes)))


def _label(patch: Patch, number: int, total: int) -> str:
    if patch.number:
        return f"{patch.number}/{patch.total}"
    return f"{number}/{total}" if total > 1 else PATCHED


def _where(name: str, patch: Patch, label: str) -> str:
    file = "standard input" if name == "-" else name
    return f"{file}, {label}" + (f" ({patch.subject})" if patch.subject else "") if label != PATCHED else file


def _unique(revisions: Sequence[Revision]) -> tuple[Revision, ...]:
    """The revisions under names that differ."""
    seen: dict[str, int] = {}
    found = []
    for revision in revisions:
        seen[revision.name] = seen.get(revision.name, 0) + 1
        times = seen[revision.name]
        found.append(revision if times == 1 else replace(revision, name=f"{revision.name} #{times}"))
    return tuple(found)


def _revision(tree: _Tree, tracked: Sequence[str], name: str, patch: Patch) -> Revision:
    files, others = tree.contents(tracked)
    return Revision(
        name,
        patch.subject,
        files,
        others,
        author=patch.author,
        message_id=patch.message_id,
        tree=tree.base.tree,
        headers=tree.headers(),
        patch=printable_text(patch.text.encode("latin-1").decode("utf-8", "replace")),
        subject=patch.heading,
    )


def _tracked(series: Sequence[tuple[str, Sequence[Patch]]], base: Base) -> tuple[tuple[str, ...], list[str]]:
    """The assembly files that the patches change, and sentences on those that are left out. Raises InputError
    where none has table entries."""
    found: dict[str, None] = {}
    others: dict[str, None] = {}
    binary: dict[str, None] = {}
    for name, members in series:
        for patch in members:
            for change in changes(patch.text, name):
                paths = [path for path in (change.old, change.new) if path is not None]
                kind = found if any(path.endswith(SOURCE_SUFFIXES) for path in paths) else others
                kind |= dict.fromkeys(paths)
                binary |= dict.fromkeys(paths if change.is_binary else ())
    texts = "".join(patch.text for _, members in series for patch in members).encode("latin-1")
    if found and not has_table(texts) and not any(has_table(base.read(path)) for path in found):
        _refuse_missing(series, base)
        others, found = {**others, **found}, {}
    foreign = {path: said for path in found if (said := left_out(path, [base.read(path)]))}
    found = {path: None for path in found if path not in foreign}
    if not found:
        found = dict.fromkeys(_including(others, base))
    if found:
        return tuple(found), [*folded(tuple(foreign.values()))]
    others = {**others, **dict.fromkeys(foreign)}
    name = "standard input" if series[0][0] == "-" else series[0][0]
    what = ", ".join(list(others)[:4]) + (", ..." if len(others) > 4 else "")
    only = " (a binary patch)" if binary and binary.keys() == others.keys() else ""
    besides = f" ({'; '.join(folded(tuple(foreign.values())))})" if foreign else ""
    raise NothingToReview(
        f"it changes {what}{only}: no assembly file with exception-table entries{besides}", where=name
    )


def _including(headers: Collection[str], base: Base) -> Sequence[str]:
    """The sources with table entries beside the copy routines of a kernel's tree which include one of the
    `headers`."""
    own = [path for path in headers if path.endswith(_HEADERS)]
    if base.tree is None or not own:
        return ()
    read = {path: base.read(path) for path in base.sources() if not is_for_32_bits(path)}
    files = {path: content for path, content in read.items() if content is not None and has_table(content)}
    return tuple(including(Revision("base", "", files, with_included(files, base.read), tree=base.tree), own))


def _refuse_missing(series: Sequence[tuple[str, Sequence[Patch]]], base: Base) -> None:
    """Raise InputError where a patch changes an assembly file that the base does not have: whether that has a
    table, nobody knows."""
    made: set[str] = set()
    for name, members in series:
        for change in (change for patch in members for change in changes(patch.text, name)):
            old = change.old
            if old is None or old in made or not old.endswith(SOURCE_SUFFIXES):
                pass
            elif _is_missing(change, base):
                raise _not_there(old, base, name)
            made |= {change.new} if change.new is not None else set()


def _is_missing(change: FileChange, base: Base) -> bool:
    assert change.old is not None
    return base.read(change.old) is None and (not change.blob or base.blob(change.blob) is None)


def _not_there(path: str, base: Base, where: str) -> InputError:
    return InputError(
        f"the patch changes {path}, which is not in {base.name}",
        where="standard input" if where == "-" else where,
        hint="--base names the folder or the commit that the patch applies to",
    )


@dataclass
class _Tree:
    """The files of the base with what has been applied so far; None for a file that is gone. `before` are
    files that a patch was made for and that are other ones in the base: mostly since it is applied there."""

    base: Base
    changed: dict[str, bytes | None] = field(default_factory=dict)
    before: dict[str, bytes | None] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        """The file as it is now."""
        if path in self.changed:
            return self.changed[path]
        return self.before[path] if path in self.before else self.base.read(path)

    def remarks(self) -> list[str]:
        """Sentences on the files that are not taken as they are in the base."""
        return [self._remark(path) for path in self.before]

    def _remark(self, path: str) -> str:
        now = self.changed.get(path)
        if now == self.base.read(path):
            return f"{path}: the change is in {self.base.name} already, so the file before it is the base"
        return (
            f"{path}: the base is the file that the patch was made for, which is not that of {self.base.name}"
        )

    def contents(self, paths: Sequence[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Those of `paths` that are there, and what they include."""
        read = {path: self.read(path) for path in paths}
        files = {path: content for path, content in read.items() if content is not None}
        return files, with_included(files, self.read)

    def headers(self) -> dict[str, bytes | None]:
        """Those that are other than in the base, where that is a kernel's tree."""
        if self.base.tree is None:
            return {}
        own = {**self.before, **self.changed}
        return {path: content for path, content in own.items() if path.endswith(_HEADERS)}

    def apply(self, patch: Patch, where: str, notes: list[str]) -> None:
        """Apply all of a patch that can matter, or nothing. Raises InputError where it does not apply."""
        now: dict[str, bytes | None] = {}
        for number, change in enumerate(changes(patch.text, where)):
            path = change.new or change.old or ""
            if not path.endswith((*SOURCE_SUFFIXES, *_HEADERS)):
                continue
            if change.is_binary:
                raise InputError(f"the patch for {path} is binary and cannot be read", where=where)
            if path.endswith(_HEADERS) and change.old is not None and self.read(change.old) is None:
                notes.append(f"{where}: {change.old} is not in {self.base.name}, so its change is left out")
                continue
            now |= self._changed(change, changes(patch.other, where)[number], where)
        self.changed |= now

    def _changed(self, change: FileChange, other: FileChange, where: str) -> dict[str, bytes | None]:
        content = self._applied(change, other, where)
        gone = {change.old: None} if change.old is not None and change.old != change.new else {}
        return gone | ({change.new: content} if change.new is not None else {})

    def _applied(self, change: FileChange, other: FileChange, where: str) -> bytes | None:
        """The new content; of a file that is as in the base, also from the blob that the patch names, or from
        none where it is there as the patch would make it."""
        path = change.old or change.new or ""
        old = self.read(path)
        first: InputError | None = None
        for candidate in self._candidates(change, path, old):
            for kind in (change, other):
                try:
                    content = applied(kind, candidate, where)
                except InputError as error:
                    first = first or error
                    continue
                if candidate == old or self._is_older(change, candidate, content):
                    return content
        assert first is not None
        if old is None and change.old is not None:
            raise _not_there(change.old, self.base, where)
        raise first

    def _candidates(self, change: FileChange, path: str, old: bytes | None) -> list[bytes | None]:
        """What the change may be made of: the file as it is now, unless it is what comes of it."""
        if path in self.changed:
            return [old]
        blob = self.base.blob(change.blob) if change.blob else None
        if change.old is not None and blob is None:
            return [old]
        is_there = old is None if change.new is None else self._made(change, blob) == self.read(change.new)
        return [blob, old] if is_there and blob != old else [old, blob]

    @staticmethod
    def _made(change: FileChange, old: bytes | None) -> bytes | None:
        try:
            return applied(change, old, "")
        except InputError:
            return None

    def _is_older(self, change: FileChange, candidate: bytes | None, content: bytes | None) -> bool:
        """Take an older file as the base, where that is what the patch was made for: of a file that the patch
        creates only if it is there as the patch has it."""
        if change.old is None and content != self.base.read(change.new or ""):
            return False
        self.before[change.old or change.new or ""] = candidate
        if change.old is not None and change.new not in (None, change.old):
            now = self.base.read(change.new or "")
            self.before |= {change.new or "": None} if now == content else {}
        return True


def _base(name: str | None, folder: Path) -> Base:
    if name is not None and Path(name).is_dir():
        root = Path(name)
        return _of_folder(name, root)
    repository = Repository.around(folder)
    if repository is None:
        if name is not None:
            raise InputError(f"--base {name} is no folder, and {folder} lies in no git repository")
        return _of_folder(str(folder), folder)
    commit = repository.commit(name or "HEAD")
    tree = CommitTree.of(repository, commit)
    return Base(
        name or "HEAD",
        lambda path: repository.file(commit, path),
        repository.blob,
        tree,
        lambda: repository.sources(commit, LIBRARY),
    )


def _of_folder(name: str, root: Path) -> Base:
    def sources() -> Sequence[str]:
        return [str(path.relative_to(root)) for path in regular_files(root / LIBRARY, (".S",))]

    return Base(name, lambda path: _read(root, path), tree=FolderTree.of(root), sources=sources)


def _read(root: Path, path: str) -> bytes | None:
    try:
        return read_beneath(root, path)
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(root / path)) from error

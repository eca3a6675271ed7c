"""A revision: the files that hold its routines, as they were then, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mcverify.errors import InputError
from mcverify.foreign import SOURCE_BYTES, read_regular
from mcverify.image.load import included_by
from mcverify.review.tree import Changed, Tree, lay_over
from mcverify.scratch import scratch_folder
from mcverify.shown import printable_text

PATCHED = "patched"
"""The name of what one patch alone makes of the base."""

_QUOTED = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Revision:
    """One column of a review.

    `name` is short and unique, `title` a subject ("" for a plain file). `files` maps paths to contents; files
    that lie on the disk as they are have `on_disk` instead, and no contents. `others` are the files that they
    include. `author` and `message_id` are those of the mail that brought it, or of the commit. `tree` is the
    kernel's in which the files lie, None for files of no kernel; its `headers` are others in this revision.
    `patch` is the patch that made it, as it was sent, `subject` that of its mail. `parents` are the numbers
    of the revisions that it was made from, None for the one before it.
    """

    name: str
    title: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    others: Mapping[str, bytes] = field(default_factory=dict)
    on_disk: tuple[Path, ...] = ()
    author: str = ""
    message_id: str = ""
    tree: Tree | None = None
    headers: Changed = field(default_factory=dict)
    patch: str = ""
    subject: str = ""
    parents: tuple[int, ...] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that may hold routines, as they are named in reports."""
        return (*(str(p) for p in self.on_disk), *self.files)

    def same_files(self, other: Revision) -> bool:
        """Whether its files are those of another revision, with all that is included."""
        own = self.files, self.others, self.headers
        return own == (other.files, other.others, other.headers)

    def text(self, path: str) -> str | None:
        """The text of one of its files, None if it is not there."""
        try:
            content = self.files[path] if path in self.files else read_regular(Path(path), SOURCE_BYTES)
        except OSError:
            return None
        return printable_text(content.decode("utf-8", "replace"))


@contextmanager
def laid_out(revision: Revision) -> Iterator[Mapping[str, Path]]:
    """The revision's files on the disk, by their names in reports: those of a patch or a commit in a
    folder of their own, which goes with the context; within the kernel's tree that they belong to."""
    with scratch_folder("mcverify-review-") as folder:
        changed = {**revision.headers, **revision.others, **revision.files}
        lay_over(None if revision.tree is None else revision.tree.root, changed, folder)
        found = {str(path): path for path in revision.on_disk}
        yield found | {path: folder / path for path in revision.files}


def readable_of(revision: Revision) -> tuple[Path, ...]:
    """The folders to which links of a revision's files on the disk lead: the kernel's tree, if it lies in
    one."""
    return (revision.tree.root,) if revision.tree is not None else ()


def including(revision: Revision, headers: Collection[str]) -> dict[str, frozenset[str]]:
    """Of the files of a revision within a kernel's tree those that include one of the `headers`, directly or
    not, and which; a file that cannot be read includes none."""
    found: dict[str, frozenset[str]] = {}
    with laid_out(revision) as files:
        for name, path in files.items():
            with suppress(InputError):  # it is told once it is to be assembled
                own = frozenset(map(str, included_by(path, readable_of(revision)))) & {*headers}
                if own:
                    found[name] = own
    return found


def included(path: str, content: bytes) -> list[str]:
    """Paths of the files that `content`, the file at `path`, includes in quotes, as far as they lie in the
    tree."""
    folder = PurePosixPath(path).parent
    found = (_joined(folder, match.decode("utf-8", "replace")) for match in _QUOTED.findall(content))
    return [name for name in dict.fromkeys(found) if name is not None]


def _joined(folder: PurePosixPath, name: str) -> str | None:
    parts: list[str] = []
    for part in (*folder.parts, *PurePosixPath(name).parts):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part != ".":
            parts.append(part)
    return None if name.startswith("/") else "/".join(parts)

"""The kernel's tree in which a revision's files lie: its own headers, as they were then.

A tree is a folder that the user has, or what a commit holds of headers, written into a folder of our own. A
revision's view of it is made of links, but for the files that the revision changes: nothing of the tree is
written to.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mcverify.errors import InputError
from mcverify.foreign import inner, write_beneath
from mcverify.image.kernel_tree import KernelTree
from mcverify.review.git import Repository
from mcverify.scratch import note

HEADER_FOLDERS = ("include", "arch/x86/include")
_OF_X86 = ("arch/x86/include", "include/asm-x86", "include/asm-x86_64")
"""Where a tree has the headers of x86: one of these."""
_NEEDED = (
    *("Makefile", "include", "arch/x86/include"),
    *("arch/x86/kernel/asm-offsets.c", "arch/x86/kernel/asm-offsets_64.c"),
)
_UNUSED = re.compile(r"include/(dt-bindings|config|asm-(?!generic|x86|i386)[^/]*)/")
"""Folders without a header for x86; before 2.6.28 each architecture had its own in include/."""

Changed = Mapping[str, bytes | None]
"""Contents by path from the root of a tree; None for a file that is gone."""


class Tree(Protocol):
    """A kernel's tree."""

    @property
    def root(self) -> Path:
        """Its folder, which exists as long as this value. Raises InputError where it cannot be read."""

    @property
    def name(self) -> str:
        """What it is called in sentences."""


@dataclass(frozen=True)
class FolderTree:
    """A tree that lies on the disk."""

    folder: Path

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.folder

    @property
    def name(self) -> str:
        """The folder itself."""
        return str(self.folder)

    @classmethod
    def of(cls, folder: Path) -> FolderTree | None:
        """The tree that begins at a folder, None if none does."""
        tree = KernelTree.around(folder)
        if tree is None or tree.root != folder.resolve():
            return None
        return cls(tree.root)


@dataclass(frozen=True)
class CommitTree:
    """The tree of a commit: its headers, written out when they are first asked for."""

    repository: Repository
    commit: str
    _kept: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list)

    @classmethod
    def of(cls, repository: Repository, commit: str) -> CommitTree | None:
        """The tree of a commit, None if that is not a kernel's with arch/x86."""
        there = repository.names(commit, ("Makefile", "include/linux", *_OF_X86))
        is_one = {"Makefile", "include/linux"} <= there and not there.isdisjoint(_OF_X86)
        return cls(repository, commit) if is_one else None

    @property
    def name(self) -> str:
        """The commit."""
        return self.commit[:12]

    @cached_property
    def root(self) -> Path:
        """A folder with its headers, removed when this value is forgotten."""
        folder = tempfile.TemporaryDirectory(prefix="mcverify-tree-")
        self._kept.append(folder)
        note(Path(folder.name))
        for path, content in self.repository.contents(self.commit, _NEEDED):
            if not _UNUSED.match(path):
                write_beneath(Path(folder.name), path, content, f"commit {self.name}")
        return Path(folder.name)


def lay_over(root: Path | None, changed: Changed, target: Path) -> None:
    """Make in the folder `target` what the tree at `root` (None: an empty one) is with the files `changed`:
    links to what is as in the tree, folders and files of its own along the way to what is not."""
    nested: dict[str, dict[str, bytes | None]] = {}
    here: dict[str, bytes | None] = {}
    for path, content in changed.items():
        name, slash, rest = inner(path).partition("/")
        if slash:
            nested.setdefault(name, {})[rest] = content
        else:
            here[name] = content
    target.mkdir(exist_ok=True)
    for entry in _entries(root):
        if entry.name not in nested and entry.name not in here:
            (target / entry.name).symlink_to(entry)
    for name, content in here.items():
        if content is not None:
            (target / name).write_bytes(content)
    for name, below in nested.items():
        if name not in here:
            lay_over(root / name if root is not None else None, below, target / name)


def _entries(folder: Path | None) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if p.name != ".git"] if folder and folder.is_dir() else []
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(folder)) from error

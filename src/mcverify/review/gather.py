"""From the command line to revisions: files, patches and mails, or the commits of a range."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import opened
from mcverify.image import elf
from mcverify.review.revision import Revision

STDIN = "-"
LARGEST = 256 << 20
"""Larger inputs, in bytes, are refused."""

_PATCH_SUFFIXES = (".mbox", ".mbx", ".patch", ".diff", ".eml", ".txt")
_PATCH_STARTS = (
    b"From ",
    b"From: ",
    b"diff ",
    b"--- ",
    b"Index: ",
    b"Return-Path:",
    b"Received:",
    b"Subject:",
)


class NothingToReview(InputError):
    """The input can be read, and changes no routine with table entries."""


@dataclass(frozen=True, slots=True)
class Input:
    """What the user named: `name` as it was written, its content."""

    name: str
    content: bytes

    @property
    def is_patch(self) -> bool:
        """Whether it is a patch or a mail rather than code."""
        if self.content.startswith(elf.MAGIC):
            return False
        suffix = Path(self.name).suffix
        if self.name == STDIN or suffix in _PATCH_SUFFIXES:
            return True
        return suffix not in (".S", ".s") and self.content.lstrip().startswith(_PATCH_STARTS)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The revisions, oldest first, and remarks on what was left out."""

    revisions: tuple[Revision, ...]
    notes: tuple[str, ...] = ()


def gathered(names: Sequence[str], git_range: str | None, base: str | None) -> Gathered:
    """The revisions that a command names. With `git_range` the `names` are paths that limit it.

    Raises InputError where they cannot be read or there is nothing to compare.
    """
    if git_range is not None:
        from mcverify.review.history import revisions_of_range

        if base is not None:
            raise InputError("--base goes with a patch; --git has its base in the range")
        return revisions_of_range(git_range, names, Path.cwd())
    if not names:
        raise InputError(
            "there is nothing to review", hint="give two files, a patch or an mbox, or a range with --git"
        )
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice} is named twice")
    inputs = [_read(name) for name in names]
    patches = [found for found in inputs if found.is_patch]
    if not patches:
        return _files(inputs, base)
    if len(patches) < len(inputs):
        plain = next(found for found in inputs if not found.is_patch)
        raise InputError(
            f"{plain.name} is code and {patches[0].name} a patch",
            hint="give either; the file that a patch is for comes from --base DIR",
        )
    from mcverify.review.series import revisions_of_patches

    return revisions_of_patches([(p.name, p.content) for p in patches], base, Path.cwd())


def _files(inputs: Sequence[Input], base: str | None) -> Gathered:
    if base is not None:
        raise InputError("--base goes with a patch, not with files")
    if len(inputs) == 1:
        raise InputError(
            f"one file is no change: {inputs[0].name} has nothing to be compared with",
            hint="give the older file first, or ask mcverify prove",
        )
    short = _distinct([found.name for found in inputs])
    return Gathered(
        tuple(Revision(name, on_disk=(Path(found.name),)) for name, found in zip(short, inputs, strict=True))
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """The names without what they all begin with, folder by folder."""
    common = os.path.commonpath([Path(name).absolute().parent for name in names])
    short = [os.path.relpath(name, common) for name in names]
    return short if len({*short}) == len(names) else list(names)


def _read(name: str) -> Input:
    if name == STDIN:
        content = sys.stdin.buffer.read(LARGEST + 1)
        where = "standard input"
    else:
        where = name
        try:
            with opened(Path(name)) as file:
                content = file.read(LARGEST + 1)
        except FileNotFoundError:
            hint = "a range of commits is given with --git" if ".." in name else None
            raise InputError("there is no such file", where=name, hint=hint) from None
        except IsADirectoryError:
            raise InputError(
                "it is a folder", where=name, hint="give a file, or a range with --git"
            ) from None
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}", where=name) from error
    if len(content) > LARGEST:
        raise InputError(f"it has more than {LARGEST >> 20} MiB", where=where)
    if not content.strip():
        raise InputError("it is empty", where=where)
    return Input(name, content)

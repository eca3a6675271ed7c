"""Places in the user's files: `asm/a.S:12` as a path and a line, and as consumers of reports want them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from mcverify.foreign import SOURCE_BYTES, read_regular
from mcverify.shown import printable

_LINE = re.compile(r"(?P<file>.+):(?P<line>[1-9][0-9]{0,9})")
_OFFSET = re.compile(r"(?P<file>.+): (?P<offset>.+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A file as it was named, and the line in it; `line` is None for what has none, such as
    code without debug information: then `offset` may say more (`.text+0x40`)."""

    file: str
    line: int | None = None
    offset: str = ""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.file}:{self.line}"
        return f"{self.file}: {self.offset}" if self.offset else self.file


def parse(where: str) -> Place | None:
    """The place that a `where` of a result names, None if it is no place. Of several places
    (an exit that serves several accesses) it is the first."""
    first = where.split(", ")[0]
    if match := _LINE.fullmatch(first):
        return Place(match["file"], int(match["line"]))
    if match := _OFFSET.fullmatch(first):
        return Place(match["file"], offset=match["offset"])
    return None


def at_front(sentence: str, files: Iterable[str]) -> tuple[Place, str] | None:
    """Split `a.S:12: something` into the place and what follows it, if the place is in one of `files`."""
    for file in files:
        if match := re.match(rf"{re.escape(file)}:(?P<line>[1-9][0-9]*): ", sentence):
            return Place(file, int(match["line"])), sentence[match.end() :]
        if match := re.match(rf"{re.escape(file)}: (?P<offset>\S+\+0x[0-9a-f]+): ", sentence):
            return Place(file, offset=match["offset"]), sentence[match.end() :]
    return None


@dataclass(frozen=True, slots=True)
class Shared:
    """A file as others find it: `path` from the root of the work tree, or an absolute one where it
    lies in none (`is_relative` tells)."""

    path: str
    is_relative: bool

    @property
    def uri(self) -> str:
        """A relative reference, or a `file:` URI (RFC 3986, RFC 8089); bytes that are no UTF-8 too."""
        quoted = quote(os.fsencode(self.path))
        return quoted if self.is_relative else f"file://{quoted}"


def shared(file: str) -> Shared:
    """`file` from the root of the git work tree of the current folder, else of its own, else from
    the current folder; the first of these in which it lies.

    A relative path that does not exist here (debug information has such) stays as it is.
    """
    if not Path(file).is_absolute() and not Path(file).exists():
        return Shared(os.path.normpath(file), is_relative=True)
    path = Path(os.path.abspath(file))  # noqa: PTH100 -- a link in the work tree is not followed out of it
    here = Path.cwd()
    for root in (_work_tree(here), _work_tree(path.parent), here):
        if root is not None and path.is_relative_to(root):
            return Shared(path.relative_to(root).as_posix(), is_relative=True)
    return Shared(path.as_posix(), is_relative=False)


def source_line(place: Place, beside: str) -> str | None:
    """The text of the line, without its end; None if the file is not here, or is no text, or is shorter.

    Debug information can name any file. Only one that lies with the input file `beside` is quoted: in its
    folder or its work tree, and not among what is hidden there.
    """
    if place.line is None or not _lies_with(Path(place.file), Path(beside).parent):
        return None
    lines = _lines(Path(place.file).absolute())
    return printable(lines[place.line - 1], "\t") if place.line <= len(lines) else None


def _lies_with(file: Path, folder: Path) -> bool:
    folder, found = folder.resolve(), file.resolve()
    roots = (root for root in (folder, _work_tree(folder)) if root is not None and found.is_relative_to(root))
    return any(not part.startswith(".") for root in roots for part in found.relative_to(root).parts[:1])


@cache
def _lines(file: Path) -> tuple[str, ...]:
    try:
        text = read_regular(file, SOURCE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(text.split("\n"))  # as assemblers count lines


@cache
def _work_tree(folder: Path) -> Path | None:
    """The nearest folder from `folder` upwards that holds `.git` (a folder, or a file in a linked tree)."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)

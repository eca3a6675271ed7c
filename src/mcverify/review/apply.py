"""A patch applied to a file in memory, strictly: every line of context must be there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from mcverify.errors import InputError
from mcverify.foreign import inner
from mcverify.shown import printable

_ABSENT = "/dev/null"
_MOST_COMPARED = 1 << 30
"""Bytes of a file, times hunks for it."""
_MOST_HUNKS = 4000
"""Hunks of one patch; that to the kernel with the most has some hundred for each of its files."""
_BLOB = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class FileChange:
    """What a patch does to one file: `old` and `new` paths (None: not there), the hunks, and the id of the
    blob that it was made from ("" where it does not say)."""

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]
    is_binary: bool
    blob: str


def changes(text: str, where: str) -> list[FileChange]:
    """The files that a patch changes. Raises InputError where it is damaged."""
    return list(_changes(text, where))


@lru_cache(maxsize=8)
def _changes(text: str, where: str) -> tuple[FileChange, ...]:
    if text.count("\n@@ ") > _MOST_HUNKS:
        raise InputError(f"the patch has more than {_MOST_HUNKS} hunks", where=where)
    lines = [f"{line}\n" for line in text.split("\n")]
    while lines and lines[-1] == "\n":
        lines.pop()
    try:
        files = PatchSet(lines)
    except (UnidiffParseError, AssertionError, ValueError, IndexError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"the patch is damaged: {said}", where=where) from error
    return tuple(_change(file, where) for file in files)


def _change(file: PatchedFile, where: str) -> FileChange:
    info = str(file.patch_info or "")
    return FileChange(
        None if file.source_file == _ABSENT else _path(file.source_file, where),
        None if file.target_file == _ABSENT else _path(file.target_file, where),
        tuple(file),
        file.is_binary_file or "GIT binary patch" in info,
        _blob(info),
    )


def _path(name: str, where: str) -> str:
    """A path of a patch without quotes and its first folder (a/, b/), as `patch -p1` takes it. Raises
    InputError where it leads out of the tree."""
    name = name.strip().strip('"').encode("latin-1", "replace").decode("utf-8", "surrogateescape")
    head, slash, rest = name.partition("/")
    return inner(rest if slash and len(head) == 1 else name, where)


def _blob(info: str) -> str:
    for line in info.splitlines():
        if line.startswith("index ") and ".." in line:
            identifier = line.split()[1].partition("..")[0]
            return identifier if _BLOB.fullmatch(identifier) and identifier.strip("0") else ""
    return ""


def applied(change: FileChange, old: bytes | None, where: str) -> bytes | None:
    """The content of the file behind the change, None if it is removed.

    Raises InputError, which names hunk and line, where it does not apply.
    """
    path = change.new or change.old or ""
    if change.old is not None and old is None:
        raise InputError(f"the patch changes {change.old}, which is not there", where=where)
    if change.new is None:
        return None
    if change.old is None and old is not None:
        raise InputError(f"the patch creates {path}, which is there already", where=where)
    if len(old or b"") * len(change.hunks) > _MOST_COMPARED:
        raise InputError(f"the patch has too many hunks for a file as large as {path}", where=where)
    lines = (old or b"").decode("latin-1").replace("\r\n", "\n").split("\n")
    if old is None:
        lines = [""]
    done: list[str] = []
    at = 0
    shift = 0
    for number, hunk in enumerate(change.hunks, 1):
        before, after = _sides(hunk)
        expected = max(0, hunk.source_start - (1 if hunk.source_length else 0)) + shift
        found = _place(lines, before, at, expected, at_end=_ends_the_file(hunk))
        if found is None:
            raise _does_not_apply(change, number, lines, before, after, max(at, expected), where)
        done += lines[at:found] + after
        at, shift = found + len(before), found - (expected - shift)
    text = "\n".join(done + lines[at:])
    return (text if text.endswith("\n") else text + "\n").encode("latin-1")


def _sides(hunk: Hunk) -> tuple[list[str], list[str]]:
    before = [line.value.rstrip("\n") for line in hunk if line.is_context or line.is_removed]
    after = [line.value.rstrip("\n") for line in hunk if line.is_context or line.is_added]
    return before, after


def _ends_the_file(hunk: Hunk) -> bool:
    """Whether a hunk has context before its change and none behind it: that stands at the end of the file
    only (git, apply.c: match_end)."""
    kinds = [line.is_context for line in hunk if line.line_type != "\\"]
    return any(kinds) and not kinds[-1]


def _place(
    lines: Sequence[str], wanted: Sequence[str], first: int, expected: int, *, at_end: bool = False
) -> int | None:
    """Where the lines that a hunk wants are, nearest to the expected place; None if they are nowhere."""
    last = len(lines) - len(wanted)
    if at_end:  # a file's last line end is no line
        first = max(first, last - (lines[-1:] == [""] and wanted[-1:] != [""]))
    if not wanted:
        return min(max(first, expected), last) if first <= last else None
    text, sought = "\n".join(["", *lines[first:], ""]), "\n".join(["", *wanted, ""])
    starts: list[int] = []
    at = text.find(sought)
    while at >= 0:
        starts.append(at)
        at = text.find(sought, at + 1)
    found: list[int] = []
    number, before = first, 0
    for start in starts:
        number, before = number + text.count("\n", before, start), start
        found.append(number)
    return min(found, key=lambda place: abs(place - expected), default=None)


def _does_not_apply(
    change: FileChange,
    number: int,
    lines: Sequence[str],
    before: Sequence[str],
    after: Sequence[str],
    at: int,
    where: str,
) -> InputError:
    hint = None
    if _place(lines, after, 0, at) is not None:
        hint = "its new lines are there already: --base names the tree before the patch"
    for offset, wanted in enumerate(before):
        line = at + offset
        if line >= len(lines) - 1 and wanted:
            is_there = "the file has ended"
        elif lines[line] != wanted:
            is_there = f"there is {_shown(lines[line])}"
        else:
            continue
        return InputError(
            f"hunk {number} of {change.old} does not apply:"
            f" at line {line + 1} it expects {_shown(wanted)}, and {is_there}",
            where=where,
            hint=hint,
        )
    return InputError(
        f"hunk {number} of {change.old} does not apply at line {at + 1}", where=where, hint=hint
    )


def _shown(line: str) -> str:
    text = line.strip().encode("latin-1").decode("utf-8", "replace")
    return f"'{printable(text[:60])}'" if text else "an empty line"

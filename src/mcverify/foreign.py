"""What comes from elsewhere: names that are to be shown, names that are to become paths, files to be read.

Everything that a stranger may have written goes through one of these three: `printable` makes a name of his
fit to be shown, `inner` makes a path of it, which lies beneath a folder, and `read_regular` reads a file, if
it is one, up to a size.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mcverify.errors import InputError
from mcverify.shown import printable

SOURCE_BYTES = 16 << 20
"""The largest text of a tree, a patch's file or a header, in bytes; the kernel's largest header has 14 MB,
its largest assembly source 0.2 MB."""

# -- names that become paths ---------------------------------------------------------------------------------


def inner(name: str, where: str | None = None) -> str:
    """The name of a file beneath a folder, as a stranger gives it, in its normal form.

    Raises InputError, placed at `where`, for one that is absolute, goes up, is or lies in a folder .git, is
    empty or holds characters that cannot be seen.
    """
    parts = name.split("/")
    why = None
    if not name or "" in parts[:-1] or "." in parts:
        why = "is no name of a file" if not name.startswith("/") else "does not lie in the tree"
    elif ".." in parts:
        why = "does not lie in the tree"
    elif any(part.lower().rstrip(" .") in (".git", "git~1") for part in parts):
        why = "is git's own"
    elif printable(name) != name or "\\" in name:
        why = "holds characters that no file of a kernel has"
    if why is not None:
        raise InputError(f"it names the file {printable(name)!r}, which {why}", where=where)
    return str(PurePosixPath(name))


# -- files ---------------------------------------------------------------------------------------------------

_OPENAT2 = 437
_NO_MAGICLINKS, _BENEATH = 0x02, 0x08  # linux/openat2.h
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class NoRegularFile(OSError):
    """What is there is no file that ends: a folder, a device, a pipe."""


class TooLarge(OSError):
    """The file has more bytes than one of its kind may have."""


class LeadsOut(OSError):
    """A link on the way leads out of the folder."""


def read_regular(path: Path, largest: int) -> bytes:
    """The content of a file that has an end.

    Raises OSError: IsADirectoryError for a folder, NoRegularFile for a device or a pipe, TooLarge for more
    than `largest` bytes.
    """
    return _content(os.open(path, _FLAGS), str(path), largest)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file that has an end, to be read; or a pipe that the operator's shell has opened (/dev/stdin,
    <(...)).

    Raises OSError as `read_regular` does.
    """
    if str(path).startswith(("/dev/stdin", "/dev/fd/", "/proc/self/fd/")):
        with path.open("rb") as file:
            yield file
        return
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _refuse_endless(file.fileno(), str(path))
        yield file


def refuse_unseen(path: Path) -> None:
    """Raise InputError for a name that is not what one sees: it goes into all reports."""
    if printable(str(path)) != str(path):
        raise InputError(
            "its name holds characters that cannot be seen", where=printable(str(path)), hint="rename it"
        )


def read_text(path: Path, largest: int = SOURCE_BYTES) -> str:
    """The same as text, in UTF-8; what is none is replaced."""
    return read_regular(path, largest).decode("utf-8", "replace")


def read_beneath(folder: Path, name: str, largest: int = SOURCE_BYTES) -> bytes | None:
    """The content of a regular file that a stranger names, beneath a folder; None if it is not there, or no
    regular file.

    Raises InputError for a name that is none of a file there, and for a link that leads out of the folder;
    else as `read_regular` does.
    """
    inside = inner(name, str(folder))
    try:
        return _content(_opened_beneath(folder, inside), str(folder / inside), largest)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, NoRegularFile):
        return None
    except LeadsOut:
        raise InputError(
            f"{inside} is a link, or lies behind one, that leads out of the tree", where=str(folder)
        ) from None


def write_beneath(folder: Path, name: str, content: bytes, where: str | None = None) -> None:
    """Write a new file that a stranger names beneath a folder of ours, in which nobody else writes.

    Raises InputError, placed at `where`, for a name that is none, or one of two files.
    """
    path = folder / inner(name, where)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(content)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"it names the file {name} twice", where=where) from None


def regular_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The regular files in a folder whose names end so, by name; no links that lead out of it."""
    found = []
    inside = folder.resolve()
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            is_one = path.name.endswith(tuple(suffixes)) and path.is_file()
            if is_one and path.resolve().is_relative_to(inside):
                found.append(path)
    return found


def _content(handle: int, name: str, largest: int) -> bytes:
    with os.fdopen(handle, "rb") as file:
        _refuse_endless(handle, name)
        content = file.read(largest + 1)
    if len(content) > largest:
        raise TooLarge(errno.EFBIG, f"it has more than {_size(largest)}", name)
    return content


def _refuse_endless(handle: int, name: str) -> None:
    mode = os.fstat(handle).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise NoRegularFile(errno.EINVAL, "it is no regular file", name)


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def _opened_beneath(folder: Path, name: str) -> int:
    """A descriptor of what a name means beneath a folder. Raises OSError; LeadsOut for a link out of it."""
    base = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = _openat2(base, name)
    finally:
        os.close(base)
    if handle is not None:
        return handle
    inside, found = os.path.realpath(folder), os.path.realpath(folder / name)
    if not Path(found).is_relative_to(inside):
        raise LeadsOut(errno.EXDEV, os.strerror(errno.EXDEV), name)
    return os.open(found, _FLAGS | os.O_NOFOLLOW)


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def _openat2(base: int, name: str) -> int | None:
    """openat2(2), which keeps beneath a folder by itself; None where the kernel has none (before Linux
    5.6)."""
    how = _How(_FLAGS, 0, _BENEATH | _NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    handle: int = _libc().syscall(_OPENAT2, base, os.fsencode(name), ctypes.byref(how), size)
    if handle >= 0:
        return handle
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EPERM):  # a container's filter may forbid it
        return None
    if code == errno.EXDEV:
        raise LeadsOut(code, os.strerror(code), name)
    raise OSError(code, os.strerror(code), name)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

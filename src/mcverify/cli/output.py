"""Writing result files so that they are there whole or not at all, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcverify.errors import InputError

STDOUT = "-"


_HEAD = 1 << 16
"""So much of a file is read, in bytes, to see whether it is a report of ours."""


def check_writable(
    target: str,
    option: str,
    *,
    source: Path | None = None,
    is_ours: Callable[[str], bool] | None = None,
) -> None:
    """Raise InputError if `target` ("-" is standard output) cannot be written, before the long work.

    `source` is the input file, which must not be the target. `is_ours` tells by the beginning of a
    file that is there already whether it may be overwritten (an empty one may); without it any may.
    """
    if target == STDOUT:
        return
    path = Path(target)
    if path.is_dir():
        raise InputError(f"{option} names a folder", where=target, hint="give the name of a file")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InputError(f"{option} would overwrite the input", where=target, hint="give another name")
    try:
        _try_writing(path)
        foreign = is_ours is not None and _holds_something(path) and not is_ours(_head(path))
    except OSError as error:
        raise InputError(f"{option} cannot be written: {reason(error)}", where=target) from error
    if foreign:
        raise InputError(
            f"{option} would overwrite a file that is no such report of mcverify",
            where=target,
            hint="give another name, or remove the file",
        )


def write_whole(target: str, text: str) -> None:
    """Write `text` to `target` ("-" is standard output) in one step: a temporary file, then a rename.

    Raises InputError if a file cannot be written.
    """
    write_all([(target, text)])


def write_all(outputs: Sequence[tuple[str, str]]) -> None:
    """Write each (target, text): all files are written aside and then renamed, standard output comes last.

    Raises InputError if a file cannot be written; then none was renamed, unless a rename itself failed.
    """
    ready: list[tuple[str, Path]] = []
    try:
        for target, text in outputs:
            if target != STDOUT and not _is_special(Path(target)):
                with _as_input_error(target):
                    ready.append((target, _written_aside(Path(target).resolve(), text)))
        for target, temporary in ready:
            with _as_input_error(target):
                temporary.replace(Path(target).resolve())
    finally:
        for _, temporary in ready:
            temporary.unlink(missing_ok=True)
    for target, text in outputs:
        if target != STDOUT and _is_special(Path(target)):
            with _as_input_error(target):
                _write(Path(target), text)
    for target, text in outputs:
        if target == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()


def input_sentence(error: InputError) -> str:
    """What is wrong with the input, as the command line says it."""
    where = f"{error.where}: " if error.where else ""
    hint = f" ({error.hint})" if error.hint else ""
    return f"{where}error: {error.message}{hint}"


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return (error.strerror or str(error)).lower()


@contextmanager
def _as_input_error(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"it cannot be written: {reason(error)}", where=target) from error


def _written_aside(path: Path, text: str) -> Path:
    """A temporary file beside `path` with the text, and the mode that `path` has or would get."""
    temporary = _temporary_beside(path)
    try:
        _write(temporary, text)
        temporary.chmod(_mode(path))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _write(path: Path, text: str) -> None:
    """What is no text (a file name that is no UTF-8) is written escaped, as on standard output."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", "replace")


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _try_writing(path: Path) -> None:
    if _is_special(path):
        # Not opened: the reader of a named pipe would take its closing for the end.
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    if path.exists():
        with path.open("ab"):
            pass
    _temporary_beside(path.resolve()).unlink()


def _temporary_beside(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    return Path(name)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _mode(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

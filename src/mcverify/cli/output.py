"""Writing a result file so that it is there whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from mcverify.errors import InputError

STDOUT = "-"


def check_writable(target: str, option: str, *, source: Path | None = None) -> None:
    """Raise InputError if `target` ("-" is standard output) cannot be written, before the long work.

    `source` is the input file, which must not be the target.
    """
    if target == STDOUT:
        return
    path = Path(target)
    if path.is_dir():
        raise InputError(f"{option} names a directory", where=target, hint="give the name of a file")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InputError(f"{option} would overwrite the input", where=target, hint="give another name")
    try:
        _try_writing(path)
    except OSError as error:
        raise InputError(f"{option} cannot be written: {reason(error)}", where=target) from error


def write_whole(target: str, text: str) -> None:
    """Write `text` to `target` ("-" is standard output) in one step: a temporary file, then a rename.

    Raises InputError if a file cannot be written.
    """
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        _write_file(Path(target).resolve(), text)
    except OSError as error:
        raise InputError(f"it cannot be written: {reason(error)}", where=target) from error


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return (error.strerror or str(error)).lower()


def _write_file(path: Path, text: str) -> None:
    if _is_special(path):
        path.write_text(text, encoding="utf-8")
        return
    temporary = _temporary_beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(_mode(path))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _try_writing(path: Path) -> None:
    if path.exists():
        with path.open("ab"):
            pass
    if not _is_special(path):
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

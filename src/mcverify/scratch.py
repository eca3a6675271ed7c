"""Folders of temporary files."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_there: set[Path] = set()
"""The folders that were made and have not gone yet."""


@contextmanager
def scratch_folder(prefix: str = "mcverify-", folder: Path | None = None) -> Iterator[Path]:
    """A new folder, in `folder` or among the system's temporary files, that goes with the context.

    It goes also where Ctrl-C strikes while it is removed, where `TemporaryDirectory` would leave the rest.
    """
    made = note(Path(tempfile.mkdtemp(prefix=prefix, dir=folder)))
    try:
        yield made
    finally:
        try:
            shutil.rmtree(made)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            _there.discard(made)


def note(folder: Path) -> Path:
    """The temporary folder, which is to go with this process however that ends."""
    _there.add(folder)
    return folder


def remove_all() -> None:
    """Remove all temporary folders, where the process ends without the code that would do so."""
    for folder in tuple(_there):
        shutil.rmtree(folder, ignore_errors=True)


@cache
def own_folder() -> Path:
    """A folder of this process, as long as it lives."""
    folder = note(Path(tempfile.mkdtemp(prefix="mcverify-")))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder

"""Folders of temporary files."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@contextmanager
def scratch_folder(prefix: str = "mcverify-", folder: Path | None = None) -> Iterator[Path]:
    """A new folder, in `folder` or among the system's temporary files, that goes with the context.

    It goes also where Ctrl-C strikes while it is removed, where `TemporaryDirectory` would leave the rest.
    """
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        yield made
    finally:
        try:
            shutil.rmtree(made)
        finally:
            shutil.rmtree(made, ignore_errors=True)


@cache
def own_folder() -> Path:
    """A folder of this process, as long as it lives."""
    folder = Path(tempfile.mkdtemp(prefix="mcverify-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder

"""Folders of temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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

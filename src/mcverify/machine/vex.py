"""What we use of angr and pyvex, imported so that no file is read which others may have written.

pyvex keeps the C declarations that it has parsed as a pickle among the temporary files, under a name that can
be guessed, and loads it without asking whose it is. While it is imported, those are in the user's cache.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from mcverify.own_files import cache_folder, private_folder
from mcverify.scratch import own_folder


@contextmanager
def _private_temporary_files() -> Iterator[None]:
    folder = private_folder(cache_folder())
    try:
        tempfile.TemporaryFile(dir=folder or own_folder()).close()
    except OSError:
        folder = None
    folder = folder or own_folder()  # it stays: the runs that go on meanwhile may put something there, too
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


with _private_temporary_files():
    import angr
    import archinfo
    import pyvex
    from angr.engines.vex.claripy.ccall import amd64g_calculate_rflags_all
    from angr.state_plugins.plugin import SimStatePlugin
    from angr.storage.memory_mixins.memory_mixin import MemoryMixin

__all__ = ["MemoryMixin", "SimStatePlugin", "amd64g_calculate_rflags_all", "angr", "archinfo", "pyvex"]

"""angr's libraries load no pickle that somebody else may have put among the temporary files."""

from __future__ import annotations

import getpass
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pyvex.vex_ffi import ffi_str


class Planted:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("module", ["arch.x86_64.lift", "machine.events"])
def test_a_planted_pickle_is_not_loaded(tmp_path: Path, module: str) -> None:
    digest = hashlib.md5(ffi_str.encode()).hexdigest()
    planted = tmp_path / f"pyvex_ffi_parser_cache.{getpass.getuser()}.{digest}"
    planted.write_bytes(pickle.dumps(Planted(tmp_path / "loaded")))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    import_it = [sys.executable, "-c", f"import mcverify.{module}"]
    assert subprocess.run(import_it, env=environment, check=False).returncode == 0
    assert not (tmp_path / "loaded").exists()
    assert list((tmp_path / "cache" / "mcverify").iterdir()), "the next import is quick"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([planted.name, "cache"])


def test_without_a_cache_folder_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    import_it = [sys.executable, "-c", "import mcverify.arch.x86_64.lift"]
    assert subprocess.run(import_it, env=environment, check=False).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]

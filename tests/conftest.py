"""Fixtures for all tests."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

KERNEL_61 = Path("/usr/src/linux-source-6.1.tar.xz")
COPY_MC = "arch/x86/lib/copy_mc_64.S"


@pytest.fixture(scope="session")
def kernel_source_61(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel's own copy_mc_64.S of 6.1, alone in a folder, from Debian's linux-source-6.1.

    It is never part of this repository. The archive is one compressed stream: to find the file takes
    some seconds, so the copy is kept beside pytest's temporary folders until the archive changes.
    """
    if not KERNEL_61.exists():
        pytest.skip("skipped: needs linux-source-6.1")
    folder = tmp_path_factory.mktemp("kernel")
    shutil.copy(_extracted(tmp_path_factory.getbasetemp()), folder / Path(COPY_MC).name)
    return folder / Path(COPY_MC).name


def _extracted(base: Path) -> Path:
    """The file out of the archive; extracted once for all workers and runs of the same user."""
    cache = _user_folder(base) / f"copy_mc_64-6.1-{KERNEL_61.stat().st_mtime_ns}.S"
    if not cache.exists():
        text = _member(f"linux-source-6.1/{COPY_MC}")
        assert b"copy_mc_fragile" in text, f"{KERNEL_61} holds an unexpected {COPY_MC}"
        temporary = cache.with_name(f"{cache.name}.{base.name}")
        temporary.write_bytes(text)
        temporary.replace(cache)
    return cache


def _member(name: str) -> bytes:
    with tarfile.open(KERNEL_61, "r|xz") as archive:
        for member in archive:
            if member.name == name:
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise AssertionError(f"{KERNEL_61} holds no {name}")


def _user_folder(base: Path) -> Path:
    """The `pytest-of-USER` folder above pytest's numbered temporary folder, that of a worker or not."""
    return next((p for p in base.parents if p.name.startswith("pytest-of-")), base)

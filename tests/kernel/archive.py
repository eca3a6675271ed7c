"""One file out of Debian's archive of a kernel's source."""

from __future__ import annotations

import tarfile
from pathlib import Path

COPY_MC = "arch/x86/lib/copy_mc_64.S"


def extracted(archive: Path, base: Path) -> Path:
    """`COPY_MC` out of the archive. To find it takes many seconds: it is kept beside pytest's own folders."""
    user = next((p for p in base.parents if p.name.startswith("pytest-of-")), base)
    release = archive.name.removeprefix("linux-source-").removesuffix(".tar.xz")
    cache = user / f"copy_mc_64-{release}-{archive.stat().st_mtime_ns}.S"
    if not cache.exists():
        temporary = cache.with_name(f"{cache.name}.{base.name}")
        temporary.write_bytes(_member(archive, f"linux-source-{release}/{COPY_MC}"))
        temporary.replace(cache)
    return cache


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive, "r|xz") as members:
        for member in members:
            if member.name == name:
                file = members.extractfile(member)
                assert file is not None
                return file.read()
    raise AssertionError(f"{archive} holds no {name}")

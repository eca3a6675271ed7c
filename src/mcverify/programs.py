"""Small C programs of ours: compiled once, kept in the user's cache, found again by their contents."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

from mcverify.errors import InputError
from mcverify.own_files import (
    SEAL,
    cache_folder,
    is_sealed,
    private_file,
    private_folder,
    sealed,
    written_whole,
)
from mcverify.scratch import own_folder, scratch_folder
from mcverify.toolchain import find_compiler, is_zig

_FLAGS = ("-O2", "-g0", "-std=gnu11", "-fno-lto", "-fPIE", "-pie")
_ZIG_FLAGS = ("-target", "x86_64-linux-musl")
_LARGEST = 64 << 20
_EXECUTABLE = 0o700


@cache
def executable(source: Path, *headers: Path) -> Path:
    """The program made of one C file of ours, which includes `headers` of ours. Raises InputError where it
    cannot be compiled.

    One in the cache is taken only with the seal of this user's mcverify, which stands behind its last byte,
    where no loader looks.
    """
    command = (*_command(), str(source))
    words = (word.encode() for word in command[:-1])
    texts = (path.read_bytes() for path in (source, *headers))
    key = hashlib.sha256(b"\0".join([*texts, *words])).hexdigest()[:24]
    name = f"{source.stem}-{key}"
    kept = private_folder(cache_folder())
    if kept is not None:
        if _is_kept(kept / name):
            return kept / name
        if _compile_into(kept / name, command, seal=True):
            return kept / name
    if _compile_into(own_folder() / name, command, seal=False):
        return own_folder() / name
    raise InputError(
        f"the program {source.name} cannot be written to the cache or to the folder of temporary files"
    )


def _command() -> tuple[str, ...]:
    compiler = find_compiler()
    return (*compiler, *_FLAGS, *(_ZIG_FLAGS if is_zig(compiler) else ()))


def _is_kept(path: Path) -> bool:
    content = private_file(path, _LARGEST)
    if content is None or not os.access(path, os.X_OK):
        return False
    return is_sealed(path.name, content[:-SEAL], content[-SEAL:])


def _compile_into(path: Path, command: tuple[str, ...], *, seal: bool) -> bool:
    """Whether `path` could be made. Several processes may try at once: the last one's rename stands."""
    try:
        with scratch_folder(folder=path.parent) as folder:
            made = folder / "program"
            _compile(made, command)
            content = made.read_bytes()
            mark = sealed(path.name, content) if seal else b""
            if mark is None:
                return False
            written_whole(path, content + mark, _EXECUTABLE)
    except OSError:
        return False
    return os.access(path, os.X_OK)  # not so on a file system mounted noexec


def _compile(target: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [*command, "-o", str(target)],
        env={**os.environ, "TMPDIR": str(target.parent)},  # what an interrupted compiler leaves goes with it
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        first = next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise InputError(f"{Path(command[-1]).name} does not compile with {command[0]}: {first}")

"""The native harness: compiled once, kept in the user's cache, found again by its contents."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import platformdirs

from mcverify.errors import InputError
from mcverify.scratch import own_folder, scratch_folder
from mcverify.toolchain import find_compiler, is_zig

SOURCE = Path(__file__).with_name("harness.c")
NO_RIGHTS = "this host does not let a program make memory executable"

_FLAGS = ("-O2", "-g0", "-std=gnu11", "-fno-lto", "-fPIE", "-pie")
_ZIG_FLAGS = ("-target", "x86_64-linux-musl")


def unavailable() -> str | None:
    """Why routines cannot be run on this host's CPU; None if they can."""
    if platform.system() != "Linux":
        return f"the host runs {platform.system()}, not Linux"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the host's CPU is {platform.machine()}, not x86-64"
    try:
        return _obstacle()
    except InputError as error:
        return str(error)


@cache
def _obstacle() -> str | None:
    """What a run needs and this host forbids: memory shared with a child, a child, memory mapped where it
    is wanted, and executed."""
    program = harness()
    try:
        os.close(os.memfd_create("mcverify"))
        probe = subprocess.run([program, "probe"], capture_output=True, check=False)
    except OSError as error:
        return f"this host does not let a program share memory with a child of its own: {error.strerror}"
    return None if probe.returncode == 0 else NO_RIGHTS


def harness() -> Path:
    """The executable harness. Raises InputError where it cannot be compiled."""
    return executable(SOURCE)


@cache
def executable(source: Path) -> Path:
    """The program made of one C file of ours. Raises InputError where it cannot be compiled."""
    command = (*_command(), str(source))
    words = (word.encode() for word in command[:-1])
    key = hashlib.sha256(b"\0".join([source.read_bytes(), *words])).hexdigest()[:24]
    for folder in (_cache_folder, own_folder):
        path = folder() / f"{source.stem}-{key}"
        if _is_executable(path) or _compile_into(path, command):
            return path
    raise InputError("the native harness cannot be written to the cache or to the folder of temporary files")


def _command() -> tuple[str, ...]:
    compiler = find_compiler()
    return (*compiler, *_FLAGS, *(_ZIG_FLAGS if is_zig(compiler) else ()))


def _cache_folder() -> Path:
    return platformdirs.user_cache_path("mcverify")


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _compile_into(path: Path, command: tuple[str, ...]) -> bool:
    """Whether `path` could be made. Several processes may try at once: the last one's rename stands."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder=path.parent) as folder:
            made = folder / "harness"
            _compile(made, command)
            made.replace(path)
    except OSError:
        return False
    return _is_executable(path)  # not so on a file system mounted noexec


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
        raise InputError(f"the native harness does not compile with {command[0]}: {first}")

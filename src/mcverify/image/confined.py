"""Running the assembler on a stranger's source: within limits, and out of reach of all but what it needs.

`Reach` says what may be read. Landlock keeps to it, in a small C program that then becomes the compiler
(`confine.c`); where the kernel has none, bubblewrap does. Where there is neither, nothing is run unless the
operator has asked for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import IO

from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.permit import PERMIT, is_permitted
from mcverify.programs import executable
from mcverify.toolchain import is_zig

_SOURCE = Path(__file__).with_name("confine.c")
_CANNOT_CONFINE, _CANNOT_EXECUTE, _SAYS = 124, 127, "confine: "

_LARGEST_FILE = 64 << 20
_MOST_SAID = 64 << 10
_MEMORY, _ZIG_MEMORY = 2 << 30, 16 << 30
_SECONDS, _ZIG_SECONDS = 30, 300
"""Of the CPU, for each process; zig builds its own cache at its first run."""
_WAIT = 300

# Where programs, what they load, and their tables lie (Filesystem Hierarchy Standard 3.0; Nix, Guix).
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/dev/urandom")
_OF_A_PLACE = ("lib", "lib64", "libexec", "include", "pyvenv.cfg")
_KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH", "SOURCE_DATE_EPOCH")
"""Variables of the environment that a compiler is run with: no others, since a source may read them."""


class Mechanism(StrEnum):
    """What keeps the assembler from files that are none of its business."""

    LANDLOCK = "Landlock"
    BUBBLEWRAP = "bubblewrap"
    NONE = "nothing"


@dataclass(frozen=True)
class Reach:
    """What a compiler may read: of the folders `trees` all but what begins with a dot, the folders `whole`,
    the `files`; besides, programs and libraries. It writes to `scratch` alone. All are resolved."""

    trees: tuple[Path, ...]
    whole: tuple[Path, ...]
    files: tuple[Path, ...]
    scratch: Path

    def holds(self, path: Path) -> bool:
        """Whether the file at `path`, links followed, is one of a source's own: of the toolchain none is."""
        found = Path(os.path.realpath(path))
        if found in self.files or any(found.is_relative_to(w) for w in (*self.whole, self.scratch)):
            return True
        inside = (found.relative_to(tree).parts[:1] for tree in self.trees if found.is_relative_to(tree))
        return any(first and not first[0].startswith(".") for first in inside)


@cache
def mechanism() -> Mechanism:
    """What this machine has. Raises InputError where there is no compiler."""
    if subprocess.run([executable(_SOURCE), "probe"], check=False).returncode == 0:
        return Mechanism.LANDLOCK
    return Mechanism.BUBBLEWRAP if has_bubblewrap() else Mechanism.NONE


def has_bubblewrap() -> bool:
    """Whether bubblewrap is there and may make namespaces."""
    program = shutil.which("bwrap")
    trial = ("--ro-bind", "/", "/", "--unshare-all", "--", "/proc/self/exe", "--version")
    if program is None:
        return False
    return subprocess.run([program, *trial], capture_output=True, check=False).returncode == 0


def refuse_unconfined(where: str) -> None:
    """Raise InputError where nothing confines the assembler and the operator has not said that it may be
    so."""
    if mechanism() is Mechanism.NONE and not is_permitted():
        raise InputError(
            "it is not assembled: a source can read any file through its assembler, and this machine has"
            " neither Landlock (Linux 5.13) nor bubblewrap to prevent it",
            where=where,
            hint=f"apt install bubblewrap; or, for sources that you trust, --unconfined or {PERMIT}=1",
        )


def note() -> str | None:
    """What a report must say of how sources were assembled; None where they were confined."""
    if mechanism() is not Mechanism.NONE:
        return None
    return "the source was assembled without confinement, as --unconfined allows: it may have read any file"


def run(
    command: Sequence[str], reach: Reach, deadline: Deadline | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a compiler on files within `reach`, the beginning of its output as text.

    Raises InputError, without a place, where it cannot be run, and where it takes too long; OutOfTime at the
    `deadline`.
    """
    program = shutil.which(command[0])
    if program is None:
        raise InputError(f"cannot run {command[0]}: it is not there")
    words = _confined([str(Path(program).absolute()), *command[1:]], reach)
    wait = _WAIT if deadline is None or (left := deadline.remaining()) is None else min(_WAIT, left)
    # Into files, whose size is limited: what a source has the compiler say could fill the memory.
    with tempfile.TemporaryFile(dir=reach.scratch) as out, tempfile.TemporaryFile(dir=reach.scratch) as err:
        try:
            process = subprocess.Popen(
                words,
                env=_environment(reach.scratch),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=0,
            )
        except OSError as error:
            raise InputError(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            process.wait(timeout=wait)
        except subprocess.TimeoutExpired as error:
            if deadline is not None:
                deadline.check("assemble")
            raise InputError(f"{command[0]} did not end within {_WAIT} seconds") from error
        finally:
            _end(process)
        output, errors = _said(out), _said(err)
    if process.returncode in (_CANNOT_CONFINE, _CANNOT_EXECUTE) and errors.startswith(_SAYS):
        what = errors.splitlines()[0].removeprefix(_SAYS)
        raise InputError(f"cannot run {command[0]}: {what}")
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that neither the process nor what it started goes on."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _said(file: IO[bytes]) -> str:
    """What a compiler wrote into a file, the beginning of it."""
    file.seek(0)
    return file.read(_MOST_SAID).decode("utf-8", "replace")


def _environment(scratch: Path) -> dict[str, str]:
    """Untranslated messages, the compiler's own temporary files where they are removed, and a name of the
    working folder that is the same everywhere: it stands in the debug information, so in a proof bundle."""
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "LC_ALL": "C",
        "PWD": "/proc/self/cwd",
        "TMPDIR": str(scratch),
        "CCACHE_DISABLE": "1",
        "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig"),
        "ZIG_GLOBAL_CACHE_DIR": str(scratch / "zig"),
    }


# -- the command line that confines another ------------------------------------------------------------------


def _confined(command: Sequence[str], reach: Reach) -> list[str]:
    zig = is_zig(tuple(command))
    limits = (_ZIG_MEMORY if zig else _MEMORY, _LARGEST_FILE, _ZIG_SECONDS if zig else _SECONDS)
    words = [str(executable(_SOURCE)), *map(str, limits)]
    match mechanism():
        case Mechanism.LANDLOCK:
            return [*words, *_for_landlock(command[0], reach), "--", *command]
        case Mechanism.BUBBLEWRAP:
            return [*words, "--", *_for_bubblewrap(command[0], reach), "--", *command]
        case Mechanism.NONE:
            return [*words, "--", *command]


def _for_landlock(program: str, reach: Reach) -> Iterator[str]:
    for folder in _toolchain(program):
        yield from ("-x", folder)
    for file in _SYSTEM_FILES:
        yield from ("-r", file)
    for tree in reach.trees:
        yield from ("-t", str(tree))
    for path in (*reach.whole, *reach.files):
        yield from ("-r", str(path))
    for path in (Path("/dev/null"), reach.scratch):
        yield from ("-w", str(path))


def _for_bubblewrap(program: str, reach: Reach) -> Iterator[str]:
    yield from (shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL")
    yield from ("--dev", "/dev", "--proc", "/proc")
    for system in (*_toolchain(program), *_SYSTEM_FILES[:3]):
        yield from ("--ro-bind-try", system, system)
    for tree in reach.trees:
        yield from ("--ro-bind", str(tree), str(tree))
        for hidden in sorted(p for p in tree.iterdir() if p.name.startswith(".") and not p.is_symlink()):
            yield from ("--tmpfs", str(hidden)) if hidden.is_dir() else ("--ro-bind", os.devnull, str(hidden))
    for path in (*reach.whole, *reach.files):
        yield from ("--ro-bind", str(path), str(path))
    yield from ("--bind", str(reach.scratch), str(reach.scratch), "--chdir", str(Path.cwd()))


def _toolchain(program: str) -> list[str]:
    """Folders of programs and libraries: the system's, and those of the place in which the compiler lies.

    Of a place other than the system's only the folders that hold programs: it may be someone's home.
    """
    found = [*_SYSTEM]
    for path in (Path(program), Path(program).resolve()):
        place = path.parent.parent if path.parent.name == "bin" else path.parent
        if not any(place.is_relative_to(system) for system in _SYSTEM):
            found += [str(path.parent), *(str(place / name) for name in _OF_A_PLACE)]
            found += map(str, place.glob("x86_64*-linux*"))
    return list(dict.fromkeys(found))

"""Assembly source -> ELF object, with the user's compiler and our stand-in headers."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcverify.errors import InputError
from mcverify.toolchain import find_compiler, is_zig

SHIM = Path(__file__).resolve().parent / "shim" / "include"

# What a kernel with this subject has set; without them routines silently vanish from the object.
ASSUMED_CONFIG = (
    "CONFIG_64BIT",
    "CONFIG_X86",
    "CONFIG_X86_64",
    "CONFIG_SMP",
    "CONFIG_MMU",
    "CONFIG_X86_MCE",
    "CONFIG_X86_SMAP",
    "CONFIG_ARCH_HAS_COPY_MC",
    "CONFIG_ARCH_HAS_UACCESS_FLUSHCACHE",
)

_TIMEOUT_SECONDS = 300  # zig builds its own cache at its first run


@dataclass(frozen=True)
class Defines:
    """The preprocessor symbols of one run: those assumed, changed by those the user gave."""

    values: dict[str, str]

    @classmethod
    def of(cls, given: Sequence[str]) -> Defines:
        """Read ``NAME`` (1) and ``NAME=VALUE``; ``CONFIG_X=n`` takes a CONFIG away, ``=y`` is 1."""
        values = dict.fromkeys(ASSUMED_CONFIG, "1")
        for definition in given:
            name, _, value = definition.partition("=")
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise InputError(
                    f"-D {definition}: {name!r} is no name of a macro", hint="-D NAME or -D NAME=VALUE"
                )
            values[name] = value or "1"
        return cls(
            {n: "1" if v == "y" and _is_config(n) else v for n, v in values.items() if not _is_off(n, v)}
        )

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def arguments(self) -> list[str]:
        """The ``-D`` words."""
        return [f"-D{name}={value}" for name, value in self.values.items()]


def _is_config(name: str) -> bool:
    return name.startswith("CONFIG_")


def _is_off(name: str, value: str) -> bool:
    return _is_config(name) and value in ("n", "0")


@contextmanager
def assembled(
    path: Path, *, include: Sequence[Path], defines: Defines, own_macros: Sequence[str] = ()
) -> Iterator[Path]:
    """The object of the source `path`, which exists as long as the context.

    `include` are folders searched before our stand-in headers; `own_macros` are assembler
    macros that the source defines itself and the stand-ins must leave out. Nothing is
    written beside the user's file. Raises InputError with the assembler's first complaint.
    """
    with tempfile.TemporaryDirectory(prefix="mcverify-") as folder:
        target = Path(folder) / "routine.o"
        _run(
            path, target, include, [*defines.arguments(), *(f"-DMCVERIFY_OWN_{name}" for name in own_macros)]
        )
        yield target


def _run(path: Path, target: Path, include: Sequence[Path], defines: Sequence[str]) -> None:
    command = [*_compiler(), *_language(path, defines, include), "-c", _as_file(path), "-o", str(target)]
    try:
        done = subprocess.run(
            command,
            env=_environment(target.parent),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{command[0]} did not end within {_TIMEOUT_SECONDS} seconds"
        raise InputError(message, where=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot run {command[0]}: {error.strerror}", where=str(path)) from error
    if done.returncode != 0 or not target.exists():
        raise _complaint(path, command[0], done.stderr or done.stdout)


def _compiler() -> list[str]:
    compiler = find_compiler()
    if is_zig(compiler):
        return [*compiler, "-target", "x86_64-linux-gnu"]
    if "clang" in Path(compiler[0]).name:
        return [*compiler, "--target=x86_64-linux-gnu"]
    return [*compiler, "-m64"]


def _language(path: Path, defines: Sequence[str], include: Sequence[Path]) -> list[str]:
    """Options; ``-g`` for lines, ``-Wa,-L`` keeps .L labels as symbols."""
    common = ["-g", "-Wa,-L"]
    if path.suffix == ".s":
        return ["-x", "assembler", *common]
    folders = [*include, path.parent, SHIM]
    return [
        *("-x", "assembler-with-cpp", *common, "-nostdinc", "-D__KERNEL__", "-D__ASSEMBLY__"),
        *defines,
        *(f"-I{folder}" for folder in folders),
        *("-include", str(SHIM / "mcverify" / "prelude.h")),
    ]


def _as_file(path: Path) -> str:
    """The path as the user gave it, except that a leading dash must not read as an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def _environment(folder: Path) -> dict[str, str]:
    """Untranslated messages, and the compiler's own temporary files where they are removed."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "TMPDIR": str(folder),
        "ZIG_LOCAL_CACHE_DIR": str(folder / "zig"),
    }


_LOCATED = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)?\s*(?:fatal )?error:\s*(?P<text>.*)$", re.I | re.M
)
_NOTE = re.compile(r"^(?P<file>[^<:\n][^:\n]*):(?P<line>\d+):(?:\d+:)? note: while in macro", re.M)
_MISSING_HEADER = re.compile(r"'?(?P<header>[^\s':]+)'?(?:: No such file or directory| file not found)")
_UNKNOWN_WORD = re.compile(
    r"no such instruction: `(?P<gas>\S+)|invalid character '\(' in mnemonic"
    r"|invalid instruction mnemonic '(?P<clang>[^']+)'|unknown pseudo-op: `(?P<pseudo>[^']+)'|unknown directive"
)


def _complaint(path: Path, compiler: str, output: str) -> InputError:
    """The assembler's first error as ours: file:line, its words, and what to do."""
    match = _LOCATED.search(output)
    if match is None:
        first = next((line for line in output.splitlines() if line.strip()), "no message")
        return InputError(f"{compiler} could not assemble it: {first.strip()}", where=str(path))
    where = f"{match['file']}:{match['line']}"
    if match["file"].startswith("<"):  # clang names the macro's body, then the place that uses it
        note = _NOTE.search(output, match.end())
        where = f"{note['file']}:{note['line']}" if note else str(path)
    return _explain(match["text"].strip(), where)


def _explain(text: str, where: str) -> InputError:
    if header := _MISSING_HEADER.search(text):
        return InputError(
            f"the header {header['header']} is neither among mcverify's stand-ins nor in a folder given",
            where=where,
            hint="give the folder that holds it with -I DIR, for instance arch/x86/include of a kernel tree",
        )
    if _UNKNOWN_WORD.search(text):
        return InputError(
            f"the assembler knows no such instruction or macro: {text}",
            where=where,
            hint="if it is a macro, include the header that defines it and give its folder with -I DIR",
        )
    return InputError(f"it does not assemble: {text}", where=where)

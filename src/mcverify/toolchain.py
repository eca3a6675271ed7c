"""Which C compiler assembles the user's file and builds the native replay."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys

from mcverify.errors import InputError


def find_compiler() -> tuple[str, ...]:
    """The words of a command that compiles C and preprocessed assembly for x86-64 Linux.

    ``$CC`` is taken as it is (it may hold options); otherwise gcc, clang, then the ziglang
    package's ``zig cc``. Raises InputError where there is none.
    """
    return _from_environment() or _from_path() or _from_ziglang() or _give_up()


def is_zig(compiler: tuple[str, ...]) -> bool:
    """Whether `compiler` is ``zig cc``, which needs its target named and is slow to start."""
    return "cc" in compiler[1:] and any("zig" in word for word in compiler)


def _from_environment() -> tuple[str, ...] | None:
    value = os.environ.get("CC", "")
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        raise InputError(
            f"the environment variable CC is no command: {error}", hint="correct CC or unset it"
        ) from error
    if words and shutil.which(words[0]) is None:
        raise InputError(
            f"the compiler named by the environment variable CC, {words[0]!r}, is not there",
            hint="correct CC or unset it",
        )
    return words or None


def _from_path() -> tuple[str, ...] | None:
    return next(((name,) for name in ("gcc", "clang") if shutil.which(name)), None)


def _from_ziglang() -> tuple[str, ...] | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    return (sys.executable, "-m", "ziglang", "cc")


def _give_up() -> tuple[str, ...]:
    raise InputError(
        "no C compiler found to assemble with: neither gcc, clang nor the ziglang package",
        hint="apt install gcc, or pip install 'mcverify[zig]', or set CC",
    )

"""What a file is called on the compiler's command line, and what it was called by the user."""

from __future__ import annotations

from pathlib import Path

HERE = "/proc/self/cwd/"
"""The working folder, by a name that is absolute and the same everywhere: names stand in the debug
information, so in a proof bundle."""

SHIM = Path(__file__).resolve().parent / "shim" / "include"
"""mcverify's stand-in headers."""


def absolute(path: Path) -> str:
    """A name that no compiler takes for an option, nor for a file of options (@file)."""
    return str(path) if path.is_absolute() else f"{HERE}{path}"


def as_named(file: str) -> str:
    """The name that the compiler was given, or made of one, as the user has it: relative where it was so."""
    return file.removeprefix(HERE)

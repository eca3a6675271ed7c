"""Where the models are: what is assumed of CPU, kernel and contracts, as TOML data."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any


@cache
def models_dir() -> Path:
    """The folder of the models: the installed package's copy, else the repository's own.

    Raises FileNotFoundError if there is neither: the installation is broken, not the input.
    """
    package = Path(__file__).resolve().parent
    candidates = (package / "models", package.parents[1] / "models")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no folder of models: looked for {candidates[0]} and {candidates[1]}")


@cache
def read_toml(name: str) -> dict[str, Any]:
    """The model `name`, a path below :func:`models_dir` such as ``x86_64/cpu.toml``.

    The value is shared between callers: do not change it. Raises FileNotFoundError or
    tomllib.TOMLDecodeError, both faults of the installation.
    """
    with (models_dir() / name).open("rb") as file:
        return tomllib.load(file)

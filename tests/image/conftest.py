"""Fixtures that turn a few lines of assembly into an image or an object."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.toolchain import find_compiler

HEADERS = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"

LoadText = Callable[..., Image]
MakeObject = Callable[..., Path]


@pytest.fixture
def load_text(tmp_path: Path) -> LoadText:
    """Load a source given as text, below the two usual #include lines."""

    def loaded(text: str, *, name: str = "routine.S", headers: str = HEADERS, **options: object) -> Image:
        path = tmp_path / name
        path.write_text(headers + text)
        return load(path, **options)  # type: ignore[arg-type]

    return loaded


@pytest.fixture
def make_object(tmp_path: Path) -> MakeObject:
    """Assemble text without headers to an object; with `link`, link it at a fixed address."""

    def made(text: str, *, name: str = "routine.o", link: bool = False, flags: tuple[str, ...] = ()) -> Path:
        source = tmp_path / "routine.s"
        source.write_text(text)
        target = tmp_path / name
        mode = ["-nostdlib", "-static", "-no-pie", "-Wl,-e,0", "-Wl,--build-id=none"] if link else ["-c"]
        subprocess.run([*find_compiler(), *mode, *flags, str(source), "-o", str(target)], check=True)
        return target

    return made

"""The architectures that mcverify knows, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcverify.arch.architecture import Architecture, load

X86_64: Final = load("x86_64")

_KNOWN: Final = (X86_64,)

BY_ELF_MACHINE: Final[Mapping[int, Architecture]] = {a.elf_machine: a for a in _KNOWN}
"""By the ELF header's `e_machine`."""

BY_FOLDER: Final[Mapping[str, Architecture]] = {a.folder: a for a in _KNOWN}
"""By the name of the folder of its data and its code."""

BY_NAME: Final[Mapping[str, Architecture]] = {a.name: a for a in _KNOWN}
"""By the name that users see."""

"""The architectures that mcverify knows, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcverify.arch.architecture import Architecture, ByteOrder, load

X86_64: Final = load("x86_64")

_KNOWN: Final = (X86_64,)

BY_ELF: Final[Mapping[tuple[int, ByteOrder], Architecture]] = {
    (a.elf_machine, a.byte_order): a for a in _KNOWN
}
"""By the ELF header's `e_machine` and byte order."""

BY_FOLDER: Final[Mapping[str, Architecture]] = {a.folder: a for a in _KNOWN}
"""By the name of the folder of its data and its code."""

BY_NAME: Final[Mapping[str, Architecture]] = {a.name: a for a in _KNOWN}
"""By the name that users see."""

"""Files of a kernel's tree that hold no 64-bit code of x86: they are left out of a review, which says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mcverify.image.kernel_tree import is_for_32_bits
from mcverify.image.source import Source

_OURS = ("x86", "x86_64", "um")
"""Folders of arch/ whose 64-bit code is x86-64: x86_64 up to 2.6.23."""

_MOST = 8
"""Files that are named one by one."""

_MODE = re.compile(r"^[ \t]*\.code(16|16gcc|32|64)\b", re.M)


def left_out(path: str, contents: Iterable[bytes | None]) -> str:
    """Why an assembly file is left out, as a sentence; "" for one that is to be reviewed. `contents` are
    those that it has in the revisions at hand, None where it is not there."""
    architecture = _architecture(path)
    if architecture and architecture not in _OURS:
        bits = " (32 bits)" if architecture == "i386" else ""
        return f"{path} is left out: it is for the architecture {architecture}{bits}"
    if is_for_32_bits(path):
        return f"{path} is left out: it is for kernels of 32 bits (i386)"
    there = [content for content in contents if content is not None]
    if there and all(_is_not_64_bits(path, content) for content in there):
        return f"{path} is left out: its code is not for 64 bits"
    return ""


def folded(sentences: Sequence[str]) -> tuple[str, ...]:
    """The sentences, of many the first ones and how many more there are."""
    more = len(sentences) - _MOST
    if more <= 0:
        return tuple(sentences)
    return (*sentences[:_MOST], f"{more} more files are left out, which hold no 64-bit code of x86")


def _architecture(path: str) -> str:
    """The folder of arch/ in which a file lies, also below another one (tools/arch/); "" for none."""
    parts = PurePosixPath(path).parts
    below = parts.index("arch") if "arch" in parts[:2] else len(parts)
    return parts[below + 1] if below + 2 < len(parts) else ""


def _is_not_64_bits(path: str, content: bytes) -> bool:
    """Whether the source says .code32 or .code16 and never .code64."""
    modes = {*_MODE.findall(Source(path, content.decode("utf-8", "replace")).code)}
    return bool(modes) and "64" not in modes

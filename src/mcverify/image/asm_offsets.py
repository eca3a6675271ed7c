"""What a kernel's build works out of arch/x86/kernel/asm-offsets.c, as far as it can be had without one.

The file lists numbers of C for use in assembly. Sizes of structures that need no other header and no
configuration are worked out by the compiler; offsets in the kernel's large structures are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import read_text, regular_files
from mcverify.image.assemble import c_constant

SOURCE = "arch/x86/kernel/asm-offsets.c"
_SOURCES = (SOURCE, "arch/x86/kernel/asm-offsets_64.c")
_HEADERS = "arch/x86/include/asm"
_NAMED = re.compile(r"^[ \t]*(?:DEFINE|OFFSET)\([ \t]*(\w+)[ \t]*,", re.M)
_SIZE = re.compile(
    r"^[ \t]*DEFINE\([ \t]*(\w+)[ \t]*,[ \t]*sizeof\([ \t]*struct[ \t]+(\w+)[ \t]*\)[ \t]*\)", re.M
)
_TYPES = "".join(
    f"typedef {sign} {kind} {prefix}{letter}{bits};\n"
    for bits, kind in ((8, "char"), (16, "short"), (32, "int"), (64, "long long"))
    for letter, sign in (("s", "signed"), ("u", "unsigned"))
    for prefix in ("", "__")
)
_PACKED = "#define __packed __attribute__((packed))\n"


def names(root: Path) -> frozenset[str]:
    """The names that the file of the tree at `root` defines."""
    return frozenset(_NAMED.findall(_text(root)))


def sizes(root: Path) -> dict[str, int]:
    """Those of the names that are sizes of structures which the compiler can tell, in bytes."""
    wanted = dict(_SIZE.findall(_text(root)))
    if not wanted:
        return {}
    found = _structures(root / _HEADERS, wanted.values())
    sized = {name: _size(what, found[what]) for name, what in wanted.items() if what in found}
    return {name: size for name, size in sized.items() if size is not None}


def _text(root: Path) -> str:
    paths = (root / name for name in _SOURCES)
    return "\n".join(read_text(path) for path in paths if path.is_file())


def _structures(folder: Path, wanted: Iterable[str]) -> Mapping[str, str]:
    """The definitions of these structures in the headers of `folder`, where there is but one."""
    texts = [read_text(path) for path in regular_files(folder, (".h",))]
    found = {name: [part for text in texts for part in _definitions(name, text)] for name in set(wanted)}
    return {name: parts[0] for name, parts in found.items() if len(parts) == 1}


def _definitions(name: str, text: str) -> Iterable[str]:
    for match in re.finditer(rf"^struct[ \t]+{re.escape(name)}[ \t]*\{{", text, re.M):
        depth, at = 1, match.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield text[match.start() : text.find(";", at) + 1]


@cache
def _size(name: str, definition: str) -> int | None:
    """The size of a structure; None where its definition does not stand alone."""
    if re.search(r"^[ \t]*#", definition, re.M):
        return None  # a configuration decides what is in it
    try:
        return c_constant(f"{_PACKED}{_TYPES}{definition}\n", f"sizeof(struct {name})")
    except InputError:
        return None

"""The source tree of a kernel: where it begins, its version, its configuration, its headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import inner, opened, read_text, regular_files, write_beneath
from mcverify.image import asm_offsets
from mcverify.image.packed import unpacked
from mcverify.scratch import scratch_folder

_ARCH = "arch/x86"

LIBRARY = f"{_ARCH}/lib"
"""Where a kernel has its copy routines."""

_LARGEST_CONFIG = 16 << 20
_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL)[ \t]*=[ \t]*(\d*)", re.M)
_IS_SET = re.compile(r"(CONFIG_\w+)=(\"(?:\\.|[^\"\\])*\"|\w+)")
_IS_NOT_SET = re.compile(r"# (CONFIG_\w+) is not set")
_HEADER_LIST = re.compile(r"^[ \t]*(generic|mandatory|generated)-y[ \t]*\+?=((?:.*\\\n)*.*)", re.M)

# The order of LINUXINCLUDE in the kernel's top Makefile.
_INCLUDE = (f"{_ARCH}/include", f"{_ARCH}/include/generated", "include")
_INCLUDE_UAPI = (
    f"{_ARCH}/include/uapi",
    f"{_ARCH}/include/generated/uapi",
    "include/uapi",
    "include/generated/uapi",
)
# Kbuild files that list headers which a build makes, with the folders of those that exist already.
_MADE = (
    ("include/asm-generic/Kbuild", f"{_ARCH}/include/asm"),
    (f"{_ARCH}/include/asm/Kbuild", f"{_ARCH}/include/asm"),
    ("include/uapi/asm-generic/Kbuild", f"{_ARCH}/include/uapi/asm"),
    (f"{_ARCH}/include/uapi/asm/Kbuild", f"{_ARCH}/include/uapi/asm"),
)
# Where the headers of asm/ were before 2.6.28, and before 2.6.24; a build made a link to them.
_OLD_ASM = ("include/asm-x86", "include/asm-x86_64")
# Folders of arch/ with 64-bit code of x86.
_OURS = ("x86", "x86_64", "um")
_OFFSETS = "generated/asm-offsets.h"
# What a build made before 2.6.33: offsets, before 2.6.14 under another name.
_OLD_EMPTY = ("asm/asm-offsets.h", "asm/offset.h")
_EMPTY = ("generated/bounds.h", "asm/cpufeaturemasks.h")


@dataclass(frozen=True, slots=True)
class KernelTree:
    """A kernel's source below `root`; `version` as in its Makefile ("6.12.1")."""

    root: Path
    version: str

    @classmethod
    def around(cls, path: Path) -> KernelTree | None:
        """The innermost tree that holds `path`, None if there is none."""
        here = path.resolve()
        for folder in (here, *here.parents):
            if (version := _version(folder)) is not None:
                return cls(folder, version)
        return None

    @classmethod
    def at(cls, folder: Path) -> KernelTree:
        """The tree that `folder` is, or lies in. Raises InputError where there is none for x86."""
        if not folder.is_dir():
            what = "it is no folder" if folder.exists() else "there is no such folder"
            raise InputError(what, where=str(folder), hint="--kernel takes the folder of a kernel's source")
        tree = cls.around(folder)
        if tree is None:
            message = (
                "it is no kernel tree, nor in one: there is no kernel's Makefile beside arch and include"
            )
            raise InputError(
                message, where=str(folder), hint="--kernel takes the folder of a kernel's source"
            )
        tree.refuse_foreign()
        return cls(folder, tree.version) if folder.resolve() == tree.root else tree

    def refuse_foreign(self, file: Path | None = None) -> None:
        """Raise InputError for a tree without arch/x86, or a `file` of another architecture's folder."""
        there = sorted(p.name for p in (self.root / "arch").iterdir() if p.is_dir())
        if not {"x86", "x86_64"}.intersection(there):
            has = ", ".join(there[:4]) or "none"
            raise InputError(
                f"it is a kernel tree without arch/x86 (it has {has})",
                where=str(self.root),
                hint="mcverify reads x86-64 code",
            )
        parts = file.resolve().relative_to(self.root.resolve()).parts if file is not None else ()
        if len(parts) > 2 and parts[0] == "arch" and parts[1] in there and parts[1] not in _OURS:
            message = f"it is a source for the architecture {parts[1]}"
            raise InputError(message, where=str(file), hint="mcverify reads x86-64 code")

    @property
    def library(self) -> Path:
        """The folder of the copy routines."""
        old = self.root / "arch/x86_64/lib"  # before 2.6.24
        return old if old.is_dir() and not (self.root / _ARCH).is_dir() else self.root / LIBRARY

    @property
    def config(self) -> Path | None:
        """The configuration of the tree, None if it has none."""
        path = self.root / ".config"
        return path if path.is_file() else None

    def prelude(self) -> list[str]:
        """The headers that the kernel's build includes before the first line."""
        if not (self.root / "include/linux/kconfig.h").is_file():
            return ["generated/autoconf.h"]  # before 3.0
        names = ("linux/compiler-version.h", "linux/kconfig.h")
        return [name for name in names if (self.root / "include" / name).is_file()]

    @contextmanager
    def headers(self, values: Mapping[str, str]) -> Iterator[tuple[Path, ...]]:
        """Folders of headers in the order of the search, for a configuration of these `values`.

        What a build would have generated and the tree has not lies in temporary folders, which exist as long
        as the context: the configuration in the first, the rest in the last.
        """
        with scratch_folder() as made:
            first, rest = made / "config", made / "made"
            for header in ("generated/autoconf.h", "linux/autoconf.h"):  # the latter before 2.6.33
                _write(first / header, "".join(f"#define {n} {v}\n" for n, v in values.items()))
            for header in (*_EMPTY, *_OLD_EMPTY):
                _write(rest / header, "")
            sizes = asm_offsets.sizes(self.root)
            _write(rest / _OFFSETS, "".join(f"#define {n} {size}\n" for n, size in sizes.items()))
            for kbuild, there in _MADE:
                self._make(kbuild, there, rest)
            own = [self.root / folder for folder in (*_INCLUDE, *_INCLUDE_UAPI)]
            yield (first, *self._linked(made), *(folder for folder in own if folder.is_dir()), rest)

    def _linked(self, made: Path) -> list[Path]:
        """A folder in `made` with the link asm that a build of an old tree makes; none for a newer tree."""
        if (self.root / _INCLUDE[0]).is_dir():
            return []
        old = next((self.root / name for name in _OLD_ASM if (self.root / name).is_dir()), None)
        if old is None:
            return []
        folder = made / "linked"
        folder.mkdir()
        (folder / "asm").symlink_to(old.resolve())
        return [folder]

    def _make(self, kbuild: str, there: str, target: Path) -> None:
        """The headers that a Kbuild file lists: those of asm-generic, empty ones for what programs make."""
        for kind, names in _HEADER_LIST.findall(_text(self.root / kbuild)):
            for header in names.replace("\\\n", " ").split("#")[0].split():
                if not header.endswith(".h"):
                    continue
                name = inner(header, str(self.root / kbuild))
                if (target / "asm" / name).exists() or (self.root / there / name).exists():
                    continue
                text = "" if kind == "generated" else f"#include <asm-generic/{name}>\n"
                write_beneath(target / "asm", name, text.encode(), str(self.root / kbuild))


def read_config(path: Path) -> dict[str, str]:
    """The macros that a kernel's .config defines, as autoconf.h has them; the file may be compressed.

    Raises InputError where it is no .config, or one of another architecture.
    """
    try:
        with opened(path) as file:
            text = unpacked(file, str(path)).read(_LARGEST_CONFIG).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"the configuration cannot be read: {error.strerror}", where=str(path)) from error
    values: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if match := _IS_SET.fullmatch(line):
            name, value = match.groups()
            _forget(name, values)
            if value != "n":
                values[f"{name}_MODULE" if value == "m" else name] = "1" if value in ("y", "m") else value
        elif match := _IS_NOT_SET.match(line):
            _forget(match.group(1), values)
        elif line and not line.startswith("#"):
            message = "it is no line of a kernel's configuration"
            raise InputError(message, where=f"{path}:{number}", hint="each is CONFIG_X=y, or a comment")
    if not values and not _IS_NOT_SET.search(text):
        raise InputError("it is no kernel configuration: it sets nothing", where=str(path))
    if "CONFIG_X86_64" not in values:
        message = "it configures no x86-64 kernel: CONFIG_X86_64 is not set"
        raise InputError(message, where=str(path), hint="mcverify reads x86-64 code")
    return values


def _forget(name: str, values: dict[str, str]) -> None:
    """Of several lines about one symbol the last one counts, as in the kernel's own reader."""
    values.pop(name, None)
    values.pop(f"{name}_MODULE", None)


def is_for_32_bits(path: str | Path) -> bool:
    """Whether a file beside the copy routines is one that a 64-bit kernel does not have, by its name
    (arch/x86/lib/Makefile)."""
    return Path(path).stem.endswith("_32")


def sources(tree: KernelTree) -> Sequence[Path]:
    """The assembly sources beside the copy routines, by name. Raises InputError where there are none."""
    found = regular_files(tree.library, (".S",))
    if not found:
        raise InputError(f"it has no assembly sources in {LIBRARY}", where=str(tree.root))
    return found


def _version(folder: Path) -> str | None:
    """The version of the kernel whose tree begins at `folder`, None if none does."""
    if not (folder / "arch").is_dir() or not (folder / "include/linux").is_dir():
        return None
    said = dict(_VERSION.findall(_text(folder / "Makefile")))
    numbers = [said.get(part, "") for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(filter(None, numbers)) if numbers[0] and numbers[1] else None


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except OSError:  # it is not there: the caller looks elsewhere
        return ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

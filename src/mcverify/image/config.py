"""Which preprocessor symbols a source is assembled with: assumed, or a real kernel's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcverify.errors import InputError

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
_AUTOCONF = "generated/autoconf.h"
# What a kernel's build includes before the first line (its top Makefile, LINUXINCLUDE).
_KERNEL_PRELUDE = ("linux/compiler-version.h", "linux/kconfig.h")
_SHIM_PRELUDE = "mcverify/prelude.h"

_NAME = re.compile(r"[A-Za-z_]\w*")
_AUTOCONF_LINE = re.compile(r"^#define (CONFIG_\w+)", re.M)


@dataclass(frozen=True)
class Config:
    """One run of the preprocessor.

    `defines` go to its command line, `prelude` is read before the source; `autoconf` is the
    real kernel's configuration, if a folder of headers has one.
    """

    defines: dict[str, str]
    folders: tuple[Path, ...]
    prelude: tuple[Path, ...]
    autoconf: Path | None
    configured: frozenset[str]

    @classmethod
    def of(cls, defines: Sequence[str], include: Sequence[Path]) -> Config:
        """Read definitions ``NAME`` (1) or ``NAME=VALUE`` and look through the folders of headers.

        ``CONFIG_X=n`` takes an assumed CONFIG away, ``=y`` is 1. Raises InputError for a
        definition that is none, a folder that is none, and a CONFIG that contradicts a
        kernel's own configuration.
        """
        folders = tuple(_folder(f) for f in include)
        given = dict(_definition(d) for d in defines)
        autoconf = _find(_AUTOCONF, folders)
        if autoconf is not None:
            _refuse_configs(given, autoconf)
            configured = frozenset(_AUTOCONF_LINE.findall(autoconf.read_text(errors="replace")))
            found = (_find(name, folders) for name in _KERNEL_PRELUDE)
            prelude = tuple(p for p in found if p is not None)
            return cls(given, folders, prelude, autoconf, configured)
        values = {**dict.fromkeys(ASSUMED_CONFIG, "1"), **given}
        values = {n: _value_of(n, v) for n, v in values.items() if not _is_off(n, v)}
        return cls(values, folders, (SHIM / _SHIM_PRELUDE,), None, frozenset(filter(_is_config, values)))

    def arguments(self) -> list[str]:
        """The words for the compiler's command line."""
        return [
            *(f"-D{name}={value}" for name, value in self.defines.items()),
            *(f"-I{folder}" for folder in (*self.folders, SHIM)),
            *(word for path in self.prelude for word in ("-include", str(path))),
        ]

    def note(self, name: str) -> str:
        """Say whether CONFIG `name` was set, and by whom."""
        state = "set" if name in self.configured else "not set"
        if self.autoconf is not None:
            return f"{name} is {state} in {self.autoconf}"
        return f"{name} is taken as {state}"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError("-I names no folder", where=str(path))
    return path


def _definition(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not _NAME.fullmatch(name):
        raise InputError(f"-D {text}: {name!r} is no name of a macro", hint="write -D NAME or -D NAME=VALUE")
    return name, value or "1"


def _find(name: str, folders: Iterable[Path]) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _refuse_configs(given: Iterable[str], autoconf: Path) -> None:
    for name in filter(_is_config, given):
        raise InputError(
            f"-D {name}: the CONFIGs come from {autoconf}, which a folder given with -I holds",
            hint="change it there, or leave out that folder to use mcverify's stand-ins",
        )


def _is_config(name: str) -> bool:
    return name.startswith("CONFIG_")


def _is_off(name: str, value: str) -> bool:
    return _is_config(name) and value in ("n", "0")


def _value_of(name: str, value: str) -> str:
    return "1" if _is_config(name) and value == "y" else value

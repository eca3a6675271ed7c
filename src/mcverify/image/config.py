"""Which preprocessor symbols a source is assembled with: assumed, or a real kernel's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import read_text
from mcverify.image import syntax
from mcverify.image.compiler_names import SHIM, absolute
from mcverify.image.kernel_tree import KernelTree, read_config

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
# What a tree's own headers ask for besides, where no configuration says it
# (arch/x86/Kconfig, lib/Kconfig.debug).
_ASSUMED_VALUES = {
    "CONFIG_PAGE_SHIFT": "12",
    "CONFIG_PGTABLE_LEVELS": "5",
    "CONFIG_X86_L1_CACHE_SHIFT": "6",
    "CONFIG_X86_INTERNODE_CACHE_SHIFT": "6",
    "CONFIG_FUNCTION_ALIGNMENT": "16",
    "CONFIG_PHYSICAL_START": "0x1000000",
    "CONFIG_PHYSICAL_ALIGN": "0x200000",
    "CONFIG_NR_CPUS": "64",
}
_AUTOCONF = "generated/autoconf.h"
# What a kernel's build includes before the first line (its top Makefile, LINUXINCLUDE).
_KERNEL_PRELUDE = ("linux/compiler-version.h", "linux/kconfig.h")
_SHIM_PRELUDE = "mcverify/prelude.h"

_NAME = re.compile(r"[A-Za-z_]\w*")
_AUTOCONF_LINE = re.compile(r"^#define (CONFIG_\w+)", re.M)


@dataclass(frozen=True)
class Config:
    """One run of the preprocessor.

    `defines` go to its command line, `folders` are searched for headers, `prelude` is read before the source;
    `origin` is what has the CONFIGs, None where they are assumed; `configured` are those that are set.
    `tree` is the kernel whose own headers are used, None for mcverify's stand-ins.
    """

    defines: dict[str, str]
    folders: tuple[Path, ...]
    prelude: tuple[str, ...]
    origin: Path | None
    configured: frozenset[str]
    tree: KernelTree | None = None

    @classmethod
    def of(cls, defines: Sequence[str], include: Sequence[Path], config: Path | None = None) -> Config:
        """Read definitions ``NAME`` (1) or ``NAME=VALUE`` and look through the folders of headers.

        ``CONFIG_X=n`` takes an assumed CONFIG away, ``=y`` is 1. `config` is a kernel's .config. Raises
        InputError for a definition that is none, a folder that is none, and a CONFIG that contradicts a
        kernel's own configuration.
        """
        folders = tuple(_folder(f) for f in include)
        given = dict(_definition(d) for d in defines)
        autoconf = _find(_AUTOCONF, folders)
        if autoconf is not None:
            if config is not None:
                message = f"the CONFIGs come from {autoconf}, which a folder given with -I holds"
                raise InputError(message, where=str(config), hint="leave out --config or that folder")
            _refuse_configs(given, f"{autoconf}, which a folder given with -I holds")
            configured = frozenset(_AUTOCONF_LINE.findall(read_text(autoconf)))
            found = (_find(name, folders) for name in _KERNEL_PRELUDE)
            prelude = tuple(str(p) for p in found if p is not None)
            return cls(given, folders, prelude, autoconf, configured)
        values = _values(given, config, {})
        return cls(values, folders, (str(SHIM / _SHIM_PRELUDE),), config, _configs(values))

    @classmethod
    @contextmanager
    def of_tree(
        cls, tree: KernelTree, defines: Sequence[str], include: Sequence[Path], config: Path | None
    ) -> Iterator[Config]:
        """The headers and the configuration of a kernel's tree: `config`, or its own, or what is assumed.

        Valid as long as the context. Raises InputError as :meth:`of` does.
        """
        config = config or tree.config
        values = _values(dict(_definition(d) for d in defines), config, _ASSUMED_VALUES)
        configs = {name: value for name, value in values.items() if _is_config(name)}
        others = {name: value for name, value in values.items() if not _is_config(name)}
        folders = tuple(_folder(f) for f in include)
        with tree.headers(configs) as own:
            yield cls(others, (*folders, *own), tuple(tree.prelude()), config, _configs(configs), tree)

    def in_intel_syntax(self) -> Config:
        """The same for a source in Intel syntax."""
        return replace(self, prelude=(*self.prelude, str(SHIM / syntax.HEADER)))

    def arguments(self) -> list[str]:
        """The words for the compiler's command line."""
        return [
            *(f"-D{name}={value}" for name, value in self.defines.items()),
            *(f"-I{absolute(f)}" for f in (*self.folders, *([SHIM] if self.tree is None else []))),
            *(word for header in self.prelude for word in ("-include", header)),
        ]

    def note(self, name: str) -> str:
        """Say whether CONFIG `name` was set, and by whom."""
        state = "set" if name in self.configured else "not set"
        if self.origin is not None:
            return f"{name} is {state} in {self.origin}"
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


def _values(given: dict[str, str], config: Path | None, more: dict[str, str]) -> dict[str, str]:
    """The definitions: what was given, over the CONFIGs of a .config, or those assumed and `more`."""
    if config is not None:
        _refuse_configs(given, str(config))
        return {**read_config(config), **given}
    values = {**dict.fromkeys(ASSUMED_CONFIG, "1"), **more, **given}
    return {n: _value_of(n, v) for n, v in values.items() if not _is_off(n, v)}


def _configs(names: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(_is_config, names))


def _refuse_configs(given: Iterable[str], origin: str) -> None:
    for name in filter(_is_config, given):
        raise InputError(
            f"-D {name}: the CONFIGs come from {origin}",
            hint="change it there, or leave that out to use what mcverify assumes",
        )


def _is_config(name: str) -> bool:
    return name.startswith("CONFIG_")


def _is_off(name: str, value: str) -> bool:
    return _is_config(name) and value in ("n", "0")


def _value_of(name: str, value: str) -> str:
    return "1" if _is_config(name) and value == "y" else value

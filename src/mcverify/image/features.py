"""The names of CPU features by their numbers, which kernels of different ages use differently.

The table is models/x86_64/features.tsv; the stand-in header of features is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from pathlib import Path

from mcverify.arch.known import X86_64

BUG = "BUG_"
"""What the names of bugs begin with: they are numbered behind the features, elsewhere in each kernel."""

HEADER = Path(__file__).resolve().parent / "shim" / "include" / "mcverify" / "features.h"
"""The stand-in that has the numbers, which bench/features.py writes."""

Naming = Callable[[int], str | None]
"""Gives the name of a feature's number, None where it is not known."""

_BITS_OF_A_WORD = 32
_LINUX_WORDS = (2, 3, 7, 8, 11, 21)  # those whose bits Linux gives out itself, and takes back
_FIRST_SPARE = 512 * _BITS_OF_A_WORD  # no kernel has so many, and all layouts but the oldest have room
_MACRO = re.compile(r"\bX86_(?:FEATURE_|(?=BUG_))(\w+)")
_BANNER = re.compile(rb"Linux version (\d+\.\d+\S*)|vermagic=(\d+\.\d+\S*)")
_VENDOR = re.compile(r"\bel\d+")


@dataclass(frozen=True)
class Row:
    """A name that kernels have for a number; `versions` are positions in :attr:`Table.versions`."""

    number: int
    name: str
    versions: frozenset[int]


@dataclass(frozen=True)
class Table:
    """models/x86_64/features.tsv: `versions` of kernels, oldest first, and what they call their features."""

    versions: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, text: str) -> Table:
        """Read the text of the table."""
        lines = text.splitlines()
        versions = next(line for line in lines if line.startswith("# versions: ")).split()[2:]
        place = {version: index for index, version in enumerate(versions)}
        cells = [line.split("\t") for line in lines if line and not line.startswith("#")][1:]
        rows = (
            Row(int(word) * _BITS_OF_A_WORD + int(bit), name, frozenset(_spanned(spans, place)))
            for word, bit, name, spans in cells
        )
        return cls(tuple(versions), tuple(rows))

    @cached_property
    def by_number(self) -> dict[int, tuple[Row, ...]]:
        """The rows of each number."""
        found: dict[int, tuple[Row, ...]] = {}
        for row in self.rows:
            found[row.number] = (*found.get(row.number, ()), row)
        return found

    def name(self, number: int, versions: Collection[int]) -> str | None:
        """The one name that kernels of these versions have for `number`, None for none or several."""
        names = {row.name for row in self.by_number.get(number, ()) if not row.versions.isdisjoint(versions)}
        return names.pop() if len(names) == 1 else None

    @cached_property
    def settled(self) -> frozenset[int]:
        """The versions of kernel.org from 2.6.24 on: before, bits changed their meaning."""
        first = self.versions.index("2.6.24")
        return frozenset(i for i, v in enumerate(self.versions) if i >= first and not _VENDOR.search(v))

    def around(self, version: str) -> frozenset[int]:
        """The versions that tell what a kernel of `version` ("5.10.0-43-amd64") calls its features: the next
        before and behind it, and that of its vendor."""
        age, vendor = _age(version), _VENDOR.search(version)
        own = {i for i, v in enumerate(self.versions) if _VENDOR.search(v)}
        plain = [(_age(v), i) for i, v in enumerate(self.versions) if i not in own]
        before = [i for other, i in plain if other <= age][-1:]
        behind = [i for other, i in plain if other >= age][:1]
        theirs = [i for i in own if vendor and vendor[0] in self.versions[i]]
        return frozenset((*before, *behind, *theirs))

    def between(self, first: str, last: str | None) -> frozenset[int]:
        """All versions from `first` to `last`, and the next before and behind them."""
        ends = self.around(first) | (self.around(last) if last else {len(self.versions) - 1})
        return frozenset(range(min(ends), max(ends) + 1))


@cache
def table() -> Table:
    """The table that comes with mcverify."""
    return Table.read(X86_64.file("features.tsv").read_text(encoding="utf-8"))


# -- who calls a number what


def anywhere(number: int) -> str:
    """The name that `number` has in all kernels of kernel.org from 2.6.24 on that name it; else its number.

    It is the same for all files, so that two of them can be compared. Bugs have none: each kernel counts them
    from elsewhere.
    """
    if name := _spare().get(number):
        return name
    rows = [row for row in table().by_number.get(number, ()) if not row.name.startswith(BUG)]
    if rows and _is_hardware(rows[0]):
        return max(rows, key=lambda row: max(row.versions)).name
    names = {row.name for row in rows if not row.versions.isdisjoint(table().settled)}
    return names.pop() if len(names) == 1 else as_number(number)


def as_number(number: int) -> str:
    """A feature by its number, `word*32+bit`."""
    word, bit = divmod(number, _BITS_OF_A_WORD)
    return f"{word}*{_BITS_OF_A_WORD}+{bit}"


def named(number: int, naming: Naming) -> tuple[str, str]:
    """What a feature is called for all kernels alike, and by the kernel of `naming`; each is its number where
    no name is sure."""
    shown, common = naming(number), anywhere(number)
    if shown is not None and shown != common and not _is_hardware_number(number):
        common = as_number(number)  # a kernel that uses the bit for something of its own
    return common, shown or as_number(number)


def of_version(version: str) -> Naming:
    """The names of a kernel of that version."""
    versions = table().around(version)
    return lambda number: table().name(number, versions)


def of_versions(first: str, last: str | None) -> Naming:
    """The names that all kernels from `first` to `last` (None: the newest) agree on."""
    versions = table().between(first, last)
    return lambda number: table().name(number, versions)


def of_stand_ins(text: str) -> Naming:
    """The names that a source of this text has for the numbers of the stand-in headers."""
    used = {match[1] for match in _MACRO.finditer(text)}
    names = {number: name for name, number in stand_in_numbers().items() if name in used}
    return lambda number: names.get(number) or anywhere(number)


def version_of(data: bytes) -> str | None:
    """The version of the kernel that a linked file or a module says it is, from its read-only data."""
    match = _BANNER.search(data)
    return (match[1] or match[2]).decode("ascii", "replace") if match else None


# -- the stand-ins


@cache
def stand_in_numbers() -> dict[str, int]:
    """The number of each name in the stand-in header: that of the newest kernel which has the name. A name
    whose number means something else today has one that no kernel has: a source may use both."""
    return _stand_in_numbers(table())


def render_header(of: Table) -> str:
    """The text of the stand-in header."""
    numbers = sorted((number, name) for name, number in _stand_in_numbers(of).items())
    defines = "".join(f"#define {_macro(name)} {number}\n" for number, name in numbers)
    return (
        "/* CPU features: made by bench/features.py of models/x86_64/features.tsv,"
        " which names the sources. */\n"
        f"#ifndef MCVERIFY_FEATURES_H\n#define MCVERIFY_FEATURES_H\n\n{defines}\n#endif\n"
    )


def _macro(name: str) -> str:
    return f"X86_{name}" if name.startswith(BUG) else f"X86_FEATURE_{name}"


def _stand_in_numbers(of: Table) -> dict[str, int]:
    newest: dict[str, Row] = {}
    for row in sorted(of.rows, key=lambda r: max(r.versions)):
        newest[row.name] = row
    spare = count(_FIRST_SPARE)
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for row in sorted(newest.values(), key=lambda r: (r.name.startswith(BUG), -max(r.versions), r.number)):
        shared = row.number in taken and not _is_hardware(row)
        numbers[row.name] = next(spare) if shared else row.number
        taken.add(row.number)
    return numbers


@cache
def _spare() -> dict[int, str]:
    return {number: name for name, number in stand_in_numbers().items() if number >= _FIRST_SPARE}


def _is_hardware(row: Row) -> bool:
    """Whether the bit is one of the CPU, so that two names of it mean the same."""
    return _is_hardware_number(row.number) and not row.name.startswith(BUG)


def _is_hardware_number(number: int) -> bool:
    return number // _BITS_OF_A_WORD not in _LINUX_WORDS


# -- versions


def _spanned(spans: str, place: dict[str, int]) -> Iterator[int]:
    """The positions that `4.4.155..5.5,6.1` means."""
    for span in spans.split(","):
        first, _, last = span.partition("..")
        yield from range(place[first], place[last or first] + 1)


def _age(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[-+~]", version)[0]))

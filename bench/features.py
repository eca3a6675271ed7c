"""Make models/x86_64/features.tsv and the stand-in header of features from the headers of kernels.

    python bench/features.py VERSION=FILE ...

Each FILE is a cpufeature(s).h of x86-64. Only names and numbers are taken: facts about the kernels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mcverify.image.features import BUG, HEADER, Table, render_header

ROOT = Path(__file__).resolve().parents[1]
_WORDS = re.compile(r"define\s+NCAPINTS\s+(\d+)")
_LINE = re.compile(
    r"^\s*#\s*define\s+X86_(?P<kind>FEATURE|BUG)_(?P<name>\w+)\s+"
    r"(?:X86_BUG)?\(\s*(?:(?P<word>\d+)\s*\*\s*32\s*\+)?\s*(?P<bit>\d+)\s*\)",
    re.M,
)
_HEAD = """\
# CPU features by number: names and numbers of arch/x86/include/asm/cpufeatures.h (cpufeature.h before 4.4;
# include/asm-x86*/ before 2.6.28) of these kernels, bugs as BUG_x at the numbers that they have there. Made
# by bench/features.py; of the headers nothing but names and numbers is here.
# versions: {versions}
# `in` are the kernels of that list which have the name at that number, first..last for several in a row.
"""


def numbers(text: str) -> dict[str, int]:
    """Names in a header with their numbers, 32 * word + bit; those of bugs begin with BUG_."""
    found = _WORDS.search(text)
    behind = int(found[1]) * 32 if found else 0  # bugs are counted from the word behind the features
    result: dict[str, int] = {}
    for match in _LINE.finditer(text):
        bug = match["kind"] == "BUG"
        number = int(match["word"] or 0) * 32 + int(match["bit"]) + (behind if bug else 0)
        result[f"{BUG if bug else ''}{match['name']}"] = number
    return result


def age(version: str) -> list[int]:
    """What versions are sorted by."""
    return [int(n) for n in re.findall(r"\d+", version.partition("-")[0])]


def spans(versions: list[str], there: Iterable[str]) -> str:
    """Which of `versions` are in `there`, as first-last for several in a row, with commas between."""
    found: list[list[str]] = []
    last = -2
    for index, version in enumerate(versions):
        if version in there:
            if index == last + 1:
                found[-1][1:] = [version]
            else:
                found.append([version])
            last = index
    return ",".join("..".join(span) for span in found)


def table(headers: Mapping[str, str]) -> str:
    """The text of models/x86_64/features.tsv for the texts of headers by version."""
    versions = sorted(headers, key=age)
    by_row: dict[tuple[int, str], list[str]] = {}
    for version in versions:
        for name, number in numbers(headers[version]).items():
            by_row.setdefault((number, name), []).append(version)
    rows = [
        f"{number // 32}\t{number % 32}\t{name}\t{spans(versions, there)}"
        for (number, name), there in sorted(by_row.items())
    ]
    return _HEAD.format(versions=" ".join(versions)) + "\n".join(["word\tbit\tname\tin", *rows, ""])


def main() -> None:
    """Write both files."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    text = table({version: Path(file).read_text(errors="replace") for version, file in given.items()})
    (ROOT / "models/x86_64/features.tsv").write_text(text)
    HEADER.write_text(render_header(Table.read(text)))


if __name__ == "__main__":
    main()

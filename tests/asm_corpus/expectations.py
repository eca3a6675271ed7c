"""What the files under asm/ and proofs/ say of the routines."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.variants import Variant, variants

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "asm").glob("*.S"))
_EXPECTATION = re.compile(
    r"(?:(?P<routine>\w+(?: \[[\w!,]+\])?): )?"
    r"(?:proved|refuted (?P<obligation>O([1-9]|10)) at (?P<exit>success|\*|\.L\w+|\w+_handle_tail))"
)


@dataclass(frozen=True)
class Stated:
    """What a file's comments say of one of its routines, in one variant."""

    contract: str
    faults: str | None
    broken: frozenset[tuple[str, str]]


@cache
def image(path: Path) -> Image:
    return load(path)


def stated(path: Path) -> dict[str, Stated]:
    """What the comments of the file say, by routine and variant as a result's title has them."""
    named = [(s.name, titled(s.name, v.name)) for s in image(path).functions for v in of(path, s.address)]
    return {
        title: Stated(_contract(path, name), _faults(path), _broken(path, name, title))
        for name, title in named
    }


def of(path: Path, entry: int) -> tuple[Variant, ...]:
    return variants(image(path), entry)


def titled(name: str, variant: str) -> str:
    return f"{name} [{variant}]" if variant else name


def _values(path: Path, key: str) -> list[str]:
    return [a.value for a in image(path).annotations if a.key == key]


def _contract(path: Path, routine: str) -> str:
    said = [value.partition(" for ") for value in _values(path, "contract")]
    named = [contract for contract, _, whose in said if whose in ("", routine)]
    assert len(named) == 1, f"{path}: contracts of {routine}: {named}"
    return named[0]


def _faults(path: Path) -> str | None:
    return next(iter(_values(path, "faults")), None)


def _broken(path: Path, routine: str, title: str) -> frozenset[tuple[str, str]]:
    found = [_EXPECTATION.fullmatch(value) for value in _values(path, "expect")]
    assert all(found), f"{path}: an expectation is not understood"
    ours = [m for m in found if m and m["routine"] in (None, routine, title)]
    assert ours, f"{path}: nothing is expected of {title}"
    broken = frozenset((m["obligation"], m["exit"]) for m in ours if m["obligation"])
    assert len(broken) in (0, len(ours)), f"{path}: {title} is proved and refuted, or a line stands twice"
    return broken


def claims(path: Path) -> dict[str, dict[str, Any]]:
    """What proofs/ says of the routines of a file under asm/, by routine and variant as a result's title."""
    with (ROOT / "proofs" / f"{path.stem}.toml").open("rb") as file:
        document = tomllib.load(file)
    assert document["file"] == f"asm/{path.name}"
    return {titled(r["name"], r.get("variant", "")): r for r in document["routine"]}


def one_each() -> dict[str, dict[str, str]]:
    """proofs/ONE_EACH.toml: for each obligation the file, routine and exit that break it alone."""
    with (ROOT / "proofs/ONE_EACH.toml").open("rb") as file:
        return tomllib.load(file)

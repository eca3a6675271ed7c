"""Results said anew: with other names of places, and addresses that have moved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from mcverify.proof.result import ListingLine, RoutineResult

_T = TypeVar("_T")
_ADDRESSES = frozenset({"entry", "address", "fixup", "insn", "rip"})
"""Fields of results that hold an address of code."""


def with_words(value: _T, words: Callable[[str], str]) -> _T:
    """`value`, a result or a part of one, with every string in it as `words` makes it."""
    mapped: _T = _mapped(value, words, lambda address: address)
    return mapped


def moved(
    result: RoutineResult, lines: Sequence[ListingLine], file: str, sha256: str
) -> RoutineResult | None:
    """`result` of code that stands, byte for byte, where `lines` are now: under other labels, at other lines
    or addresses. None where a name of then could mean several of now.
    """
    if [line.code for line in result.listing] != [line.code for line in lines]:
        return None
    pairs = list(zip(result.listing, lines, strict=True))
    names = _renamed(pairs)
    if names is None:
        return None
    addresses = {old.address: new.address for old, new in pairs}
    there: RoutineResult = _mapped(result, _replacing(names), lambda address: addresses.get(address, address))
    return replace(there, listing=tuple(lines), file=file, sha256=sha256)


def _renamed(pairs: Sequence[tuple[ListingLine, ListingLine]]) -> dict[str, str] | None:
    """What each label and place of then is called now, None if that is not clear both ways. What had no label
    goes on by its place, also where it has one now."""
    names: dict[str, str] = {}
    for old, new in pairs:
        for was, now in ((old.label, new.label or new.where), (old.where, new.where)):
            if was and names.setdefault(was, now) != now:
                return None
    unlabelled = {new.where for old, new in pairs if old.label and not new.label}
    places = {old.where for old, _ in pairs}
    named = [now for was, now in names.items() if was in places or now not in unlabelled]
    return names if len(set(named)) == len(named) else None


def _replacing(names: Mapping[str, str]) -> Callable[[str], str]:
    """Puts the new names in place of the old ones, all at once, where they stand as whole words."""
    changed = {was: now for was, now in names.items() if was != now}
    if not changed:
        return lambda text: text
    words = "|".join(re.escape(word) for word in sorted(changed, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w./$-])(?:{words})(?![\w$])")
    return lambda text: pattern.sub(lambda found: changed[found.group()], text)


def _mapped(value: Any, words: Callable[[str], str], address: Callable[[int], int]) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return words(value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in fields(value):
            was = getattr(value, field.name)
            is_address = field.name in _ADDRESSES and isinstance(was, int)
            now = address(was) if is_address else _mapped(was, words, address)
            if now is not was:
                changed[field.name] = now
        return replace(value, **changed) if changed else value
    if isinstance(value, tuple):
        return tuple(_mapped(item, words, address) for item in value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, words, address) for key, item in value.items()}
    return value

"""The variants of a routine: what the boot code makes of it on CPUs with different features."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcverify.arch.decoded import Decoded
from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.image import Alternative, Image, TableEntry
from mcverify.image.patch import patched
from mcverify.proof.focus import focused
from mcverify.runs.code import decode, reachable

_MOST = 64
"""Variants of one routine."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A routine on the CPUs that have, and lack, `features`; `image` holds the code that runs there.

    `name` is "" where no feature matters, else such as "ERMS,!FSRM"; `alternatives` are the numbers of those
    that were written to the code as it was before, in `origin`.
    """

    name: str
    features: Mapping[str, bool]
    image: Image
    origin: Image
    alternatives: tuple[int, ...] = ()


def variants(image: Image, entry: int) -> tuple[Variant, ...]:
    """What runs at `entry`, for each combination of features that selects different code there.

    Of a whole kernel, or a module, each has the part that the routine needs (:func:`focused`). A feature is
    asked for where the code needs it first, so that one which cannot matter is not named.
    Raises InputError where there are too many, or alternatives within alternatives.
    """
    image = focused(image, entry)
    found: list[Variant] = []
    waiting: list[dict[str, bool]] = [{}]
    while waiting:
        features = waiting.pop()
        settled = _settled(image, entry, features)
        if isinstance(settled, str):
            waiting += [{**features, settled: has} for has in (False, True)]
        else:
            found.append(_variant(image, features, settled))
        if len(found) + len(waiting) > _MOST:
            raise InputError(
                f"alternatives choose among more than {_MOST} variants of this routine",
                where=image.where(entry),
            )
    return tuple(found)


# -- what is chosen


def _settled(image: Image, entry: int, features: Mapping[str, bool]) -> list[Alternative] | str:
    """The alternatives that are written in what `features` make of the routine, or the feature that must be
    known before more of it can be followed."""
    settled: set[int] = set()
    taken: list[Alternative] = []
    while True:
        now = patched(image, taken)
        touched = _first_touched(now, entry, settled)
        if not touched:
            return taken
        unknown = _unknown_feature(touched, features)
        if unknown is not None:
            return unknown
        chosen = [a for a in touched if not a.computed and _applies(a, features)]
        _refuse_nested(image, chosen)
        taken += chosen
        settled.update(a.index for a in touched)


def _first_touched(image: Image, entry: int, settled: Container[int]) -> list[Alternative]:
    """The alternatives, in the order of their table, at the lowest address that can be reached without
    passing through the site of one that is not `settled`."""

    def touching(instruction: Decoded) -> list[Alternative]:
        found = image.alternatives_between(instruction.address, instruction.end)
        return [a for a in found if a.index not in settled]

    reached = reachable(image, entry, until=lambda instruction: bool(touching(instruction)))
    return next((found for _, i in sorted(reached.items()) if (found := touching(i))), [])


def _unknown_feature(touched: Sequence[Alternative], features: Mapping[str, bool]) -> str | None:
    """The first feature to be asked for, None if all is known.

    What a later alternative overwrites does not matter.
    """
    written: list[range] = []
    for alternative in reversed(touched):
        if any(r.start <= alternative.site and alternative.end <= r.stop for r in written):
            continue
        if alternative.feature not in features and alternative.feature != _always():
            return alternative.feature
        if _applies(alternative, features) and not alternative.computed:
            written.append(range(alternative.site, alternative.end))
    return None


def _applies(alternative: Alternative, features: Mapping[str, bool]) -> bool:
    """Whether the boot code writes the alternative; one whose feature nobody asked for is overwritten."""
    has = features.get(alternative.feature, alternative.feature == _always())
    return has != alternative.inverted


def _always() -> str:
    return str(X86_64.model("altinstructions.toml")["features"]["always"])


def _refuse_nested(image: Image, chosen: Sequence[Alternative]) -> None:
    for outer in (alternative for alternative in chosen if not alternative.constant):
        for inner in image.alternatives_between(outer.origin, outer.origin + len(outer.replacement)):
            raise InputError(
                f"alternative {inner.index} is about the replacement of alternative {outer.index}:"
                " alternatives within alternatives are not supported",
                where=image.where(outer.site),
            )


# -- what becomes of it


def _variant(image: Image, features: Mapping[str, bool], taken: Sequence[Alternative]) -> Variant:
    names = {a.feature: a.shown or a.feature for a in image.alternatives}
    shown = {names.get(feature, feature): has for feature, has in features.items()}
    name = ",".join(feature if has else f"!{feature}" for feature, has in shown.items())
    now = patched(image, taken)
    notes = (*image.notes, _sentence(shown)) if features else image.notes
    there = replace(now, entries=tuple(_of_use(image, now)), notes=notes)
    return Variant(name, features, there, image, tuple(sorted(a.index for a in taken)))


def _sentence(features: Mapping[str, bool]) -> str:
    has = [name for name, there in features.items() if there]
    lacks = [name for name, there in features.items() if not there]
    parts = [f"has {' and '.join(has)}" if has else "", f"lacks {' and '.join(lacks)}" if lacks else ""]
    return f"the CPU {', '.join(filter(None, parts))}"


def _of_use(image: Image, now: Image) -> Iterator[TableEntry]:
    """The table entries without those for an instruction of another body of their site."""
    for entry in image.entries:
        sites = image.alternatives_between(entry.insn, entry.insn + 1)
        if not sites or entry.insn in _begins(now, sites) or not _is_for_one(image, entry, sites):
            yield entry


def _is_for_one(image: Image, entry: TableEntry, sites: Sequence[Alternative]) -> bool:
    """Whether some body of a site has an instruction where the entry is."""
    return any(
        entry.insn in _begins(patched(image, chosen), sites) for chosen in ((), *((a,) for a in sites))
    )


def _begins(image: Image, sites: Sequence[Alternative]) -> set[int]:
    """Where instructions begin at the sites."""
    found: set[int] = set()
    for site in sites:
        address = site.site
        while address < site.end and (instruction := decode(image, address)) is not None:
            found.add(address)
            address = instruction.end
    return found

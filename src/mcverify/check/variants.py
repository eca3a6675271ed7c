"""The code that a proof is about: the object with the alternatives of its variant; whether one is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from mcverify.check.code import decode
from mcverify.check.manifest import Manifest, Routine
from mcverify.errors import InputError
from mcverify.image.image import Alternative, Image
from mcverify.image.patch import patched


def variant_image(image: Image, routine: Routine) -> Image:
    """The image of a routine's variant. Raises InputError where its features do not choose its
    alternatives."""
    by_index = {a.index: a for a in image.alternatives}
    if len(set(routine.alternatives)) != len(routine.alternatives):
        raise InputError("an alternative is told twice", where=routine.title)
    unknown = [number for number in routine.alternatives if number not in by_index]
    if unknown:
        raise InputError(f"the object has no alternative {unknown[0]}", where=routine.title)
    now = patched(image, [by_index[number] for number in routine.alternatives])
    for alternative in _touched(image, now, routine):
        wanted = not alternative.computed and _applies(image, alternative, routine)
        if wanted != (alternative.index in routine.alternatives):
            sentence = "is not the one that its features choose"
            raise InputError(f"alternative {alternative.index} of {routine.title} {sentence}")
    return now


def _applies(image: Image, alternative: Alternative, routine: Routine) -> bool:
    """Whether the boot code writes an alternative. Raises InputError where the features do not say."""
    always = alternative.feature == str(
        image.architecture.model("altinstructions.toml")["features"]["always"]
    )
    if not always and alternative.feature not in routine.features:
        raise InputError(
            f"alternative {alternative.index} hangs on {alternative.feature}, which the bundle does not name",
            where=routine.title,
        )
    return routine.features.get(alternative.feature, always) != alternative.inverted


def _touched(image: Image, now: Image, routine: Routine) -> Iterator[Alternative]:
    """The alternatives over whose sites the paths lead, but for those that a later one overwrites."""
    sites: dict[int, Alternative] = {}
    for address in sorted({step.at for path in routine.paths for step in path.steps}):
        instruction = decode(now.code_at(address), address)
        end = instruction.end if instruction is not None else address + 1
        sites |= {a.index: a for a in image.alternatives_between(address, end)}
    written: list[range] = []
    for index in sorted(sites, reverse=True):
        alternative = sites[index]
        if any(r.start <= alternative.site and alternative.end <= r.stop for r in written):
            continue
        yield alternative
        if index in routine.alternatives:
            written.append(range(alternative.site, alternative.end))


def uncovered(manifest: Manifest) -> Iterator[str]:
    """Routines whose variants do not make up all CPUs: each feature that one asks for there and not there.
    Files that were linked together may each have a local one of one name."""
    variants: dict[tuple[str, str, int], list[dict[str, bool]]] = defaultdict(list)
    for proof in manifest.proofs:
        routine = proof.routine
        variants[routine.name, proof.code, routine.entry].append(routine.features)
    for (name, _, _), found in variants.items():
        share = sum(Fraction(1, 1 << len(features)) for features in found)
        apart = all(
            any(a.get(f, there) != there for f, there in b.items()) for a, b in combinations(found, 2)
        )
        if share != 1 or not apart:
            yield f"the variants of {name} are not those of all CPUs"


__all__ = ["uncovered", "variant_image"]

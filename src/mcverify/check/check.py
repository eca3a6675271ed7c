"""Checks a bundle: nothing of it has changed, no way and no obligation is missing, other solvers agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mcverify.check.bundle import Bundle, read_bundle, stated, strangers
from mcverify.check.manifest import Proof
from mcverify.check.solvers import Reply, Said, ask_all
from mcverify.check.statement import Obligation
from mcverify.check.variants import uncovered, variant_image
from mcverify.check.walk import gaps
from mcverify.errors import InputError
from mcverify.image.cut import differences, read_cut
from mcverify.image.image import Image
from mcverify.image.load import load


class Standing(StrEnum):
    """What the solvers make of one obligation together."""

    HOLDS = "holds"
    OPEN = "open"
    FAILS = "fails"
    DISPUTED = "disputed"


@dataclass(frozen=True)
class Checked:
    """One obligation of a proof with what each solver said of it."""

    proof: Proof
    obligation: Obligation
    replies: dict[str, Reply]

    @property
    def standing(self) -> Standing:
        """DISPUTED where two solvers contradict each other, HOLDS where one at least proves it."""
        said = {reply.said for reply in self.replies.values()}
        if Said.SAT in said:
            return Standing.DISPUTED if Said.UNSAT in said else Standing.FAILS
        return Standing.HOLDS if Said.UNSAT in said else Standing.OPEN

    @property
    def file(self) -> str:
        """Its file in the bundle."""
        return f"{self.proof.folder}/{self.obligation.name}.smt2"


def complete(folder: Path) -> tuple[Bundle, list[tuple[Proof, Obligation]]]:
    """The bundle in `folder` with its obligations, when all is there.

    Raises InputError where a file was changed or is missing, a path is not listed that the object has, or an
    obligation is not listed that a path needs.
    """
    bundle = read_bundle(folder)
    for stranger in strangers(bundle):
        raise InputError("no proof of the manifest lists it", where=str(folder / stranger))
    if not bundle.manifest.proofs:
        raise InputError("it has no proof", where=str(folder / "manifest.json"))
    for says in uncovered(bundle.manifest):
        raise InputError(says, where=str(folder / "manifest.json"))
    found = []
    images: dict[str, Image] = {}
    for proof in bundle.manifest.proofs:
        name = proof.code or bundle.manifest.object
        if name not in images:
            images[name] = _image(bundle, name)
        for gap in gaps(proof.routine, variant_image(images[name], proof.routine)):
            raise InputError(f"the proof is not complete: {gap.says}", where=str(folder))
        found += [(proof, obligation) for obligation in stated(bundle, proof)]
    return bundle, found


def _image(bundle: Bundle, name: str) -> Image:
    """The object of a bundle, or the code that was cut out for one routine."""
    path = bundle.folder / name
    if not name or name not in bundle.files:
        raise InputError("the bundle lacks the object", where=str(path))
    return load(path) if name == bundle.manifest.object else read_cut(bundle.files[name], path)


def compare(bundle: Bundle, file: Path, system_map: Path | None = None) -> None:
    """Raise InputError where the code in a bundle is not what the whole `file` has there: the linked kernel
    or the module that was proved."""
    whole = load(file, system_map=system_map)
    if whole.sha256 != bundle.manifest.sha256:
        raise InputError(f"it is not the file that {bundle.folder} is about", where=str(file))
    for name in sorted({proof.code for proof in bundle.manifest.proofs}):
        if not name:
            raise InputError("the bundle holds the whole object", where=str(bundle.folder))
        for says in differences(_image(bundle, name), whole):
            raise InputError(f"it is not as in {file}: {says}", where=str(bundle.folder / name))


def checked(
    found: Sequence[tuple[Proof, Obligation]], limit: float, jobs: int, progress: Callable[[int], None]
) -> Iterator[Checked]:
    """What the solvers say of each obligation, in order; each has `limit` seconds for each."""
    replies = ask_all([obligation.text for _, obligation in found], limit, jobs, progress)
    for (proof, obligation), said in zip(found, replies, strict=True):
        yield Checked(proof, obligation, said)

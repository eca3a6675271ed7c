"""Checks a bundle: nothing of it has changed, no way and no obligation is missing, other solvers agree."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from mcverify.check.bench import Differs
from mcverify.check.bundle import CODE, MANIFEST, OBJECT, Bundle, read_bundle, stated, strangers
from mcverify.check.manifest import Proof
from mcverify.check.question import Asked, Question, asked_of, sentences
from mcverify.check.solvers import Reply, Said, ask_all
from mcverify.check.statement import WHY, Obligation
from mcverify.check.trial import Tried, trial
from mcverify.check.variants import uncovered, variant_image
from mcverify.check.walk import gaps
from mcverify.errors import InputError
from mcverify.image.cut import differences, read_cut
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.layouts import Layout

_ELF = b"\x7fELF"
_NOTHING = Asked()


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


@dataclass(frozen=True)
class Stated:
    """One proof: the code that it is about, the question that it answers, what it takes for granted, the
    states in which its terms were held against the code, and the obligations."""

    proof: Proof
    image: Image
    question: Question
    assumed: tuple[str, ...]
    tried: Tried
    obligations: tuple[Obligation, ...]


@dataclass(frozen=True)
class Complete:
    """A bundle in which nothing is missing."""

    bundle: Bundle
    proofs: tuple[Stated, ...]

    @property
    def obligations(self) -> list[tuple[Proof, Obligation]]:
        """Those of all proofs, in their order."""
        return [(each.proof, obligation) for each in self.proofs for obligation in each.obligations]


def complete(folder: Path, asked: Asked = _NOTHING, seed: str | None = None) -> Complete:
    """The bundle in `folder`, when all is there that `asked` wants to be proved. `seed` chooses the states in
    which its terms are tried; None: others each time.

    Raises InputError where a file was changed or is missing, a path is not listed that the object has, an
    obligation is not listed that a path needs, a term is not what the code does, or less is proved than is
    asked.
    """
    return completed(read_bundle(folder), asked, seed)


def completed(bundle: Bundle, asked: Asked = _NOTHING, seed: str | None = None) -> Complete:
    """As :func:`complete`, for a bundle that was read."""
    folder = bundle.folder
    where = str(folder / MANIFEST)
    for stranger in strangers(bundle):
        raise InputError("no proof of the manifest lists it", where=str(folder / stranger))
    if not bundle.manifest.proofs:
        raise InputError("it has no proof", where=where)
    if bundle.manifest.why != WHY:
        raise InputError("it says something else of why its obligations suffice", where=where)
    for says in uncovered(bundle.manifest):
        raise InputError(says, where=where)
    found = []
    images: dict[str, Image] = {}
    for proof in bundle.manifest.proofs:
        name = proof.code or bundle.manifest.object
        if name not in images:
            images[name] = _image(bundle, name, asked.table)
        image = variant_image(images[name], proof.routine)
        question = asked_of(proof.routine, image, asked, where)
        own = stated(bundle, proof, question)
        for gap in gaps(proof.routine, question, image):
            raise InputError(f"the proof is not complete: {gap.says}", where=str(folder))
        assumed = tuple(sentences(proof.routine, question, image))
        tried = _tried(proof, question, image, seed, where)
        found.append(Stated(proof, image, question, assumed, tried, tuple(own)))
    return Complete(bundle, tuple(found))


def _tried(proof: Proof, question: Question, image: Image, seed: str | None, where: str) -> Tried:
    """The states in which the terms of a proof were tried. Raises InputError where they are not what the code
    does."""
    chosen = seed or secrets.token_hex(4)
    try:
        return trial(proof.routine, question, image, chosen)
    except Differs as error:
        hint = f"--seed {chosen} tries the same states"
        sentence = f"its terms are not what the code does: {error}"
        raise InputError(sentence, where=where, hint=hint) from error


def _image(bundle: Bundle, name: str, table: Sequence[Layout] = ()) -> Image:
    """The object of a bundle, its exception table read by one of these layouts; or the code that was cut out
    for one routine."""
    path = bundle.folder / name
    if not name or name not in bundle.files:
        raise InputError("the bundle lacks the object", where=str(path))
    if name == OBJECT:
        if not bundle.files[name].startswith(_ELF):
            raise InputError("it is no ELF file", where=str(path))
        return load(path, table=table)
    if PurePosixPath(name).name != CODE:
        raise InputError("the bundle has no object of that name", where=str(path))
    return read_cut(bundle.files[name], path)


def compare(bundle: Bundle, file: Path, system_map: Path | None = None, table: Sequence[Layout] = ()) -> None:
    """Raise InputError where the code in a bundle is not what the whole `file` has there: the linked kernel
    or the module that was proved."""
    whole = load(file, system_map=system_map, table=table)
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

"""A proof bundle as files: read, and held against its own sums and its own manifest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mcverify.check.answers import require_answers
from mcverify.check.manifest import Manifest, Proof, Routine, decoded
from mcverify.check.statement import Inconsistent, Obligation, obligations
from mcverify.errors import InputError

MANIFEST, OBJECT, SUMS = "manifest.json", "object.o", "SHA256SUMS"
CODE = "code.json"
"""The code of a routine in its folder, where there is no object."""

_HINT = "give the folder of --proof DIR"
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>[^\0]+)")


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle by name, relative to `folder`, and its manifest."""

    folder: Path
    files: Mapping[str, bytes]
    manifest: Manifest


def folder_of(routine: Routine) -> str:
    """The folder of a routine's obligations."""
    return plain(routine.title.replace(" [", "-").rstrip("]"))


def plain(name: str) -> str:
    """The name without what does not belong into that of a file."""
    return re.sub(r"[^A-Za-z0-9_.,!+-]+", "_", name).lstrip(".") or "_"


def bundles_in(folder: Path) -> list[Path]:
    """The folder itself if it is a bundle, else those within that are, by name."""
    if (folder / SUMS).exists() or not folder.is_dir():
        return [folder]
    return sorted(path for path in folder.iterdir() if (path / SUMS).exists()) or [folder]


def read_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, with every file as it was written.

    Raises InputError, with the file, where one is missing, has been changed or does not belong there.
    """
    if not folder.is_dir():
        what = "it is no folder" if folder.exists() else "there is no such folder"
        raise InputError(what, where=str(folder), hint=_HINT)
    if not (folder / SUMS).exists():
        raise InputError(f"it is no bundle: it has no {SUMS}", where=str(folder), hint=_HINT)
    sums = _sums(folder)
    files = {name: _read(folder / name) for name in sums}
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    for name in sorted(present - {*sums, SUMS}):
        raise InputError(f"it is not among those of {SUMS}", where=str(folder / name))
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != sums[name]:
            raise InputError(
                f"it is not as it was written: {SUMS} has another digest", where=str(folder / name)
            )
    where = str(folder / MANIFEST)
    if MANIFEST not in files:
        raise InputError("the bundle has no manifest", where=where)
    try:
        return Bundle(folder, files, decoded(files[MANIFEST]))
    except ValueError as error:
        raise InputError(f"it is no manifest of a proof: {error}", where=where) from error


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    found: dict[str, str] = {}
    try:
        lines = _read(path).decode().splitlines()
    except UnicodeDecodeError:
        raise InputError("it is no list of digests", where=str(path)) from None
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        name = match["name"] if match else ""
        if match is None or ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise InputError("it is no digest with a file of the bundle", where=f"{path}:{number}")
        found[name] = match["sum"]
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError("the bundle lacks this file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(path)) from error


def stated(bundle: Bundle, proof: Proof) -> list[Obligation]:
    """The obligations of a proof, as they follow from its paths, invariants and measures; each has its file.

    Raises InputError where the bundle has fewer, more or other ones, Unanswered where nothing states what the
    contract asks for.
    """
    where = str(bundle.folder / MANIFEST)
    try:
        needed = obligations(proof.routine)
    except (Inconsistent, KeyError) as error:
        raise InputError(f"it contradicts itself: {error}", where=where) from error
    require_answers(proof.routine, needed)
    listed = {each.file for each in proof.obligations}
    for missing in (o for o in needed if f"{o.name}.smt2" not in listed):
        raise InputError(f"the obligation {missing.name} is missing: {missing.says}", where=where)
    for extra in sorted(listed - {f"{o.name}.smt2" for o in needed}):
        raise InputError(f"it lists {extra}, which is no obligation of {proof.routine.title}", where=where)
    for obligation in needed:
        name = f"{proof.folder}/{obligation.name}.smt2"
        if name not in bundle.files:
            raise InputError("the bundle lacks this file", where=str(bundle.folder / name))
        if bundle.files[name] != obligation.text.encode():
            raise InputError(
                "it does not say what follows from the manifest", where=str(bundle.folder / name)
            )
    return needed


def strangers(bundle: Bundle) -> Iterator[str]:
    """Files of the bundle that no proof of it lists."""
    known = {MANIFEST, bundle.manifest.object} | {p.code for p in bundle.manifest.proofs}
    known |= {f"{p.folder}/{o.file}" for p in bundle.manifest.proofs for o in p.obligations}
    yield from sorted(set(bundle.files) - known)

"""A proof bundle as files: read, and held against its own sums and its own manifest."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mcverify.check.answers import require_answers
from mcverify.check.manifest import Listed, Manifest, Proof, Routine, decoded
from mcverify.check.question import Question
from mcverify.check.statement import Inconsistent, Obligation, statements
from mcverify.errors import InputError

MANIFEST, OBJECT, SUMS = "manifest.json", "object.o", "SHA256SUMS"
CODE = "code.json"
"""The code of a routine in its folder, where there is no object."""

LARGEST = 1 << 30
"""Bytes of a bundle, at most."""

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
    try:
        return sorted(path for path in folder.iterdir() if (path / SUMS).exists()) or [folder]
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(folder)) from error


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
    for name in _others(folder, {*sums, SUMS}):
        raise InputError(f"it is not among those of {SUMS}", where=str(folder / name))
    files: dict[str, bytes] = {}
    left = LARGEST
    for name in sums:
        files[name] = _read(folder / name, left)
        left -= len(files[name])
        if hashlib.sha256(files[name]).hexdigest() != sums[name]:
            raise InputError(
                f"it is not as it was written: {SUMS} has another digest", where=str(folder / name)
            )
    where = str(folder / MANIFEST)
    if MANIFEST not in files:
        raise InputError("the bundle has no manifest", where=where)
    try:
        return Bundle(folder, files, decoded(files[MANIFEST]))
    except ValueError as error:
        raise InputError(f"it is no manifest of a proof: {_short(str(error))}", where=where) from error


def _short(text: str) -> str:
    """A sentence that may hold what others wrote: on one line, and not too long."""
    plain_ = "".join(c if c.isprintable() else "?" for c in text)
    return plain_ if len(plain_) <= 300 else f"{plain_[:300]}..."


def _others(folder: Path, known: set[str]) -> Iterator[str]:
    """What lies in the folder beside the files that are known. Folders of which none is known are not looked
    into, nor is what a link leads to."""
    inside = {parent.as_posix() for name in known for parent in PurePosixPath(name).parents}
    waiting = [""]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(folder / here) as entries:
                for entry in entries:
                    name = f"{here}/{entry.name}" if here else entry.name
                    if entry.is_dir(follow_symlinks=False) and name in inside:
                        waiting.append(name)
                    elif name not in known:
                        yield name
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}", where=str(folder / here)) from error


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    found: dict[str, str] = {}
    try:
        lines = _read(path, LARGEST).decode().splitlines()
    except UnicodeDecodeError:
        raise InputError("it is no list of digests", where=str(path)) from None
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        name = match["name"] if match else ""
        parts = PurePosixPath(name).parts
        if match is None or len(parts) > 2 or ".." in parts or name.startswith("/") or name in found:
            raise InputError("it is no digest with a file of the bundle", where=f"{path}:{number}")
        found[name] = match["sum"]
    return found


def _read(path: Path, most: int) -> bytes:
    """The content of a regular file of `most` bytes at most: nothing that one could wait at for ever."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise InputError("it is no regular file", where=str(path))
            content = file.read(most + 1)
    except FileNotFoundError:
        raise InputError("the bundle lacks this file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    except ValueError:
        raise InputError("there is no file of that name", where=str(path.parent)) from None
    if len(content) > most:
        raise InputError(f"the bundle has more than {LARGEST} bytes", where=str(path))
    return content


def stated(bundle: Bundle, proof: Proof, question: Question) -> list[Obligation]:
    """The obligations of a proof, as they follow from the question, its paths, invariants and measures; each
    has its file.

    Raises InputError where the bundle has fewer, more or other ones, Unanswered where nothing states what the
    contract asks for.
    """
    where = str(bundle.folder / MANIFEST)
    listed = {each.file: each for each in proof.obligations}
    if len(listed) != len(proof.obligations):
        raise InputError(f"it lists an obligation of {proof.routine.title} twice", where=where)
    found: dict[bytes, Obligation] = {}
    try:
        for obligation in statements(proof.routine, question):
            digest = hashlib.sha256(obligation.text.encode()).digest()
            if digest not in found:
                _compare(bundle, proof, obligation, listed)
            first = found.setdefault(digest, obligation)
            found[digest] = replace(first, of=first.of | obligation.of)
    except Inconsistent as error:
        raise InputError(f"it contradicts itself: {_short(str(error))}", where=where) from error
    needed = list(found.values())
    require_answers(proof.routine, question.contract, needed)
    for extra in sorted(listed.keys() - {f"{o.name}.smt2" for o in needed}):
        raise InputError(f"it lists {extra}, which is no obligation of {proof.routine.title}", where=where)
    return needed


def _compare(bundle: Bundle, proof: Proof, obligation: Obligation, listed: Mapping[str, Listed]) -> None:
    """Raise InputError unless an obligation is listed as what it is, and its file says it."""
    where, file = str(bundle.folder / MANIFEST), f"{obligation.name}.smt2"
    if file not in listed:
        raise InputError(f"the obligation {obligation.name} is missing: {obligation.says}", where=where)
    if (listed[file].kind, listed[file].says) != (obligation.kind, obligation.says):
        raise InputError(f"it calls {file} something else than what it is", where=where)
    name = f"{proof.folder}/{file}"
    if name not in bundle.files:
        raise InputError("the bundle lacks this file", where=str(bundle.folder / name))
    if bundle.files[name] != obligation.text.encode():
        raise InputError("it does not say what follows from the manifest", where=str(bundle.folder / name))


def strangers(bundle: Bundle) -> Iterator[str]:
    """Files of the bundle that no proof of it lists."""
    known = {MANIFEST, bundle.manifest.object} | {p.code for p in bundle.manifest.proofs}
    known |= {f"{p.folder}/{o.file}" for p in bundle.manifest.proofs for o in p.obligations}
    yield from sorted(set(bundle.files) - known)

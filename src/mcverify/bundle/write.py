"""Writes a proof bundle: a folder that others can check (docs/bundle.md)."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from mcverify import __version__
from mcverify.check.bundle import MANIFEST, OBJECT, SUMS, folder_of
from mcverify.check.manifest import FORMAT, Listed, Manifest, Proof, Routine, encoded
from mcverify.check.statement import WHY, obligations
from mcverify.errors import InputError

_TOOLS = ("angr", "capstone", "claripy", "pyvex", "z3-solver")


def refuse_unwritable(folder: Path) -> None:
    """Raise InputError where a bundle cannot be written to `folder`: it must be new, or an empty folder."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise InputError("it is there already", where=str(folder), hint="--proof wants a new or empty folder")
    if not folder.absolute().parent.is_dir():
        raise InputError("there is no such folder to write it into", where=str(folder.absolute().parent))


def write_bundle(
    folder: Path, source: Path, sha256: str, object_code: bytes, routines: Sequence[Routine]
) -> None:
    """Write the proofs of `routines` to `folder`, all or nothing.

    `sha256` is the digest of the file `source` that was proved, `object_code` what it was assembled to.
    Raises InputError where the folder cannot be written.
    """
    refuse_unwritable(folder)
    files = dict(_files(source, sha256, object_code, routines))
    sums = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files))
    files[SUMS] = sums.encode()
    try:
        with tempfile.TemporaryDirectory(prefix=".mcverify-", dir=folder.absolute().parent) as scratch:
            made = Path(scratch) / "bundle"
            for name, content in files.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(content)
            if folder.exists():
                folder.rmdir()
            shutil.move(made, folder)
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror}", where=str(folder)) from error


def _files(
    source: Path, sha256: str, object_code: bytes, routines: Iterable[Routine]
) -> Iterator[tuple[str, bytes]]:
    proofs = []
    for routine in routines:
        folder = folder_of(routine)
        listed = []
        for obligation in obligations(routine):
            file = f"{obligation.name}.smt2"
            listed.append(Listed(file, obligation.kind, obligation.says))
            yield f"{folder}/{file}", obligation.text.encode()
        proofs.append(Proof(folder, routine, tuple(listed)))
    manifest = Manifest(FORMAT, _versions(), source.name, sha256, OBJECT, dict(WHY), tuple(proofs))
    yield MANIFEST, encoded(manifest)
    yield OBJECT, object_code


def _versions() -> dict[str, str]:
    return {"mcverify": __version__} | {name: metadata.version(name) for name in _TOOLS}

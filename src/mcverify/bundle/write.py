"""Writes a proof bundle: a folder that others can check (docs/bundle.md)."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import chain, count
from pathlib import Path

from mcverify import __version__
from mcverify.check.bundle import CODE, MANIFEST, OBJECT, SUMS, folder_of, plain
from mcverify.check.manifest import FORMAT, Listed, Manifest, Proof, encoded
from mcverify.check.question import of_prover
from mcverify.check.statement import WHY, obligations
from mcverify.errors import InputError
from mcverify.proof.result import Record, RoutineResult, Verdict
from mcverify.scratch import scratch_folder

_TOOLS = ("angr", "capstone", "claripy", "pyvex", "z3-solver")


def refuse_unwritable(folder: Path) -> None:
    """Raise InputError where a bundle cannot be written to `folder`: it must be new, or an empty folder."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise InputError("it is there already", where=str(folder), hint="--proof wants a new or empty folder")
    if not folder.absolute().parent.is_dir():
        raise InputError("there is no such folder to write it into", where=str(folder.absolute().parent))


@dataclass(frozen=True, slots=True)
class Proved:
    """The proofs of one file: its name, its digest, and what was written down of each routine."""

    source: Path
    sha256: str
    records: tuple[Record, ...]


def proved_of(results: Iterable[RoutineResult]) -> list[Proved]:
    """What was proved, by file, in the order of the results."""
    found: dict[tuple[str, str], list[Record]] = {}
    for result in results:
        if result.proof is not None and result.verdict is Verdict.PROVED:
            found.setdefault((result.file, result.sha256), []).append(result.proof)
    return [Proved(Path(file), sha256, tuple(records)) for (file, sha256), records in found.items()]


def write_bundles(folder: Path, proved: Sequence[Proved], *, several: bool) -> None:
    """Write proofs to `folder`, all or nothing: a bundle of one file, or where there are `several` one for
    each, in a folder with the file's name.

    Raises InputError where the folder cannot be written.
    """
    refuse_unwritable(folder)
    files: dict[str, bytes] = {}
    for each, name in zip(proved, _names(proved) if several else ("",), strict=True):
        own = dict(_files(each))
        own[SUMS] = "".join(f"{hashlib.sha256(own[n]).hexdigest()}  {n}\n" for n in sorted(own)).encode()
        files |= {f"{name}/{n}" if name else n: content for n, content in own.items()}
    try:
        with scratch_folder(".mcverify-", folder.absolute().parent) as scratch:
            made = scratch / "bundle"
            for name, content in files.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(content)
            if folder.exists():
                folder.rmdir()
            shutil.move(made, folder)
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror}", where=str(folder)) from error


def _names(proved: Iterable[Proved]) -> Iterator[str]:
    """A folder for each file: its name, with a number where another of that name came before."""
    taken: set[str] = set()
    for each in proved:
        yield _untaken(plain(each.source.name), taken)


def _untaken(name: str, taken: set[str]) -> str:
    """The name, with a number where it is among those `taken`; it is one of them then."""
    numbered = (f"{name}-{number}" for number in count(2))
    found = next(each for each in chain((name,), numbered) if each not in taken)
    taken.add(found)
    return found


def _files(proved: Proved) -> Iterator[tuple[str, bytes]]:
    proofs = []
    codes: dict[tuple[str, int], str] = {}
    taken = {MANIFEST, OBJECT, SUMS}
    objects = [record.object_code for record in proved.records if record.object_code]
    for record in proved.records:
        routine = record.routine
        folder = _untaken(folder_of(routine), taken)
        key = routine.name, routine.entry  # files that were linked together may each have one of that name
        listed = []
        for obligation in obligations(routine, of_prover(routine, record.contract)):
            file = f"{obligation.name}.smt2"
            listed.append(Listed(file, obligation.kind, obligation.says))
            yield f"{folder}/{file}", obligation.text.encode()
        if record.cut and key not in codes:  # the variants of a routine share it
            codes[key] = f"{folder}/{CODE}"
            yield codes[key], record.cut
        proofs.append(Proof(folder, routine, tuple(listed), codes.get(key, "")))
    manifest = Manifest(
        FORMAT,
        _versions(),
        proved.source.name,
        proved.sha256,
        OBJECT if objects else "",
        dict(WHY),
        tuple(proofs),
    )
    yield MANIFEST, encoded(manifest)
    if objects:
        yield OBJECT, objects[0]


def _versions() -> dict[str, str]:
    return {"mcverify": __version__} | {name: metadata.version(name) for name in _TOOLS}

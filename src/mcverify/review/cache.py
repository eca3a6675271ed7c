"""Proofs that were made before, by what they are about: the code, its table, the contract, the tools.

Each entry is a file of the user's cache folder, written aside and renamed, so that several processes may
share it; it begins with the seal of this user's mcverify for the rest (`own_files`), and is not believed
without.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from mcverify import __version__
from mcverify.contract import Contract
from mcverify.models import models_dir
from mcverify.own_files import (
    SEAL,
    cache_folder,
    is_sealed,
    private_file,
    private_folder,
    sealed,
    written_whole,
)
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import Job
from mcverify.proof.result import RoutineResult
from mcverify.review.essence import code_of
from mcverify.runner_choice import chosen

LARGEST = 128 << 20
"""Bytes that the entries may have together; the least recently used go first."""

_MAGIC = b"mcverify proof 2\n"
_TOOLS = ("angr", "pyvex", "claripy", "z3-solver", "capstone", "unicorn", "python-flint")
_OWN = ("cache.py", "essence.py", "prove.py", "reading.py", "recast.py", "revision.py")
"""What a result depends on in this room; of the others all, but for those that only show or ask."""


_CUT = ("in time", "time limit", "memory limit", "not enough memory", "interrupted")
"""Words of the reasons for what another run might decide."""


class Cache:
    """Keeps results of whole routines. A `folder` of None, or one that cannot be used, keeps nothing."""

    def __init__(self, folder: Path | None, largest: int = LARGEST) -> None:
        self._folder, self._largest = folder, largest

    @classmethod
    def of_user(cls) -> Cache:
        """The one in the user's cache folder."""
        return cls(cache_folder() / "proofs")

    def get(self, key: str) -> tuple[RoutineResult, ...] | None:
        """The results that were kept under `key`; None where there are none, or damaged or forged ones."""
        folder = None if self._folder is None else private_folder(self._folder)
        if folder is None:
            return None
        path = folder / key
        content = private_file(path, self._largest)
        if content is None:
            return None
        results = _decoded(content, key)
        with suppress(OSError):
            if results is None:
                path.unlink()
            else:
                os.utime(path)
        return results

    def put(self, key: str, results: Sequence[RoutineResult]) -> None:
        """Keep `results` under `key`, unless another run could come to more than they say. Where they cannot
        be kept they are not: that costs time, and nothing else."""
        if self._folder is None or any(is_cut_short(result) for result in results):
            return
        payload = msgspec.msgpack.encode(tuple(results))
        seal = sealed(_about(key), payload)
        folder = private_folder(self._folder)
        if seal is None or folder is None:
            return
        with suppress(OSError):
            written_whole(folder / key, _MAGIC + seal + payload)
            self._shrink(folder)

    def _shrink(self, folder: Path) -> None:
        entries = sorted(_entries(folder), reverse=True)
        total = 0
        for _, size, path in entries:
            total += size
            if total > self._largest:
                path.unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for path in folder.iterdir():
        with suppress(OSError):
            stat = path.stat()
            yield stat.st_mtime, stat.st_size, path


def _about(key: str) -> str:
    return f"proof {key}"


def _decoded(content: bytes, key: str) -> tuple[RoutineResult, ...] | None:
    seal, payload = content[len(_MAGIC) :][:SEAL], content[len(_MAGIC) + SEAL :]
    if not content.startswith(_MAGIC) or not is_sealed(_about(key), payload, seal):
        return None
    try:
        return msgspec.msgpack.decode(payload, type=tuple[RoutineResult, ...])
    except (msgspec.DecodeError, ValueError, TypeError):
        return None


def is_cut_short(result: RoutineResult) -> bool:
    """Whether time ran out somewhere, or another limit was met: on another day it may suffice."""
    reasons = (*result.unknowns, *(o.reason for o in result.obligations))
    return any(words in reason for reason in reasons for words in _CUT)


# -- what a proof is about --------------------------------------------------------------------------------


def key_of(jobs: Sequence[Job], options: ProveOptions) -> str:
    """A digest of all that the results of a routine, in all of its variants, depend on, wherever it lies,
    whatever its labels and the remarks on its file."""
    task = jobs[0].task
    about = (
        _tools(),
        chosen(),
        task.name,
        _terms(task.contract),
        options.len_max,
        options.rep_model,
        [(job.task.faults, job.variant.name, *code_of(job.variant.image, task)) for job in jobs],
    )
    return hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()


def _terms(contract: Contract | None) -> bytes:
    return b"" if contract is None else msgspec.json.encode(contract, order="deterministic")


@cache
def _tools() -> tuple[str, ...]:
    """The program as far as it makes results, to the last byte, what it rests on, and the kind of host that
    the runs are made on."""
    own = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    aside = (package / "cli", package / "report")
    for folder in (package, models_dir()):
        for path in sorted(folder.rglob("*")):
            behind = path.parent == Path(__file__).parent and path.name not in _OWN
            if path.suffix in (".py", ".c", ".h", ".toml") and path.parent not in aside and not behind:
                own.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return (__version__, own.hexdigest(), platform.machine(), *map(_version, _TOOLS))


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package

"""Findings kept from one run to the next: what neither the mutant nor the tool has changed is not examined
again, and a run that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from mutants.examine import GOOD, Fate, Finding
from mutants.operators import Mutant
from mutants.reasons import Reason
from mutants.source import ASM

_ROOT = ASM.parent
_TOOL = (
    "src/mcverify/**/*.py",
    "src/mcverify/**/*.[ch]",
    "models/**/*.toml",
    "tests/mutants/*.py",
    "proofs/*.toml",
)


class Kept:
    """A file of findings, one a line as JSON. Only good ones are taken from it: others are tried again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: Mapping[str, dict[str, object]] = (
            _read(path) if path is not None and path.exists() else {}
        )

    def finding(self, mutant: Mutant, *, blind: bool) -> Finding | None:
        """What is known of the mutant, with `blind` of its proof without runs too; None if that is too
        little."""
        known = self._known.get(_key(mutant))
        if known is None:
            return None
        found = _finding(mutant, known)
        is_blind = found.blind or found.fate is not Fate.KILLED
        return found if found.fate in GOOD and (is_blind or not blind) else None

    def add(self, finding: Finding) -> None:
        """Write the finding to the file's end."""
        if self._path is not None:
            line = json.dumps(_data(finding))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def is_ours(text: str) -> bool:
    """Whether a file that begins with `text` holds findings."""
    return text.startswith('{"key": ')


def split(
    tasks: Iterable[tuple[Mutant, bool]], kept: Kept
) -> tuple[dict[int, Finding], list[tuple[int, Mutant, bool]]]:
    """What is known of the tasks, by their number, and the tasks that are left."""
    known, left = {}, []
    for number, (mutant, blind) in enumerate(tasks):
        found = kept.finding(mutant, blind=blind)
        if found is None:
            left.append((number, mutant, blind))
        else:
            known[number] = replace(found, blind=found.blind and blind)
    return known, left


def _read(path: Path) -> dict[str, dict[str, object]]:
    """The findings by their keys; a line that was cut off is none."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            known = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[known["key"]] = known
    return found


def _data(finding: Finding) -> dict[str, object]:
    return {
        "key": _key(finding.mutant),
        "mutant": finding.mutant.name,
        "fate": finding.fate,
        "broken": finding.broken,
        "reason": finding.reason,
        "remark": finding.remark,
        "blind": finding.blind,
        "seconds": round(finding.seconds, 2),
    }


def _finding(mutant: Mutant, known: Mapping[str, object]) -> Finding:
    broken = known["broken"]
    assert isinstance(broken, Sequence)
    reason = known["reason"]
    return Finding(
        mutant=mutant,
        fate=Fate(str(known["fate"])),
        broken=tuple((str(obligation), str(exit_)) for obligation, exit_ in broken),
        reason=None if reason is None else Reason(str(reason)),
        remark=str(known["remark"]),
        blind=bool(known["blind"]),
        seconds=float(str(known["seconds"])),
    )


def _key(mutant: Mutant) -> str:
    """Of the mutant, the right routine that it is compared with, and the tool."""
    right = (ASM / f"{mutant.file}.S").read_bytes()
    parts = mutant.name.encode(), mutant.text.encode(), right, _tool()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@cache
def _tool() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _TOOL for path in _ROOT.glob(pattern)):
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.digest()

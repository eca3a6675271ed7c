"""Findings kept from one run to the next: what is the same, as are the tool and the mutant, is not examined
again, and a run that was interrupted goes on where it was.

That a run kills a mutant does not depend on the proof: such a finding outlives changes of what `kills` does
not import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mutants import examine, kills
from mutants.depends import ROOT, digest
from mutants.examine import GOOD, Fate, Finding
from mutants.operators import Mutant
from mutants.reasons import Reason
from mutants.source import ASM


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
        known = self._known.get(_whole_key(mutant))
        if known is None and not blind:
            known = self._known.get(_run_key(mutant))
        found = None if known is None else _finding(mutant, known)
        return found if found is not None and found.fate in GOOD else None

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
        "key": _key(finding),
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


def _key(finding: Finding) -> str:
    by_a_run = finding.fate is Fate.KILLED and not finding.blind
    return _run_key(finding.mutant) if by_a_run else _whole_key(finding.mutant)


def _run_key(mutant: Mutant) -> str:
    """Of the mutant, and what runs it."""
    return _hashed("run", mutant.name, mutant.text, digest(kills.__name__))


def _whole_key(mutant: Mutant) -> str:
    """Of the mutant, the right routine and what is said of that, and what examines it."""
    right = (ASM / f"{mutant.file}.S", ROOT / "proofs" / f"{mutant.file}.toml")
    known = (path.read_bytes() for path in right)
    return _hashed("all", mutant.name, mutant.text, *known, digest(examine.__name__))


def _hashed(*parts: str | bytes) -> str:
    data = (part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(b"\0".join(data)).hexdigest()

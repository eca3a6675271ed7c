"""What a proof holds by itself, whatever runs have shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcverify.proof.discharge import Finding
from mcverify.proof.result import EVERYWHERE, Row

_GROUND = frozenset((("O7", EVERYWHERE), ("O8", EVERYWHERE)))
"""The own frame and the footprint: up to an access outside, and no further, the others are proved."""


def held(findings: Sequence[Finding], unknowns: Iterable[str]) -> frozenset[Row]:
    """The obligations, with the rows of the proof, of which every goal was proved; none where something is
    open that the others rest on. That every run ends is held only where each returns to its caller."""
    open_rows = {(f.id, f.exit) for f in findings if not f.proved}
    if any(unknowns) or any(not identifier for identifier, _ in open_rows) or open_rows & _GROUND:
        return frozenset()
    if any(identifier == "O7" for identifier, _ in open_rows):
        open_rows.add(("O9", EVERYWHERE))
    return frozenset((f.id, f.exit) for f in findings if f.id) - open_rows

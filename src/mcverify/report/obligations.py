"""What the reports call the obligations."""

from __future__ import annotations

from collections.abc import Iterable

from mcverify.proof.result import ObligationResult, Verdict

NAMES = {
    "O1": "covered",
    "O2": "in range",
    "O3": "no under-report",
    "O4": "nothing beyond",
    "O5": "progress",
    "O6": "right data",
    "O7": "machine state",
    "O8": "footprint",
    "O9": "success",
    "O10": "ordered",
}
"""Names as in docs/obligations.md; an id that is not here (termination) is its own name."""

_BADNESS = {Verdict.PROVED: 0, Verdict.UNKNOWN: 1, Verdict.REFUTED: 2}


def title(identifier: str) -> str:
    """`O3 no under-report` for O3; an id without a name stays as it is."""
    return f"{identifier} {NAMES[identifier]}" if identifier in NAMES else identifier


def in_order(identifiers: Iterable[str]) -> list[str]:
    """The distinct ids, O1 to O10 first, the others behind them by name."""
    return sorted(
        set(identifiers), key=lambda i: (i not in NAMES, list(NAMES).index(i) if i in NAMES else 0, i)
    )


def worst(results: Iterable[ObligationResult]) -> Verdict | None:
    """The worst verdict among `results`: refuted, then unknown, then proved; None if there is none."""
    return max((r.verdict for r in results), key=lambda verdict: _BADNESS[verdict], default=None)

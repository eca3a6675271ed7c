"""What the reports call the obligations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mcverify.models import read_toml
from mcverify.proof.result import ObligationResult, Verdict


@dataclass(frozen=True, slots=True)
class Obligation:
    """An obligation in words: its `name`, when it `holds`, what it `cost`s the caller where it does not."""

    id: str
    name: str
    holds: str
    cost: str

    @property
    def sentence(self) -> str:
        """`O3 no over-claim: the first len - left bytes of dst have been stored`."""
        return f"{self.id} {self.name}: {self.holds}"


OBLIGATIONS = {
    identifier: Obligation(identifier, words["name"], words["holds"], words["cost"])
    for identifier, words in read_toml("obligations.toml").items()
}
"""O1 to O10, in order, from `models/obligations.toml`."""

NAMES = {identifier: obligation.name for identifier, obligation in OBLIGATIONS.items()}
"""Names by id; an id that is not here is its own name."""

_BADNESS = {Verdict.PROVED: 0, Verdict.UNKNOWN: 1, Verdict.REFUTED: 2}


def title(identifier: str) -> str:
    """`O3 no over-claim` for O3; an id without a name stays as it is."""
    return f"{identifier} {NAMES[identifier]}" if identifier in NAMES else identifier


def in_order(identifiers: Iterable[str]) -> list[str]:
    """The distinct ids, O1 to O10 first, the others behind them by name."""
    return sorted(
        set(identifiers), key=lambda i: (i not in NAMES, list(NAMES).index(i) if i in NAMES else 0, i)
    )


def worst(results: Iterable[ObligationResult]) -> Verdict | None:
    """The worst verdict among `results`: refuted, then unknown, then proved; None if there is none."""
    return max((r.verdict for r in results), key=lambda verdict: _BADNESS[verdict], default=None)

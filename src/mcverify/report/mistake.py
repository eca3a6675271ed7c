"""What runs broke, as reports for tools list it: an obligation that one mistake breaks at several exits is
one finding with several places."""

from __future__ import annotations

from dataclasses import dataclass

from mcverify.proof.result import RoutineResult
from mcverify.report.account import plain
from mcverify.report.cause import Cause, also_at, also_repaired, causes
from mcverify.report.finding import Finding, refutations
from mcverify.report.place import Place


@dataclass(frozen=True)
class Mistake:
    """One obligation at the exits where one `cause` breaks it, that of the simplest run first; None for an
    obligation without a run."""

    findings: tuple[Finding, ...]
    cause: Cause | None = None

    @property
    def first(self) -> Finding:
        """The one that is told in full."""
        return self.findings[0]

    @property
    def places(self) -> list[Place]:
        """Where to look, each place once."""
        return list(dict.fromkeys(finding.place for finding in self.findings))

    @property
    def lines(self) -> list[str]:
        """The run of the first one, and where else it shows, as lines."""
        run = self.first.run
        if run is None:
            return []
        also = []
        if self.cause is not None and len(self.findings) > 1:
            own = [r for r in self.cause.runs if any(r is f.run for f in self.findings)]
            cause = Cause(tuple(own), self.cause.idea)
            also = [f"  {label:<8}  {text}" for label, text in (*also_at(cause), *also_repaired(cause))]
        return [*plain(run, self.first.routine), *(line for text in also for line in text.split("\n"))]

    @property
    def runs(self) -> int:
        """How many runs failed for this reason."""
        return sum(1 + f.run.others for f in self.findings if f.run is not None)


def mistakes(result: RoutineResult) -> list[Mistake]:
    """What runs broke in a routine, the simplest run first."""
    known = causes(result)
    groups: dict[tuple[str, int], list[Finding]] = {}
    for number, finding in enumerate(refutations(result), len(known)):
        of = next((n for n, c in enumerate(known) if any(r is finding.run for r in c.runs)), number)
        groups.setdefault((finding.id, of), []).append(finding)
    return [
        Mistake(tuple(found), known[of] if of < len(known) else None) for (_, of), found in groups.items()
    ]

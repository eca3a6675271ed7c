"""In place of a runner where nothing is to be run: each case is refused, and no state is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from mcverify.runs.case import Access, Case, Ending, Outcome, Visit

_REFUSED = Outcome(Ending.REFUSED, 0, {}, {}, (), b"", b"", 0)


class NoRunner:
    """Has the methods of the other runners, and executes nothing."""

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """Refusals."""
        return [_REFUSED for _ in cases]

    def sample(self, cases: Sequence[Case], addresses: Iterable[int], limit: int = 0) -> list[Visit]:
        """No visit."""
        return []

    def trace(self, case: Case) -> list[tuple[int, dict[str, int]]]:
        """No step."""
        return []

    def ends(self, case: Case, count: int) -> list[tuple[int, int, dict[str, int]]]:
        """No step."""
        return []

    def after_fault(
        self, insn: int, registers: Mapping[str, int], stack: int, trap: int
    ) -> dict[str, int] | None:
        """Nothing is known."""
        return None

    def footprint(
        self, case: Case, of: Callable[[Access], bool] = bool
    ) -> tuple[Outcome, tuple[Access, ...]]:
        """A refusal, and no access."""
        return _REFUSED, ()

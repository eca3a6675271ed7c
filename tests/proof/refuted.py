"""What a result refutes, in the words of the files under asm/."""

from __future__ import annotations

from mcverify.proof.result import EVERYWHERE, RoutineResult, Verdict


def refuted(result: RoutineResult) -> set[tuple[str, str]]:
    """The refuted obligations with their exits.

    A row for the whole routine ("*") that a run at a named place refutes says the same once more.
    """
    rows = {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.REFUTED}
    named = {obligation for obligation, exit_ in rows if exit_ != EVERYWHERE}
    return {
        (obligation, exit_) for obligation, exit_ in rows if exit_ != EVERYWHERE or obligation not in named
    }


def unproved(result: RoutineResult) -> set[tuple[str, str]]:
    """The obligations, with their exits, that are neither proved nor refuted."""
    return {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.UNKNOWN}

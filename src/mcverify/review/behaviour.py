"""Whether two revisions of a routine do the same, and where not, on which inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcverify.deadline import Deadline
from mcverify.review.prove import Progress, Proved
from mcverify.review.result import Behaviour, Relation

if TYPE_CHECKING:
    from mcverify.review.review import ReviewOptions

ExitName = Callable[[int, str], str]


def behaviour(
    before: Proved,
    after: Proved,
    exit_name: ExitName,
    options: ReviewOptions,
    deadline: Deadline,
    progress: Progress,
    *,
    same: bool,
) -> Behaviour:
    """How the behaviours of two revisions stand to each other."""
    if same:
        return Behaviour(Relation.IDENTICAL, "code, table and contract are the same")
    return Behaviour(Relation.UNASKED)

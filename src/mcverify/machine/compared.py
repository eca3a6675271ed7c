"""Which forms of instructions were compared with a CPU: the table `models/x86_64/silicon.tsv`.

`mcverify silicon` makes it. A form that is not in it, or that could not be compared, is an assumption of
the proofs that meet it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from mcverify.arch.known import X86_64

COLUMNS = ("form", "encodings", "cases", "faults", "result")
AGREES = "agrees"


@cache
def compared() -> Mapping[str, str]:
    """The result of the comparison by form. Raises OSError where the table is missing."""
    lines = X86_64.file("silicon.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    assert rows[0] == list(COLUMNS), "the first row of models/x86_64/silicon.tsv names its columns"
    return {row[0]: row[-1] for row in rows[1:]}


def not_compared(forms: Iterable[str]) -> list[str]:
    """Those of `forms` of which no comparison says that the lifter and a CPU agree, sorted."""
    return sorted(form for form in set(forms) if compared().get(form) != AGREES)

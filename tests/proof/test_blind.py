"""The proof alone, without a look at any run: what runs would refute must not be proved.

In `mcverify prove` a run refutes a wrong routine before its proof is asked, so that a proof which is too
good to be true would go unnoticed there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from asm_corpus.expectations import FILES, stated
from support.blind import proved_blindly, refuse_what_is_too_good

from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Verdict


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_routine_is_proved_if_and_only_if_it_is_right(path: Path) -> None:
    for result in proved_blindly(path, ProveOptions()):
        broken = stated(path)[result.title].broken
        assert (result.verdict is Verdict.PROVED) == (not broken)
        refuse_what_is_too_good(result, broken)

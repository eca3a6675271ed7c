"""What a proof says of the kernel's own variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.check.question import of_prover
from mcverify.check.statement import obligations
from mcverify.errors import InputError

from .conftest import prove

LIMIT = Path(__file__).parents[1] / "cases/percpu_limit.S"


def test_what_is_taken_of_the_limit_is_printed() -> None:
    result = prove(LIMIT)["__get_user_1"]
    assert any("the word at current_task+0x18" in said for said in result.assumptions)


def test_no_bundle_is_made_of_it() -> None:
    with pytest.raises(InputError, match="reads a per-CPU variable"):
        prove(LIMIT, record=True)


def test_a_name_of_a_routine_may_begin_with_an_underscore(tmp_path: Path) -> None:
    text = (LIMIT.parent / "retry_of_a_value.S").read_text().replace("gu4retry", "__gu4retry")
    (tmp_path / "m.h").write_text((LIMIT.parent / "m.h").read_text())
    (tmp_path / "x.S").write_text(text)
    result = prove(tmp_path / "x.S", contract="get_user_4", record=True)["__gu4retry"]
    assert result.proof is not None
    assert obligations(result.proof.routine, of_prover(result.proof.routine, result.proof.contract))

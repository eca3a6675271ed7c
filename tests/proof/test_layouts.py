"""The layout of the exception table changes neither a proof nor a refutation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asm_corpus.expectations import ROOT

from mcverify.image.load import load
from mcverify.proof.result import Verdict

from .conftest import prove
from .refuted import refuted

LAYOUTS = {26: "absolute", 45: "relative", 46: "handler", 516: "type"}
RIGHT = (ROOT / "asm/words_bytes.S").read_text()
WRONG = RIGHT.replace("lea	(%rdx,%rcx,8), %rax", "mov	%rcx, %rax")


def in_layout(folder: Path, text: str, number: int) -> Path:
    """The source with plain table entries, which every layout has."""
    plain = re.sub(r"_ASM_EXTABLE_TYPE\((.*), EX_TYPE_\w+\)", r"_ASM_EXTABLE(\1)", text)
    assert plain != text
    path = folder / "words_bytes.S"
    path.write_text(f"#define MCVERIFY_EXTABLE {number}\n{plain}")
    assert load(path).layout == LAYOUTS[number]
    return path


@pytest.mark.parametrize("number", LAYOUTS)
def test_a_right_routine_is_proved(tmp_path: Path, number: int) -> None:
    result = prove(in_layout(tmp_path, RIGHT, number))["words_bytes"]
    assert result.verdict is Verdict.PROVED
    assert result.slack == 7
    assert {e.id for e in result.exits} == {"success", ".Lfix_w", ".Lfix_b"}


@pytest.mark.parametrize("number", LAYOUTS)
def test_a_wrong_routine_is_refuted(tmp_path: Path, number: int) -> None:
    assert WRONG != RIGHT
    result = prove(in_layout(tmp_path, WRONG, number))["words_bytes"]
    assert refuted(result) == {("O3", ".Lfix_w")}

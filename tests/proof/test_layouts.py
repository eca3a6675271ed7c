"""The layouts of the exception table and of the alternatives change neither a proof nor a refutation."""

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


@pytest.mark.parametrize("number", [24, 35, 31, 41, 513, 63])
def test_what_is_wrong_in_one_variant_only_is_so_in_every_layout_of_alternatives(
    tmp_path: Path, number: int
) -> None:
    # The oldest layout has one byte for the feature: too little for ERMS.
    text = (ROOT / "asm/alternative_wrong_words.S").read_text().replace("FEATURE_ERMS", "FEATURE_REP_GOOD")
    path = tmp_path / "alternative.S"
    path.write_text(f"#define MCVERIFY_ALTINSTR {number}\n{text}")
    results = prove(path)
    assert {title: refuted(result) for title, result in results.items()} == {
        "alternative [REP_GOOD]": set(),
        "alternative [!REP_GOOD]": {("O3", ".Lfix_w")},
    }
    assert results["alternative [REP_GOOD]"].verdict is Verdict.PROVED

"""A label within a function that is called by its own name: a routine of its own."""

from __future__ import annotations

from pathlib import Path

from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import Verdict

SOURCE = """
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(__put_user_4)
	test	%rcx, %rcx
	js	.Lbad
SYM_INNER_LABEL(__put_user_nocheck_4, SYM_L_GLOBAL)
.Lwrite:
	mov	%eax, (%rcx)
	xor	%ecx, %ecx
	RET
.Lbad:
	mov	$-14, %ecx
	RET
	_ASM_EXTABLE_UA(.Lwrite, .Lbad)
SYM_FUNC_END(__put_user_4)
"""


def test_a_label_with_a_contract_is_proved_beside_its_function(tmp_path: Path) -> None:
    file = tmp_path / "putuser.S"
    file.write_text(SOURCE, encoding="utf-8")
    results = prove_file(file, ProveOptions(), lambda _: None)
    assert [(r.name, r.verdict) for r in results] == [
        ("__put_user_4", Verdict.PROVED),
        ("__put_user_nocheck_4", Verdict.PROVED),
    ]
    whole, part = results
    assert whole.entry < part.entry
    assert part.contract == whole.contract


def test_what_the_label_does_wrong_is_refuted_for_both(tmp_path: Path) -> None:
    file = tmp_path / "putuser.S"
    file.write_text(SOURCE.replace("%eax, (%rcx)", "%ax, (%rcx)"), encoding="utf-8")
    results = prove_file(file, ProveOptions(), lambda _: None)
    assert [r.verdict for r in results] == [Verdict.REFUTED, Verdict.REFUTED]

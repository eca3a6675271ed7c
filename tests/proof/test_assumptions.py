"""What a verdict rests on is printed with it."""

from __future__ import annotations

from pathlib import Path

from mcverify.proof.result import Verdict

from .conftest import prove

PROBED = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(probed)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Ldone
.Lprobe:
	mov	(%rsi), %al
.Lagain:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
.Lcopy:
	rep	movsb
.Ldone:
	xor	%eax, %eax
	RET
.Lleft:
	mov	%rcx, %rax
	RET
.Lnowhere:
	jmp	*%rax
	_ASM_EXTABLE(.Lprobe, .Lleft)
	_ASM_EXTABLE(.Lagain, .Lnowhere)
	_ASM_EXTABLE(.Lcopy, .Lleft)
SYM_FUNC_END(probed)
"""


def test_a_way_that_only_persistence_rules_out_says_so(tmp_path: Path) -> None:
    """The second load of a byte cannot fault, and so its fixup, which no proof can follow, is not taken."""
    file = tmp_path / "probed.S"
    file.write_text(PROBED)
    result = prove(file, fault_model="persistent")["probed"]
    assert result.verdict is Verdict.PROVED, result.unknowns
    rests = [sentence for sentence in result.assumptions if "a bad address stays bad" in sentence]
    assert len(rests) == 1
    assert "ways that must not be taken" in rests[0]


def test_instructions_that_no_cpu_was_asked_about_are_named(tmp_path: Path) -> None:
    file = tmp_path / "probed.S"
    file.write_text(PROBED.replace("SYM_FUNC_START(probed)\n", "SYM_FUNC_START(probed)\n\tstac\n\tclac\n"))
    result = prove(file)["probed"]
    named = [s for s in result.assumptions if s.startswith("what these instructions do was not compared")]
    assert len(named) == 1
    assert {"clac", "stac"} <= set(named[0].partition(": ")[2].split(", "))

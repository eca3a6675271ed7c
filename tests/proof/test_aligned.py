"""What must be aligned and is not for some address, and wide stores past the cache without a fence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcverify.cli import run
from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.proof.result import Verdict
from mcverify.proof.trials import Trials
from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.grid import quick_grid

from .conftest import prove

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

BLOCKS = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(blocks)	/* mcverify: contract {contract} for blocks */
	{test}
	cmp	${size}, %rdx
	jb	.Lrest
.Lload:
	{load}
.Lstore:
	{store}
	add	${size}, %rsi
	add	${size}, %rdi
	sub	${size}, %rdx
	cmp	${size}, %rdx
	jae	.Lload
.Lrest:
	{fence}
	test	%rdx, %rdx
	jz	.Ldone
.Lload_b:
	mov	(%rsi), %al
.Lstore_b:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lload_b
.Ldone:
	mov	%rdx, %rax
	RET
.Lfix:
	{at_fault}
	mov	%rdx, %rax
	RET
	{entries}
	_ASM_EXTABLE_UA(.Lload_b, .Ldone)
	_ASM_EXTABLE_UA(.Lstore_b, .Ldone)
SYM_FUNC_END(blocks)
"""
ENTRIES = "_ASM_EXTABLE_UA(.Lload, .Lfix); _ASM_EXTABLE_UA(.Lstore, .Lfix)"


def source(folder: Path, contract: str = "uaccess", **parts: str) -> Path:
    whole = {
        "test": "test $15, %dil; jnz .Lrest",
        "size": "16",
        "load": "movdqu (%rsi), %xmm0",
        "store": "movdqa %xmm0, (%rdi)",
        "fence": "",
        "at_fault": "",
        "entries": ENTRIES,
    }
    path = folder / "blocks.S"
    path.write_text(BLOCKS.format(contract=contract, **(whole | parts)))
    return path


@needs_cpu
@pytest.mark.parametrize(
    "parts",
    [
        {"test": "test $7, %dil; jnz .Lrest", "entries": "_ASM_EXTABLE_UA(.Lload, .Lfix)"},
        {"load": "movaps (%rsi), %xmm0", "entries": "_ASM_EXTABLE_UA(.Lstore, .Lfix)"},
        {
            "test": "cmp $48, %rdx; jne 1f; lea 4(%rdi), %r8; test $63, %r8b; je 2f;"
            " 1: test $15, %dil; jnz .Lrest; 2:",
            "entries": "_ASM_EXTABLE_UA(.Lload, .Lfix)",
        },
    ],
    ids=["of 8 bytes only", "of the source", "for one length and address"],
)
@pytest.mark.slow
def test_a_crash_is_refuted_with_its_run(
    parts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = "loads" if "Lload" in parts["entries"] else "stores"
    path = source(tmp_path, contract="bytes_left", **parts)
    assert run(["prove", "--faults", faults, "--json", "-", str(path)]) == 1
    (result,) = json.loads(capsys.readouterr().out)["routines"]
    broken = {o["id"] for o in result["obligations"] if o["verdict"] != "proved"}
    assert broken == {"O1"}
    (found,) = result["counterexamples"]
    assert (found["outcome"]["ending"], found["outcome"]["faults"]) == ("trapped", [])
    assert found["prediction"]["by"] == "model"


@pytest.mark.parametrize(
    "parts",
    [{}, {"size": "32", "load": "vmovdqu (%rsi), %ymm0", "store": "vmovdqu %ymm0, (%rdi)", "test": ""}],
    ids=["movdqa", "vmovdqu"],
)
def test_one_that_is_aligned_where_it_must_be_is_proved(parts: dict[str, str], tmp_path: Path) -> None:
    (result,) = prove(source(tmp_path, contract="bytes_left", **parts), faults="both").values()
    assert result.verdict is Verdict.PROVED


NONTEMPORAL = {
    "16 bytes": {"store": "movntdq %xmm0, (%rdi)"},
    "16 bytes of floats": {"store": "movntps %xmm0, (%rdi)"},
    "32 bytes": {
        "test": "test $31, %dil; jnz .Lrest",
        "size": "32",
        "load": "vmovups (%rsi), %ymm0",
        "store": "vmovntps %ymm0, (%rdi)",
    },
}


@needs_cpu
@pytest.mark.parametrize("parts", NONTEMPORAL.values(), ids=NONTEMPORAL)
@pytest.mark.slow
def test_a_fence_that_is_missing_at_a_fault_is_refuted(parts: dict[str, str], tmp_path: Path) -> None:
    path = source(tmp_path, contract="nocache", fence="sfence", **parts)
    (result,) = prove(path, faults="both").values()
    assert {(o.id, o.exit) for o in result.obligations if o.verdict is Verdict.REFUTED} >= {("O10", ".Lfix")}
    found = next(c for c in result.counterexamples if "O10" in c.obligations)
    size = int(parts.get("size", "16"))
    assert found.case.len in (2 * size, 2 * size + 1)


@needs_cpu
def test_the_harness_sees_a_missing_fence_as_the_steps_tell(tmp_path: Path) -> None:
    path = source(tmp_path, contract="nocache", store="movntdq %xmm0, (%rdi)")
    image, contract = load(path), load_contract("nocache")
    trials = Trials(image, image.functions[0].address, contract, "both")
    assert trials.cpu is not None
    cases = [
        case for block in quick_grid(contract, "both").blocks if block.stepped for case in [block.case(0)]
    ]
    cases += [Case(48, Placement(Place.FREE), Placement(Place.HOLE, at)) for at in (0, 16, 32)]
    marks = trials.cpu.judge(cases, stepped=True)
    told = [trials.unfenced(case, outcome) is not None for case, outcome in trials.outcomes(cases)]
    assert [bool(mark.broken >> 10 & 1) for mark in marks] == told
    assert {*told} == {True, False}
    assert not any(mark.broken >> 10 & 1 for mark in trials.cpu.judge(cases))

"""Which variants alternatives make of a routine, and what code runs in each. Nothing is proved here."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.variants import Variant, variants
from mcverify.runs.code import reachable

HEADERS = (
    "#include <linux/linkage.h>\n#include <asm/asm.h>\n#include <asm/alternative.h>\n"
    "#include <asm/cpufeatures.h>\n#include <asm/smap.h>\n"
)


def made(folder: Path, body: str, *defines: str) -> tuple[Image, dict[str, Variant]]:
    """The image of a routine `copy`, and its variants by name."""
    path = folder / "routine.S"
    path.write_text(f"{HEADERS}SYM_FUNC_START(copy)\n{body}\nSYM_FUNC_END(copy)\n")
    image = load(path, defines=defines)
    entry = next(s.address for s in image.symbols if s.name == "copy")
    return image, {v.name: v for v in variants(image, entry)}


def code(variant: Variant) -> list[str]:
    """The instructions that run, nops left out."""
    entry = next(s.address for s in variant.image.symbols if s.name == "copy")
    reached = reachable(variant.image, entry)
    texts = [X86_64.text(i.code, i.address) for _, i in sorted(reached.items())]
    return [text.split("0x")[0].strip() for text in texts if not text.startswith("nop")]


def test_a_routine_without_alternatives_has_one_variant(tmp_path):
    image, found = made(tmp_path, "\tret")
    assert list(found) == [""]
    assert found[""].image == image


def test_each_feature_that_matters_is_named(tmp_path):
    _, found = made(
        tmp_path, '\tALTERNATIVE_2 "stc", "clc", X86_FEATURE_ERMS, "cmc", X86_FEATURE_FSRM\n\tret'
    )
    assert {name: code(v) for name, v in found.items()} == {
        "FSRM": ["cmc", "retq"],
        "!FSRM,ERMS": ["clc", "retq"],
        "!FSRM,!ERMS": ["stc", "retq"],
    }
    assert found["!FSRM,ERMS"].features == {"FSRM": False, "ERMS": True}
    assert found["!FSRM,ERMS"].image.notes == ("the CPU has ERMS, lacks FSRM",)


def test_a_site_that_is_not_reached_makes_no_variant(tmp_path):
    body = (
        '\tALTERNATIVE "jmp .Lold", "ret", X86_FEATURE_ERMS\n'
        '.Lold:\tALTERNATIVE "stc", "clc", X86_FEATURE_FSRM\n\tret\n'
        '\tALTERNATIVE "stc", "clc", X86_FEATURE_SMAP'
    )
    _, found = made(tmp_path, body)
    assert {name: code(v) for name, v in found.items()} == {
        "ERMS": ["retq"],
        "!ERMS,FSRM": ["jmp", "clc", "retq"],
        "!ERMS,!FSRM": ["jmp", "stc", "retq"],
    }


def test_one_feature_at_many_sites_is_asked_once(tmp_path):
    _, found = made(tmp_path, "\tASM_STAC\n\tmovb (%rsi), %al\n\tASM_CLAC\n\tret")
    assert {name: code(v) for name, v in found.items()} == {
        "SMAP": ["stac", "movb (%rsi), %al", "clac", "retq"],
        "!SMAP": ["movb (%rsi), %al", "retq"],
    }


def test_a_feature_that_every_cpu_has_is_not_named(tmp_path):
    body = (
        '\tALTERNATIVE_TERNARY("int3", X86_FEATURE_ERMS, "clc", "stc")\n'
        '\tALTERNATIVE "int3", "cmc", X86_FEATURE_ALWAYS\n\tret'
    )
    _, found = made(tmp_path, body)
    assert {name: code(v) for name, v in found.items()} == {
        "ERMS": ["clc", "cmc", "retq"],
        "!ERMS": ["stc", "cmc", "retq"],
    }


def test_an_inverted_feature_takes_the_replacement_where_it_is_not(tmp_path):
    _, found = made(tmp_path, '\tALTERNATIVE "stc", "clc", ALT_NOT(X86_FEATURE_FSRM)\n\tret')
    assert {name: code(v) for name, v in found.items()} == {
        "FSRM": ["stc", "retq"],
        "!FSRM": ["clc", "retq"],
    }


def test_a_site_that_is_reached_by_a_fixup_counts(tmp_path):
    body = '\n.Lread:\tmovb (%rsi), %al\n\tret\n.Lfix:\tALTERNATIVE "stc", "clc", X86_FEATURE_ERMS\n\tret\n'
    _, found = made(tmp_path, body + "\t_ASM_EXTABLE(.Lread, .Lfix)")
    assert set(found) == {"ERMS", "!ERMS"}


def test_a_replacement_may_jump_into_code_with_alternatives_of_its_own(tmp_path):
    body = (
        '\tALTERNATIVE "", "jmp .Lnew", X86_FEATURE_ERMS\n\tret\n'
        '.Lnew:\tALTERNATIVE "stc", "clc", X86_FEATURE_FSRM\n\tret'
    )
    _, found = made(tmp_path, body)
    assert set(found) == {"!ERMS", "ERMS,FSRM", "ERMS,!FSRM"}
    assert code(found["ERMS,FSRM"]) == ["jmp", "clc", "retq"]


def test_an_entry_on_a_site_is_for_the_code_that_is_there(tmp_path):
    body = (
        '.Lsite:\tALTERNATIVE "movb (%rsi), %al; movb %al, (%rdi)", "rep movsb", X86_FEATURE_ERMS\n'
        ".Lfix:\tret\n\t_ASM_EXTABLE(.Lsite, .Lfix)\n\t_ASM_EXTABLE(.Lsite + 2, .Lfix)\n"
    )
    image, found = made(tmp_path, body)
    site = image.alternatives[0].site
    assert [e.insn - site for e in found["!ERMS"].image.entries] == [0, 2]
    # behind rep movsb there are nops: an instruction begins there too, and the entry does no harm
    assert [e.insn - site for e in found["ERMS"].image.entries] == [0, 2]


def test_an_entry_inside_an_instruction_of_another_body_is_left_out(tmp_path):
    body = (
        '.Lsite:\tALTERNATIVE "movb (%rsi), %al; movb %al, (%rdi)", "movl %ecx, 8(%rdi)", X86_FEATURE_ERMS\n'
        ".Lfix:\tret\n\t_ASM_EXTABLE(.Lsite, .Lfix)\n\t_ASM_EXTABLE(.Lsite + 2, .Lfix)\n"
    )
    image, found = made(tmp_path, body)
    site = image.alternatives[0].site
    assert [e.insn - site for e in found["!ERMS"].image.entries] == [0, 2]
    assert [e.insn - site for e in found["ERMS"].image.entries] == [0]


def test_an_entry_on_the_replacement_itself_does_not_serve(tmp_path):
    """The kernel looks for the address at which the code runs, which is that of the site."""
    body = (
        '\tALTERNATIVE "int3; int3", ".Lnew: movb (%rsi), %al", X86_FEATURE_ALWAYS\n'
        ".Lfix:\tret\n\t_ASM_EXTABLE(.Lnew, .Lfix)\n"
    )
    image, found = made(tmp_path, body)
    assert found[""].image.entry_at(image.alternatives[0].site) is None


@pytest.mark.parametrize("define", [24, 35, 31, 41, 513, 63])
def test_every_layout_gives_the_same_variants(tmp_path, define):
    body = (
        '\tALTERNATIVE_2 "stc", "clc", X86_FEATURE_XMM2, "call .Lcall", X86_FEATURE_REP_GOOD\n\tret\n'
        ".Lcall:\tcmc\n\tret"
    )
    _, found = made(tmp_path, body, f"MCVERIFY_ALTINSTR={define}")
    assert {name: code(v) for name, v in found.items()} == {
        "REP_GOOD": ["callq", "retq", "cmc", "retq"],
        "!REP_GOOD,XMM2": ["clc", "retq"],
        "!REP_GOOD,!XMM2": ["stc", "retq"],
    }


def test_too_many_variants_are_refused(tmp_path):
    sites = "\n".join(f'\tALTERNATIVE "stc", "clc", {number}' for number in range(7))
    with pytest.raises(InputError, match="more than 64 variants"):
        made(tmp_path, f"{sites}\n\tret")


def test_alternatives_within_alternatives_are_refused(tmp_path):
    body = (
        '\tALTERNATIVE "stc; stc", ".Linner: clc; clc", X86_FEATURE_ERMS\n\tret\n'
        '\t.pushsection .altinstr_replacement, "ax"\n.Lnew: cmc\n.Lend:\n\t.popsection\n'
        '\t.pushsection .altinstructions, "a"\n'
        "\taltinstruction_entry .Linner, .Lnew, X86_FEATURE_FSRM, 1, 1\n\t.popsection"
    )
    with pytest.raises(InputError, match="alternatives within alternatives"):
        made(tmp_path, body)

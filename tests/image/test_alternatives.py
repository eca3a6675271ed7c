"""Reading .altinstructions in the layout of every era, and writing what the boot code writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.alternatives import layouts
from mcverify.image.image import Alternative, Image, Moves, Section
from mcverify.image.load import load
from mcverify.image.patch import patched, written

HEADERS = (
    "#include <linux/linkage.h>\n#include <asm/asm.h>\n#include <asm/alternative.h>\n"
    "#include <asm/cpufeatures.h>\n#include <asm/smap.h>\n"
)
ROUTINE = """
SYM_FUNC_START(copy)
.Lone:
	ALTERNATIVE "jmp .Lslow", "rep movsb", X86_FEATURE_REP_GOOD
.Ltwo:
	ALTERNATIVE_2 "", "lfence", X86_FEATURE_XMM2, "jmp far_away", X86_FEATURE_ALWAYS
	RET
.Lslow:
	RET
SYM_FUNC_END(copy)
	_ASM_EXTABLE(.Lone, .Lslow)
"""
LAYOUTS = {24: "byte", 35: "word", 31: "relative", 41: "padded", 513: "inverted", 63: "flags"}
MOVES = {24: Moves.CALL, 35: Moves.CALL, 31: Moves.BRANCH, 41: Moves.BRANCH, 513: Moves.BRANCH, 63: Moves.ALL}


def named(image: Image, address: int) -> str | None:
    return image.label_at(address)


@pytest.mark.parametrize("define", LAYOUTS)
@pytest.mark.parametrize("copies", range(5))
def test_the_alternatives_are_the_same_in_each_layout(load_text, define, copies):
    # A byte has no room for ERMS. With more entries some sizes are multiples of several layouts' entries.
    more = '\tALTERNATIVE "int3", "nop", X86_FEATURE_ALWAYS\n' * copies
    image = load_text(more + ROUTINE, headers=HEADERS, defines=[f"MCVERIFY_ALTINSTR={define}"])
    found = image.alternatives[copies:]
    assert [(named(image, a.site), a.length, a.feature, a.inverted) for a in found] == [
        (".Lone", 2, "REP_GOOD", False),
        (".Ltwo", 5, "XMM2", False),
        (".Ltwo", 5, "ALWAYS", False),
    ]
    assert [a.replacement.hex() for a in found[:2]] == ["f3a4", "0faee8"]
    assert found[2].replacement[0] == 0xE9
    assert {a.moves for a in found} == {MOVES[define]}
    assert [a.index for a in image.alternatives] == list(range(copies + 3))
    assert not any(
        section.name == ".altinstr_replacement" and section.executable for section in image.sections
    )


@pytest.mark.parametrize("define", [513, 63])
def test_an_inverted_feature_is_read(load_text, define):
    text = 'copy:\tALTERNATIVE "int3", "nop", ALT_NOT(X86_FEATURE_FSRM)\n\tret\n'
    (found,) = load_text(text, headers=HEADERS, defines=[f"MCVERIFY_ALTINSTR={define}"]).alternatives
    assert (found.feature, found.inverted) == ("FSRM", True)


def test_stac_and_clac_are_alternatives(load_text):
    image = load_text("copy:\tASM_STAC\n\tASM_CLAC\n\tret\n", headers=HEADERS)
    assert [(a.feature, a.replacement.hex()) for a in image.alternatives] == [
        ("SMAP", "0f01cb"),
        ("SMAP", "0f01ca"),
    ]


def test_an_unknown_layout_is_refused(load_text):
    with pytest.raises(InputError, match="MCVERIFY_ALTINSTR must be 24, 35, 31, 41, 513 or 63"):
        load_text(ROUTINE, headers=HEADERS, defines=["MCVERIFY_ALTINSTR=40"])


@pytest.mark.parametrize("number", ["24*32+1", "30*32+31", "0x3ff*32+31"])
@pytest.mark.parametrize("define", [35, 31, 41, 513, 63])
def test_any_feature_may_be_asked_for(load_text, define, number):
    """Stable and vendor kernels have more words of features than those of kernel.org."""
    text = f'copy:\tALTERNATIVE "int3", "nop", ({number})\n\tret\n'
    (found,) = load_text(text, headers=HEADERS, defines=[f"MCVERIFY_ALTINSTR={define}"]).alternatives
    assert found.feature == found.shown == number.replace("0x3ff", "1023")


def test_a_feature_that_has_no_room_is_refused(load_text):
    text = 'copy:\tALTERNATIVE "int3", "nop", X86_FEATURE_FSRM\n\tret\n'
    with pytest.raises(InputError, match="has no room for this feature"):
        load_text(text, headers=HEADERS, defines=["MCVERIFY_ALTINSTR=24"])


# One entry of 24 bytes: by 2.6.16 three bytes are replaced by three, by 2.6.35 with nops.
BOTH_WAYS = """
copy:	.byte 0x0f, 0x1f, 0x00
	ret
	.section .altinstr_replacement, "ax"
.Lnew:	{replacement}
	.section .altinstructions, "a"
	.quad copy, .Lnew
	.byte 0, 3, 3
	.zero 5
"""


def test_a_layout_that_leaves_no_replacement_out_is_taken(load_text):
    (found,) = load_text(BOTH_WAYS.format(replacement="lfence"), headers="").alternatives
    assert (found.feature, found.length, found.replacement.hex()) == ("FPU", 3, "0faee8")


def test_a_layout_that_cannot_be_told_is_refused(load_text):
    with pytest.raises(InputError, match=r"its layout cannot be told: it may be byte \(2\.6\.16 .* or word"):
        load_text(BOTH_WAYS.format(replacement="lfence\n\tlfence"), headers="")


# -- what is written


def alternative(code: str, *, site: int = 0x1000, origin: int = 0x9000, **more: object) -> Alternative:
    given = {"length": 8, "feature": "ERMS", "inverted": False, "moves": Moves.ALL, "index": 0}
    return Alternative(site=site, origin=origin, replacement=bytes.fromhex(code), **given | more)


def image_of(*sections: Section) -> Image:
    return Image(Path("routine.o"), X86_64, sections, (), (), {}, {}, "none")


TEXT = Section(".text", 0x1000, b"\xcc" * 64, True)


@pytest.mark.parametrize(
    ("code", "moves", "result"),
    [
        # to 0x1040, told from 0x9000; and then from 0x1000
        ("e93b80ffff", Moves.ALL, "e93b000000"),
        ("e93b80ffff", Moves.BRANCH, "e93b000000"),
        ("e93b80ffff", Moves.CALL, "e93b80ffff"),
        ("e83b80ffff", Moves.CALL, "e83b000000"),
        ("90e83a80ffff", Moves.BRANCH, "90e83a80ffff"),
        ("90e83a80ffff", Moves.ALL, "90e83a000000"),
        ("0f843a80ffff", Moves.ALL, "0f843a000000"),
        ("488b053980ffff", Moves.ALL, "488b0539000000"),
        # what stays inside, its end included, is right already
        ("eb0190f3a4", Moves.ALL, "eb0190f3a4"),
        ("74039090f3a4", Moves.ALL, "74039090f3a4"),
        ("7404f3a4f3a4", Moves.ALL, "7404f3a4f3a4"),
        ("e2fe", Moves.ALL, "e2fe"),
        ("", Moves.ALL, ""),
    ],
)
def test_targets_outside_a_replacement_are_corrected(code, moves, result):
    expected = bytes.fromhex(result).ljust(8, b"\x90")
    assert written(image_of(TEXT), alternative(code, moves=moves)) == expected


def test_a_target_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="alternative 0: a target of its replacement is too far"):
        written(image_of(TEXT), alternative("7460"))


def test_later_alternatives_are_written_over_earlier_ones():
    first = alternative("0102030405", length=5, index=0)
    second = alternative("0a0b", length=3, index=1)
    image = patched(image_of(TEXT), [second, first])
    assert image.sections[0].data[:6].hex() == "0a0b900405cc"
    assert TEXT.data[:1] == b"\xcc"


def test_a_jump_made_by_hand_is_left_alone(load_text):
    """Up to 4.0 a replacement's jump was computed for its site."""
    text = """
	.section .altinstr_replacement, "ax"
.Lnew:	.byte 0xe9
	.long .Ltarget - .Lbehind
.Lnew_end:
	.previous
copy:
.Lsite:	.byte 0xe9
	.long 0
.Lbehind: ret
.Ltarget: nop
	ret
	.section .altinstructions, "a"
	altinstruction_entry .Lsite, .Lnew, X86_FEATURE_REP_GOOD, 5, 5
	.previous
"""
    image = load_text(text, headers=HEADERS)
    (found,) = image.alternatives
    assert found.moves is Moves.CALL
    assert written(image, found).hex() == "e901000000"


# -- what cannot be


def test_every_layout_has_an_entry_size_of_its_own_or_is_told_by_age():
    sizes = [layout.size for layout in layouts()]
    assert sizes == [24, 24, 12, 13, 12, 14]
    assert [layout.needed for layout in layouts()] == [19, 20, 12, 13, 12, 14]


@pytest.mark.parametrize(
    ("exception_table", "moves"),
    [("", Moves.BRANCH), (".quad copy, copy", Moves.CALL), (".long copy-., copy-., 1", Moves.BRANCH)],
)
def test_the_exception_table_tells_the_age_of_a_linked_file(make_object, exception_table, moves):
    text = f"""
	.globl _start
_start:
copy:	nop
	nop
	ret
	.section __ex_table, "a"
	{exception_table}
	.section .altinstr_replacement, "ax"
new:	.byte 0x66, 0x90
	.section .altinstructions, "a"
	.long copy - ., new - .
	.2byte 9*32+9
	.byte 2, 2
"""
    image = load(make_object(text, name="kernel", link=True))
    assert [a.moves for a in image.alternatives] == [moves]


TABLE = """
copy:	nop
	nop
	ret
	.section .altinstr_replacement, "ax"
new:	nop
	.section .altinstructions, "a"
	.long {site}, {new}
	.2byte {feature}, {flags}
	.byte {length}, {new_length}
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": "copy + 0x100 - ."}, "alternative 0: its site, 2 bytes at 0x.*, is not in executable code"),
        ({"site": "copy + 2 - ."}, "alternative 0: its site, 2 bytes at 0x.*, is not in executable code"),
        ({"length": 0}, "alternative 0: its site, 0 bytes at 0x.*, is not in executable code"),
        ({"new_length": 3, "length": 3}, "alternative 0: its replacement, 3 bytes at 0x.*, is in no section"),
        ({"new": "new + 0x7000 - ."}, "alternative 0: its replacement, 1 bytes at 0x.*, is in no section"),
        ({"length": 1, "new_length": 2}, "is longer than its site of 1"),
        ({"flags": 4}, "alternative 0: its flags 0x4 are unknown"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(make_object, change, message):
    values = {
        "site": "copy - .", "new": "new - .", "feature": 9, "flags": 0, "length": 2, "new_length": 1
    } | change  # fmt: skip
    with pytest.raises(InputError, match=message):
        load(make_object(TABLE.format(**values)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (".byte 1, 2, 3", "its size of 3 bytes is no multiple of an entry"),
        (".quad copy, copy, copy", "the relocations in it are those of no known layout"),
        (".fill 24, 1, 0xff", "its contents are those of no layout that its size allows"),
    ],
)
def test_a_table_of_no_known_layout_is_refused(make_object, table, message):
    with pytest.raises(InputError, match=message):
        load(make_object(f'copy:\tnop\n\tret\n\t.section .altinstructions, "a"\n\t{table}\n'))

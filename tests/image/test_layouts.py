"""One source, assembled for each of the four exception-table layouts, gives the same entries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.extable import Table, read_tables
from mcverify.image.image import Image, Section, Symbol
from mcverify.image.load import load
from mcverify.layouts import layouts

ROUTINE = """
SYM_FUNC_START(copy)
.Lread:
	movb (%rsi), %al
.Lwrite:
	movb %al, (%rdi)
	RET
SYM_FUNC_END(copy)
	.section .fixup, "ax"
.Lfix_read:
	movl $1, %eax
	RET
.Lfix_write:
	movl $2, %eax
	RET
	.previous
	_ASM_EXTABLE(.Lread, .Lfix_read)
	_ASM_EXTABLE(.Lwrite, .Lfix_write)
"""
LAYOUTS = {26: "absolute", 45: "relative", 46: "handler", 516: "type"}


@pytest.mark.parametrize(("define", "layout"), LAYOUTS.items())
@pytest.mark.parametrize("copies", range(1, 7))
def test_the_layout_is_told_and_the_entries_are_the_same(load_text, define, layout, copies):
    # With 2 to 7 entries some sizes are multiples of several layouts' entries.
    more = "\t_ASM_EXTABLE(.Lread, .Lfix_read)\n" * (copies - 1)
    image = load_text(ROUTINE + more, defines=[f"MCVERIFY_EXTABLE={define}"])
    assert image.layout == layout
    labels = [(image.label_at(e.insn), image.label_at(e.fixup)) for e in image.entries]
    assert labels[:2] == [(".Lread", ".Lfix_read"), (".Lwrite", ".Lfix_write")]
    assert labels[2:] == labels[:1] * (copies - 1)
    assert [e.handler.name for e in image.entries] == ["default"] * (copies + 1)
    assert [e.index for e in image.entries] == list(range(copies + 1))


def test_without_a_define_the_newest_layout_is_used(load_text):
    assert load_text(ROUTINE).layout == "type"


def test_an_unknown_layout_is_refused(load_text):
    with pytest.raises(InputError, match="MCVERIFY_EXTABLE must be 26, 45, 46 or 516"):
        load_text(ROUTINE, defines=["MCVERIFY_EXTABLE=47"])


@pytest.mark.parametrize("define", [26, 45])
def test_a_layout_without_handlers_refuses_an_entry_that_needs_one(load_text, define):
    with pytest.raises(InputError, match=f"layout {define} has no handlers"):
        load_text(
            ROUTINE + "\t_ASM_EXTABLE_FAULT(.Lread, .Lfix_read)\n", defines=[f"MCVERIFY_EXTABLE={define}"]
        )


@pytest.mark.parametrize(
    ("macro", "name", "effects"),
    [
        ("_ASM_EXTABLE", "default", ()),
        ("_ASM_EXTABLE_UA", "uaccess", ()),
        ("_ASM_EXTABLE_FAULT", "fault", ("ax = trap",)),
        ("_ASM_EXTABLE_CPY", "copy", ("ax = trap",)),
    ],
)
@pytest.mark.parametrize("define", [46, 516])
def test_handlers_mean_the_same_by_symbol_and_by_type(load_text, define, macro, name, effects):
    text = ROUTINE.replace("_ASM_EXTABLE(", f"{macro}(")
    handlers = {e.handler for e in load_text(text, defines=[f"MCVERIFY_EXTABLE={define}"]).entries}
    assert [(h.name, h.effects, h.register, h.imm) for h in handlers] == [(name, effects, None, 0)]


def test_a_handler_named_in_an_older_source_gets_its_type(load_text):
    text = ROUTINE.replace(
        "_ASM_EXTABLE(.Lread, .Lfix_read)", "_ASM_EXTABLE_HANDLE(.Lread, .Lfix_read, ex_handler_fault)"
    )
    assert load_text(text).entries[0].handler.effects == ("ax = trap",)


def test_an_unknown_handler_in_an_older_source_is_named(load_text):
    text = ROUTINE + "\t_ASM_EXTABLE_HANDLE(.Lread, .Lfix_read, ex_handler_nonsense)\n"
    with pytest.raises(InputError, match="handler ex_handler_nonsense is unknown"):
        load_text(text)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_EFAULT_REG)", ("imm_reg", ("reg = imm",), "rax", -14)),
        (
            "_ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_IMM_REG | EX_DATA_IMM(7), %r10)",
            ("imm_reg", ("reg = imm",), "r10", 7),
        ),
        (
            "_ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_IMM_REG | EX_DATA_IMM(0x4000), %r10)",
            ("imm_reg", ("reg = imm",), "r10", 0x4000),
        ),
        ("_ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_IMM_REG, %r10d)", ("imm_reg", ("reg = imm",), "r10", 0)),
        (
            "_ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_UCOPY_LEN8, %rdx)",
            ("ucopy_len", ("cx = imm*cx + reg",), "rdx", 8),
        ),
        (
            "_ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_POP_ZERO, %rbp)",
            ("pop_reg", ("sp += 8", "reg = imm"), "rbp", 0),
        ),
        ("_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_ZEROPAD)", ("zeropad", ("zeropad",), None, 0)),
        ("_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT_MCE_SAFE)", ("default_mce_safe", (), None, 0)),
        ("_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FAULT_MCE_SAFE)", ("fault_mce_safe", ("ax = trap",), None, 0)),
        ("_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT | EX_FLAG_CLEAR_AX)", ("default", ("ax = 0",), None, 0)),
        (
            "_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT | EX_FLAG_CLEAR_AX_DX)",
            ("default", ("ax = 0", "dx = 0"), None, 0),
        ),
        (
            "_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FAULT | EX_FLAG_CLEAR_DX)",
            ("fault", ("ax = trap", "dx = 0"), None, 0),
        ),
        (
            "_ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_RDMSR_SAFE, %ecx)",
            ("rdmsr_safe", ("ax = 0", "dx = 0", "reg = imm"), "rcx", -5),
        ),
        ("_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_CLEAR_FS)", ("clear_fs", ("unmodelled",), None, 0)),
    ],
)
def test_the_data_word_is_decoded(load_text, entry, expected):
    image = load_text(f"#include <asm/errno.h>\n1:\tmovb (%rsi), %al\n2:\tret\n\t{entry}\n")
    handler = image.entries[0].handler
    assert (handler.name, handler.effects, handler.register, handler.imm) == expected


def test_all_layouts_of_linux_are_covered_here():
    assert {layout.name for layout in layouts(X86_64) if layout.is_of_linux} == set(LAYOUTS.values())


# -- objects made by hand: what the stand-in headers never produce

CODE = """
	.text
copy:	movb (%rsi), %al
	ret
fix:	ret
	.data
thing:	.quad 0
	.section __ex_table, "a"
"""


def entry(insn: str = "copy", fixup: str = "fix", third: str = "1") -> str:
    return f"\t.long {insn} - .\n\t.long {fixup} - .\n\t.long {third}\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("\t.long copy - .\n", r"its size of 4 bytes is no multiple of an entry \(8, 12, 16 bytes\)"),
        (entry() + "\t.byte 0\n", "its size of 13 bytes is no multiple"),
        (entry("thing"), r"entry 0: its instruction thing \(0x\w+\) is in no executable section"),
        (entry() + entry(fixup="thing"), r"entry 1: its fixup thing \(0x\w+\) is in no executable section"),
        (
            entry(fixup="elsewhere"),
            "entry 0: its fixup is the label elsewhere, which the file does not define",
        ),
        (entry(fixup="fix + 100"), r"entry 0: its fixup \S+ \(0x\w+\) is in no executable section"),
        (entry(third="200"), r"entry 0: its type 200 is unknown \(data word 0x000000c8\)"),
        (entry(third="0"), r"entry 0: its type 0 is unknown"),
        (entry(third="0x4001"), r"entry 0: its flags 0x4 are unknown"),
        (entry(third="ex_handler_odd - ."), "entry 0: its handler ex_handler_odd is unknown"),
        (entry(third="EX_TYPE_ODD"), r"those of no known layout \(EX_TYPE_ODD stands there as a number\)"),
        (
            entry() + entry(fixup="copy"),
            "entries 0 and 1 are for one instruction but differ: fixup fix .* and fixup copy",
        ),
        (
            entry() + entry(third="2"),
            "differ: fixup fix after handler default and fixup fix after handler fault",
        ),
        ("\t.long copy - ., 0\n", "those of no known layout"),
        ("\t.quad copy - .\n", "those of no known layout"),
        ("\t.quad copy\n", "those of no known layout$"),
        ("\t.zero 24\n", "it has no relocations, as in a file that was stripped"),
    ],
)
def test_a_bad_table_is_refused(make_object, table, message):
    with pytest.raises(InputError, match=message):
        load(make_object(CODE + table))


def test_a_bad_entry_is_located_in_the_source(load_text):
    with pytest.raises(InputError) as caught:
        load_text("copy:\n\tnop\n1:\tmovb (%rsi), %al\n\tret\n\t_ASM_EXTABLE_TYPE(1b, copy, 99)\n")
    assert caught.value.where is not None
    assert caught.value.where.endswith("routine.S:5")


def test_one_entry_listed_twice_is_no_contradiction(make_object):
    assert len(load(make_object(CODE + entry() + entry())).entries) == 2


def test_three_short_entries_are_not_two_long_ones(make_object):
    table = "\t.long copy - .\n\t.long fix - .\n" * 3
    image = load(make_object(CODE + table))
    assert (image.layout, len(image.entries)) == ("relative", 3)


def test_two_long_entries_are_not_three_short_ones(make_object):
    image = load(make_object(CODE + entry(third="ex_handler_fault - .") * 2))
    assert (image.layout, len(image.entries)) == ("handler", 2)


def test_parts_of_different_layout_are_refused(make_object):
    text = CODE + entry() + '\t.section .extable, "a"\n\t.long copy - .\n\t.long fix - .\n'
    with pytest.raises(InputError, match="different layouts: relative, type"):
        load(make_object(text))


def test_parts_of_one_layout_are_joined(make_object):
    image = load(make_object(CODE + entry() + '\t.section .extable, "a"\n' + entry("fix", "copy")))
    assert [(image.label_at(e.insn), e.index) for e in image.entries] == [("copy", 0), ("fix", 1)]


def test_no_table_and_an_empty_table_give_no_entries(make_object):
    assert load(make_object("copy:\tret\n")).entries == ()
    image = load(make_object(CODE))
    assert (image.layout, image.entries) == ("none", ())


@pytest.mark.parametrize(
    ("table", "layout"),
    [
        ("\t.quad copy, fix\n", "absolute"),
        ("\t.long copy - .\n\t.long fix - .\n" * 3, "relative"),
        (entry(third="ex_handler_fault - .") * 2, "handler"),
        (entry(third="2") * 2, "type"),
    ],
)
def test_a_linked_file_has_no_relocations_and_is_told_by_its_contents(make_object, table, layout):
    code = CODE.replace("fix:	ret", "fix:	ret\n\t.globl ex_handler_fault\nex_handler_fault:\tret")
    image = load(make_object(code + table, name="vmlinux", link=True))
    assert image.layout == layout
    assert {(image.label_at(e.insn), image.label_at(e.fixup)) for e in image.entries} == {("copy", "fix")}


# -- tables whose bytes are given, as in a linked file

CODE_AT, TABLE_AT = 0x20000, 0x10000


def linked(table: bytes) -> tuple[Image, list[Table]]:
    section = Section("__ex_table", TABLE_AT, table, executable=False)
    code = Section(".text", CODE_AT, bytes(0x100), executable=True)
    image = Image(Path("vmlinux"), X86_64, (section, code), (), (), {}, {}, layout="", linked=True)
    return image, [Table(section, {})]


def relative_words(*targets: int) -> bytes:
    places = range(TABLE_AT, TABLE_AT + 4 * len(targets), 4)
    words = ((target - place) % (1 << 32) for target, place in zip(targets, places, strict=True))
    return b"".join(word.to_bytes(4, "little") for word in words)


def test_bytes_that_are_two_layouts_at_once_are_refused():
    # The third word is type 1 with an operand, and also the distance to an instruction.
    table = relative_words(*(CODE_AT + 9 + i for i in range(6)))
    data = (0x10001).to_bytes(4, "little")
    table = table[:8] + data + table[12:20] + data
    with pytest.raises(InputError, match=r"cannot be told: it may be relative .* or type"):
        read_tables(*linked(table))


def test_a_third_word_that_is_a_handler_s_address_and_a_type_is_the_handler() -> None:
    image, tables = linked(relative_words(CODE_AT, CODE_AT + 4) + (0x10001).to_bytes(4, "little"))
    handler = Symbol("ex_handler_default", TABLE_AT + 8 + 0x10001, 0, is_function=True, is_global=True)
    assert read_tables(replace(image, symbols=(handler,)), tables).layout == "handler"
    assert read_tables(image, tables).layout == "type"


def test_the_size_of_an_entry_is_that_of_its_layout() -> None:
    sizes = {layout.name: layout.size for layout in layouts(X86_64) if layout.is_of_linux}
    assert sizes == {"absolute": 16, "relative": 8, "handler": 12, "type": 12}


@given(st.binary(min_size=1, max_size=96))
def test_random_bytes_are_refused_or_lead_into_code(table):
    image, tables = linked(table)
    try:
        entries = read_tables(image, tables).entries
    except InputError:
        return
    assert entries
    assert all(image.code_at(e.insn) and image.code_at(e.fixup) for e in entries)


@given(
    st.lists(
        st.tuples(st.integers(0, 0x7F), st.integers(0x80, 0xFF)),
        min_size=1,
        max_size=9,
        unique_by=lambda p: p[0],
    ),
    st.sampled_from([1, 2, 3, 4, 14, 15]),
)
def test_entries_of_the_type_layout_are_read_back(pairs, number):
    table = b""
    for insn, fixup in pairs:
        words = (CODE_AT + insn - TABLE_AT - len(table), CODE_AT + fixup - TABLE_AT - len(table) - 4, number)
        table += b"".join((w % (1 << 32)).to_bytes(4, "little") for w in words)
    read = read_tables(*linked(table))
    assert read.layout == "type"
    assert [(e.insn - CODE_AT, e.fixup - CODE_AT) for e in read.entries] == pairs


@pytest.mark.parametrize(
    ("insn", "fixup", "message"),
    [
        (
            "1b",
            ".Lnowhere",
            r"routine\.S:6: exception-table entry 0: its fixup is the label \.Lnowhere, which the file",
        ),
        (
            "1b",
            "elsewhere",
            r"routine\.S:6: exception-table entry 0: its fixup is the label elsewhere, which the fil",
        ),
        (
            "nowhere",
            "2b",
            r"routine\.S:6: exception-table entry 0: its instruction is the label nowhere, which the",
        ),
    ],
)
def test_a_label_that_is_not_there_is_named_with_its_line(load_text, insn, fixup, message):
    text = f"copy:\n1:\tmovb (%rsi), %al\n2:\tret\n\t_ASM_EXTABLE({insn}, {fixup})\n"
    with pytest.raises(InputError, match=message):
        load_text(text)

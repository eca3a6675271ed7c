"""Exception tables of systems other than Linux, and those that a contract's file describes."""

from __future__ import annotations

import pytest

from mcverify.arch.known import X86_64
from mcverify.cli import run
from mcverify.contract import table_of
from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.layouts import layout_of, layouts, named, systems

CODE = """
	.text
	.globl	copy
	.type	copy, @function
copy:
{at}:	movb (%rsi), %al
next:	ret
fix:	mov $-14, %eax
{to}:	ret
	.size	copy, .-copy
	nop
	nop
"""
NAMED = CODE.format(at="at", to="to")


@pytest.mark.parametrize(
    ("section", "words", "layout"),
    [
        (".ex_table", ".long at - ., fix - .", "pairs"),
        ("__exception_table", ".long at - ., fix - .", "pairs"),
        (".ex_table", ".quad at, fix", "addresses"),
        ("__exception_table", ".quad at, fix", "addresses"),
        (".uar", ".quad at, fix", "addresses"),
        ("__ex_table", ".quad at, fix", "absolute"),
        ("__ex_table", ".quad at - ., fix - .", "pairs64"),
        (".ex_table", ".quad at - ., fix - .", "pairs64"),
        ("__ex_table", "9: .quad at - 9b, fix - 9b", "pairs64_of_entry"),
        (".uar", ".quad at, next, fix", "ranges"),
        (".uar", ".quad at, next, fix; .long 3", "ranges_with_flags"),
        (".uar", ".long at - ., next - ., fix - .", "ranges_relative"),
    ],
)
def test_the_one_layout_that_fits_is_found_and_told(make_object, section, words, layout):
    image = load(make_object(f'{NAMED}\t.section {section}, "a"\n\t{words}\n'))
    assert image.layout == layout
    assert [(image.label_at(e.insn), image.label_at(e.fixup)) for e in image.entries] == [("at", "fix")]
    assert {e.handler.name for e in image.entries} == {"default"}
    told = f"{section} is read as an exception table of layout {layout}"
    assert image.table.startswith(told) == (layout != "absolute")
    assert (image.table in image.notes) == (layout != "absolute")
    # Such a kernel is none of Linux, whose versions a layout tells.
    assert bool(image.kernels) == (layout == "absolute")


def test_two_layouts_that_fit_are_refused_until_one_is_named(make_object):
    # Numbers are no names: where the fixup is may count from the word, or from the entry.
    code = "\t.text\ncopy:\tnop\n1:\tmovb (%rsi), %al\n\t.skip 16, 0x90\n2:\tret\n\t.skip 16, 0x90\n"
    path = make_object(f'{code}\t.section __ex_table, "a"\n\t.quad 1b - ., 2b - .\n')
    message = r"cannot be told: it may be pairs64 \(.*\) or pairs64_of_entry"
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert caught.value.hint == "say which it is: --table pairs64, or --table pairs64_of_entry"
    image = load(path, table=named("akaros", X86_64))
    assert image.code_at(image.entries[0].fixup)[:1] == b"\xc3"


def test_a_layout_that_is_named_is_read_and_no_other(make_object):
    path = make_object(f'{NAMED}\t.section .ex_table, "a"\n\t.long at - ., fix - .\n')
    with pytest.raises(InputError, match=r"its size of 8 bytes is no multiple of an entry \(16 bytes\)"):
        load(path, table=named("svsm", X86_64))
    assert load(path, table=named("xen", X86_64)).layout == "pairs"
    # Linux looks for __ex_table alone.
    assert load(path, table=named("linux", X86_64)).entries == ()


def test_a_linked_file_is_read_by_its_contents(make_object):
    text = f'{NAMED}\t.section __ex_table, "a"\n\t.quad at - ., fix - ., next - ., to - .\n'
    image = load(make_object(text, name="kernel", link=True))
    assert (image.layout, len(image.entries)) == ("pairs64", 2)


def test_distances_from_the_table_are_read(make_object):
    text = f'{NAMED}\t.section __ex_table, "a"\nt:\t.long at - t, fix - t, next - t, to - t\n'
    image = load(make_object(text), table=named("vdso", X86_64))
    labels = [(image.label_at(e.insn), image.label_at(e.fixup)) for e in image.entries]
    assert labels == [("at", "fix"), ("next", "to")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (".quad fix, next, fix", "its range ends at next .*, not behind its begin"),
        (".quad at, fix + 4096, fix", "its end .* is in no executable section"),
        (".quad at, elsewhere, fix", "its end .* is in no executable section"),
        (".quad at, next, elsewhere", "its fixup is the label elsewhere, which the file does not define"),
    ],
)
def test_a_range_that_is_none_is_refused(make_object, words, message):
    with pytest.raises(InputError, match=message):
        load(make_object(f'{NAMED}\t.section .uar, "a"\n\t{words}\n'))


def test_a_range_covers_its_instructions_and_no_more(make_object):
    image = load(make_object(f'{NAMED}\t.section .uar, "a"\n\t.quad at, to, fix\n'))
    covered = [image.label_at(e.insn) for e in image.entries]
    assert covered == ["at", "next", "fix"]
    assert [e.index for e in image.entries] == [0, 0, 0]


OWN = """
name = "own"
obligations = ["O1", "O7", "O8", "O9"]
[arguments]
dst = "rdi"
src = "rsi"
len = "rdx"
[result]
status = "rax"
[table]
"""


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('layout = "xenn"', "there is no layout of exception tables 'xenn'"),
        ('layout = "xen"\nsections = ["x"]', "table.layout is the name of a layout, and alone"),
        (
            'words = ["insn field 4", "fixup field 4"]',
            "a table lies in its sections, or from the symbol start",
        ),
        ('sections = ["x"]\nwords = ["insn field 4"]', "an entry has a word"),
        ('sections = ["x"]\nwords = ["insn field 4", "end field 4", "fixup field 4"]', "an entry has a word"),
        (
            'sections = ["x"]\nwords = ["insn field 2", "fixup field 4"]',
            "'insn field 2' is no word",
        ),
        ('sections = ["x"]\nwords = ["insn 4", "fixup field 4"]', "'insn 4' is no word of an entry"),
        ('sections = ["x"]\nwords = ["insn field 4", "insn field 4", "fixup field 4"]', "two words insn"),
        ('sections = "x"\nwords = ["insn field 4", "fixup field 4"]', "sections must be a list of strings"),
        ('sections = ["x"]\nwords = ["insn field 4", "fixup field 4"]\nbyte_order = "odd"', "byte_order is"),
        ('sections = ["x"]\nwords = ["insn field 4", "fixup field 4"]\neffects = ["rax = 2"]', "'rax = 2'"),
        ('sections = ["x"]\nwords = ["insn field 4", "fixup field 4"]\neffects = ["reg = imm"]', "register"),
        ('sections = ["x"]\nwords = ["insn field 4", "fixup field 4"]\nodd = 1', "table.odd is no key"),
        ('start = "a"\nwords = ["insn field 4", "fixup field 4"]', "from the symbol start to the symbol end"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, table, message):
    path = tmp_path / "own.toml"
    path.write_text(OWN + table + "\n")
    with pytest.raises(InputError, match=message):
        table_of(path)


def test_the_layouts_of_the_systems_are_known() -> None:
    assert len({layout.name for layout in layouts(X86_64)}) == len(layouts(X86_64))
    assert {
        "linux",
        "xen",
        "litebox",
        "asterinas",
        "svsm",
        "dragonos",
        "akaros",
        "managarm",
    } <= systems(X86_64).keys()


def test_big_endian_words_are_read():
    values = {"sections": ["x"], "words": ["insn field 4", "fixup field 4"], "byte_order": "big"}
    assert layout_of("big", values, "here", X86_64).byte_order == "big"


def test_an_unknown_layout_is_named_on_the_command_line(make_object, capsys):
    path = make_object(f'{NAMED}\t.section .ex_table, "a"\n\t.long at - ., fix - .\n')
    assert run(["scan", str(path), "--table", "zen"]) == 2
    assert "there is no layout of exception tables 'zen'" in capsys.readouterr().err


def test_scan_reads_the_table_that_is_named(make_object, capsys):
    path = make_object(f'{NAMED}\t.section .uar, "a"\n\t.quad at, to, fix\n')
    assert run(["scan", str(path), "--table", "ranges"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 entry = 24 bytes of 24 each" in said

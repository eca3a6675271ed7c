"""Objects and linked files: layout in memory, relocations, symbols; what is refused."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcverify.errors import InputError
from mcverify.image import elf
from mcverify.image.load import load
from mcverify.image.relocate import BASE, LOW_BASE, PAGE
from mcverify.toolchain import find_compiler


def number(image, name, size=8, signed=False):
    """The value stored at the label `name`."""
    at = next(s.address for s in image.symbols if s.name == name)
    section = image.section_at(at)
    start = at - section.address
    return int.from_bytes(section.data[start : start + size], "little", signed=signed)


def address(image, name):
    return next(s.address for s in image.symbols if s.name == name)


def external(image, name):
    return next(a for a, n in image.externals.items() if n == name)


# -- addresses


def test_sections_lie_on_pages_of_their_own(make_object):
    image = load(
        make_object('.text\nnop\n.section .fixup,"ax"\nret\n.data\n.quad 1\n.bss\n.zero 5000\n.text\n')
    )
    sections = {s.name: s for s in image.sections}
    assert set(sections) >= {".text", ".fixup", ".data", ".bss"}
    starts = [s.address for s in image.sections]
    assert starts == sorted(starts)
    assert all(s % PAGE == 0 and BASE <= s < 1 << 47 for s in starts)
    assert all(a.end <= b.address for a, b in zip(image.sections, image.sections[1:], strict=False))
    assert sections[".text"].executable
    assert sections[".fixup"].executable
    assert not sections[".data"].executable
    assert sections[".bss"].data == bytes(5000)


def test_externals_are_apart_and_outside_every_section(make_object):
    image = load(make_object("call one\ncall two\ncall one\n"))
    assert sorted(image.externals.values()) == ["one", "two"]
    first, second = sorted(image.externals)
    assert second - first == 4096
    assert image.section_at(first) is None
    assert image.section_at(second) is None


def test_a_section_that_fills_its_pages_does_not_go_on_in_the_next(make_object):
    image = load(make_object('.text\n.zero 4096, 0x90\n.section .text.b,"ax"\nret\n'))
    end = next(s.end for s in image.sections if s.name == ".text")
    assert end % PAGE == 0
    assert image.section_at(end) is None


@pytest.mark.parametrize("branch", ["jmp", "call", "jne"])
def test_a_branch_beside_a_symbol_goes_to_a_place_of_its_own(make_object, branch):
    image = load(
        make_object(f"start: {branch} one + 4096\n{branch} two\n{branch} one\nlea one + 8(%rip), %rax\n")
    )
    assert sorted(image.externals.values()) == ["one", "one+0x1000", "two"]
    length = 6 if branch == "jne" else 5
    ends = [address(image, "start") + length * k for k in (1, 2, 3)]
    reached = [end + int.from_bytes(image.bytes_at(end - 4, 4), "little", signed=True) for end in ends]
    assert [image.externals[place] for place in reached] == ["one+0x1000", "two", "one"]


def test_a_linked_file_keeps_its_addresses(make_object):
    text = ".globl copy\n.type copy,@function\ncopy: ret\n.size copy, .-copy\n.data\nhere: .quad copy\n"
    image = load(make_object(text, name="vmlinux", link=True, flags=("-Wl,-Ttext=0x12345000",)))
    assert address(image, "copy") == 0x12345000
    assert number(image, "here") == 0x12345000
    assert [f.name for f in image.functions] == ["copy"]


# -- relocations


def test_relocations_are_applied(make_object):
    image = load(
        make_object("""
	.text
start:	call there
after:	ret
	.data
abs64:	.quad there + 5
rel64:	.quad there - .
rel32:	.long local - .
	.section .rodata
local:	.byte 1
""")
    )
    there = external(image, "there")
    assert address(image, "start") + 5 + number_at(image, address(image, "start") + 1) == there
    assert number(image, "abs64") == there + 5
    assert number(image, "rel64", signed=True) == there - address(image, "rel64")
    assert number(image, "rel32", 4, signed=True) == address(image, "local") - address(image, "rel32")


def number_at(image, at):
    section = image.section_at(at)
    return int.from_bytes(section.data[at - section.address :][:4], "little", signed=True)


def test_a_file_with_32_bit_addresses_is_laid_out_low(make_object):
    image = load(
        make_object(
            ".text\nmov $table, %eax\njmp *table(,%rax,8)\n.data\n.quad 0\ntable: .quad 7\nw: .long table\n"
        )
    )
    assert all(LOW_BASE <= s.address < 1 << 31 for s in image.sections)
    assert number(image, "w", 4) == address(image, "table")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mov thing@GOTPCREL(%rip), %rax\n",
            r"relocation at \.text\+0x3: R_X86_64_\w*GOTPCREL\w*: .*compile with -fno-pic",
        ),
        ("mov %fs:thing@tpoff, %rax\n", r"R_X86_64_TPOFF32 is not supported"),
        ("lea thing@tlsgd(%rip), %rdi\n", r"R_X86_64_TLSGD is not supported"),
        (
            ".data\n.byte far\n",
            r"relocation at \.data\+0x0: the value 0x\w+ of far does not fit into 1 bytes",
        ),
    ],
)
def test_a_relocation_that_cannot_be_applied_is_named(make_object, text, message):
    with pytest.raises(InputError, match=message):
        load(make_object(text))


# -- symbols


def test_symbols_say_what_the_file_says(make_object):
    image = load(
        make_object("""
	.globl whole
	.type whole, @function
whole:	ret
	.size whole, . - whole
	.weak spare
spare:	ret
part:	ret
	.set NUMBER, 3
""")
    )
    symbols = {s.name: (s.size, s.is_function, s.is_global) for s in image.symbols}
    assert symbols == {"whole": (1, True, True), "spare": (0, False, True), "part": (0, False, False)}


def test_an_object_without_lines_says_so(make_object):
    image = load(make_object("copy: ret\n"))
    assert image.lines == {}
    assert image.where(image.sections[0].address) == f"{image.path}: .text+0x0"
    assert image.notes == ("there is no line information: places are given as section+offset",)


# -- refusals


@pytest.fixture
def good(make_object) -> bytes:
    return make_object("copy: call x\nret\n").read_bytes()


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    out = bytearray(data)
    for at, new in changes:
        out[at : at + len(new)] = new
    return bytes(out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((4, b"\1"), "it is a 32-bit ELF file"),
        ((5, b"\2"), "it is a big-endian ELF file"),
        ((18, b"\xb7"), r"it is for another machine \(ELF e_machine 183\)"),
        ((16, b"\4"), "an ELF file of type ET_CORE holds no routine"),
        ((40, bytes(8)), "it has no section headers"),
        ((60, bytes(2)), "it has no section headers"),
        ((60, b"\xff\xfe"), "the file is cut off: its section headers are not inside it"),
        ((62, b"\x77\x77"), "the ELF file is damaged"),
    ],
)
def test_a_foreign_header_is_refused(good, change, message):
    with pytest.raises(InputError, match=f"^some.o: {message}"):
        elf.parse(io.BytesIO(patched(good, change)), "some.o")


@pytest.mark.parametrize("length", [4, 63])
def test_a_cut_header_is_refused(good, length):
    with pytest.raises(InputError, match=f"the ELF header is cut off after {length} of 64 bytes"):
        elf.parse(io.BytesIO(good[:length]), "some.o")


def test_a_cut_file_is_refused(good):
    with pytest.raises(InputError, match="the file is cut off"):
        elf.parse(io.BytesIO(good[:-1]), "some.o")


def test_a_section_beyond_the_end_is_refused(good):
    headers = int.from_bytes(good[40:48], "little")
    with pytest.raises(InputError, match=r"the file is cut off inside section \.\w+"):
        elf.parse(io.BytesIO(patched(good, (headers + 64 + 32, b"\xff\xff\xff"))), "some.o")


def test_sections_that_share_the_same_bytes_are_refused(good):
    # Read one by one they would need more memory than the file has bytes, many times over.
    headers, count = int.from_bytes(good[40:48], "little"), int.from_bytes(good[60:62], "little")
    whole = bytes(8) + len(good).to_bytes(8, "little")
    changes = [(headers + 64 * i + 24, whole) for i in range(1, count - 1)]
    with pytest.raises(InputError, match="its sections, .* bytes in all, overlap"):
        elf.parse(io.BytesIO(patched(good, *changes)), "some.o")


def test_an_enormous_section_without_contents_is_refused(make_object):
    with pytest.raises(InputError, match="its sections ask for 10000000000 bytes"):
        load(make_object(".bss\n.zero 10000000000\n"))


def test_a_strange_alignment_is_refused(make_object):
    with pytest.raises(InputError, match=r"section \.data has the alignment 8388608"):
        load(make_object(".data\n.balign 0x800000\n.byte 1\n"))


def test_a_file_stripped_of_symbols_still_loads(make_object):
    path = make_object(".text\n.globl copy\ncopy: ret\n", link=True)
    subprocess.run(["strip", str(path)], check=True)
    image = load(path)
    assert image.symbols == ()
    assert image.code_at(image.sections[0].address, 1) == b"\xc3"


@pytest.mark.parametrize("what", ["-s", "-g"])
def test_a_stripped_object_lacks_the_relocations_of_its_table(make_object, what):
    path = make_object(
        ".globl copy\n.type copy,@function\ncopy:\n1: movb (%rsi),%al\nret\n.size copy,.-copy\n"
        '2: ret\n.section __ex_table,"a"\n.long 1b-., 2b-., 3\n'
    )
    subprocess.run(["strip", what, str(path)], check=True)
    if what == "-g":
        assert len(load(path).entries) == 1
        return
    with pytest.raises(InputError, match="no relocations, as in a file that was stripped") as refused:
        load(path)
    assert "before it was stripped" in str(refused.value.hint)


# -- damage


@pytest.fixture(scope="module")
def table_object(tmp_path_factory) -> bytes:
    """An object with everything that is read: code, table, relocations, debug information."""
    folder: Path = tmp_path_factory.mktemp("damage")
    source = folder / "a.s"
    source.write_text(
        ".globl copy\n.type copy,@function\ncopy:\n1: movb (%rsi),%al\ncall helper\nret\n.size copy,.-copy\n"
        '.section .fixup,"ax"\n2: ret\n.section __ex_table,"a"\n.long 1b-., 2b-., 3\n'
    )
    subprocess.run(
        [*find_compiler(), "-c", "-g", "-Wa,-L", str(source), "-o", str(folder / "a.o")], check=True
    )
    return (folder / "a.o").read_bytes()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_object_is_refused_or_loads(table_object, tmp_path, data):
    headers = int.from_bytes(table_object[40:48], "little")
    places = st.one_of(
        st.integers(0, 63), st.integers(headers, len(table_object) - 1), st.integers(0, len(table_object) - 1)
    )
    changes = data.draw(
        st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)
    )
    path = tmp_path / "damaged.o"
    path.write_bytes(patched(table_object, *changes)[: data.draw(st.integers(0, 2 * len(table_object)))])
    image = load_or_none(path)
    if image is not None:
        assert all(image.code_at(e.insn) and image.code_at(e.fixup) for e in image.entries)


def load_or_none(path):
    """The image, or None where the file is refused; any other exception is a failure."""
    try:
        return load(path)
    except InputError:
        return None

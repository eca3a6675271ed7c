"""Sources: which compiler, which headers, what a failure says, what is left behind."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.image.callees import ASSUMED
from mcverify.image.config import SHIM, Config
from mcverify.image.load import load

COPY = """
SYM_FUNC_START(copy)
1:	movb (%rsi), %al
2:	RET
SYM_FUNC_END(copy)
	_ASM_EXTABLE(1b, 2b)
"""


def compilers():
    found = [name for name in ("gcc", "clang") if shutil.which(name)]
    if importlib.util.find_spec("ziglang"):
        found.append(f"{sys.executable} -m ziglang cc")
    return found


@pytest.fixture(params=compilers(), ids=lambda c: c.split()[-1] if "zig" in c else c)
def compiler(request, monkeypatch):
    monkeypatch.setenv("CC", request.param)


@pytest.mark.usefixtures("compiler")
class TestEveryCompiler:
    def test_gives_the_same_code_and_entries(self, load_text, monkeypatch):
        image = load_text(COPY)
        assert image.sections[0].data == bytes.fromhex("8a06c3")
        assert [
            (e.insn - image.sections[0].address, e.fixup - image.sections[0].address) for e in image.entries
        ] == [(0, 2)]
        assert image.line_at(image.entries[0].insn).line == 5

    def test_locates_an_unknown_instruction(self, load_text):
        with pytest.raises(
            InputError, match=r"routine\.S:4: the assembler knows no such instruction or macro: .*movzz"
        ):
            load_text("nop\nmovzz %rax, %rbx\n")

    def test_locates_an_unknown_macro(self, load_text):
        with pytest.raises(
            InputError,
            match=r"routine\.S:3: the assembler knows no such .*include the header that defines it",
        ):
            load_text("SYM_FOO_START(copy)\nnop\n")

    def test_locates_a_bad_operand(self, load_text):
        with pytest.raises(InputError, match=r"routine\.S:3: it does not assemble: "):
            load_text("movq %al, %rbx\n")

    def test_locates_an_error_inside_a_macro_at_its_use(self, load_text):
        text = ".macro broken\n\tmovq %al, %rbx\n.endm\nnop\n\tbroken\n"
        with pytest.raises(InputError, match=r"routine\.S:[47]: it does not assemble"):
            load_text(text)

    def test_names_a_missing_header(self, load_text):
        with pytest.raises(InputError, match=r"routine\.S:3: the header asm/nonsense\.h is neither .*-I DIR"):
            load_text("#include <asm/nonsense.h>\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("copy:\n\tret\n\t.size copy_c, . - copy_c\n", r"routine\.S:5: it does not assemble: .*copy_c"),
        ("copy:\n\tret\n\t.org copy - 5\n", r"routine\.S:5: it does not assemble: .*\.org"),
        ("copy:\n\tnop\n\tjmp 7f\n\tret\n", r"routine\.S:5: it does not assemble: .*7"),
        ("copy:\n\t.if 1\n\tret\n", r"routine\.S.*: it does not assemble: .*"),
    ],
)
@pytest.mark.usefixtures("compiler")
def test_the_assemblers_own_message_is_told(load_text, text, message):
    with pytest.raises(InputError, match=message) as error:
        load_text(text)
    assert "Assembler messages" not in str(error.value)


def test_an_error_without_any_form_is_told_as_it_is(load_text, monkeypatch, tmp_path):
    broken = tmp_path / "gcc"
    broken.write_text("#!/bin/sh\necho 'cc1 is not there' >&2\necho 'nothing was done' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(InputError, match="could not assemble it: cc1 is not there nothing was done"):
        load_text(COPY)


def test_an_end_of_what_nothing_begins_is_remarked(load_text):
    """As in copy_user_64.S of 2.6.24: the assemblers of that time took it."""
    image = load_text("ENTRY(copy)\n1:\tmovb (%rsi), %al\n2:\tret\nEND(copy_c)\n\t_ASM_EXTABLE(1b, 2b)\n")
    assert [note for note in image.notes if "ends nothing" in note] == [
        f"END(copy_c) ({image.path}:6) ends nothing: no such label"
    ]
    assert not [n for n in load_text(COPY).notes if "ends nothing" in n]


@pytest.mark.parametrize(
    "header", ["asm/offset.h", "asm/rwlock.h", "asm/alternative-asm.i", "asm-generic/export.h"]
)
def test_headers_of_old_sources_have_stand_ins(load_text, header):
    assert load_text(COPY, headers=f"#include <{header}>\n").entries


def test_a_macro_used_as_a_number_is_named_where_it_is_used(load_text):
    with pytest.raises(
        InputError,
        match=r"routine\.S:4: it uses SOME_NUMBER as a number, but no header defines it .*-D NAME=VALUE",
    ):
        load_text("\tnop\n\tcmpl $SOME_NUMBER, %eax\n\tret\n")


def test_a_define_gives_the_number(load_text):
    image = load_text("copy:\tmovl $SOME_NUMBER, %eax\n", defines=["SOME_NUMBER=0x1234"])
    assert "assembled with -D SOME_NUMBER=0x1234" in image.notes
    assert image.sections[0].data == bytes.fromhex("b834120000")


def test_an_undefined_function_is_no_forgotten_macro(load_text):
    assert list(load_text("copy:\tjmp copy_user_handle_tail\n").externals.values()) == [
        "copy_user_handle_tail"
    ]


# -- folders of headers


def test_a_users_header_comes_before_the_stand_in(load_text, tmp_path):
    (tmp_path / "mine" / "asm").mkdir(parents=True)
    (tmp_path / "mine" / "asm" / "special.h").write_text("#define SPECIAL int3\n")
    (tmp_path / "mine" / "asm" / "errno.h").write_text("#define EFAULT 77\n")
    text = "#include <asm/special.h>\n#include <asm/errno.h>\ncopy:\tSPECIAL\n\tmovb $EFAULT, %al\n"
    image = load_text(text, headers="", include=[tmp_path / "mine"])
    assert image.sections[0].data == bytes([0xCC, 0xB0, 77])
    assert f"assembled with -I {tmp_path / 'mine'}" in image.notes


def test_a_header_beside_the_source_is_found(load_text, tmp_path):
    (tmp_path / "beside.h").write_text("#define TRAP int3\n")
    assert (
        load_text('#include "beside.h"\n#include <beside.h>\ncopy: TRAP\n', headers="").sections[0].data
        == b"\xcc"
    )


def test_a_folder_that_is_none_is_refused(load_text, tmp_path):
    with pytest.raises(InputError, match="missing: -I names no folder"):
        load_text(COPY, include=[tmp_path / "missing"])


@pytest.fixture
def kernel(tmp_path) -> Path:
    """A folder that looks like a configured kernel's headers."""
    folder = tmp_path / "kernel"
    (folder / "generated").mkdir(parents=True)
    (folder / "linux").mkdir()
    (folder / "generated" / "autoconf.h").write_text("#define CONFIG_THEIRS 1\n#define CONFIG_HZ 250\n")
    (folder / "linux" / "kconfig.h").write_text("#include <generated/autoconf.h>\n")
    return folder


def test_a_kernels_own_configuration_replaces_the_assumed_one(load_text, kernel):
    text = "copy:\n#ifdef CONFIG_THEIRS\n\tint3\n#endif\n#ifdef CONFIG_X86_MCE\n\tnop\n#endif\n"
    image = load_text(text, include=[kernel])
    assert image.sections[0].data == b"\xcc"
    autoconf = kernel / "generated" / "autoconf.h"
    configs = (f"CONFIG_THEIRS is set in {autoconf}", f"CONFIG_X86_MCE is not set in {autoconf}")
    assert image.notes == (*configs, f"assembled with -I {kernel}")


def test_a_config_that_contradicts_the_kernels_own_is_refused(load_text, kernel):
    with pytest.raises(InputError, match=r"-D CONFIG_THEIRS: the CONFIGs come from .*autoconf\.h"):
        load_text(COPY, include=[kernel], defines=["CONFIG_THEIRS=n"])


# -- definitions


@pytest.mark.parametrize(
    ("defines", "seen"),
    [
        ([], b"\x90"),
        (["CONFIG_X86_MCE=n"], b""),
        (["CONFIG_X86_MCE=0"], b""),
        (["CONFIG_OTHER"], b"\x90\xcc"),
        (["CONFIG_OTHER=y"], b"\x90\xcc"),
        (["CONFIG_X86_MCE=n", "CONFIG_X86_MCE"], b"\x90"),
    ],
)
def test_configs_are_switched_by_definitions(load_text, defines, seen):
    text = "#ifdef CONFIG_X86_MCE\n\tnop\n#endif\n\t.if IS_ENABLED(CONFIG_OTHER)\n\tint3\n\t.endif\n\tret\n"
    assert load_text("copy:\n" + text, defines=defines).sections[0].data == seen + b"\xc3"


@pytest.mark.parametrize("text", ["", "1X", "A B", "=3", "A-B=1"])
def test_a_definition_without_a_name_is_refused(text):
    with pytest.raises(InputError, match="is no name of a macro"):
        Config.of([text], [])


# -- the compiler itself


def test_nothing_is_left_behind(load_text, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = {p.name for p in tmp_path.iterdir()} | {"routine.S"}
    load_text(COPY)
    with pytest.raises(InputError):
        load_text("nonsense\n")
    assert list(scratch.iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} == before


def test_a_compiler_that_says_nothing_is_reported(load_text, tmp_path, monkeypatch):
    fake = tmp_path / "fakecc"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CC", str(fake))
    with pytest.raises(InputError, match="fakecc could not assemble it: no message"):
        load_text(COPY)


def test_a_compiler_that_cannot_run_is_reported(load_text, tmp_path, monkeypatch):
    fake = tmp_path / "fakecc"
    fake.write_text("no program")
    fake.chmod(0o755)
    monkeypatch.setenv("CC", str(fake))
    with pytest.raises(InputError, match="cannot run .*fakecc"):
        load_text(COPY)


def test_a_compiler_that_hangs_is_reported(load_text, tmp_path, monkeypatch):
    fake = tmp_path / "fakecc"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CC", str(fake))
    monkeypatch.setattr("mcverify.image.confined._WAIT", 0.2)
    with pytest.raises(InputError, match="did not end within 0.2 seconds"):
        load_text(COPY)


def test_a_source_whose_name_begins_with_a_dash_is_no_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-o.S").write_text("copy:\tret\n")
    assert load(Path("-o.S")).sections[0].data == b"\xc3"


def test_preprocessed_assembly_needs_no_headers(load_text):
    image = load_text("copy:\n\tret\n", name="routine.s", headers="")
    assert image.line_at(image.sections[0].address).line == 2


# -- the stand-in headers


@pytest.mark.parametrize("header", sorted(str(p.relative_to(SHIM)) for p in SHIM.glob("[al]*/*.h")))
def test_each_stand_in_header_can_be_included_alone_and_twice(load_text, header):
    text = f"#include <{header}>\n#include <{header}>\ncopy:\tret\n"
    assert load_text(text, headers="").sections[0].data == b"\xc3"


ALL = "".join(
    f"#include <{h}>\n"
    for h in (
        "linux/linkage.h", "linux/export.h", "asm/asm.h", "asm/alternative.h", "asm/smap.h", "asm/dwarf2.h",
        "asm/unwind_hints.h", "asm/copy_mc_test.h", "asm/mcsafe_test.h", "asm/nospec-branch.h",
        "asm/cpufeatures.h",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "end", "function", "exported"),
    [
        ("ENTRY(copy)", "ENDPROC(copy)", True, True),
        ("ENTRY(copy)", "END(copy)", False, True),
        ("WEAK(copy)", "ENDPROC(copy)", True, True),
        ("KPROBE_ENTRY(copy)", "KPROBE_END(copy)", False, True),
        ("GLOBAL(copy)", "ENDPROC(copy)", True, True),
        ("SYM_FUNC_START(copy)", "SYM_FUNC_END(copy)", True, True),
        ("SYM_FUNC_START_NOALIGN(copy)", "SYM_FUNC_END(copy)", True, True),
        ("SYM_FUNC_START_LOCAL(copy)", "SYM_FUNC_END(copy)", True, False),
        ("SYM_FUNC_START_LOCAL_NOALIGN(copy)", "SYM_FUNC_END(copy)", True, False),
        ("SYM_FUNC_START_WEAK(copy)", "SYM_FUNC_END(copy)", True, True),
        ("SYM_FUNC_START_WEAK_NOALIGN(copy)", "SYM_FUNC_END(copy)", True, True),
        ("SYM_FUNC_START_ALIAS(copy)", "SYM_FUNC_END_ALIAS(copy)", True, True),
        ("SYM_FUNC_START_LOCAL_ALIAS(copy)", "SYM_FUNC_END_ALIAS(copy)", True, False),
        ("SYM_TYPED_FUNC_START(copy)", "SYM_FUNC_END(copy)", True, True),
        ("SYM_CODE_START(copy)", "SYM_CODE_END(copy)", False, True),
        ("SYM_CODE_START_LOCAL(copy)", "SYM_CODE_END(copy)", False, False),
        ("SYM_CODE_START_NOALIGN(copy)", "SYM_CODE_END(copy)", False, True),
        ("SYM_CODE_START_LOCAL_NOALIGN(copy)", "SYM_CODE_END(copy)", False, False),
        ("SYM_START(copy, SYM_L_WEAK, SYM_A_ALIGN)", "SYM_END(copy, SYM_T_FUNC)", True, True),
        ("SYM_START(copy, SYM_L_LOCAL, SYM_A_NONE)", "SYM_END(copy, SYM_T_NONE)", False, False),
    ],
)
@pytest.mark.usefixtures("compiler")
def test_every_way_to_begin_and_end_a_routine(load_text, begin, end, function, exported):
    image = load_text(f"{begin}\n\tnop\n\tRET\n{end}\n", headers=ALL)
    (symbol,) = image.symbols
    assert (symbol.name, symbol.size) == ("copy", 2)
    assert (symbol.is_function, symbol.is_global) == (function, exported)


@pytest.mark.parametrize(
    ("macro", "exported"),
    [
        ("SYM_FUNC_ALIAS(other, copy)", True),
        ("SYM_FUNC_ALIAS_WEAK(other, copy)", True),
        ("SYM_FUNC_ALIAS_MEMFUNC(other, copy)", True),
        ("SYM_FUNC_ALIAS_LOCAL(other, copy)", False),
    ],
)
@pytest.mark.usefixtures("compiler")
def test_an_alias_is_a_second_name_of_the_routine(load_text, macro, exported):
    image = load_text(
        f"\tnop\nSYM_FUNC_START(copy)\n\tnop\n\tRET\nSYM_FUNC_END(copy)\n{macro}\n", headers=ALL
    )
    by_name = {s.name: s for s in image.symbols}
    assert by_name["other"].address == by_name["copy"].address == image.sections[0].address + 16
    assert (by_name["other"].size, by_name["other"].is_function, by_name["other"].is_global) == (
        2,
        True,
        exported,
    )


@pytest.mark.usefixtures("compiler")
def test_an_inner_label_is_a_symbol(load_text):
    image = load_text(
        "SYM_FUNC_START(copy)\n\tnop\nSYM_INNER_LABEL(inner, SYM_L_GLOBAL)\n\tRET\nSYM_FUNC_END(copy)\n"
    )
    assert {(s.name, s.address - image.sections[0].address) for s in image.symbols} == {
        ("copy", 0),
        ("inner", 1),
    }


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("RET", "c3"),
        ("ASM_STAC", "909090"),
        ("ASM_CLAC", "909090"),
        ('ALTERNATIVE "int3", "nop", X86_FEATURE_ERMS', "cc"),
        ('ALTERNATIVE "", "lfence", X86_FEATURE_XMM2', "909090"),
        ('ALTERNATIVE "cmpl $64, %edx; jb copy", "", X86_FEATURE_FSRM', "83fa4072fb"),
        ('ALTERNATIVE_2 "int3", "", X86_FEATURE_REP_GOOD, "nop; nop", X86_FEATURE_ERMS', "cc90"),
        (
            'ALTERNATIVE_3 "", "nop", X86_FEATURE_FSRM, "clc;clc;clc", X86_FEATURE_ERMS,'
            ' "cld", X86_FEATURE_SMAP',
            "909090",
        ),
        ("EXPORT_SYMBOL(copy)", ""),
        ("EXPORT_SYMBOL_GPL(copy)", ""),
        ("ANNOTATE_NOENDBR", ""),
        ("ANNOTATE_RETPOLINE_SAFE", ""),
        ("UNWIND_HINT_EMPTY", ""),
        ("UNWIND_HINT_REGS base=%rsp offset=8", ""),
        ("ENDBR", ""),
        ("CFI_STARTPROC", ""),
        ("CFI_ADJUST_CFA_OFFSET 8", ""),
        ("CFI_REL_OFFSET rbx, 0", ""),
        ("pushq_cfi %rbx", "53"),
        ("popq_cfi %rbx", "5b"),
        ("movq_cfi rbx, 8", "48895c2408"),
        ("movq_cfi_restore 8, rbx", "488b5c2408"),
        ("MCSAFE_TEST_CTL", ""),
        ("MCSAFE_TEST_SRC %rsi 8 .Lfix", ""),
        ("COPY_MC_TEST_CTL", ""),
        ("COPY_MC_TEST_SRC %rsi 8 .Lfix", ""),
        ("COPY_MC_TEST_DST %rdi 8 .Lfix", ""),
        ("_ASM_NOKPROBE(copy)", ""),
        ("cmp $X86_TRAP_MC, %eax", "83f812"),
        ("mov $(-EFAULT), %_ASM_AX", "48c7c0f2ffffff"),
        ("_ASM_ADD $1, %_ASM_DI", "4883c701"),
        ("mov $TASK_SIZE_MAX, %rdx", "48ba00f0ffffff7f0000"),
        ("RUNTIME_CONST_PTR USER_PTR_MAX, rdx", "48ba00f0ffffff7f0000"),
        ("CALL_NOSPEC rax", "ffd0"),
    ],
)
def test_what_a_stand_in_macro_assembles_to(load_text, line, code):
    includes = ALL + "#include <asm/page_types.h>\n#include <asm/runtime-const.h>\n"
    image = load_text(f"copy:\n\t{line}\n\tret\n", headers=includes)
    assert image.sections[0].data.hex() == code + "c3"


def test_the_stand_in_for_destination_alignment_has_two_entries(load_text):
    image = load_text("SYM_FUNC_START(copy)\n\tALIGN_DESTINATION\n\tRET\nSYM_FUNC_END(copy)\n", name="a.S")
    own = [e for e in image.entries if e.handler.name != "assumed"]
    assert [image.section_at(e.fixup).name for e in own] == [".fixup", ".fixup"]
    assert "copy_user_handle_tail" in image.externals.values()
    assert any("ALIGN_DESTINATION" in note and "stand-in" in note for note in image.notes)


def test_a_source_may_bring_its_own_macro_of_a_stand_ins_name(load_text):
    text = "\t.macro ALIGN_DESTINATION\n\tint3\n\t.endm\ncopy:\tALIGN_DESTINATION\n"
    image = load_text(text)
    assert image.sections[0].data == b"\xcc"
    assert image.notes == ()


OLD_STYLE = """
#include <linux/linkage.h>
#include <asm/dwarf2.h>
#include <asm/current.h>
#include <asm/asm-offsets.h>
#include <asm/thread_info.h>
#include <asm/cpufeature.h>
#include <asm/alternative-asm.h>
ENTRY(copy)
	CFI_STARTPROC
	GET_THREAD_INFO(%rax)
	cmpq TI_addr_limit(%rax), %rcx
	jae .Lbad
1:	movb (%rsi), %al
	ret
	.section .fixup, "ax"
.Lbad:	movl $1, %eax
	jmp copy_user_handle_tail
	.previous
	.section __ex_table, "a"
	.align 8
	.quad 1b, .Lbad
	.previous
	CFI_ENDPROC
ENDPROC(copy)
	.section .altinstructions, "a"
	altinstruction_entry copy, .Lbad, X86_FEATURE_REP_GOOD, 1, 1
	.previous
"""


@pytest.mark.usefixtures("compiler")
def test_a_source_in_the_manner_of_2_6_loads(load_text):
    image = load_text(OLD_STYLE, headers="")
    entries = [e for e in image.entries if e.handler.name != ASSUMED]
    assert (image.layout, len(entries)) == ("absolute", 1)
    assert image.label_at(entries[0].fixup) == ".Lbad"
    assert set(image.externals.values()) == {"current_task", "copy_user_handle_tail"}
    assert any("GET_THREAD_INFO" in note for note in image.notes)

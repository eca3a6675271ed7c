"""Numbers that a kernel's build works out of asm-offsets.c, had from a tree that was never built."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.image import asm_offsets
from mcverify.image.load import load

ENTRY = "struct exception_table_entry {\n\tint insn, fixup, data;\n};\n"
PACKED = (
    "struct alt_instr {\n\ts32 site;\n\tunion { struct { u32 id: 16; u32 flags: 16; }; u32 both; };\n"
    "\tu8 size;\n} __packed;\n"
)
CONFIGURED = "struct task {\n#ifdef CONFIG_SMP\n\tint cpu;\n#endif\n\tint other;\n};\n"
FOREIGN = "struct odd {\n\tspinlock_t lock;\n};\n"
OFFSETS = """
static void foo(void)
{
\tDEFINE(EXTABLE_SIZE,	sizeof(struct exception_table_entry));
\tDEFINE(ALT_INSTR_SIZE, sizeof(struct alt_instr));
\tDEFINE(TASK_SIZE, sizeof(struct task));
\tDEFINE(ODD_SIZE, sizeof(struct odd));
\tOFFSET(TASK_cpu, task, cpu);
}
"""
ROUTINE = """
	.globl copy_mc_fragile
	.type copy_mc_fragile, @function
copy_mc_fragile:
1:	movb (%rsi), %al
2:	ret
	.pushsection "__ex_table", "aM", @progbits, {size}
	.balign 4
	.long 1b - ., 2b - ., 3
	.popsection
"""


@pytest.fixture
def tree(tmp_path) -> Path:
    files = {
        "Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\n",
        "include/linux/kconfig.h": "#include <generated/autoconf.h>\n",
        "arch/x86/include/asm/extable.h": ENTRY,
        "arch/x86/include/asm/alternative.h": PACKED,
        "arch/x86/include/asm/other.h": CONFIGURED + FOREIGN,
        "arch/x86/include/asm/asm.h": "#include <generated/asm-offsets.h>\n",
        "arch/x86/kernel/asm-offsets.c": OFFSETS,
        "arch/x86/lib/copy_mc_64.S": "#include <asm/asm.h>\n" + ROUTINE.format(size="EXTABLE_SIZE"),
        "arch/x86/lib/cpu.S": "#include <asm/asm.h>\n" + ROUTINE.format(size="TASK_SIZE"),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_sizes_of_structures_that_stand_alone_are_known(tree):
    assert asm_offsets.sizes(tree) == {"EXTABLE_SIZE": 12, "ALT_INSTR_SIZE": 9}


def test_sources_of_a_tree_that_was_not_built_have_them(tree):
    image = load(tree / "arch/x86/lib/copy_mc_64.S")
    assert len(image.entries) == 1
    assert any(note.startswith("headers of the kernel 7.3.0") for note in image.notes)


def test_what_is_missing_is_named(tree):
    with pytest.raises(
        InputError, match=r"cpu\.S:\d+: .*it needs TASK_SIZE, which a build works out of arch/x86/ker"
    ):
        load(tree / "arch/x86/lib/cpu.S")


def test_a_structure_with_two_definitions_is_not_guessed(tree):
    (tree / "arch/x86/include/asm/second.h").write_text(ENTRY.replace("data", "data, more"))
    assert "EXTABLE_SIZE" not in asm_offsets.sizes(tree)

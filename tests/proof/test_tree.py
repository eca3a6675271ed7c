"""Every copy routine of a kernel's tree, in one table; the tree is our own."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from asm_corpus.expectations import ROOT
from rich.console import Console

from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.tree import prove_tree
from mcverify.report.summary import counts
from mcverify.report.table import print_table

# A routine of the name and contract of the kernel's, and one of no name that is known.
RIGHT = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(copy_mc_enhanced_fast_string)
	mov %rdx, %rcx
0:	rep movsb
	xor %eax, %eax
	RET
1:	mov %rcx, %rax
	RET
	_ASM_EXTABLE_TYPE(0b, 1b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(copy_mc_enhanced_fast_string)
"""
NAMELESS = RIGHT.replace("copy_mc_enhanced_fast_string", "mystery")
UNREAD = RIGHT.replace("copy_mc_enhanced_fast_string", "copy_mc_fragile").replace("rep movsb", "repeat")
HARMLESS = "#error not for this kernel\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel's tree that has stand-in headers of mcverify for its own."""
    root = tmp_path / "linux"
    shutil.copytree(ROOT / "src/mcverify/image/shim/include", root / "arch/x86/include")
    (root / "include/linux").mkdir(parents=True)
    (root / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 99\nSUBLEVEL = 0\n")
    library = root / "arch/x86/lib"
    library.mkdir()
    files = {"a.S": RIGHT, "b.S": NAMELESS, "c.S": UNREAD, "d.S": HARMLESS, "e_32.S": RIGHT}
    for name, text in {**files, "usercopy_64.c": 'asm(_ASM_EXTABLE_UA(0b, 2b) : "=c"(size));\n'}.items():
        (library / name).write_text(text)
    return root


def proved(tree: Path, **options: object) -> list[RoutineResult]:
    return prove_tree(tree, ProveOptions(**options), lambda _: None)  # type: ignore[arg-type]


def test_no_routine_is_lost(tree: Path) -> None:
    results = proved(tree)
    assert [(Path(r.file).name, r.name, r.verdict, r.contract is None) for r in results] == [
        ("a.S", "copy_mc_enhanced_fast_string", Verdict.PROVED, False),
        ("b.S", "mystery", Verdict.UNKNOWN, True),
        ("c.S", "copy_mc_fragile", Verdict.UNKNOWN, False),
    ]
    assert "c.S:5: the assembler knows no such instruction" in results[2].unknowns[0]
    said = "\n".join(results[-1].notes)
    assert "d.S, which does not mention an exception table, was not read: " in said
    assert "e_32.S is for kernels of 32 bits" in said
    assert "usercopy_64.c has exception-table entries in C: build it, and prove usercopy_64.o" in said
    assert counts(results) == "1 proved, 1 unknown, 1 no contract"


def test_on_a_narrow_terminal_files_stand_above_their_routines(tree: Path) -> None:
    results = [*proved(tree), *proved(tree, routines=("mystery",))]
    shown = io.StringIO()
    print_table(results, Console(file=shown, width=80, force_terminal=True, color_system=None))
    lines = shown.getvalue().splitlines()
    assert lines[0].split() == ["verdict", "routine", "contract", "slack", "what", "is", "wrong"]
    assert [line for line in lines if line.endswith(".S")] == ["a.S", "b.S", "c.S", "b.S"]
    assert lines[3].split() == ["proved", "copy_mc_enhanced_fast_string", "bytes_left", "0"]
    assert max(map(len, lines)) <= 80
    whole = io.StringIO()
    print_table(results, Console(file=whole, width=80))
    assert whole.getvalue().splitlines()[2].split()[2] == "a.S"


MSR = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(rdmsr_safe)
	mov (%rdi), %ecx
0:	rdmsr
	mov %eax, (%rsi)
	RET
1:	mov $-5, %eax
	RET
	_ASM_EXTABLE(0b, 1b)
SYM_FUNC_END(rdmsr_safe)
"""


@pytest.mark.slow
def test_what_faults_without_a_memory_access_is_no_copy_routine_and_does_not_count(tree: Path) -> None:
    for name in ("b.S", "c.S"):
        (tree / "arch/x86/lib" / name).unlink()
    msr = tree / "arch/x86/lib/msr.S"
    msr.write_text(MSR)
    results = proved(tree)
    assert [(r.name, r.verdict) for r in results] == [("copy_mc_enhanced_fast_string", Verdict.PROVED)]
    said = "msr.S: rdmsr_safe is no copy routine: what may fault there is rdmsr, which accesses no memory"
    assert said in results[-1].notes
    # Beside one that may copy it is left out alone; with an entry at a load, or asked for, it counts.
    msr.write_text(MSR + NAMELESS)
    assert [r.name for r in proved(tree)] == ["copy_mc_enhanced_fast_string", "mystery"]
    assert [r.name for r in proved(tree, routines=("rdmsr_safe",))] == ["rdmsr_safe"]
    msr.write_text(MSR.replace("	mov (%rdi)", "2:	mov (%rdi)") + "_ASM_EXTABLE(2b, 1b)\n")
    msr.write_text(
        msr.read_text().replace("SYM_FUNC_END(rdmsr_safe)\n_ASM", "_ASM") + "SYM_FUNC_END(rdmsr_safe)\n"
    )
    assert [r.name for r in proved(tree)] == ["copy_mc_enhanced_fast_string", "rdmsr_safe"]


def test_a_configuration_that_is_none_is_told_once_and_of_the_command(tree: Path, tmp_path: Path) -> None:
    config = tmp_path / "a.config"
    config.write_text("nonsense\n")
    with pytest.raises(InputError, match="no line of a kernel's configuration"):
        proved(tree, config=config)
    with pytest.raises(InputError, match="is no name of a macro"):
        proved(tree, defines=("1=2",))
    with pytest.raises(InputError, match="-I names no folder"):
        proved(tree, include=(tmp_path / "missing",))
    (tree / ".config").write_text("CONFIG_ARM64=y\n")
    with pytest.raises(InputError, match="configures no x86-64 kernel"):
        proved(tree)


def test_routines_are_chosen_by_name(tree: Path) -> None:
    assert [r.name for r in proved(tree, routines=("mystery",))] == ["mystery"]
    with pytest.raises(InputError, match=r"there is no routine 'mistery' in .* \(did you mean mystery\?\)"):
        proved(tree, routines=("mistery",))


def test_the_command_prints_one_table(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcverify.cli import run

    monkeypatch.setenv("COLUMNS", "140")
    assert run(["prove", "--kernel", str(tree), "--routine", "mystery"]) == 3
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["verdict", "routine", "file", "contract", "slack", "what", "is", "wrong"]
    assert rows[2] == ["no", "contract", "mystery", "b.S", "-"]
    assert "1 no contract" in out


def test_a_file_or_a_tree_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    from mcverify.cli import run

    assert run(["prove"]) == 2
    assert "or --kernel DIR" in capsys.readouterr().err

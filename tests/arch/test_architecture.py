"""The architecture as a value, and what may know which one it is."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import mcverify
from mcverify.arch.known import BY_ELF, BY_NAME, X86_64
from mcverify.errors import InputError
from mcverify.image.cut import cut_out, read_cut
from mcverify.image.image import Image

SOURCES = Path(mcverify.__file__).parent
ROOM = SOURCES / "arch"


def test_x86_64_is_known_by_its_number_and_its_name():
    assert BY_ELF[62, "little"] is BY_NAME["x86-64"] is X86_64


def test_its_registers_parts_and_roles():
    assert X86_64.general[:8] == ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
    assert (X86_64.names_of("rax"), X86_64.names_of("rsi")) == (
        ("rax", "eax", "ax", "al", "ah"),
        ("rsi", "esi", "si", "sil"),
    )
    assert X86_64.names_of("r9") == ("r9", "r9d", "r9w", "r9b")
    assert [X86_64.parts[n].written for n in ("rcx", "ecx", "cx", "cl", "ch")] == [0xFF, 0xFF, 3, 1, 2]
    assert (X86_64.part_name("rax", 32), X86_64.part_name("rax", 24)) == ("eax", "rax")
    assert (X86_64.whole("dh"), X86_64.whole("ymm1"), X86_64.whole("rip")) == ("rdx", None, None)
    assert X86_64.widths["rax"] == 64
    assert X86_64.widths["zf"] == 1
    assert X86_64.widths["ymm15"] == 256


def test_what_a_routine_in_c_may_change_are_the_registers_that_it_need_not_restore():
    kept = {"rbx", "rbp", "rsp", "r12", "r13", "r14", "r15"}
    assert set(X86_64.clobbered) == {*X86_64.general, *X86_64.flags} - kept


def test_there_is_one_value_of_each_in_a_process():
    assert pickle.loads(pickle.dumps(X86_64)) is X86_64


def test_the_value_costs_no_decoder_lifter_nor_solver():
    code = "import sys, mcverify.arch.known; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "mcverify.arch.known" in loaded
    assert not loaded & {"angr", "capstone", "claripy", "pyvex", "unicorn", "z3"}
    assert {name for name in loaded if name.startswith("mcverify.")} == {
        "mcverify.arch",
        "mcverify.arch.architecture",
        "mcverify.arch.decoded",
        "mcverify.arch.known",
        "mcverify.models",
    }


# -- who knows x86-64

_WORDS = {
    *(name for name in X86_64.parts if len(name) > 2),
    *("eflags", "rflags", "rip", "eip"),
    *(f"{kind}mm{n}" for kind in "xyz" for n in range(32)),
}
_NAME = re.compile(r"(?<![\w@])(?:X86_64|x86_const|" + "|".join(sorted(_WORDS)) + r")(?!\w)")

NOT_DONE = Path(__file__).with_name("knows_x86.txt")
"""Files outside the architecture's folder that know it still. The list shrinks: no file comes to it."""


def _docstrings(tree: ast.AST) -> set[int]:
    """The lines of docstrings: they may give an example of this architecture."""
    strings = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
    return {line for node in strings for line in range(node.lineno, (node.end_lineno or 0) + 1)}


def knows(text: str) -> bool:
    """Whether a source names a register of x86-64, or takes its value for the one at hand."""
    prose = _docstrings(ast.parse(text))
    code = (line.partition("  # ")[0] for n, line in enumerate(text.splitlines(), 1) if n not in prose)
    return any(_NAME.search(line) for line in code)


def test_a_register_in_code_is_seen_and_one_in_a_docstring_is_not():
    assert knows('x = registers["rdi"]\n')
    assert knows("from mcverify.arch.known import X86_64\n")
    assert not knows('"""Of rdi."""\nx = 1  # as in rdi\n')
    assert not knows('y = "edible"\n')


def test_x86_64_is_known_in_its_folder_and_in_files_of_a_list_that_shrinks():
    listed = NOT_DONE.read_text().split()
    files = (p for p in SOURCES.rglob("*.py") if not p.is_relative_to(ROOM))
    found = sorted(str(p.relative_to(SOURCES)) for p in files if knows(p.read_text()))
    assert found == listed, "take a file off the list that is done; none may be added"


@pytest.mark.parametrize("file", sorted(ROOM.glob("*.py")), ids=lambda file: file.stem)
def test_the_room_imports_no_other(file):
    names = [
        name
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else []
        )
    ]  # fmt: skip
    ours = {name for name in names if name.startswith("mcverify")}
    assert all(name.startswith("mcverify.arch") or name == "mcverify.models" for name in ours), ours


def test_capstone_has_one_door_beside_the_checkers_own_decoder_and_the_comparison_with_a_cpu():
    asking = {
        path.relative_to(SOURCES).parts[0]
        for path in SOURCES.rglob("*.py")
        if re.search(r"^\s*(import|from) capstone\b", path.read_text(), re.MULTILINE)
    }
    assert asking == {"arch", "check", "silicon"}


def test_a_cut_says_its_architecture_unless_it_is_the_first_one():
    image = Image(Path("routine.o"), X86_64, (), (), (), {}, {}, "none")
    cut = cut_out(image)
    assert b"architecture" not in cut
    assert read_cut(cut, Path("cut")).architecture is X86_64
    other = cut.replace(b'"layout"', b'"architecture": "vax", "layout"', 1)
    with pytest.raises(InputError, match="'vax', which is no architecture that is known"):
        read_cut(other, Path("cut"))
    assert b'"architecture": "vax"' in cut_out(replace(image, architecture=replace(X86_64, name="vax")))

"""Patches and commits within a kernel's tree: assembled with its own headers, those of each revision."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.image.load import load
from mcverify.review.gather import NothingToReview, gathered
from mcverify.review.revision import Revision, laid_out, readable_of
from mcverify.review.tree import lay_over
from review.conftest import Ran
from review.support import git, patch_between

SOURCE = b"""\
/* mcverify: contract bytes_left */
#include <asm/own.h>
BEGIN(copy)
	mov	%rdx, %rcx
1:	rep movsb
	xor	%eax, %eax
	ret
2:	mov	%rcx, %rax
	EXTRA
	ret
	EXTABLE(1b, 2b)
	.size copy, . - copy
#ifdef CONFIG_OTHER
BEGIN(other)
	ret
#endif
"""
OWN = b"""\
#include <asm-generic/extra.h>
#define BEGIN(name) .globl name; .type name, @function; name:
#define EXTABLE(from, to) .pushsection __ex_table, "a"; .long from - ., to - ., 3; .popsection
"""
FILES = {
    "Makefile": b"VERSION = 6\nPATCHLEVEL = 99\nSUBLEVEL = 3\n",
    "include/linux/kconfig.h": b"#include <generated/autoconf.h>\n",
    "include/asm-generic/extra.h": b"#define EXTRA nop\n",
    "include/asm-generic/unused.h": b"#error nobody asks for it\n",
    "arch/x86/include/asm/own.h": OWN,
    "arch/x86/lib/copy.S": SOURCE,
    "arch/x86/lib/copy_32.S": SOURCE,
}
FILE, HEADER = "arch/x86/lib/copy.S", "include/asm-generic/extra.h"
UNUSED = "include/asm-generic/unused.h"
OTHER = SOURCE.replace(b"mov\t%rcx, %rax", b"lea\t(%rcx), %rax")
ONE_MORE = b"#define EXTRA inc %rax\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel's tree, as a repository."""
    root = tmp_path / "linux"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "base")
    return root


def _code(revision: Revision) -> tuple[list[str], bytes]:
    """The routines of the one file of a revision, and the code at the fixup."""
    with laid_out(revision) as files:
        image = load(files[FILE], readable=readable_of(revision))
    assert any("headers of the kernel 6.99.3" in note for note in image.notes)
    return [s.name for s in image.functions], image.code_at(image.entries[0].fixup, 7)


MOV, LEA, NOP, INC = b"\x48\x89\xc8", b"\x48\x8d\x01", b"\x90", b"\x48\xff\xc0"


def _both(tmp_path: Path) -> Path:
    patch = tmp_path / "both.patch"
    patch.write_bytes(patch_between(SOURCE, OTHER, FILE) + patch_between(FILES[HEADER], ONE_MORE, HEADER))
    return patch


def _seen(root: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_patch_to_a_tree_has_its_headers_and_those_that_it_changes(tree: Path, tmp_path: Path) -> None:
    before = _seen(tree)
    base, patched = gathered([str(_both(tmp_path))], None, str(tree)).revisions
    assert _code(base) == (["copy"], MOV + NOP + b"\xc3" + _code(base)[1][5:])
    assert _code(patched)[1].startswith(LEA + INC)
    assert _seen(tree) == before


def test_a_tree_s_own_configuration_counts(tree: Path, tmp_path: Path) -> None:
    (tree / ".config").write_text("CONFIG_X86_64=y\nCONFIG_OTHER=y\n")
    base, _ = gathered([str(_both(tmp_path))], None, str(tree)).revisions
    assert _code(base)[0] == ["copy", "other"]


def test_a_patch_to_a_commit_has_the_headers_of_the_commit_and_not_of_the_work_tree(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / HEADER).write_bytes(b"#error not committed\n")
    monkeypatch.chdir(tree)
    base, patched = gathered([str(_both(tmp_path))], None, None).revisions
    assert _code(base)[1].startswith(MOV + NOP)
    assert _code(patched)[1].startswith(LEA + INC)


def test_each_commit_of_a_range_has_its_headers_and_nothing_is_left_behind(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, content in ((FILE, OTHER), (HEADER, ONE_MORE), (FILE, SOURCE), (HEADER, None)):
        if content is None:
            git(tree, "mv", HEADER, "include/asm-generic/moved.h")
            (tree / "arch/x86/include/asm/own.h").write_bytes(OWN.replace(b"extra.h", b"moved.h"))
            (tree / FILE).write_bytes(SOURCE.replace(b"xor\t%eax", b"sub\t%eax"))
        else:
            (tree / name).write_bytes(content)
        git(tree, "commit", "-q", "-a", "-m", name)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(tree / "arch")
    found = gathered((), "HEAD~4..HEAD", None).revisions
    codes = [_code(revision)[1][:6] for revision in found]
    assert [code[: len(c)] for code, c in zip(codes, (MOV + NOP, LEA + NOP), strict=False)] == [
        MOV + NOP,
        LEA + NOP,
    ]
    assert codes[-1] == codes[-2] == MOV + INC
    del found
    assert os.listdir(temporary) == []


@pytest.mark.parametrize("is_commit", [False, True])
def test_a_patch_to_a_header_alone_is_about_the_sources_that_include_it(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_commit: bool
) -> None:
    """The source includes it by way of another header."""
    monkeypatch.chdir(tree if is_commit else tmp_path)
    patch = tmp_path / "header.patch"
    patch.write_bytes(patch_between(FILES[HEADER], ONE_MORE, HEADER))
    base, patched = gathered([str(patch)], None, None if is_commit else str(tree)).revisions
    assert [*base.files] == [*patched.files] == [FILE]
    assert _code(base)[1].startswith(MOV + NOP)
    assert _code(patched)[1].startswith(MOV + INC)


def test_a_commit_to_a_header_alone_is_about_the_sources_that_include_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    for name, content in ((HEADER, ONE_MORE), (UNUSED, b"\n"), (HEADER, b"#define EXTRA dec %rax\n")):
        (tree / name).write_bytes(content)
        git(tree, "commit", "-q", "-a", "-m", name)
    found = gathered((), "HEAD~3..HEAD", None)
    codes = [_code(revision)[1] for revision in found.revisions]
    assert [code[:4] for code in codes] == [MOV + NOP, MOV + INC[:1], MOV + INC[:1]]
    assert codes[1] != codes[2]
    with pytest.raises(NothingToReview):
        gathered((), "HEAD~2..HEAD~1", None)


def test_a_patch_to_a_header_that_nothing_includes_changes_no_routine(tree: Path, tmp_path: Path) -> None:
    patch = tmp_path / "header.patch"
    patch.write_bytes(patch_between(FILES[UNUSED], b"\n", UNUSED))
    with pytest.raises(NothingToReview, match=r"unused\.h: no assembly file with exception-table entries"):
        gathered([str(patch)], None, str(tree))


def test_a_view_of_a_tree_is_made_of_links_but_for_what_changed(tree: Path, tmp_path: Path) -> None:
    view = tmp_path / "view"
    lay_over(tree, {FILE: OTHER, HEADER: None, "new/file.h": b"new"}, view)
    assert (view / FILE).read_bytes() == OTHER
    assert (view / "new/file.h").read_bytes() == b"new"
    assert not (view / HEADER).exists()
    assert (view / "include/linux").is_symlink()
    assert (view / "include/asm-generic/unused.h").is_symlink()
    assert not (view / "arch/x86").is_symlink()
    assert (tree / HEADER).exists()


OLD = {
    "2.6.13": (
        "include/asm-x86_64",
        "arch/x86_64/lib",
        b"#include <linux/config.h>\n#include <asm/offset.h>\n",
    ),
    "2.6.25": ("include/asm-x86", "arch/x86/lib", b"#include <asm/asm-offsets.h>\n"),
    "2.6.30": ("arch/x86/include/asm", "arch/x86/lib", b"#include <asm/asm-offsets.h>\n"),
}


@pytest.mark.parametrize("version", OLD)
@pytest.mark.usefixtures("read_in_time")
def test_the_headers_of_an_old_tree_serve_though_nothing_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mcverify: Callable[..., Ran], version: str
) -> None:
    """The link asm, the configuration under its old name, and what a build made."""
    headers, library, includes = OLD[version]
    numbers = zip(("VERSION", "PATCHLEVEL", "SUBLEVEL"), version.split("."), strict=True)
    files = {
        "Makefile": "".join(f"{name} = {number}\n" for name, number in numbers).encode(),
        "include/linux/config.h": b"#include <linux/autoconf.h>\n",
        "include/asm-generic/extra.h": FILES[HEADER],
        "include/asm-alpha/own.h": b"#error of another architecture\n",
        f"{headers}/own.h": OWN,
        f"{library}/copy.S": includes + SOURCE,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    git(tmp_path, "init", "-q", "-b", "main", ".")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "base")
    (tmp_path / library / "copy.S").write_bytes(includes + SOURCE + b"\n")
    git(tmp_path, "commit", "-q", "-a", "-m", "other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    ran = mcverify("--git", "HEAD~1..HEAD", "-q", "--timeout", "0.01")
    base, other = (git(tmp_path, "rev-parse", "--short", name).strip() for name in ("HEAD~1", "HEAD"))
    commit = git(tmp_path, "rev-parse", "HEAD~1")[:12]
    assert f"note: {base}, {other}: headers of the kernel {version} in {commit}, without" in ran.out, ran.err


@pytest.mark.usefixtures("read_in_time")
def test_of_each_revision_it_is_told_whose_headers_it_had(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mcverify: Callable[..., Ran]
) -> None:
    (tree / "arch/x86/include/asm/own.h").write_bytes(b"#error broken\n")
    git(tree, "commit", "-q", "-a", "-m", "broken header")
    shim = SOURCE.replace(b"#include <asm/own.h>", b"#include <asm/own.h>\n#include <linux/linkage.h>")
    (tree / FILE).write_bytes(shim)
    git(tree, "commit", "-q", "-a", "-m", "other")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("COLUMNS", "300")
    ran = mcverify("--git", "HEAD~2..HEAD", "-q", "--timeout", "0.01")
    base, other = (git(tree, "rev-parse", "--short", name).strip() for name in ("HEAD~2", "HEAD"))
    assert ran.code == 2
    assert f"note: {base}: headers of the kernel 6.99.3 in " in ran.out
    assert f"{other}: arch/x86/include/asm/own.h:1: " in ran.out


@pytest.mark.slow
def test_a_configuration_can_be_named(tree: Path, tmp_path: Path, mcverify: Callable[..., Ran]) -> None:
    config = tmp_path / "config"
    config.write_text("CONFIG_X86_64=y\n")
    patch = tmp_path / "p.patch"
    patch.write_bytes(patch_between(SOURCE, OTHER, FILE))
    ran = mcverify(patch, "--base", tree, "--config", config, "-q")
    assert ran.code == 0
    note = f"headers of the kernel 6.99.3 in {tree}, configuration {config}"
    assert "".join(note.split()) in "".join(ran.out.split())
    config.write_text("nonsense\n")
    ran = mcverify(patch, "--base", tree, "--config", config)
    assert (ran.code, "it is no line of a kernel's configuration" in ran.error) == (2, True)

"""Sources within a kernel's tree: its headers, its configuration, and what may be wrong with either.

The tree is our own, and as small as it can be.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.image.kernel_tree import KernelTree, read_config
from mcverify.image.load import load

SOURCE = """\
#include <asm/own.h>
#ifdef CONFIG_X86_MCE
BEGIN(guarded)
	ret
#endif
BEGIN(plain)
1:	mov (%rsi), %al
	ret
2:	mov $OWN_NUMBER, %eax
	ret
	FIXUP(1b, 2b)
"""
OWN = """\
#define BEGIN(name) .globl name; .type name, @function; name:
#define FIXUP(from, to) .pushsection __ex_table, "a"; .long from - ., to - ., 3; .popsection
#include <asm/made.h>
#include <asm/listed.h>
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel's tree in which a header includes one that only a build makes, from asm-generic."""
    root = tmp_path / "linux"
    files = {
        "Makefile": "# a kernel\nVERSION = 6\nPATCHLEVEL = 99\nSUBLEVEL = 3\nEXTRAVERSION =\n",
        "include/linux/kconfig.h": "#include <generated/autoconf.h>\n",
        "include/asm-generic/made.h": "#define OWN_NUMBER 77\n",
        "include/asm-generic/Kbuild": "mandatory-y += made.h\n",
        "arch/x86/include/asm/Kbuild": "generated-y += \\\n\tlisted.h\n",
        "arch/x86/include/asm/own.h": OWN,
        "arch/x86/lib/copy.S": SOURCE,
        "arch/arm64/lib/copy.S": SOURCE,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def functions(path: Path, **options: object) -> list[str]:
    return [s.name for s in load(path, **options).functions]  # type: ignore[arg-type]


def test_a_source_finds_the_headers_of_its_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tree / "arch/x86/lib/copy.S"
    image = load(path)
    assert [s.name for s in image.functions] == ["guarded", "plain"]
    assert image.code_at(image.entries[0].fixup, 5) == b"\xb8\x4d\x00\x00\x00"  # mov $77, %eax
    assert (
        f"headers of the kernel 6.99.3 in {tree}, without a configuration: CONFIGs are assumed" in image.notes
    )
    assert "CONFIG_X86_MCE is taken as set" in image.notes
    monkeypatch.chdir(path.parent)
    assert functions(Path("copy.S")) == ["guarded", "plain"]


def test_the_tree_s_configuration_counts(tree: Path) -> None:
    path = tree / "arch/x86/lib/copy.S"
    (tree / ".config").write_text("CONFIG_X86_64=y\n# CONFIG_X86_MCE is not set\n")
    image = load(path)
    assert [s.name for s in image.functions] == ["plain"]
    assert f"CONFIG_X86_MCE is not set in {tree / '.config'}" in image.notes


def test_a_configuration_that_is_given_goes_before_the_tree_s(tree: Path, tmp_path: Path) -> None:
    (tree / ".config").write_text("CONFIG_X86_64=y\n")
    other = tmp_path / "config.xz"
    other.write_bytes(lzma.compress(b"CONFIG_X86_64=y\nCONFIG_X86_MCE=y\n"))
    path = tree / "arch/x86/lib/copy.S"
    assert functions(path) == ["plain"]
    assert functions(path, config=other) == ["guarded", "plain"]


def test_a_lone_file_takes_a_configuration_too(tmp_path: Path) -> None:
    path, config = tmp_path / "copy.S", tmp_path / "config"
    path.write_text(SOURCE.replace("#include <asm/own.h>", OWN.split("#include")[0] + "#define OWN_NUMBER 1"))
    config.write_text("CONFIG_X86_64=y\n")
    assert functions(path) == ["guarded", "plain"]
    assert functions(path, config=config) == ["plain"]


def test_values_are_those_of_autoconf(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        'CONFIG_X86_64=y\nCONFIG_A=m\nCONFIG_B="a \\" b"\nCONFIG_C=0x10\n# CONFIG_D is not set\n'
        "CONFIG_E=n\nCONFIG_F=y\nCONFIG_F=n\nCONFIG_G=m\n# CONFIG_G is not set\nCONFIG_A=n\nCONFIG_A=m\n"
    )
    assert read_config(config) == {
        "CONFIG_X86_64": "1",
        "CONFIG_A_MODULE": "1",
        "CONFIG_B": '"a \\" b"',
        "CONFIG_C": "0x10",
    }


def test_headers_that_do_not_serve_are_replaced_and_it_is_said(tree: Path) -> None:
    path = tree / "arch/x86/lib/other.S"
    path.write_text("#include <linux/linkage.h>\nSYM_FUNC_START(other)\n\tRET\nSYM_FUNC_END(other)\n")
    image = load(path)
    assert [s.name for s in image.functions] == ["other"]
    assert image.notes[0].startswith("mcverify's stand-in headers were taken, for with those of")
    assert f"{path}:2" in image.notes[0] or "linux/linkage.h" in image.notes[0]


def test_what_no_headers_mend_is_told_by_the_tree_s(tree: Path) -> None:
    path = tree / "arch/x86/lib/copy.S"
    path.write_text(SOURCE + "\tnonsense %rax\n")
    with pytest.raises(InputError, match=r"copy\.S:12: .*no such instruction"):
        load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CONFIG_ARM64=y\n", "it configures no x86-64 kernel: CONFIG_X86_64 is not set"),
        ("CONFIG_X86_64=y\nint main(void)\n", "it is no line of a kernel's configuration"),
        ("", "it is no kernel configuration: it sets nothing"),
    ],
)
def test_what_is_no_configuration_of_ours_is_refused(tree: Path, text: str, words: str) -> None:
    (tree / ".config").write_text(text)
    with pytest.raises(InputError, match=words):
        load(tree / "arch/x86/lib/copy.S")


def test_a_definition_does_not_contradict_the_configuration(tree: Path) -> None:
    (tree / ".config").write_text("CONFIG_X86_64=y\n")
    with pytest.raises(InputError, match=r"-D CONFIG_X86_MCE: the CONFIGs come from .*\.config"):
        load(tree / "arch/x86/lib/copy.S", defines=["CONFIG_X86_MCE"])


def test_a_source_for_another_architecture_is_refused(tree: Path) -> None:
    with pytest.raises(InputError, match="it is a source for the architecture arm64"):
        load(tree / "arch/arm64/lib/copy.S")


def test_a_tree_without_ours_is_refused(tree: Path) -> None:
    (tree / "arch/x86").rename(tree / "arch/loongarch")
    with pytest.raises(InputError, match=r"it is a kernel tree without arch/x86 \(it has arm64, loongarch\)"):
        KernelTree.at(tree)


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is no kernel tree, nor in one"):
        KernelTree.at(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        KernelTree.at(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it is no folder"):
        KernelTree.at(tmp_path / "file")


def test_a_folder_within_a_tree_names_it(tree: Path) -> None:
    assert KernelTree.at(tree / "arch/x86/lib").root == tree
    assert KernelTree.at(tree).version == "6.99.3"

"""What a file may say of its own contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks

from .conftest import Mcverify

HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
# It copies nothing and says that all is copied: wrong by every contract of the kernel's that has O3.
LAZY = """
SYM_FUNC_START(copy_mc_fragile)
	xorl %eax, %eax
	testq %rdx, %rdx
	jz 2f
1:	movb (%rsi), %cl
2:	RET
SYM_FUNC_END(copy_mc_fragile)
	_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT_MCE_SAFE)
"""
WEAK = """
name = "weak"
obligations = ["O1", "O7", "O8", "O9"]
[arguments]
dst = "rdi"
src = "rsi"
len = "rdx"
[result]
left = "rax"
"""


def source(tree: Path, comment: str) -> Path:
    path = tree / "copy.S"
    path.write_text(HEAD + comment + LAZY)
    return path


@pytest.mark.parametrize(
    "name", ["weak.toml", "./weak.toml", "/etc/passwd", "../home/secret.txt", "/dev/zero"]
)
@pytest.mark.parametrize("owner", ["", " for copy_mc_fragile"])
def test_attack_contract_of_his_own(name: str, owner: str, tree: Path) -> None:
    (tree / "weak.toml").write_text(WEAK)
    path = source(tree, f"/* mcverify: contract {name}{owner} */\n")
    with pytest.raises(
        InputError, match=r"copy\.S:3: a comment may name a contract that comes with mcverify"
    ):
        tasks(ProveOptions().image(path), ProveOptions())


def test_the_operator_may_name_any_contract(tree: Path) -> None:
    (tree / "weak.toml").write_text(WEAK)
    options = ProveOptions(contract=str(tree / "weak.toml"))
    (task,) = tasks(options.image(source(tree, "")), options)
    assert task.contract is not None
    assert task.contract.name == "weak"
    assert task.by_comment == ()


def test_attack_weaker_contract_in_a_comment(tree: Path, mcverify: Mcverify) -> None:
    """The verdict's own line says that it is not the contract of the routine's name."""
    path = source(tree, "/* mcverify: contract uaccess */\n/* mcverify: faults stores */\n")
    words = "held to uaccess by a comment in the file, not to "
    for command in ("prove", "sweep"):
        said = mcverify(
            command, "-q", "--routine", "copy_mc_fragile", path, "--json", tree / f"{command}.json"
        )
        (line,) = (line for line in said.said.splitlines() if "copy_mc_fragile" in line)
        assert words in line
        assert "faults on stores by a comment" in line
        document = json.loads((tree / f"{command}.json").read_text())
        (routine,) = document["routines" if command == "prove" else "sweeps"]
        assert any(words in sentence for sentence in routine["by_comment"])
    whole = mcverify("prove", path, "--ktap", "-").said
    assert words in whole
    assert words in next(
        line
        for line in " ".join(mcverify("sweep", "--quick", path).said.split()).split("  ")
        if words in line
    )


def test_annotations_can_be_ignored(tree: Path) -> None:
    path = source(tree, "/* mcverify: contract uaccess */\n/* mcverify: faults stores */\n")
    options = ProveOptions(ignore_annotations=True)
    (task,) = tasks(options.image(path), options)
    (plain,) = tasks(ProveOptions().image(source(tree, "")), ProveOptions())
    assert (task.contract, task.faults, task.by_comment) == (plain.contract, plain.faults, ())


def test_a_comment_that_says_what_the_name_says_is_no_news(tree: Path) -> None:
    options = ProveOptions()
    (plain,) = tasks(options.image(source(tree, "")), options)
    assert plain.contract is not None
    path = source(tree, f"/* mcverify: contract {plain.contract.name} */\n")
    assert tasks(options.image(path), options) == [plain]

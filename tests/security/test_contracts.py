"""What a file may say of its own contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Verdict
from mcverify.proof.select import tasks
from mcverify.review.behaviour import identical
from mcverify.review.changes import changed_obligations
from mcverify.review.result import Cell, Row, Step

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


def test_attack_weaker_contract_in_a_comment(tree: Path, inside: Mcverify) -> None:
    """The verdict's own line says that it is not the contract of the routine's name."""
    path = source(tree, "/* mcverify: contract uaccess */\n/* mcverify: faults stores */\n")
    words = "held to uaccess by a comment in the file, not to "
    for command in ("prove", "sweep"):
        said = inside(command, "-q", "--routine", "copy_mc_fragile", path, "--json", tree / f"{command}.json")
        (line,) = (line for line in said.said.splitlines() if "copy_mc_fragile" in line)
        assert words in line
        assert "faults on stores by a comment" in line
        document = json.loads((tree / f"{command}.json").read_text())
        (routine,) = document["routines" if command == "prove" else "sweeps"]
        assert any(words in sentence for sentence in routine["by_comment"])
    whole = inside("prove", path, "--ktap", "-").said
    assert words in whole
    assert words in next(
        line for line in " ".join(inside("sweep", "--quick", path).said.split()).split("  ") if words in line
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


# -- a patch that changes its own contract -------------------------------------------------------------------

RIGHT = """
SYM_FUNC_START(copy)
	movq %rdx, %rax
	testq %rax, %rax
	jz 3f
1:	movb (%rsi), %cl
2:	movb %cl, (%rdi)
	incq %rsi
	incq %rdi
	decq %rax
	jnz 1b
3:	RET
SYM_FUNC_END(copy)
	_ASM_EXTABLE(1b, 3b)
"""
STRICT, WEAKER = "/* mcverify: contract bytes_left */\n", "/* mcverify: contract uaccess */\n"


def revisions(tree: Path, old: str, new: str) -> tuple[Path, Path]:
    paths = tree / "old.S", tree / "new.S"
    for path, text in zip(paths, (old, new), strict=True):
        path.write_text(HEAD + text)
    return paths


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (WEAKER, "its contract would be uaccess, and it is held to bytes_left"),
        ("", "nothing says any more that its contract is bytes_left"),
        (STRICT + "/* mcverify: faults stores */\n", "its faults would be stores"),
    ],
    ids=["weaker", "dropped", "faults"],
)
def test_attack_patch_that_changes_its_contract(after: str, words: str, tree: Path, inside: Mcverify) -> None:
    paths = revisions(tree, STRICT + RIGHT, after + RIGHT)
    reports = ["--json", tree / "r.json", "--html", tree / "r.html", "--mail", tree / "r.txt"]
    reports += ["--sarif", tree / "r.sarif"]
    ran = inside("review", "-q", *paths, *reports, "--no-differences")
    assert ran.code == 1
    assert words in ran.said
    document = json.loads((tree / "r.json").read_text())
    (step,) = document["routines"][0]["steps"]
    assert step["contract"]["accepted"] is False
    assert words in step["contract"]["sentence"]
    assert document["routines"][0]["results"][1]["contract"] == "bytes_left"
    for report in ("r.html", "r.txt"):
        assert words in " ".join((tree / report).read_text().split())
    (run,) = json.loads((tree / "r.sarif").read_text())["runs"]
    told = run["invocations"][0]["toolExecutionNotifications"]
    assert [n["level"] for n in told if words in n["message"]["text"]] == ["error"]


def test_attack_patch_that_drops_its_table(tree: Path, inside: Mcverify) -> None:
    """Without a comment and an entry nobody would ask of it any more."""
    bare = RIGHT.replace("\t_ASM_EXTABLE(1b, 3b)\n", "")
    own = "/* mcverify: contract bytes_left for other */\n"
    other = RIGHT.replace("copy", "other")
    paths = revisions(tree, STRICT + RIGHT + other, own + bare + other)
    ran = inside("review", "-q", *paths, "--no-differences")
    assert ran.code == 1
    assert any("refuted" in line and " copy " in line for line in ran.said.splitlines())


def test_a_contract_may_be_accepted(tree: Path, inside: Mcverify) -> None:
    paths = revisions(tree, STRICT + RIGHT, WEAKER + RIGHT)
    ran = inside("review", "-q", *paths, "--accept-contract", "--no-differences", "--json", tree / "r.json")
    assert "its contract was bytes_left, and is uaccess (accepted)" in ran.said
    document = json.loads((tree / "r.json").read_text())
    assert document["routines"][0]["results"][1]["contract"] == "uaccess"
    assert ran.code == document["review"]["exit_code"]
    assert ran.code != 1 or "refuted" in ran.said


def test_the_same_contract_is_no_news(tree: Path, inside: Mcverify) -> None:
    ran = inside("review", "-q", *revisions(tree, STRICT + RIGHT, STRICT + "\n\n" + RIGHT))
    assert ran.code == 0
    assert "contract" not in ran.said


def test_an_obligation_that_is_gone_is_worse_while_its_exit_is_there() -> None:
    """Also where no contract has changed; and not for an exit that is gone, or a limit that was reached."""

    def cell(*proved: str) -> Cell:
        return Cell("success", "a.S:1", "", "", "", "0", dict.fromkeys(proved, Verdict.PROVED))

    def worse(row: Row, everywhere: list[dict[str, Verdict]], *, is_cut: bool) -> list[tuple[str, str]]:
        found = changed_obligations([row], everywhere, 0, 1, is_cut=is_cut)
        return [(o.row, o.obligation) for o in Step(0, 1, found, (), identical(), code_changed=True).worse]

    nothing: list[dict[str, Verdict]] = [{}, {}]
    fewer, gone = Row("success", (cell("O3", "O9"), cell("O9"))), Row("success", (cell("O3"), None))
    assert worse(fewer, nothing, is_cut=False) == [("success", "O3")]
    assert worse(fewer, nothing, is_cut=True) == []
    assert worse(gone, nothing, is_cut=False) == []
    assert worse(gone, [{"O8": Verdict.PROVED}, {}], is_cut=False) == [("everywhere", "O8")]

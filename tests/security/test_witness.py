"""What a witness file can have read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .conftest import SECRET, Mcverify

HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n/* mcverify: contract bytes_left */\n"
WRONG = """
SYM_FUNC_START(copy)
	movq %rdx, %rcx
1:	rep movsb
2:	xorl %eax, %eax
	RET
SYM_FUNC_END(copy)
	_ASM_EXTABLE(1b, 2b)
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A right one, by the command itself."""
    from mcverify.cli import run

    folder = tmp_path_factory.mktemp("witness")
    (folder / "copy.S").write_text(HEAD + WRONG)
    assert run(["prove", "-q", str(folder / "copy.S"), "--json", str(folder / "w.json")]) == 1
    found: dict[str, Any] = json.loads((folder / "w.json").read_text())
    return found


def written(document: Mapping[str, Any], tree: Path, **options: object) -> Path:
    """The document as a stranger's file beside his source."""
    (tree / "copy.S").write_text(HEAD + WRONG)
    own = json.loads(json.dumps(document))
    own["options"] |= options
    for routine in own["routines"]:
        routine["file"] = str(tree / "copy.S")
    path = tree / "w.json"
    path.write_text(json.dumps(own))
    return path


def test_a_witness_beside_its_source_is_run(
    document: Mapping[str, Any], tree: Path, inside: Mcverify
) -> None:
    (tree / "own").mkdir()
    assert inside("replay", written(document, tree, include=[str(tree / "own")])).code == 1


@pytest.mark.parametrize("what", ["include", "kernel", "config", "system_map", "contract"])
def test_attack_path_in_a_witness(
    what: str, document: Mapping[str, Any], tree: Path, secret: Path, inside: Mcverify
) -> None:
    """With -I of his choice a stranger's source could take in what lies there."""
    named = str(secret.parent if what in ("include", "kernel") else secret)
    path = written(document, tree, **{what: [named] if what == "include" else named})
    source = tree / "copy.S"
    source.write_text(source.read_text() + f'\n.section .rodata\n.incbin "{secret}"\n')
    ran = inside("replay", path, "--even-if-changed")
    assert ran.code == 2
    assert f"it names {named}, which lies neither in the working folder nor beside it" in ran.said
    assert SECRET not in ran.said


def test_attack_file_of_a_witness(
    document: Mapping[str, Any], tree: Path, secret: Path, inside: Mcverify
) -> None:
    path = written(document, tree)
    for name in (str(secret), "/etc/passwd", "../../home/secret.txt", str(tree / ".git/config")):
        own = json.loads(path.read_text())
        for routine in own["routines"]:
            routine["file"] = name
        path.write_text(json.dumps(own))
        ran = inside("replay", path)
        assert ran.code == 2
        assert "lies neither in the working folder nor beside it" in ran.said
        assert inside("replay", path, "--file", tree / "copy.S").code == 1  # the operator names it


def test_attack_text_in_a_witness(document: Mapping[str, Any], tree: Path, inside: Mcverify) -> None:
    evil = "x\x1b[2J\u202e\n::error::y"
    path = written(document, tree)
    own = json.loads(path.read_text())
    for routine in own["routines"]:
        for found in routine["counterexamples"]:
            found["sentence"] = evil
            found["exit"] = evil
    path.write_text(json.dumps(own))
    said = inside("replay", path, "--steps").said
    assert "\x1b[2J" not in said
    assert "\u202e" not in said
    assert not any(line.lstrip().startswith("::error") for line in said.splitlines())

"""Bundles of linked kernels, modules and several files: the code that is needed is cut out, and compared."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asm_corpus.expectations import ROOT
from check.test_check import manifest, mcverify, seal
from proof.test_modules import COPY, KNOWN, MODULE, TEXT

from mcverify.check.bundle import read_bundle
from mcverify.check.check import compare, complete
from mcverify.errors import InputError
from mcverify.toolchain import find_compiler


def made(folder: Path, text: str, name: str, *options: str) -> Path:
    """An object of assembly text, linked or not."""
    source = folder / "routine.s"
    source.write_text(text)
    subprocess.run([*find_compiler(), *options, str(source), "-o", str(folder / name)], check=True)
    return folder / name


LINKED = ("-nostdlib", "-static", "-no-pie", "-Wl,-e,0", "-Wl,--build-id=none")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("kernel"), TEXT, "vmlinux", *LINKED)


@pytest.fixture(scope="module")
def proof(kernel: Path) -> Path:
    folder = kernel.parent / "proof"
    done = mcverify("prove", kernel, "--proof", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def changed(folder: Path, to: Path, change: Callable[[Any], object]) -> Path:
    """A copy of the bundle with other code."""
    copy = Path(shutil.copytree(folder, to / "changed"))
    code = copy / KNOWN / "code.json"
    content = json.loads(code.read_text())
    change(content)
    code.write_text(json.dumps(content))
    seal(copy)
    return copy


def said(folder: Path, kernel: Path) -> str:
    """What is said of a bundle with other code than the kernel's."""
    bundle = complete(folder).bundle
    with pytest.raises(InputError) as wrong:
        compare(bundle, kernel)
    assert wrong.value.where == str(folder / KNOWN / "code.json")
    return wrong.value.message


def test_the_code_of_a_linked_kernel_is_cut_out_and_compared(
    kernel: Path, proof: Path, tmp_path: Path
) -> None:
    done = mcverify("check", proof, "--object", kernel)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "slack: at most 0 good bytes" in done.stdout
    assert not (proof / "object.o").exists()
    assert (proof / KNOWN / "code.json").stat().st_size < 2000
    other = made(tmp_path, TEXT + "\tnop\n", "vmlinux", *LINKED)
    bundle = complete(proof).bundle
    with pytest.raises(InputError, match="is not the file that .* is about"):
        compare(bundle, other)


def test_a_symbol_that_the_kernel_has_not_is_told(kernel: Path, proof: Path, tmp_path: Path) -> None:
    def rename(content: Any) -> None:
        content["symbols"].append({**content["symbols"][0], "name": "bogus"})

    assert "bogus does not lie at" in said(changed(proof, tmp_path, rename), kernel)


def test_an_entry_that_the_kernel_has_not_is_told(kernel: Path, proof: Path, tmp_path: Path) -> None:
    def renumber(content: Any) -> None:
        content["entries"][0]["index"] += 7

    words = said(changed(proof, tmp_path, renumber), kernel)
    assert "the table entries with the numbers 0, 7 are others" in words


def test_other_bytes_are_told(kernel: Path, proof: Path, tmp_path: Path) -> None:
    def change(content: Any) -> None:
        section = content["sections"][0]
        code = base64.b64decode(section["data"])
        assert code.startswith(b"\x48\x89\xd1"), "mov %rdx, %rcx"
        section["data"] = base64.b64encode(b"\x48\x89\xc1" + code[3:]).decode()

    folder = changed(proof, tmp_path, change)
    with pytest.raises(InputError, match="its terms are not what the code does"):
        complete(folder)
    with pytest.raises(InputError, match=" are others"):
        compare(read_bundle(folder), kernel)


def test_a_table_entry_that_was_taken_away_is_a_way_too_few(proof: Path, tmp_path: Path) -> None:
    def drop(content: Any) -> None:
        content["entries"] = []

    with pytest.raises(InputError, match="the way .* by a fault of the load is missing"):
        complete(changed(proof, tmp_path, drop))


def test_what_is_no_code_is_told(proof: Path, tmp_path: Path) -> None:
    def add(content: Any) -> None:
        content["more"] = 1

    with pytest.raises(InputError, match="it is no code that was cut out: object contains unknown field"):
        complete(changed(proof, tmp_path, add))


@pytest.mark.slow
def test_several_files_make_a_folder_of_bundles_and_one_table(tmp_path: Path) -> None:
    module = made(tmp_path, TEXT + MODULE, "f.ko", "-c")
    folder = tmp_path / "proofs"
    wrong = ROOT / "asm" / "rep_movsb_wrong_count.S"
    done = mcverify(
        "prove", module, ROOT / "asm" / "get_half.S", wrong, "--proof", folder, "--timeout", "200"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["f.ko", "get_half.S"]
    assert manifest(folder / "f.ko")["object"] == ""
    assert manifest(folder / "get_half.S")["object"] == "object.o"
    done = mcverify("check", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows[2:4]] == [[KNOWN, "f.ko"], ["get_half", "get_half.S"]]
    assert rows[4][0] == "all"
    assert int(rows[4][1]) == int(rows[2][2]) + int(rows[3][2])
    with pytest.raises(InputError, match="it is not the file"):
        compare(complete(folder / "f.ko").bundle, ROOT / "asm" / "get_half.S")


LOCAL = COPY.format(name=KNOWN).replace(f".globl {KNOWN}", "")


def test_two_routines_of_one_name_have_a_proof_each(tmp_path: Path) -> None:
    first = made(tmp_path, LOCAL, "first.o", "-c")
    second = made(tmp_path, "\tnop\n" + LOCAL, "second.o", "-c")
    for name, options in (("both.o", ("-r",)), ("vmlinux", LINKED)):
        both = tmp_path / name
        subprocess.run(
            [*find_compiler(), "-nostdlib", *options, str(first), str(second), "-o", str(both)], check=True
        )
        proof = tmp_path / f"proof of {name}"
        done = mcverify("prove", both, "--proof", proof)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {path.name for path in proof.iterdir() if path.is_dir()} == {KNOWN, f"{KNOWN}-2"}
        found = complete(proof).proofs
        assert len({each.proof.routine.entry for each in found}) == 2

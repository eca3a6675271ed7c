"""Bundles that are no bundles: each is refused by one sentence, soon, whatever is in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asm_corpus.expectations import ROOT
from check.test_check import seal
from support.forger import forced

from mcverify.check.bundle import read_bundle
from mcverify.check.check import complete
from mcverify.check.manifest import decoded
from mcverify.check.term import DEEPEST, LONGEST, Malformed, Program, read
from mcverify.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forced(ROOT / "asm" / "get_half.S", tmp_path_factory.mktemp("made") / "proof")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(made, tmp_path / "copy"))


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as wrong:
        complete(folder, seed="1")
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


def test_the_bundle_itself_is_in_order(made: Path) -> None:
    assert complete(made, seed="1").obligations


def test_a_pipe_is_not_waited_for(copy: Path) -> None:
    file = copy / "manifest.json"
    file.unlink()
    os.mkfifo(file)
    assert "it is no regular file" in refused(copy)


def test_a_link_is_not_followed(copy: Path) -> None:
    file = copy / "manifest.json"
    content = file.read_bytes()
    (copy.parent / "elsewhere").write_bytes(content)
    file.unlink()
    file.symlink_to(copy.parent / "elsewhere")
    assert "it cannot be read" in refused(copy)


def test_a_folder_of_links_to_itself_is_not_followed(copy: Path) -> None:
    (copy / "loop").symlink_to(copy)
    assert "is not among those of SHA256SUMS" in refused(copy)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b/c", "SHA256SUMS/x", "a\x01b"])
def test_a_digest_of_what_is_no_file_of_the_bundle(copy: Path, name: str) -> None:
    sums = copy / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(b'').hexdigest()}  {name}\n" + sums.read_text())
    refused(copy)


def test_a_file_that_is_listed_twice(copy: Path) -> None:
    sums = copy / "SHA256SUMS"
    sums.write_text(sums.read_text() * 2)
    assert "it is no digest with a file of the bundle" in refused(copy)


def test_more_bytes_than_a_bundle_has(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcverify.check.bundle.LARGEST", 1000)
    assert "the bundle has more than 1000 bytes" in refused(copy)


@pytest.mark.parametrize("name", ["evil.S", "/etc/passwd", "get_half/O8.smt2", "manifest.json"])
def test_an_object_of_another_name_is_not_read(copy: Path, name: str) -> None:
    """A source would be assembled, with whatever it includes."""
    content = json.loads((copy / "manifest.json").read_text())
    content["object"] = name
    if name.endswith(".S"):
        (copy / "object.o").rename(copy / name)
    (copy / "manifest.json").write_text(json.dumps(content))
    seal(copy)
    refused(copy)


def test_an_object_that_is_no_elf(copy: Path) -> None:
    (copy / "object.o").write_text('.incbin "/etc/passwd"')
    seal(copy)
    assert "it is no ELF file" in refused(copy)


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"format":' * 50_000, "\x00", '"' + "a" * 1000, "9" * 5000]
)
def test_what_is_no_manifest(content: str) -> None:
    with pytest.raises(ValueError, match=".") as wrong:
        decoded(content.encode())
    assert len(str(wrong.value)) < 400


def change(copy: Path, edit: Callable[[Any], object]) -> Path:
    content = json.loads((copy / "manifest.json").read_text())
    edit(content["proofs"][0]["routine"])
    (copy / "manifest.json").write_text(json.dumps(content))
    seal(copy)
    return copy


def test_many_steps(copy: Path) -> None:
    def lengthen(routine: Any) -> None:
        path = routine["paths"][0]
        path["steps"] = path["steps"] * 1000

    assert "has no steps, or too many" in refused(change(copy, lengthen))


@pytest.mark.slow
def test_many_paths(copy: Path) -> None:
    def multiply(routine: Any) -> None:
        path = routine["paths"][0]
        routine["paths"] += [{**path, "name": f"Q{n}"} for n in range(20_000)]

    assert "is missing" in refused(change(copy, multiply))


@pytest.mark.parametrize(
    "text",
    ["(" * 200_000, "(not " * 200_000 + "true" + ")" * 200_000, "x" * (LONGEST + 1), "(_ bv1 99999999)",
     "(_ bv" + "9" * 5000 + " 64)", "((_ repeat 99999) #x00)", "((_ zero_extend 999999999999) #x00)",
     "(let () true)", "(let ((?1 true)(?1 false)) ?1)", "#x", "|a", "\ud800", "(=> true)", "()", "(())"],
)  # fmt: skip
def test_what_is_no_term(text: str) -> None:
    with pytest.raises(Malformed):
        read(text, lambda _: 64)


def test_a_deep_term_is_read_and_evaluated_without_depth() -> None:
    depth = DEEPEST - 1
    term = read("(not " * depth + "true" + ")" * depth, lambda _: None)
    assert Program(term).value({}) == depth % 2 ^ 1


def test_a_term_of_terms_of_terms_is_as_large_as_it_is_written() -> None:
    """Each name stands for twice the one before: no more work than there are names."""
    count = 300
    text = "(let ((?0 x)) " + "".join(f"(let ((?{n} (bvadd ?{n - 1} ?{n - 1}))) " for n in range(1, count))
    term = read(text + f"?{count - 1}" + ")" * count, lambda name: 64 if name == "x" else None)
    assert Program(term).value({"x": 3}) == 3 * pow(2, count - 1) % (1 << 64)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is no bundle"):
        read_bundle(tmp_path)

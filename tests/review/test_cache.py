"""Proofs that are kept: what they are kept under, and when they are not believed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.results import PROVED, REFUTED

from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import Job
from mcverify.proof.select import tasks
from mcverify.proof.variants import Variant
from mcverify.review.cache import Cache, key_of

PAIRS = Path(__file__).parent / "pairs"
KEY, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "proofs")


def test_what_was_kept_comes_back_whole(cache: Cache) -> None:
    cache.put(KEY, [PROVED, REFUTED])
    assert cache.get(KEY) == (PROVED, REFUTED)
    assert cache.get(OTHER) is None


def test_no_folder_keeps_nothing() -> None:
    cache = Cache(None)
    cache.put(KEY, [PROVED])
    assert cache.get(KEY) is None


def test_a_folder_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "proofs")
    cache.put(KEY, [PROVED])
    assert cache.get(KEY) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "another", "longer"])
def test_a_damaged_entry_is_not_believed_and_goes(cache: Cache, tmp_path: Path, damage: str) -> None:
    cache.put(KEY, [PROVED])
    path = tmp_path / "proofs" / KEY
    content = path.read_bytes()
    if damage == "flipped":
        for at in range(0, len(content), 97):
            path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
            assert cache.get(KEY) is None, at
            assert not path.exists()
        return
    if damage == "another":  # a right entry under a wrong name
        cache.put(OTHER, [REFUTED])
        content = (tmp_path / "proofs" / OTHER).read_bytes()
    damaged = {"cut": content[:-1], "empty": b"", "text": b"proved\n", "longer": content + b"\0"}
    path.write_bytes(damaged.get(damage, content))
    assert cache.get(KEY) is None
    assert not path.exists()


def test_the_least_recently_used_go_where_there_is_no_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "proofs")
    cache.put(KEY, [PROVED])
    size = (tmp_path / "proofs" / KEY).stat().st_size
    cache = Cache(tmp_path / "proofs", largest=3 * size + 10)
    names = [f"{n}" * 64 for n in range(2, 7)]
    for age, name in enumerate([KEY, *names[:2]]):
        cache.put(name, [PROVED])
        past = time.time() - 1000 + age
        os.utime(tmp_path / "proofs" / name, (past, past))
    assert cache.get(KEY) is not None  # used now, so the next one is the oldest
    cache.put(names[2], [PROVED])
    assert sorted(p.name for p in (tmp_path / "proofs").iterdir()) == sorted([KEY, *names[1:3]])


def test_what_a_process_left_half_done_counts_and_goes_too(tmp_path: Path) -> None:
    folder = tmp_path / "proofs"
    folder.mkdir()
    left = folder / "x.part"
    left.write_bytes(b"\0" * 4096)
    os.utime(left, (1, 1))
    Cache(folder, largest=4096).put(KEY, [PROVED])
    assert not left.exists()


_WORKER = """
import sys
from pathlib import Path
from mcverify.review.cache import Cache
from support.results import PROVED
cache = Cache(Path(sys.argv[1]), largest=40_000)
for number in range(150):
    key = f"{number % 7}" * 64
    found = cache.get(key)
    assert found is None or found == (PROVED,), "a half-written entry was read"
    cache.put(key, [PROVED])
"""


def test_several_processes_may_share_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _WORKER, str(tmp_path / "proofs")]
    running = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in running:
        _, said = process.communicate(timeout=300)
        assert (process.returncode, said) == (0, "")
    files = list((tmp_path / "proofs").iterdir())
    assert not [f for f in files if f.name.endswith(".part")]
    assert sum(f.stat().st_size for f in files) <= 40_000


def test_what_time_cut_short_is_not_kept(cache: Cache) -> None:
    cache.put(KEY, [replace(PROVED, unknowns=("the time limit of 5 s was reached",))])
    assert cache.get(KEY) is None


# -- what the keys are made of ------------------------------------------------------------------------------


def _key(source: Path | str, folder: Path, **options: object) -> str:
    path = source if isinstance(source, Path) else folder / "a.S"
    if isinstance(source, str):
        path.write_text(source)
    chosen = ProveOptions(**options)  # type: ignore[arg-type]
    image = load(path)
    (task,) = tasks(image, chosen)
    return key_of([Job(task, Variant("", {}, image, image), (), {})], chosen)


BYTES = (PAIRS / "bytes.S").read_text()


def test_labels_comments_and_places_do_not_count(tmp_path: Path) -> None:
    key = _key(PAIRS / "bytes.S", tmp_path)
    assert _key(BYTES.replace(".Lread", ".Lload").replace(".Lfix", ".Lout"), tmp_path) == key
    assert _key(f"/* one more line */\n\n{BYTES}", tmp_path) == key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inc\t%rsi", "add\t$1, %rsi"),
        ("_ASM_EXTABLE(.Lread, .Lfix)", "_ASM_EXTABLE(.Lread, .Lall)"),
        ("_ASM_EXTABLE(", "_ASM_EXTABLE_FAULT("),
        ("contract bytes_left", "contract uaccess"),
        ("SYM_FUNC_START(copy)", "SYM_FUNC_START(copy)\n\tnop"),
    ],
)
def test_code_table_and_contract_count(tmp_path: Path, old: str, new: str) -> None:
    assert old in BYTES
    assert _key(BYTES.replace(old, new), tmp_path) != _key(BYTES, tmp_path)


def test_a_number_is_no_address_though_the_bytes_are_the_same(tmp_path: Path) -> None:
    """What depends on where the code is loaded is unknown; a constant of the same bits may be proved."""
    text = BYTES.replace("xor\t%eax, %eax\n\tRET\n.Lfix", "mov\t$.Lfix, %eax\n\tRET\n.Lfix")
    path = tmp_path / "address.S"
    path.write_text(text)
    image = load(path)
    address = image.address_of(".Lfix")
    assert address is not None
    number = tmp_path / "number.S"
    number.write_text(text.replace("$.Lfix", f"${address:#x}"))
    assert [s.data for s in load(number).sections if s.executable] == [
        s.data for s in image.sections if s.executable
    ]
    assert _key(number, tmp_path) != _key(path, tmp_path)


def test_options_count(tmp_path: Path) -> None:
    keys = {
        _key(BYTES, tmp_path, **options)
        for options in ({}, {"len_max": 64}, {"faults": "both"}, {"trap": "mc"}, {"rep_model": "unordered"})
    }
    assert len(keys) == 5

"""What is kept for the next run, and what a forger could put there."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.results import PROVED, REFUTED

from mcverify import own_files, programs
from mcverify.review import cache as review_cache
from mcverify.review.cache import Cache

KEY = "1" * 64


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user with nothing kept yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own_files._key.cache_clear()
    programs.executable.cache_clear()
    yield tmp_path
    own_files._key.cache_clear()
    programs.executable.cache_clear()


def test_attack_forged_entry_of_the_cache(home: Path) -> None:
    """Whoever can write into the cache alone makes no verdict of it."""
    cache = Cache.of_user()
    cache.put(KEY, [REFUTED])
    path = home / "cache/mcverify/proofs" / KEY
    magic = review_cache._MAGIC
    payload = msgspec.msgpack.encode((PROVED,))
    for seal in (
        hashlib.sha256(KEY.encode() + payload).digest(),
        bytes(32),
        path.read_bytes()[len(magic) :][:32],
    ):
        path.write_bytes(magic + seal + payload)
        assert Cache.of_user().get(KEY) is None
    cache.put(KEY, [REFUTED])
    assert Cache.of_user().get(KEY) == (REFUTED,)


def test_attack_entry_under_another_name(home: Path) -> None:
    cache = Cache.of_user()
    cache.put(KEY, [PROVED])
    folder = home / "cache/mcverify/proofs"
    (folder / ("2" * 64)).write_bytes((folder / KEY).read_bytes())
    assert cache.get("2" * 64) is None


def test_the_key_and_the_cache_are_the_users_alone(home: Path) -> None:
    Cache.of_user().put(KEY, [PROVED])
    assert stat.S_IMODE((home / "state/mcverify/key").stat().st_mode) == 0o600
    for folder in ("state/mcverify", "cache/mcverify/proofs"):
        assert stat.S_IMODE((home / folder).stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "cache/mcverify/proofs" / KEY).stat().st_mode) == 0o600
    assert not list((home / "cache").rglob("key*"))


@pytest.mark.parametrize("what", ["mode", "link", "file"])
def test_attack_folder_that_others_may_write(what: str, home: Path) -> None:
    folder = home / "cache/mcverify/proofs"
    folder.parent.mkdir(parents=True)
    if what == "file":
        folder.write_text("")
    elif what == "link":
        (home / "elsewhere").mkdir()
        folder.symlink_to(home / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    Cache.of_user().put(KEY, [PROVED])
    if what == "mode":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / KEY).chmod(0o666)
    assert Cache.of_user().get(KEY) is None
    assert not (home / "elsewhere" / KEY).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to somebody else")
def test_attack_folder_of_somebody_else(home: Path) -> None:
    folder = home / "cache/mcverify"
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)
    assert own_files.private_folder(folder) is None
    assert programs.executable(_program(home)).parent != folder


def _program(home: Path) -> Path:
    source = home / "one.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("ours"); return 0; }\n')
    return source


def test_attack_program_in_the_cache(home: Path) -> None:
    source = _program(home)
    path = programs.executable(source)
    assert path.parent == home / "cache/mcverify"
    right = path.read_bytes()
    for content in (b"#!/bin/sh\necho pwned\n", right[:-1] + b"\0", right + b"\0", right[: len(right) // 2]):
        path.write_bytes(content)
        path.chmod(0o700)
        programs.executable.cache_clear()
        again = programs.executable(source)
        done = subprocess.run([again], capture_output=True, text=True, check=True)
        assert done.stdout == "ours\n"


def test_without_a_key_nothing_is_kept_and_all_works(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "state").write_text("no folder")
    cache = Cache.of_user()
    cache.put(KEY, [PROVED])
    assert cache.get(KEY) is None
    path = programs.executable(_program(home))
    assert subprocess.run([path], capture_output=True, check=True).stdout == b"ours\n"
    assert path.parent != home / "cache/mcverify"


def test_a_full_disk_costs_speed_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for module in (review_cache, programs):
        monkeypatch.setattr(module, "written_whole", full)
    cache = Cache.of_user()
    cache.put(KEY, [PROVED])
    assert cache.get(KEY) is None

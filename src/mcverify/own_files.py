"""Files that mcverify keeps for itself from one run to the next, and how it knows that they are its own.

They lie in folders that belong to the user and that nobody else may enter, and carry a seal: a keyed digest,
the key of which lies in another folder. What is not sealed so is not believed. Where the key cannot be kept,
nothing is.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

SEAL = hashlib.sha256().digest_size
"""Bytes of a seal."""

_KEY = 32
_MINE = 0o700


def cache_folder() -> Path:
    """Where what can be made again is kept."""
    return platformdirs.user_cache_path("mcverify")


def private_folder(path: Path) -> Path | None:
    """The folder at `path`, made if need be, if it is this user's and nobody else may enter it; else None."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=_MINE)
        about = path.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            return None
        if stat.S_IMODE(about.st_mode) & ~_MINE:
            path.chmod(_MINE)
    except OSError:
        return None
    return path


def private_file(path: Path, largest: int) -> bytes | None:
    """The content of a regular file of this user's, of at most `largest` bytes, that nobody else may change;
    else None."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        mine = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISREG(about.st_mode) or not mine or about.st_size > largest:
            return None
        with suppress(OSError):
            return file.read()
    return None


def written_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file aside and rename it, so that it is there whole or not at all. Raises OSError."""
    handle, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sealed(about: str, content: bytes) -> bytes | None:
    """The seal of a content that is kept as `about`; None where there is no key."""
    key = _key()
    if key is None:
        return None
    return hmac.digest(key, about.encode() + b"\0" + content, "sha256")


def is_sealed(about: str, content: bytes, seal: bytes) -> bool:
    """Whether this user's mcverify has sealed that content as `about`."""
    right = sealed(about, content)
    return right is not None and hmac.compare_digest(right, seal)


@cache
def _key() -> bytes | None:
    """The key of this user, made when it is first needed; None where none can be kept."""
    folder = private_folder(platformdirs.user_state_path("mcverify"))
    if folder is None:
        return None
    path = folder / "key"
    if not path.exists():
        with suppress(OSError):
            _make_key(path)
    key = private_file(path, _KEY)
    return key if key is not None and len(key) == _KEY else None


def _make_key(path: Path) -> None:
    """Write a new key, unless another process was faster: a link does not replace what is there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        written_whole(aside, secrets.token_bytes(_KEY))
        os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)

"""Reading a git repository, and nothing else: commits, trees, blobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcverify.errors import InputError

_TIMEOUT_SECONDS = 300
_LINK = "120000"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its id, a short one, its subject and author."""

    id: str
    short: str
    subject: str
    author: str


@dataclass(frozen=True)
class Repository:
    """The repository that holds `folder`. Every method raises InputError where git cannot answer."""

    folder: Path
    _blobs: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def around(cls, folder: Path) -> Repository | None:
        """The repository that holds the folder, None if there is none (or no git)."""
        repository = cls(folder)
        try:
            done = repository._run("rev-parse", "--git-dir")
        except InputError:
            return None
        return repository if done.returncode == 0 else None

    @property
    def is_shallow(self) -> bool:
        """Whether its history was cut off when it was cloned."""
        return self._run("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"

    def commit(self, name: str) -> str:
        """The id of the commit of that name."""
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.decode().strip()
        if self.is_shallow:
            raise InputError(
                f"there is no commit {name} in this clone, which is shallow",
                hint="git fetch --unshallow, or --deepen=N, brings what is missing",
            )
        raise InputError(f"there is no commit {name} in this repository")

    def commits(self, old: str, new: str, paths: Sequence[str]) -> list[Commit]:
        """The commits behind `old` up to `new` that touch the paths, oldest first, along first parents."""
        limits = ["--", *paths] if paths else []
        ids = self._text("rev-list", "--reverse", "--first-parent", f"{old}..{new}", *limits).split()
        return [self.describe(identifier) for identifier in ids]

    def describe(self, identifier: str) -> Commit:
        """What a commit's header says."""
        text = self._text("log", "-1", "--no-color", "--format=%H%x00%h%x00%s%x00%an <%ae>", identifier)
        return Commit(*text.rstrip("\n").split("\0", 3))

    def changed(self, old: str, new: str, paths: Sequence[str]) -> list[str]:
        """Paths, from the root, of the files that differ between two commits."""
        limits = ["--", *paths] if paths else []
        text = self._text("diff-tree", "-r", "-z", "--no-renames", "--name-only", old, new, *limits)
        return [path for path in text.split("\0") if path]

    def file(self, commit: str, path: str) -> bytes | None:
        """The content of a file of a commit; None if it has no such file, or a link."""
        text = self._text("ls-tree", "-z", "--full-tree", commit, "--", path)
        for entry in text.split("\0"):
            meta, tab, name = entry.partition("\t")
            if tab and name == path:
                mode, kind, identifier = meta.split()
                return self.blob(identifier) if kind == "blob" and mode != _LINK else None
        return None

    def names(self, commit: str, paths: Sequence[str]) -> frozenset[str]:
        """Those of the paths that are in a commit: files and folders."""
        text = self._text("ls-tree", "-z", "--full-tree", "--name-only", commit, "--", *paths)
        return frozenset(name for name in text.split("\0") if name)

    def sources(self, commit: str, folder: str) -> list[str]:
        """The assembly files of a commit right below a folder, which is named from the root."""
        text = self._text("ls-tree", "-z", "--full-tree", "--name-only", commit, "--", f"{folder}/")
        return [name for name in text.split("\0") if name.endswith(".S")]

    def contents(self, commit: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The files of a commit below the paths, with their contents; no links."""
        text = self._text("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
        found = []
        for entry in text.split("\0"):
            meta, tab, name = entry.partition("\t")
            if tab and meta.split()[1] == "blob" and meta.split()[0] != _LINK:
                found.append((name, meta.split()[2]))
        asked = "".join(f"{identifier}\n" for _, identifier in found).encode()
        rest = memoryview(self._run("cat-file", "--batch", given=asked).stdout)
        for name, _ in found:
            head, end = _line(rest)
            if not head.split()[-1:] or not head.split()[-1].isdigit():
                raise InputError(f"git cannot read {name} of {commit}: {head}")
            size = int(head.split()[-1])
            yield name, bytes(rest[end : end + size])
            rest = rest[end + size + 1 :]

    def blob(self, identifier: str) -> bytes | None:
        """The content of a blob, None if it is not there. `identifier` may be a beginning that is unique."""
        if identifier not in self._blobs:
            done = self._run("cat-file", "blob", identifier)
            if done.returncode != 0:
                return None
            self._blobs[identifier] = done.stdout
        return self._blobs[identifier]

    def _text(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode != 0:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            said = lines[0].removeprefix("fatal: ") if lines else "no message"
            raise InputError(f"git cannot read the repository: {said}")
        return done.stdout.decode("utf-8", "surrogateescape")

    def _run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["git", "--no-pager", "-c", "core.quotepath=off", "-c", "core.fsmonitor=false", *arguments]
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        try:
            return subprocess.run(
                command,
                cwd=self.folder,
                env=environment | {"GIT_NO_LAZY_FETCH": "1"},
                input=given,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise InputError("git is not installed", hint="apt install git") from error
        except subprocess.TimeoutExpired as error:
            raise InputError(f"git did not answer within {_TIMEOUT_SECONDS} seconds") from error


def _line(text: memoryview) -> tuple[str, int]:
    """The first line of a text, and where the next one begins."""
    end = bytes(text[:4096]).find(b"\n")
    return bytes(text[: max(end, 0)]).decode("utf-8", "replace"), end + 1

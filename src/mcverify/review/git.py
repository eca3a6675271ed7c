"""Reading a git repository, and nothing else: commits, trees, blobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import SOURCE_BYTES, inner
from mcverify.shown import printable

_TIMEOUT_SECONDS = 300
_LINK = "120000"
_LARGEST_TREE = 1 << 30

# What a repository's own configuration could have git run, or fetch, and what that is set to instead. Of the
# commands used here (plumbing that reads objects) hardly one looks at any of these; the rest is for the day
# on which one does. Drivers of filters, diffs and merges have names of their own: nothing here asks for one.
_SWITCHED_OFF = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=false",
    "core.sshCommand=false",
    "core.gitProxy=false",
    "core.alternateRefsCommand=false",
    "core.quotePath=off",
    "credential.helper=",
    "diff.external=",
    "gpg.program=false",
    "gpg.ssh.program=false",
    "gpg.x509.program=false",
    "log.showSignature=false",
    "protocol.allow=never",
    "protocol.ext.allow=never",
    "protocol.file.allow=never",
    "uploadpack.packObjectsHook=false",
)
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # git 2.45; before it the next one keeps it from fetching
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ATTR_NOSYSTEM": "1",
}


_FIELDS = 4
"""Of an entry of `git ls-tree -l`, before its name: mode, kind, id, size."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its id, a short one, its subject and author."""

    id: str
    short: str
    subject: str
    author: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file of a commit: its path from the root, the id of its content, and that one's bytes."""

    name: str
    id: str
    size: int


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

    def commits(self, old: str, new: str, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The commits behind `old` up to `new` that touch the paths, or merge some that do, parents first,
        each with its parents: the nearest ones of these, or such as lie before the range."""
        how = ["--reverse", "--topo-order", "--full-history", "--simplify-merges", "--parents"]
        text = self._text("rev-list", *how, f"{old}..{new}", "--", *paths)
        lines = (line.split() for line in text.splitlines())
        return {own: tuple(parents) for own, *parents in lines}

    def count(self, old: str, new: str, paths: Sequence[str]) -> int:
        """How many commits behind `old` up to `new` touch the paths; without paths, how many there are."""
        limits = ["--full-history", "--no-merges", "--", *paths] if paths else []
        return int(self._text("rev-list", "--count", f"{old}..{new}", *limits))

    def describe(self, identifier: str) -> Commit:
        """What a commit's header says."""
        header, _, message = self._run("cat-file", "commit", identifier).stdout.partition(b"\n\n")
        fields = dict(line.partition(b" ")[::2] for line in reversed(header.split(b"\n")))
        coding = fields.get(b"encoding", b"utf-8").decode("ascii", "replace")
        subject = message.lstrip(b"\n").partition(b"\n\n")[0]
        author = fields.get(b"author", b"").rpartition(b">")[0] + b">"
        short = self._text("rev-parse", "--short", identifier).strip()
        return Commit(identifier, short, _said(subject, coding), _said(author, coding))

    def changed(self, old: str, new: str, paths: Sequence[str]) -> list[str]:
        """Paths, from the root, of the files that differ between two commits."""
        limits = ["--", *paths] if paths else []
        options = ("-r", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--name-only")
        text = self._text("diff-tree", *options, old, new, *limits)
        return [inner(path, "the repository") for path in text.split("\0") if path]

    def file(self, commit: str, path: str) -> bytes | None:
        """The content of a file of a commit; None if it has no such file, or a link."""
        found = (entry for entry in self._entries(commit, [path]) if entry.name == path)
        return next((self.blob(entry.id) for entry in found), None)

    def names(self, commit: str, paths: Sequence[str]) -> frozenset[str]:
        """Those of the paths that are in a commit: files and folders."""
        text = self._text("ls-tree", "-z", "--full-tree", "--name-only", commit, "--", *paths)
        return frozenset(name for name in text.split("\0") if name)

    def sources(self, commit: str, folder: str) -> list[str]:
        """The assembly files of a commit right below a folder, which is named from the root."""
        text = self._text("ls-tree", "-z", "--full-tree", "--name-only", commit, "--", f"{folder}/")
        return [inner(name, f"commit {commit[:12]}") for name in text.split("\0") if name.endswith(".S")]

    def contents(self, commit: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The files of a commit below the paths, with their contents; no links."""
        found = list(self._entries(commit, paths, "-r"))
        if sum(entry.size for entry in found) > _LARGEST_TREE:
            raise InputError(f"the files of commit {commit[:12]} have more than {_LARGEST_TREE >> 20} MiB")
        asked = "".join(f"{entry.id}\n" for entry in found).encode()
        rest = memoryview(self._run("cat-file", "--batch", given=asked).stdout)
        for name in (entry.name for entry in found):
            head, end = _line(rest)
            if not head.split()[-1:] or not head.split()[-1].isdigit():
                raise InputError(f"git cannot read {name} of {commit}: {head}")
            size = int(head.split()[-1])
            yield name, bytes(rest[end : end + size])
            rest = rest[end + size + 1 :]

    def _entries(self, commit: str, paths: Sequence[str], *options: str) -> Iterator[_Entry]:
        """The files of a commit at or below the paths; no links."""
        text = self._text("ls-tree", *options, "-l", "-z", "--full-tree", commit, "--", *paths)
        for entry in filter(None, text.split("\0")):
            meta, _, name = entry.partition("\t")
            fields = meta.split()
            if len(fields) != _FIELDS:
                raise InputError(f"git lists what is no entry of a tree in commit {commit[:12]}")
            mode, kind, identifier, size = fields
            if kind != "blob" or mode == _LINK:
                continue
            name = inner(name, f"commit {commit[:12]}")
            if not size.isdigit() or int(size) > SOURCE_BYTES:
                raise InputError(f"{name} has more than {SOURCE_BYTES >> 20} MiB in commit {commit[:12]}")
            yield _Entry(name, identifier, int(size))

    def blob(self, identifier: str) -> bytes | None:
        """The content of a blob, None if it is not there. `identifier` may be a beginning that is unique."""
        if identifier not in self._blobs:
            size = self._run("cat-file", "-s", identifier)
            if size.returncode != 0 or int(size.stdout) > SOURCE_BYTES:
                return None
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
        command = [
            "git",
            "--no-pager",
            *(word for name in _SWITCHED_OFF for word in ("-c", name)),
            *arguments,
        ]
        environment = {**os.environ, **_ENVIRONMENT}
        try:
            return subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
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


def _said(text: bytes, coding: str) -> str:
    """What a commit says in one line, fit to be shown."""
    try:
        line = text.decode(coding)
    except (LookupError, ValueError):  # no such encoding, bytes that are none of it, a name with a zero byte
        line = text.decode("utf-8", "replace")
    return printable(" ".join(line.split()))

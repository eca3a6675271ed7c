"""What a stranger can do with names of files: in a tree, a patch, a repository."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from review.support import git, patch_between

from mcverify import foreign
from mcverify.errors import InputError
from mcverify.foreign import inner, read_beneath, write_beneath
from mcverify.image.kernel_tree import KernelTree
from mcverify.report.place import Place, source_line
from mcverify.review.git import Repository
from mcverify.review.series import revisions_of_patches
from mcverify.review.tree import CommitTree, lay_over

from .conftest import SECRET, Mcverify

OUTSIDE = [
    "/etc/passwd",
    "../x.h",
    "a/../../x.h",
    "..",
    ".",
    "",
    "a//b.h",
    "./a.h",
    ".git/config",
    "a/.GIT/hooks/x",
    ".git./x",
    "a\nb.h",
    "a\x1b[2J.h",
    "a\u202eh.b",
    "a\\b.h",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_attack_name_that_leads_out(name: str, tmp_path: Path) -> None:
    for use in (
        lambda: inner(name),
        lambda: read_beneath(tmp_path, name),
        lambda: write_beneath(tmp_path, name, b""),
        lambda: lay_over(None, {name: b"x"}, tmp_path / "view"),
    ):
        with pytest.raises(InputError):
            use()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "name", ["a.h", "arch/x86/lib/copy_mc_64.S", ".clang-format", "a b.S", "-x.S", "é.S", "..a"]
)
def test_what_a_name_may_be(name: str, tmp_path: Path) -> None:
    write_beneath(tmp_path, name, b"content")
    assert read_beneath(tmp_path, name) == b"content"
    with pytest.raises(InputError, match="twice"):
        write_beneath(tmp_path, name, b"other")


@pytest.fixture(params=["openat2", "by hand"])
def opening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by hand":
        monkeypatch.setattr(foreign, "_openat2", lambda *_: None)


@pytest.mark.usefixtures("opening")
def test_attack_link_out_of_a_tree(tree: Path, secret: Path) -> None:
    (tree / "link.S").symlink_to(secret)
    (tree / "relative.S").symlink_to(f"../home/{secret.name}")
    (tree / "folder").symlink_to(secret.parent)
    for name in ("link.S", "relative.S", f"folder/{secret.name}"):
        with pytest.raises(InputError, match="leads out of the tree"):
            read_beneath(tree, name)
    (tree / "own.S").write_bytes(b"own")
    (tree / "near.S").symlink_to("own.S")
    assert read_beneath(tree, "near.S") == b"own"
    os.mkfifo(tree / "pipe.S")
    assert read_beneath(tree, "pipe.S") is None


def test_attack_link_in_a_base(tree: Path, secret: Path) -> None:
    """A patch against a link: what it leads to came out as what the hunk found there."""
    (tree / "lib").mkdir()
    (tree / "lib/a.S").symlink_to(secret)
    patch = patch_between(b"# _ASM_EXTABLE\nmine\n", b"# _ASM_EXTABLE\nother\n", "lib/a.S")
    with pytest.raises(InputError, match="leads out of the tree") as caught:
        revisions_of_patches([("p.patch", patch)], str(tree), tree)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("path", ["../../victim.S", "/tmp/victim.S", ".git/hooks/x.S", "a\x1bb.S"])
def test_attack_path_in_a_patch(path: str, tree: Path) -> None:
    patch = f"--- a/{path}\n+++ b/{path}\n@@ -0,0 +1 @@\n+_ASM_EXTABLE\n".encode()
    with pytest.raises(InputError, match="p.patch: it names the file"):
        revisions_of_patches([("p.patch", patch)], str(tree), tree)


def kernel(root: Path, kbuild: str) -> Path:
    """A kernel's tree with little but a Kbuild file."""
    for folder in ("include/linux", "include/asm-generic", "arch/x86/include/asm", "arch/x86/lib"):
        (root / folder).mkdir(parents=True)
    (root / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 99\nSUBLEVEL = 1\n")
    (root / "arch/x86/include/asm/Kbuild").write_text(kbuild)
    return root


@pytest.mark.parametrize("name", ["{}/victim.h", "../../../../../..{}/victim.h", "a/../../../victim.h"])
def test_attack_kbuild(name: str, tree: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.h"
    victim.write_text("precious\n")
    kernel(tree, f"generic-y += {name.format(tmp_path)}\n")
    found = KernelTree.at(tree)
    with pytest.raises(InputError, match=r"Kbuild: it names the file"), found.headers({}):
        pass
    assert victim.read_text() == "precious\n"


def test_what_a_kbuild_may_name(tree: Path) -> None:
    kernel(tree, "generic-y += own.h\ngeneric-y += own.h\nmandatory-y += deep/er.h\ngenerated-y += made.h\n")
    with KernelTree.at(tree).headers({}) as folders:
        made = folders[-1] / "asm"
        assert (made / "own.h").read_text() == "#include <asm-generic/own.h>\n"
        assert (made / "deep/er.h").exists()
        assert (made / "made.h").read_text() == ""


# -- git objects that git itself would not make -------------------------------------------------------------


def put(repository: Path, kind: str, content: bytes) -> str:
    """An object of a repository, as bytes: `git hash-object` refuses what is damaged."""
    whole = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(whole).hexdigest()
    path = repository / ".git/objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole))
    return name


def tree_of(repository: Path, *entries: tuple[str, bytes, str]) -> str:
    """A tree object of (mode, name, id)."""
    return put(
        repository, "tree", b"".join(f"{m} ".encode() + n + b"\0" + bytes.fromhex(i) for m, n, i in entries)
    )


def commit_of(repository: Path, root: str) -> str:
    """A commit of a tree."""
    who = b"A <a@example.org> 1 +0000"
    text = b"tree " + root.encode() + b"\nauthor " + who + b"\ncommitter " + who + b"\n\nsubject\n"
    return put(repository, "commit", text)


@pytest.mark.parametrize("name", [b"..", b".git", b"a/../../b", b"/abs", b"\x1b[2J"])
def test_attack_tree_object(name: bytes, tree: Path, tmp_path: Path) -> None:
    git(tree, "init", "-q", ".")
    blob = put(tree, "blob", b"pwned\n")
    makefile = put(tree, "blob", b"VERSION = 6\nPATCHLEVEL = 1\n")
    evil = tree_of(tree, ("100644", b"victim.h", blob))
    for _ in range(4):
        evil = tree_of(tree, ("40000", name, evil), ("100644", b"x.h", blob))
    linux = tree_of(tree, ("100644", b"y.h", blob))
    include = tree_of(tree, ("40000", b"linux", linux), ("40000", b"zz", evil))
    arch = tree_of(tree, ("40000", b"x86", tree_of(tree, ("40000", b"include", include))))
    root = tree_of(
        tree, ("100644", b"Makefile", makefile), ("40000", b"arch", arch), ("40000", b"include", include)
    )
    commit = commit_of(tree, root)
    before = sorted(tmp_path.rglob("*"))
    repository = Repository.around(tree)
    assert repository is not None
    found = CommitTree.of(repository, commit)
    assert found is not None
    with pytest.raises(InputError, match="it names the file"):
        found.root  # noqa: B018 -- it is written out when it is asked for
    assert sorted(tmp_path.rglob("*")) == before


# -- what a repository's configuration can run --------------------------------------------------------------

CONFIGURED = [
    ("core.fsmonitor", "{}"),
    ("core.hooksPath", "{folder}"),
    ("core.pager", "{}"),
    ("pager.log", "{}"),
    ("pager.diff-tree", "{}"),
    ("core.editor", "{}"),
    ("core.askPass", "{}"),
    ("core.sshCommand", "{}"),
    ("core.gitProxy", "{}"),
    ("core.alternateRefsCommand", "{}"),
    ("credential.helper", "!{}"),
    ("gpg.program", "{}"),
    ("gpg.ssh.program", "{}"),
    ("gpg.x509.program", "{}"),
    ("log.showSignature", "true"),
    ("diff.external", "{}"),
    ("diff.evil.textconv", "{}"),
    ("diff.evil.command", "{}"),
    ("filter.evil.smudge", "{}"),
    ("filter.evil.clean", "{}"),
    ("filter.evil.process", "{}"),
    ("merge.evil.driver", "{}"),
    ("interactive.diffFilter", "{}"),
    ("trailer.evil.command", "{}"),
    ("uploadpack.packObjectsHook", "{}"),
    ("alias.cat-file", "!{}"),
    ("alias.ls-tree", "!{}"),
    ("alias.rev-parse", "!{}"),
    ("remote.origin.uploadpack", "{}"),
    ("remote.origin.vcs", "ext"),
]


def repository(folder: Path, program: Path) -> tuple[Repository, str, str]:
    """A repository of a stranger's, with its first and last commit: each setting names `program`, one blob is
    only at a remote."""
    git(folder, "init", "-q", "-b", "main", ".")
    (folder / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    (folder / "a.S").write_text("# _ASM_EXTABLE\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    (folder / "a.S").write_text("# _ASM_EXTABLE\nret\n")
    git(folder, "commit", "-q", "-a", "-m", "two")
    old, new = git(folder, "rev-list", "--reverse", "HEAD").split()
    missing = git(folder, "rev-parse", f"{old}:a.S").strip()
    # A signature, so that there is something to verify.
    raw = subprocess.run(
        ["git", "cat-file", "commit", new], cwd=folder, capture_output=True, check=True
    ).stdout
    head, _, message = raw.partition(b"\n\n")
    sig = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----"
    new = put(folder, "commit", head + sig + b"\n\n" + message)
    (folder / ".git/refs/heads/main").write_text(f"{new}\n")
    settings = [(name, value.format(program, folder=program.parent)) for name, value in CONFIGURED]
    settings += [
        ("extensions.partialClone", "origin"),
        ("core.repositoryFormatVersion", "1"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::{program}"),
        ("protocol.allow", "always"),
        ("protocol.ext.allow", "always"),
        ("protocol.file.allow", "always"),
        ("include.path", "more"),
    ]
    (folder / ".git/more").write_text(f"[core]\n\tfsmonitor = {program}\n[gpg]\n\tprogram = {program}\n")
    text = []
    for name, value in settings:
        section, _, key = name.rpartition(".")
        head_, dot, rest = section.partition(".")
        text.append(f'[{head_} "{rest}"]' if dot else f"[{head_}]")
        text.append(f"\t{key} = {value}")
    with (folder / ".git/config").open("a") as file:
        file.write("\n".join(text) + "\n")
    (folder / ".git/objects" / missing[:2] / missing[2:]).unlink()
    found = Repository.around(folder)
    assert found is not None
    return found, old, new


def asked(found: Repository, old: str, new: str) -> list[Callable[[], object]]:
    """Everything that is ever asked of a repository."""
    return [
        lambda: found.is_shallow,
        lambda: found.commit("HEAD"),
        lambda: found.commit(f"{new}^"),
        lambda: found.commits(old, new, []),
        lambda: found.commits(old, new, ["a.S"]),
        lambda: found.describe(new),
        lambda: found.changed(old, new, ["a.S"]),
        lambda: found.file(new, "a.S"),
        lambda: found.file(old, "a.S"),
        lambda: found.names(new, ["a.S"]),
        lambda: found.sources(new, "."),
        lambda: list(found.contents(new, ["a.S"])),
        lambda: list(found.contents(old, ["a.S"])),
        lambda: found.blob("1234567"),
    ]


def test_attack_git_configuration(tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin/evil"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    program.chmod(0o755)
    for hook in ("post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman"):
        (program.parent / hook).symlink_to(program)
    found, old, new = repository(tree, program)
    for ask in asked(found, old, new):
        with suppress(InputError):  # one blob is not there
            ask()
        assert not (tmp_path / "pwned").exists()
    assert found.describe(new).subject == "two"
    assert found.file(new, "a.S") == b"# _ASM_EXTABLE\nret\n"
    with suppress(InputError):
        assert found.file(old, "a.S") is None


def test_the_program_of_that_test_would_run(tree: Path, tmp_path: Path) -> None:
    """The test before can fail: git as people call it runs the program."""
    program = tmp_path / "bin/evil"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    program.chmod(0o755)
    repository(tree, program)
    subprocess.run(["git", "log", "-1"], cwd=tree, capture_output=True, check=False)
    assert (tmp_path / "pwned").exists()


def test_attack_git_by_the_command(tree: Path, tmp_path: Path, mcverify: Mcverify) -> None:
    program = tmp_path / "bin/evil"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    program.chmod(0o755)
    _, old, new = repository(tree, program)
    mcverify("review", "--git", f"{old}..{new}", cwd=tree)
    assert not (tmp_path / "pwned").exists()


def test_a_blob_is_named_by_its_id_alone(tree: Path) -> None:
    """`index HEAD:secret..` of a mail would be any file of the repository."""
    patch = b"--- a/a.S\n+++ b/a.S\n@@ -1 +1 @@\n-x\n+_ASM_EXTABLE\n"
    head = b"diff --git a/a.S b/a.S\nindex HEAD:secret.txt..1234567 100644\n"
    git(tree, "init", "-q", "-b", "main", ".")
    (tree / "secret.txt").write_text("x\n")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "one")
    with pytest.raises(InputError, match="not in HEAD|not there"):
        revisions_of_patches([("p.patch", head + patch)], None, tree)


def test_attack_debug_information(tree: Path, secret: Path) -> None:
    """A report quotes lines of files that debug information names: only of those that lie with the input."""
    (tree / "a.S").write_text("one\ntwo\n")
    (tree / ".hidden").write_text(SECRET)
    (tree / "link.S").symlink_to(secret)
    beside = str(tree / "b.o")
    assert source_line(Place(str(tree / "a.S"), 2), beside) == "two"
    for file in (secret, tree / "link.S", tree / ".hidden", tree / "../home/secret.txt"):
        assert source_line(Place(str(file), 1), beside) is None

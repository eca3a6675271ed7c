"""A folder of hostile inputs, as a stranger would send them: sources, objects, trees, patches, mails,
contracts, witnesses. `python -m security.corpus DIR` writes it (with tests/ on the path).

Each entry is a command line that meets the input, and the exit codes that are right. Whatever it says, it
must not hold `SECRET`, and what lies outside the entry's own folder must be as it was.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECRET = "hunter2-is-the-secret"

_HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
_COPY = (
    _HEAD + "SYM_FUNC_START(copy)\n1:\tmovb (%rsi), %al\n2:\tRET\nSYM_FUNC_END(copy)\n_ASM_EXTABLE(1b, 2b)\n"
)
_PATCH = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-# _ASM_EXTABLE\n+# other\n"


@dataclass(frozen=True)
class Entry:
    """A hostile input: the folder to run the command in, its arguments, and the exit codes that are right."""

    name: str
    folder: Path
    arguments: tuple[str, ...]
    codes: tuple[int, ...] = (2,)


def secret_in(folder: Path) -> Path:
    """The operator's file that nobody should see, in a folder of his."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    path = home / "secret.txt"
    path.write_text(f"{SECRET}\n")
    return path


def entries(folder: Path) -> Iterator[Entry]:
    """Write the corpus below a folder, and give its entries."""
    secret = secret_in(folder)
    for name, make in _MADE.items():
        own = folder / name
        own.mkdir()
        arguments, codes = make(own, secret)
        yield Entry(name, own, tuple(arguments), codes)


_Made = tuple[list[str], tuple[int, ...]]
_Maker = Callable[[Path, Path], _Made]
_MADE: dict[str, _Maker] = {}


def _made(make: _Maker) -> _Maker:
    _MADE[make.__name__] = make
    return make


@_made
def response_file(own: Path, _: Path) -> _Made:
    program = own / "w.sh"
    program.write_text("#!/bin/sh\ntouch ../home/pwned\n")
    program.chmod(0o755)
    (own / "@evil.S").write_text("-wrapper ./w.sh\n")
    return ["sweep", "@evil.S"], (2,)


def _takes(line: str) -> _Maker:
    def make(own: Path, secret: Path) -> _Made:
        (own / "link.h").symlink_to(secret)
        (own / "a.S").write_text(f"{_COPY}\n.section .rodata\n{line.format(secret)}\n")
        return ["prove", "a.S"], (2,)

    return make


_MADE |= {
    f"takes_{number}": _takes(line)
    for number, line in enumerate(
        (
            '.incbin "{}"',
            '.include "{}"',
            '#include "{}"',
            '#include "../home/secret.txt"',
            '#include "link.h"',
            '.incbin "/proc/self/environ"',
            '.incbin "/proc/self/root{}"',
            '.incbin "/proc/self/cwd/../home/secret.txt"',
            '.macro t n\n.incbin "\\n"\n.endm\nt "{}"',
            "#define S <{}>\n#include S",
            '%:include "{}"',
            '.incbin "/dev/stdin"',
        )
    )
}


@_made
def bomb_of_bytes(own: Path, _: Path) -> _Made:
    (own / "a.S").write_text(_COPY + ".fill 0x200000000,8,1\n")
    return ["scan", "a.S"], (2,)


@_made
def bomb_of_headers(own: Path, _: Path) -> _Made:
    (own / "a.S").write_text(_COPY + '#include "a.S"\n#include "a.S"\n')
    return ["scan", "a.S"], (2,)


@_made
def line_markers(own: Path, secret: Path) -> _Made:
    """A source that says that its lines are those of the secret, for reports to quote."""
    (own / "a.S").write_text(
        f'/* mcverify: contract bytes_left */\n{_HEAD}# 1 "{secret}"\n{_COPY[len(_HEAD) :]}'
    )
    return ["prove", "-q", "a.S", "--sarif", "-"], (1, 3)


@_made
def own_contract(own: Path, _: Path) -> _Made:
    (own / "weak.toml").write_text('name = "weak"\nobligations = []\n')
    (own / "a.S").write_text(f"/* mcverify: contract weak.toml */\n{_COPY}")
    return ["prove", "a.S"], (2,)


@_made
def pipe_of_a_contract(own: Path, _: Path) -> _Made:
    os.mkfifo(own / "weak.toml")
    (own / "a.S").write_text(_COPY)
    return ["prove", "a.S", "--contract", "weak.toml"], (2,)


@_made
def device_of_a_witness(own: Path, _: Path) -> _Made:
    (own / "w.json").symlink_to("/dev/zero")
    return ["replay", "w.json"], (2,)


@_made
def deep_witness(own: Path, _: Path) -> _Made:
    (own / "w.json").write_text('{"schema":' + "[" * 100_000)
    return ["replay", "w.json"], (2,)


@_made
def witness_of_a_secret(own: Path, secret: Path) -> _Made:
    (own / "w.json").write_text(
        json.dumps({"schema": 1, "mcverify": "0", "options": {"include": [str(secret.parent)]}})
    )
    return ["replay", "w.json"], (2,)


@_made
def kbuild(own: Path, secret: Path) -> _Made:
    for name in ("include/linux", "include/asm-generic", "arch/x86/include/asm", "arch/x86/lib"):
        (own / name).mkdir(parents=True)
    (own / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n")
    (own / "arch/x86/include/asm/Kbuild").write_text(f"generic-y += {secret.with_name('victim.h')}\n")
    secret.with_name("victim.h").write_text(SECRET)
    (own / "arch/x86/lib/copy_a.S").write_text(_COPY)
    return ["prove", "--kernel", "."], (2,)


@_made
def link_in_a_base(own: Path, secret: Path) -> _Made:
    (own / "a.S").symlink_to(secret)
    (own / "p.patch").write_text(_PATCH.format("a.S"))
    return ["review", "p.patch", "--base", "."], (2,)


def _patch_of(name: str) -> _Maker:
    def make(own: Path, _: Path) -> _Made:
        (own / "p.patch").write_text(_PATCH.format(name))
        return ["review", "p.patch", "--base", "."], (2,)

    return make


_MADE |= {
    "patch_up": _patch_of("../home/victim.S"),
    "patch_absolute": _patch_of("/etc/victim.S"),
    "patch_git": _patch_of(".git/hooks/post-checkout.S"),
    "patch_escape": _patch_of("a\x1b[2J.S"),
}


def _mail_of(text: bytes) -> _Maker:
    def make(own: Path, _: Path) -> _Made:
        (own / "m.mbox").write_bytes(text)
        return ["review", "m.mbox", "--base", "."], (2,)

    return make


_MADE |= {
    "mail_of_from": _mail_of(b"From " * 20_000),
    "mail_of_brackets": _mail_of(
        b"From: a\nSubject: " + b"[" * 200_000 + b"\n\n" + _PATCH.format("a.S").encode()
    ),
    "mail_of_parts": _mail_of(b"From: a\n" + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 2_000),
    "mail_of_escapes": _mail_of(
        "From: a\x1b[2J\nSubject: \u202e::error::\n\n".encode() + _PATCH.format("a.S").encode()
    ),
}


@_made
def name_of_a_file(own: Path, _: Path) -> _Made:
    (own / "a\n::error::x\u202e.S").write_text(_COPY)
    return ["prove", "a\n::error::x\u202e.S"], (2,)


def main() -> None:
    """Write the corpus, and say how each entry is met."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for entry in entries(folder):
        print(f"{entry.name}: mcverify {entry.arguments!r} in {entry.folder}: {entry.codes}")


if __name__ == "__main__":
    main()

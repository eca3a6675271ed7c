"""Damaged and hostile inputs for everything that reads what a stranger wrote.

`python -m security.fuzzer --seconds 60` (with tests/ on the path; `make fuzz`) goes on for that time, from
another beginning each time, and prints the input that a reader fails on. The tests run it with a fixed one.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from review.support import PATCH, SERIES
from support.forger import forced
from support.results import REFUTED

from mcverify.check import manifest, script, term
from mcverify.check.bundle import MANIFEST
from mcverify.contract import load_contract
from mcverify.errors import InputError
from mcverify.foreign import inner
from mcverify.image.assemble import _complaint
from mcverify.image.kernel_tree import KernelTree, read_config
from mcverify.image.load import load
from mcverify.image.source import Source
from mcverify.image.system_map import read_system_map
from mcverify.models import models_dir
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.report.json import to_json
from mcverify.report.place import parse
from mcverify.review.apply import applied, changes
from mcverify.review.git import Commit, Repository
from mcverify.review.mail import patches
from mcverify.review.revision import included
from mcverify.shown import printable
from mcverify.toolchain import find_compiler
from mcverify.witness.file import read_witnesses

SECONDS = 2.0
"""Of the CPU, that a reader may take for one input."""

MEGABYTES = 500
"""By how much the process may grow."""

LARGEST = 200_000
"""Bytes of an input, at most: a reader that is not linear shows at that size."""

REPOSITORY = Path(__file__).parents[2]

_WORDS = (
    b"From ", b"From a@b Mon Sep 17 00:00:00 2001\n", b"[", b"]", b"(", b")", b"{", b"}", b'"', b'\\"',
    b"'", b"/*", b"*/", b"//", b"#", b"\n", b"\r\n", b"\0", b"\xff", b"\xe2\x80\xae", b"\x1b[2J",
    b"@@ -1,1 +1,1 @@\n", b"--- a/x.S\n+++ b/x.S\n", b"diff --git a/x.S b/x.S\n",
    b"index 1234567..1234567 100644\n", b"../", b"/etc/passwd", b"Subject: =?utf-8?q?a?=\n",
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", b"--b\n", b"--b--\n", b"\n ",
    b"Content-Transfer-Encoding: base64\n", b"Content-Type: text/plain; charset*=x''y\n",
    b"99999999999999999999", b"mcverify: contract bytes_left for x\n", b"expect: ", b"#if 1\n",
    b"#elif 1\n", b"#endif\n", b"CONFIG_X=y\n", b"(assert ", b"(_ bv1 8)", b"#x00", b"=", b":", b",", b"-",
    b" ", b"\t", b"\\\n", b"generic-y += a.h\n", b"1.0e999",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Something that reads: its inputs that are right, and what else it may raise than InputError."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()


# -- inputs -------------------------------------------------------------------------------------------------


def damaged(seeds: Sequence[bytes], luck: random.Random) -> bytes:
    """One of the seeds, changed in a few ways; now and then a flood of one part of it."""
    content = bytearray(luck.choice(seeds))
    for _ in range(luck.choice((1, 1, 2, 4, 8))):
        at = luck.randrange(len(content) + 1)
        end = min(len(content), at + luck.choice((1, 2, 4, 16, 64, 512)))
        match luck.randrange(8):
            case 0 if at < len(content):
                content[at] = luck.randrange(256)
            case 1:
                del content[at:end]
            case 2:
                content[at:at] = luck.choice(_WORDS)
            case 3:
                other = luck.choice(seeds)
                start = luck.randrange(len(other) + 1)
                content[at:end] = other[start : start + luck.choice((8, 64, 512))]
            case 4:
                content[at:at] = bytes(content[at:end]) * luck.choice((2, 10, 100))
            case 5:
                content[at:at] = luck.choice(_WORDS) * luck.choice((2, 10, 100))
            case 6 if luck.random() < 0.05:
                flood = luck.choice(
                    (luck.choice(_WORDS), luck.choice(_WORDS) + luck.choice(_WORDS), bytes(content[at:end]))
                )
                content[at:at] = flood * (luck.choice((2_000, 20_000, 100_000)) // max(1, len(flood)))
            case _:
                content = content[:at] if luck.random() < 0.1 else content
    return bytes(content[:LARGEST])


# -- readers ------------------------------------------------------------------------------------------------


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mcverify-fuzz-")


def _file(name: str, content: bytes) -> Path:
    path = Path(_folder().name) / name
    path.write_bytes(content)
    return path


def _mail(content: bytes) -> object:
    found = patches("a.mbox", content)
    for patch in found:
        for text in (patch.subject, patch.author, patch.heading, patch.message_id):
            assert printable(text) == text
    return [changes(patch.text, "a.mbox") for patch in found]


_OLD = b"/* about */\none\ntwo\nthree\nfour\nfive\nsix\nseven\n"


def _patch(content: bytes) -> object:
    return [applied(change, _OLD, "a.patch") for change in changes(content.decode("latin-1"), "a.patch")]


def _source(content: bytes) -> object:
    source = Source("a.S", content.decode("utf-8", "replace"))
    assert len(source.code) == len(source.text)
    return [
        source.annotations,
        source.own_macros,
        source.configs,
        source.stand_ins,
        source.missing_routines(()),
        source.lists_alternatives,
        included("lib/a.S", content),
    ]


def _object(content: bytes) -> object:
    image = load(_file("a.o", content))
    assert all(printable(s.name) == s.name for s in image.symbols)
    return tasks(image, ProveOptions(all_routines=True))


def _kbuild(content: bytes) -> object:
    root = Path(_folder().name) / "tree"
    for folder in ("include/linux", "include/asm-generic", "arch/x86/include/asm"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\n")
    (root / "arch/x86/include/asm/Kbuild").write_bytes(content)
    with KernelTree.at(root).headers({}) as folders:
        return folders


def _names(content: bytes) -> object:
    text = content.decode("utf-8", "replace")
    return [parse(text), inner(text)]


def _complained(content: bytes) -> object:
    return _complaint(_file("a.S", b"nop\n"), "gcc", content.decode("utf-8", "replace"))


def _terms(content: bytes) -> object:
    return term.read(content.decode("utf-8", "replace"), lambda name: 64)


@cache
def _sources() -> Sequence[bytes]:
    names = ("memcpy_64.S", "alternative.S", "user_both.S")
    extra = b'#if 1\n#else\n#endif\n.ascii "a\\"b"\n// mcverify: faults loads\n'
    return [*((REPOSITORY / "asm" / name).read_bytes() for name in names), extra]


@cache
def _objects() -> Sequence[bytes]:
    path = _file("seed.S", _sources()[0])
    target = path.with_name("seed.o")
    shim = REPOSITORY / "src/mcverify/image/shim/include"
    options = ["-D__ASSEMBLY__", "-D__KERNEL__", f"-I{shim}", "-include", str(shim / "mcverify/prelude.h")]
    subprocess.run([*find_compiler(), "-c", *options, str(path), "-o", str(target)], check=True)
    return [target.read_bytes()]


@cache
def _manifests() -> Sequence[bytes]:
    folder = forced(REPOSITORY / "asm/get_half.S", Path(_folder().name) / "bundle")
    return [(folder / MANIFEST).read_bytes()]


class _Said(Repository):
    """A repository of which git says what it is told to say."""

    said: ClassVar[bytes] = b""

    def _run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(arguments, 0, self.said, b"")


def _commit(content: bytes) -> Commit:
    _Said.said = content
    found = _Said(Path()).describe("a" * 40)
    assert printable(found.subject) == found.subject
    assert printable(found.author) == found.author
    return found


def _tree(content: bytes) -> object:
    _Said.said, repository = content, _Said(Path())
    names = [repository.changed("a", "b", ()), repository.sources("a", "lib"), repository.names("a", ())]
    return [names, repository.commits("a", "b", ()), [*repository.contents("a", ())]]


def _texts(*texts: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [text.encode() for text in texts]


_NESTED = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=latin-1\n\n"
_SCRIPT = (
    "(set-logic QF_BV)\n(declare-const a (_ BitVec 8))\n(assert (= (bvadd a #x01) (_ bv3 8)))\n(check-sat)\n"
)

READERS = (
    Reader(
        "mail",
        lambda: [SERIES.read_bytes(), f"From: a\nSubject: [PATCH 1/2] b\n{_NESTED}{PATCH}".encode()],
        _mail,
    ),
    Reader("patch", _texts(PATCH), _patch),
    Reader("source", _sources, _source),
    Reader("object", _objects, _object),
    Reader(
        "contract",
        lambda: [path.read_bytes() for path in sorted((models_dir() / "contracts").glob("*.toml"))],
        lambda content: load_contract(_file("own.toml", content)),
    ),
    Reader(
        "witness",
        lambda: [to_json([REFUTED], ProveOptions()).encode()],
        lambda content: read_witnesses(_file("w.json", content)),
    ),
    Reader(
        "manifest",
        _manifests,
        manifest.decoded,
        (ValueError,),
    ),
    Reader(
        "script",
        _texts(_SCRIPT),
        lambda content: script.read(content.decode("utf-8", "replace")),
        (ValueError,),
    ),
    Reader("term", _texts("(bvadd a (_ bv1 64))", "((_ extract 7 0) b)"), _terms, (ValueError,)),
    Reader(
        "configuration",
        _texts('CONFIG_X86_64=y\n# CONFIG_A is not set\nCONFIG_B="a\\"b"\nCONFIG_C=m\n'),
        lambda content: read_config(_file("config", content)),
    ),
    Reader(
        "map",
        _texts("ffffffff81000000 T _text\nffffffff81001000 t a\t[m]\n"),
        lambda content: read_system_map(_file("System.map", content), ()),
    ),
    Reader(
        "commit",
        _texts("tree a\nparent b\nauthor A U Thor <a@b> 1 +0000\nencoding latin-1\n\nlib: a\n\nmore\n"),
        _commit,
    ),
    Reader("tree", _texts("100644 blob 0a1b      12\tlib/a.S\0120000 blob 0a1c 3\tlib/b.S\0"), _tree),
    Reader("kbuild", _texts("generic-y += a.h\nmandatory-y += \\\n b.h\ngenerated-y += c.h\n"), _kbuild),
    Reader("names", _texts("arch/x86/lib/a.S", "a.S:12", "a.S: .text+0x4, b.S:3"), _names),
    Reader(
        "complaints",
        _texts("a.S:3: Error: no such instruction: `x'\n/tmp/x.s: Error: undefined symbol `y'\n"),
        _complained,
    ),
)


# -- running ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failed:
    """A reader that did not do what it should, and the input."""

    reader: str
    why: str
    content: bytes


def inputs(
    seed: int, *, count: int | None = None, seconds: float | None = None
) -> Iterator[tuple[Reader, bytes]]:
    """Inputs, for each reader in turn, until there are so many or the time is over."""
    luck = random.Random(seed)
    end = None if seconds is None else time.monotonic() + seconds
    number = 0
    while (count is None or number < count) and (end is None or time.monotonic() < end):
        reader = READERS[number % len(READERS)]
        yield reader, damaged(reader.seeds(), luck)
        number += 1


def failure(reader: Reader, content: bytes) -> Failed | None:
    """What is wrong with how a reader takes an input; None if it is all right."""
    start = time.process_time()
    try:
        reader.read(content)
    except (InputError, *reader.refuses):
        pass
    except Exception:
        return Failed(reader.name, traceback.format_exc(), content)
    spent = time.process_time() - start
    return Failed(reader.name, f"it took {spent:.1f} s", content) if spent > SECONDS else None


def grown() -> float:
    """Megabytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Go on for a time, and print the first failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    chosen = parser.parse_args()
    before, done = grown(), 0
    for reader, content in inputs(chosen.seed, seconds=chosen.seconds):
        done += 1
        found = failure(reader, content)
        if found is not None:
            kept = Path(f"fuzz-{found.reader}.input")
            kept.write_bytes(content)
            sys.exit(
                f"{found.reader}: {found.why}\nthe input is in {kept}; seed {chosen.seed}, number {done}"
            )
    print(
        f"{done} inputs, none of which a reader failed on; {grown() - before:.0f} MB more; seed {chosen.seed}"
    )


if __name__ == "__main__":
    main()

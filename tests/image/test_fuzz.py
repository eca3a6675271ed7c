"""Damaged files: the readers of ELF, of the exception table and of the alternatives say in one sentence what
is wrong, or read what is there. Nothing else comes out, and nothing takes long or grows without measure.
"""

from __future__ import annotations

import random
import re
import resource
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.proof.scan import scan
from mcverify.toolchain import find_compiler

from .test_kallsyms import CODE, tables

MUTANTS = 500
"""Damaged files made of each good one."""

SECONDS = 5.0
"""CPU seconds that one file may take at most; a good one takes some milliseconds."""

MEGABYTES = 300
"""By how much the whole may grow, the largest sections that a file may ask for included."""

NEW = """
	.globl f
	.type f, @function
f:
1:	movb	(%rsi), %al
2:	movb	%al, (%rdi)
3:	.byte	0x90, 0x90, 0x90, 0x90, 0x90
4:	ret
	.size f, .-f
	.type g, @function
g:	call	outside
5:	testb	$1, (%rsi)
	ret
	.size g, .-g
	.section .altinstr_replacement, "ax"
6:	call	outside
7:
	.section .altinstructions, "a"
	.long	3b - ., 6b - ., 9*32+9
	.byte	5, 7b - 6b
	.section __ex_table, "a"
	.long	1b - ., 4b - ., 1
	.long	2b - ., 4b - ., 3
	.long	5b - ., 4b - ., 0xfff20211
"""
WITH_HANDLERS = """
	.globl f
	.type f, @function
f:
1:	movb	(%rsi), %al
2:	ret
	.size f, .-f
	.globl ex_handler_default
	.type ex_handler_default, @function
ex_handler_default:
	ret
	.size ex_handler_default, .-ex_handler_default
	.section __ex_table, "a"
	.long	1b - ., 2b - ., ex_handler_default - .
"""
OLD = """
	.globl f
	.type f, @function
f:
1:	movb	(%rsi), %al
2:	nop
3:	ret
	.size f, .-f
	.section .altinstr_replacement, "ax"
4:	.byte	0x66
	.section .altinstructions, "a"
	.quad	2b, 4b
	.byte	9*16, 1, 1, 0, 0, 0, 0, 0
	.section __ex_table, "a"
	.quad	1b, 3b
"""
LINK = (
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,-e,0",
    "-Wl,--build-id=none",
    "-Wl,--unresolved-symbols=ignore-all",
)
KINDS = {
    "new.o": (NEW, ("-c",)),
    "new.linked": (NEW, LINK),
    "handlers.o": (WITH_HANDLERS, ("-c",)),
    "old.o": (OLD, ("-c",)),
    "old.linked": (OLD, LINK),
    "lines.o": (NEW, ("-c", "-g")),
    "kallsyms": (CODE + tables(["T_text", "Tcopy_mc_fragile"], absolute=True, old=True), (*LINK, "-s")),
}
EDGES = (
    0,
    1,
    2,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 64) - 1,
)


@pytest.fixture(scope="module", params=list(KINDS))
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    text, flags = KINDS[request.param]
    folder = tmp_path_factory.mktemp("fuzz")
    source, target = folder / "f.s", folder / request.param
    source.write_text(text)
    subprocess.run([*find_compiler(), *flags, str(source), "-o", str(target)], check=True)
    assert scan(load(target)).entries == text.split("__ex_table")[1].count("b - .") // 2 + text.count(
        ".quad	1b"
    )
    return target


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The file with a few changes: bits, numbers of every width, moved pieces, cuts."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(changed))
        match chance.randrange(6):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1 | 2:
                width = chance.choice((1, 2, 4, 8))
                at -= at % width
                value = chance.choice(EDGES) if chance.random() < 0.7 else chance.getrandbits(64)
                changed[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
            case 3:
                number = int.from_bytes(changed[at : at + 4], "little") + chance.randrange(-64, 64)
                changed[at : at + 4] = (number & 0xFFFFFFFF).to_bytes(4, "little")
            case 4:
                size, source = chance.randrange(1, 64), chance.randrange(len(changed))
                changed[at : at + size] = changed[source : source + size]
            case 5:
                if chance.random() < 0.2:
                    del changed[max(1, at) :]
                else:
                    header = len(changed) - chance.randrange(1, min(len(changed), 1024) + 1)
                    changed[header] = chance.choice((0, 1, 0x7F, 0xFF))
    return bytes(changed)


def test_a_damaged_file_is_refused_in_a_sentence_or_read(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    chance = random.Random(good.name)
    path = tmp_path / good.name
    fates: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MUTANTS):
        mutant = damaged(data, chance)
        path.write_bytes(mutant)
        start = time.process_time()
        try:
            fates["read" if scan(load(path)).entries else "without a table"] += 1
        except InputError as error:
            fates["refused"] += 1
            assert re.fullmatch(r"[^\n]+", str(error)), number
        except Exception as error:
            kept = tmp_path / f"{good.name}.{number}"
            kept.write_bytes(mutant)
            pytest.fail(f"{kept}: {type(error).__name__}: {error}")
        assert time.process_time() - start < SECONDS, number
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEGABYTES << 10, f"{grown >> 10} MB"
    # Both happen often: the damage is neither always fatal nor never.
    assert min(fates["refused"], fates["read"]) > MUTANTS // 10, fates

"""What a user may give us that is wrong: one sentence, the right exit code, and nothing written."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.processes import until

from mcverify.models import models_dir

from .conftest import Ran

HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
BYTES = """\
	mov %rdx, %rcx
	test %rcx, %rcx
	jz .Ldone
.Lread:
	mov (%rsi), %al
	mov %al, (%rdi)
	inc %rsi
	inc %rdi
	dec %rcx
	jnz .Lread
.Ldone:
	xor %eax, %eax
	RET
.Lfix:
	mov %rcx, %rax
	RET
"""
REP = """\
	mov %rdx, %rcx
.Lread:
	rep movsb
	xor %eax, %eax
	RET
.Lfix:
	mov %rcx, %rax
	RET
"""
"""The same with an instruction that costs a proof less than a loop."""
ENTRY = "	_ASM_EXTABLE(.Lread, .Lfix)\n"
TYPED = '.pushsection __ex_table, "a"\n.long {insn} - ., {fixup} - ., {data}\n.popsection\n'
TOOL = [sys.executable, "-m", "mcverify", "prove"]


def routine(
    body: str = BYTES + ENTRY,
    behind: str = "",
    *,
    name: str = "f",
    head: str = HEAD,
    comment: str = "contract",
    contract: str = "bytes_left",
) -> str:
    """A source with the routine `name`."""
    annotation = f"/* mcverify: {comment} {contract} */\n"
    return f"{head}{annotation}SYM_FUNC_START({name})\n{body}\nSYM_FUNC_END({name})\n{behind}"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder, and give back what the command changes in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCVERIFY_TRACEBACK", raising=False)
    with warnings.catch_warnings():
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def refused(mcverify: Callable[..., object]) -> Callable[..., str]:
    """Run `prove` on what is wrong input; give its one sentence, without our name."""

    def call(*arguments: object) -> str:
        before = sorted(os.listdir())
        ran = mcverify("prove", *arguments)
        assert (ran.code, ran.out) == (2, ""), ran
        assert re.fullmatch(r"mcverify: [^\n]+\n", ran.err), ran.err
        assert sorted(os.listdir()) == before
        return ran.err.removeprefix("mcverify: ").rstrip("\n")

    return call


def write(text: str, name: str = "a.S") -> str:
    Path(name).write_text(text)
    return name


def header(**changes: int) -> bytes:
    """An ELF header of an x86-64 object, with the bytes at some offsets changed."""
    content = bytearray(b"\x7fELF\2\1\1" + bytes(9) + b"\1\0\x3e\0\1\0\0\0" + bytes(40))
    for offset, value in changes.items():
        content[int(offset[1:])] = value
    return bytes(content)


# -- the file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.S", None, "gone.S: error: there is no such file"),
        ("a.S", b"", "a.S: error: the file is empty"),
        ("a.o", b"", "a.o: error: the file is empty"),
        (
            "a.c",
            b"int f;",
            "a.c: error: it is neither assembly nor an ELF file (mcverify reads machine code: compile",
        ),
        ("a.txt", b"hello", "a.txt: error: it is neither assembly nor an ELF file (give"),
        ("a.o", b"hello", "a.o: error: it is no ELF file"),
        ("a.o", header(o4=1), "a.o: error: it is a 32-bit ELF file"),
        ("a.o", header(o5=2), "a.o: error: it is a big-endian ELF file"),
        ("a.o", header(o18=183), "a.o: error: it is for another machine (ELF e_machine 183)"),
        ("a.o", header(o18=3), "a.o: error: it is for another machine (ELF e_machine 3)"),
        ("a.o", header()[:40], "a.o: error: the ELF header is cut off"),
        ("a.o", header(), "a.o: error: it has no section headers"),
        ("a.S", b"/* nothing */\n", "a.S: error: it has no exception table, so there is no fixup to prove"),
    ],
)
def test_files_that_hold_no_routine(refused, name, content, sentence):
    if content is not None:
        Path(name).write_bytes(content)
    assert refused(name).startswith(sentence)


def test_a_folder(refused):
    Path("folder.S").mkdir()
    assert refused("folder.S").startswith("folder.S: error: it is a folder (give ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(refused):
    Path(write(routine())).chmod(0)
    assert refused("a.S") == "a.S: error: it cannot be read: Permission denied"


# -- the source ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "sentence"),
    [
        (routine(BYTES.replace("inc %rsi", "inc %rsi,") + ENTRY), 11, "it does not assemble: "),
        (routine(head="#include <asm/gone.h>\n" + HEAD), 1, "the header asm/gone.h is neither among"),
        (routine(BYTES + "	MY_EXTABLE(.Lread, .Lfix)\n"), 21, "the assembler knows no such instruction"),
        (
            routine("	mov $MY_SIZE, %rax\n" + BYTES + ENTRY),
            5,
            "it uses MY_SIZE as a number, but no header",
        ),
        (routine(contract="bytes_leff"), 3, "there is no contract 'bytes_leff'; did you mean 'bytes_left'?"),
        (routine(contract="bytes_left for g"), 3, "the comment is for g, which is not in the file"),
        (routine(comment="contrakt"), 3, "the comment says mcverify: contrakt"),
    ],
)
def test_sources_that_cannot_be_assembled_or_say_what_is_not(refused, text, where, sentence):
    assert refused(write(text)).startswith(f"a.S:{where}: error: {sentence}")


def test_a_number_that_is_missing_can_be_given(refused):
    write("	mov $MY_SIZE, %rax\n")
    assert "(give it with -D NAME=VALUE, or the folder of the header" in refused("a.S")
    assert "no exception table" in refused("a.S", "-D", "MY_SIZE=64")


# -- the exception table ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            routine(behind='.pushsection __ex_table, "a"\n.byte 1, 2, 3\n.popsection\n'),
            "a.S: error: the exception table __ex_table: its size of 15 bytes is no multiple of an entry",
        ),
        (
            routine(behind=".data\n.Lhere: .quad 0\n" + TYPED.format(insn=".Lhere", fixup=".Lfix", data=1)),
            "a.S: error: exception-table entry 1: its instruction .Lhere",
        ),
        (
            routine(behind=".data\n.Lhere: .quad 0\n" + TYPED.format(insn=".Lread", fixup=".Lhere", data=1)),
            "a.S:9: error: exception-table entry 1: its fixup .Lhere",
        ),
        (
            routine(behind=TYPED.format(insn="0x7000000", fixup=".Lfix", data=1)),
            "a.S: error: exception-table entry 1: its instruction 0x7000000 (",
        ),
        (
            routine(BYTES + "	_ASM_EXTABLE_TYPE(.Lread, .Lfix, 99)\n"),
            "a.S:9: error: exception-table entry 0: its type 99 is unknown",
        ),
        (
            routine(BYTES + "	_ASM_EXTABLE_HANDLE(.Lread, .Lfix, ex_handler_odd)\n"),
            "a.S:9: error: exception-table entry 0: its handler ex_handler_odd is unknown",
        ),
        (
            routine(BYTES + ENTRY + "	_ASM_EXTABLE(.Lread + 1, .Lfix)\n"),
            "a.S:9: error: exception-table entry 1 points into the middle of an instruction, 1 behind the",
        ),
        (
            routine().replace("SYM_FUNC_START(f)", "f:").replace("SYM_FUNC_END(f)", ""),
            "a.S: error: its exception-table entries lie in no function (mark the routine as a function",
        ),
    ],
)
def test_tables_that_cannot_be_right(refused, text, sentence):
    assert refused(write(text)).startswith(sentence)


# -- names and contracts ------------------------------------------------------------------------------


def test_a_routine_that_is_not_there(refused):
    write(routine(name="memcpy_trap"))
    assert refused("a.S", "--routine", "memcpy_tarp") == (
        "a.S: error: there is no routine 'memcpy_tarp' (did you mean memcpy_trap?)"
    )
    assert refused("a.S", "--routine", "strlen").endswith("(it has memcpy_trap)")


def test_a_routine_that_a_config_hides(refused):
    write(routine(behind="#ifdef CONFIG_ODD\nSYM_FUNC_START(g)\n	ret\nSYM_FUNC_END(g)\n#endif\n"))
    assert "under #ifdef CONFIG_ODD" in refused("a.S", "--routine", "g")


@pytest.mark.parametrize("name", ["bytes", ""])
def test_an_unknown_contract_lists_the_known_ones(refused, name):
    sentence = refused(write(routine()), "--contract", name)
    assert sentence.startswith(f"error: there is no contract {name!r}")
    for contract in (models_dir() / "contracts").glob("*.toml"):
        assert contract.stem in sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("\nobligations", "\nobligatoins"), "obligations is missing"),
        (("[arguments]", "[arguments]\nsorce = 1"), "arguments.sorce is not a key of a contract"),
        (("name =", "naem = 1\nname ="), "naem is not a key of a contract; did you mean 'name'?"),
        (("name =", "= ="), "the contract is not TOML: "),
        (
            ('"O2", ', ""),
            "name is 'bytes_left', that of a contract which comes with mcverify",
        ),
        (('"bytes_left"', '"a\\nPROVED"'), "name must be text on one line, not 'a\\nPROVED'"),
    ],
)
def test_a_contract_with_a_wrong_key(refused, change, sentence):
    write((models_dir() / "contracts" / "bytes_left.toml").read_text().replace(*change, 1), "own.toml")
    assert refused(write(routine()), "--contract", "own.toml").startswith(f"own.toml: error: {sentence}")


def test_a_contract_file_that_is_not_there(refused):
    assert refused(write(routine()), "--contract", "gone.toml").startswith(
        "gone.toml: error: cannot read the contract"
    )


# -- output -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [".", "gone/out.json", "a.S"])
def test_a_result_file_that_cannot_be_written(refused, target):
    text = routine()
    assert refused(write(text), "--json", target).startswith(f"{target}: error: --json ")
    assert Path("a.S").read_text() == text


def test_no_compiler_says_which_package_brings_one(refused, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("mcverify.toolchain.importlib.util.find_spec", lambda name: None)
    sentence = refused(write(routine()))
    assert "apt install gcc" in sentence
    assert "mcverify[zig]" in sentence


# -- what is no wrong input but strange ---------------------------------------------------------------


@pytest.fixture
def prove(mcverify: Callable[..., Ran]) -> Callable[..., Ran]:
    """The command, in this process."""
    return lambda *arguments: mcverify("prove", *arguments)


JUMP = "	lea .Lend(%rip), %rax\n	jmp *%rax\n.Lend:\n	xor %eax, %eax\n	RET\n.Lfix"
SECOND = routine((BYTES + ENTRY).replace(".L", ".M"), name="g", head="", contract="bytes_left for f")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            routine(BYTES.replace("	inc %rsi", "	.byte 0x06\n	inc %rsi") + ENTRY),
            r"a\.S:1\d: the code 06 ",
        ),
        (
            routine(BYTES.replace("	RET\n.Lfix", JUMP) + ENTRY),
            r"a\.S:17: leaq 2\(%rip\), %rax: gives an address of the code",
        ),
        (
            routine(BYTES.replace("	RET\n.Lfix", "	call g\n	RET\n.Lfix") + ENTRY),
            r"a\.S:17: \w+ to g, which",
        ),
        (routine(behind=SECOND, contract="bytes_left for f"), "no contract is known for g"),
        (routine("	hlt\n" + BYTES + ENTRY), r"a\.S:5: hlt: is privileged"),
        (routine(BYTES.replace("	RET\n.Lfix", "	ud2\n.Lfix") + ENTRY), r"a\.S:17: ud2: "),
    ],
    ids=[
        "undecodable",
        "address of code",
        "external call",
        "one of two without a contract",
        "privileged",
        "illegal",
    ],
)
def test_what_is_not_understood_is_unknown_and_named(prove, text, reason):
    ran = prove(write(text), "--len-max", "64")
    assert ran.code == 3, ran.out + ran.err
    assert re.search(reason, " ".join(ran.out.split())), ran.out
    assert ran.err == ""


@pytest.mark.slow
def test_recursion_is_unknown_and_refuted_by_no_run_beyond_the_largest_length(prove):
    body = BYTES.replace("	mov %rdx, %rcx\n	test %rcx, %rcx\n", "	test %rdx, %rdx\n")
    body = body.replace("dec %rcx\n	jnz .Lread", "dec %rdx\n	call f\n	RET").replace(
        "%rcx, %rax", "%rdx, %rax"
    )
    write(routine(body + ENTRY))
    ran = prove("a.S", "--len-max", "64", "--timeout", "15")
    assert ran.code == 3, ran.out
    assert re.search(r"recursion|time limit", ran.out)


@pytest.mark.slow
def test_one_that_never_returns_is_refuted_in_time(prove):
    """No long calls of it are tried: each would be run until its limit of steps."""
    write(routine("1:	jmp 1b\n" + BYTES + ENTRY))
    ran = prove("a.S")
    assert ran.code == 1, ran.out + ran.err
    assert "with len = 0 it is at f in the same state again: it never ends" in " ".join(ran.out.split())


def test_one_that_needs_5_gib_is_refused(prove):
    ran = prove(write(routine() + ".bss\n.skip 0x140000000\n"))
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"mcverify: a\.S: error: its sections ask for \d+ bytes, more than .*\n", ran.err)


FORBIDDING = """
import ctypes, os, struct, sys
libc, number = ctypes.CDLL(None), int(sys.argv[1])
tests = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50001), (6, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *test) for test in tests))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(tests), ctypes.addressof(code)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(77)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a command for which one system call fails with EPERM (seccomp(2)); 77 where that cannot be done."""

MEMFD_CREATE = 319


@pytest.mark.skipif(platform.machine() != "x86_64", reason="skipped: the numbers are those of x86-64")
@pytest.mark.slow
def test_a_host_that_forbids_what_runs_need_is_told_of():
    write(routine(REP + ENTRY))
    words = [sys.executable, "-c", FORBIDDING, str(MEMFD_CREATE), *TOOL[:-1], "sweep", "a.S"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode == 77:
        pytest.skip("skipped: needs seccomp")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "this host does not let a program share memory with a child of its own" in " ".join(
        ran.stdout.split()
    )


@pytest.mark.slow
def test_a_useless_entry_is_told_beside_the_verdict(prove):
    write(routine(BYTES + ENTRY + "	_ASM_EXTABLE(.Ldone, .Lfix)\n"))
    ran = prove("a.S", "--len-max", "64")
    assert ran.code == 0
    assert "a.S:16: exception-table entry 1 is for xor, which does not access memory" in ran.out


def test_a_long_routine_ends_in_time(prove):
    write(routine("	add $1, %r8\n" * 10_000 + BYTES + ENTRY))
    start = time.monotonic()
    ran = prove("a.S", "--timeout", "2", "--json", "out.json")
    assert ran.code == 3
    assert "the time limit was reached" in ran.out
    assert time.monotonic() - start < 45
    assert sorted(os.listdir()) == ["a.S", "out.json"]


# -- as a process -------------------------------------------------------------------------------------


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Wait until SIGINT is blocked: before, it is Python's or the system's to end the process."""

    def blocks() -> bool:
        status = Path(f"/proc/{process.pid}/status").read_text()
        (blocked,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
        return bool(int(blocked, 16) >> signal.SIGINT - 1 & 1)

    until(blocks)


@pytest.mark.parametrize("after", [0.1, 1.0, 3.0])
def test_an_interrupt_leaves_nothing_half_done(after):
    write(routine())
    process = subprocess.Popen(
        [*TOOL, "a.S", "--json", "out.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until_it_listens(process)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, err = process.communicate(timeout=20)
    if process.returncode != 0:  # it may have been faster than we were
        assert (process.returncode, err.strip()) == (130, "mcverify: interrupted")
        left = sorted(os.listdir())
        if left != ["a.S"]:  # it was about to end: the report is there, and whole
            assert left == ["a.S", "out.json"]
            assert json.loads(Path("out.json").read_text())["routines"]
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["with space.S", "-dash.S", os.fsdecode(b"caf\xe9.S")])
def test_odd_file_names(name):
    Path(name).write_text("/* nothing */\n")
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    ran = subprocess.run([*TOOL, "--", name], capture_output=True, env=environment, check=False)
    assert ran.returncode == 2
    assert b".S: error: it has no exception table" in ran.stderr


def test_closed_streams_are_no_fault_of_ours():
    write(routine(REP + ENTRY))
    command = " ".join([*TOOL, "a.S", "-q"])
    assert subprocess.run(["sh", "-c", f"exec {command} <&- >&- 2>&-"], check=False).returncode == 0


def test_a_full_disk_is_one_sentence():
    ran = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m mcverify --help >/dev/full"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (
        2, "mcverify: error: the output cannot be written: no space left on device\n"
    )  # fmt: skip


@pytest.mark.slow
def test_no_home_and_a_folder_that_may_not_be_written(tmp_path):
    write(routine(REP + ENTRY))
    shutil.copytree(".", "sub", ignore=shutil.ignore_patterns("sub"))
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"XDG_CACHE_HOME": "/dev/null", "TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C"}
    Path("sub").chmod(0o500)
    ran = subprocess.run(
        [*TOOL, "a.S"], cwd="sub", env=environment, capture_output=True, text=True, check=False
    )
    Path("sub").chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    assert "PROVED" in ran.stdout
    assert os.listdir("sub") == ["a.S"]


@pytest.mark.parametrize("seconds", ["0.01", "0.4"])
def test_a_time_limit_that_ends_before_the_proof_is_unknown(seconds):
    """While the source is assembled, or in the search for runs."""
    write(routine(BYTES + ENTRY))
    ran = subprocess.run(
        [*TOOL, "a.S", "--timeout", seconds], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 3, ran.stderr
    told = ran.stdout if ran.stdout else ran.stderr
    assert "the time limit was reached" in told
    assert ran.stderr == "" or ran.stderr.startswith(
        "mcverify: error: the time limit was reached in phase assemble"
    )

"""The C program of a system call: on this machine's kernel, and with calls that are wrong on purpose."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcverify.callers.program import SystemCall, call_of, program
from mcverify.cli import run
from mcverify.errors import InputError
from mcverify.runs.case import Case, Place, Placement

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import boot

CALLS = (
    SystemCall("write", 100, 8),
    SystemCall("write", 5000, 4500, 96),
    SystemCall("write", 10, 0, 3),
    SystemCall("write", 10, 10),
    SystemCall("read", 5000, 4500, 96),
    SystemCall("read", 10, 0, 3),
)
LIES = """
#include <sys/types.h>
ssize_t __real_pwrite(int, const void *, size_t, off_t);
ssize_t __wrap_pwrite(int fd, const void *from, size_t n, off_t at)
{
    if (n == 100)
        for (;;) ;
    return n == 90 ? 90 : n == 80 ? __real_pwrite(fd, from, 1, at) * 0 + 7 : __real_pwrite(fd, from, n, at);
}
"""


def ran(folder, calls, *more, extra=""):
    (folder / "t.c").write_text(program(calls, "a test */ of ours", seconds=1))
    (folder / "extra.c").write_text(extra or "int unused;")
    files = [folder / "t.c", folder / "extra.c", "-o", folder / "t.out"]
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", *files, *more], check=True)
    return subprocess.run([folder / "t.out"], cwd=folder, capture_output=True, text=True, check=False)


def test_this_kernel_returns_short_counts(tmp_path):
    done = ran(tmp_path, CALLS)
    said = [line.partition("file: ")[2] for line in done.stdout.splitlines() if "file: " in line]
    short, whole, none = (
        ": a short count, and an accurate one",
        ": all of it",
        "failed with EFAULT: as it should",
    )
    assert said == [
        f"returned 8{short}",
        f"returned 4500{short}",
        none,
        f"returned 10{whole}",
        f"returned 4500{short}",
        none,
    ]
    assert done.returncode == 0


def test_a_call_that_lies_or_never_returns_is_told(tmp_path):
    calls = (SystemCall("write", 100, 8), SystemCall("write", 90, 8), SystemCall("write", 80, 8))
    done = ran(tmp_path, calls, "-Wl,--wrap=pwrite", extra=LIES)
    hung, lied, short = [line.partition("file: ")[2] for line in done.stdout.splitlines() if "file: " in line]
    assert hung.startswith("DID NOT RETURN in 1.")
    assert (
        lied
        == "returned 90, but byte 0 of the destination is wrong, though the first 8 bytes could be copied"
    )
    assert (
        short
        == "returned 7, but byte 1 of the destination is wrong, though the first 8 bytes could be copied"
    )
    assert done.returncode == 1


def test_a_case_becomes_the_call_that_makes_its_copy():
    free, hole = Place.FREE, Place.HOLE
    case = Case(71, Placement(hole, 1), Placement(free, 0))
    assert call_of(case, "write") == SystemCall("write", 71, 1, 0)
    assert call_of(Case(71, Placement(hole, 1), Placement(free, 4090)), "write").offset == 4090 % 64
    assert call_of(Case(16, Placement(free, 5), Placement(hole, 9)), "read") == SystemCall("read", 16, 9, 5)
    with pytest.raises(InputError, match="kernel's own buffer"):
        call_of(Case(16, Placement(free, 5), Placement(hole, 9)), "write")
    with pytest.raises(InputError, match="no byte of src is bad"):
        call_of(Case(16, Placement(free, 5), Placement(free, 9)), "write")
    with pytest.raises(InputError, match="there is no such call"):
        program([SystemCall("write", 8, 9)], "")


@pytest.mark.slow
def test_replay_prints_the_program(tmp_path, capsys):
    witness = tmp_path / "w.json"
    run(["prove", "asm/user_both_wrong_progress.S", "--faults", "loads", "-q", "--json", str(witness)])
    case = json.loads(witness.read_text())["routines"][0]["counterexamples"][0]["case"]
    capsys.readouterr()
    assert run(["replay", str(witness), "--emit-syscall", "write"]) == 0
    out = capsys.readouterr().out
    assert f"{{ true, {case['len']}, {case['src']['at']}, " in out
    assert run(["replay", str(witness), "--emit-syscall", "read"]) == 2
    assert "no read(2) makes this copy" in capsys.readouterr().err


def test_the_archive_of_the_boot_check(tmp_path):
    (tmp_path / "init").write_bytes(b"#!x\n")
    packed = boot._initramfs(tmp_path / "init", tmp_path)
    text = subprocess.run(["gzip", "-dc", packed], capture_output=True, check=True).stdout
    assert text.startswith(b"070701")
    assert len(text) % 4 == 0
    assert b"init\0" in text
    assert text.rstrip(b"\0").endswith(b"TRAILER!!!")


def test_a_call_of_the_boot_check():
    assert boot._call("write:100:8") == SystemCall("write", 100, 8)
    assert boot._call("read:71:1:64") == SystemCall("read", 71, 1, 64)
    with pytest.raises(InputError, match="is no call"):
        boot._call("write:100")

"""Routines that attack the process that runs them on the CPU, and through it the one that asked for it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcverify.arch.known import X86_64
from mcverify.contract import Contract, load_contract
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.runs import child, cpu, emulator, jailed, native
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.runs.cpu import CpuRunner
from mcverify.silicon import cpu as silicon

from .conftest import SECRET, Mcverify

pytestmark = pytest.mark.skipif(native.forbidden() is not None, reason=f"skipped: {native.forbidden()}")

FREE = Placement(Place.FREE)
CASES = [Case(length, FREE, FREE) for length in (1, 2, 3)]
HEAD = """#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
"""
RIGHT = """
	movq %rdx, %rcx
1:	rep movsb
2:	movq %rcx, %rax
	RET
	_ASM_EXTABLE(1b, 2b)
"""
WRONG = """
	lea -1(%rdx), %rcx
1:	rep movsb
2:	movq %rcx, %rax
	RET
	_ASM_EXTABLE(1b, 2b)
"""
# The return address leads to a jump, and behind that lies the address of `landing` in the harness: from there
# on everything in it is found.
FIND_HARNESS = """
	mov (%rsp), %r10
	movslq 1(%r10), %r11
	mov 11(%r10,%r11), %r10		/* landing */
"""


def written(folder: Path, **routines: str) -> Path:
    path = folder / "routines.S"
    bodies = (f"SYM_FUNC_START({name})\n{body}\nSYM_FUNC_END({name})\n" for name, body in routines.items())
    path.write_text(HEAD + "".join(bodies))
    return path


def routine(folder: Path, body: str) -> tuple[Image, int, Contract]:
    image = load(written(folder, routine=body))
    return image, image.functions[0].address, load_contract("bytes_left")


def endings(folder: Path, body: str, cases: list[Case] = CASES) -> list[Ending]:
    return [outcome.ending for outcome in CpuRunner(*routine(folder, body)).run(cases)]


def system_call(number: int, *arguments: str) -> str:
    """As the kernel is called; for lengths other than 2 nothing happens."""
    registers = zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments, strict=False)
    moved = "\n".join(f"mov {value}, %{name}" for name, value in registers)
    return f"cmp $2, %rdx\n jne 9f\n{moved}\n mov ${number}, %eax\n syscall\n 9: xor %eax, %eax\n ret"


ONE_DIED = [Ending.RETURNED, Ending.DIED, Ending.RETURNED]


def test_attack_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the memory of the process is of the operator's environment, nor says where his programs
    are."""
    monkeypatch.setenv("TOKEN", SECRET)
    image, entry, contract = routine(tmp_path, "1: jmp 1b")
    case = Case(1 << 30, FREE, FREE)
    started: list[subprocess.Popen[bytes]] = []
    begin = jailed.start

    def start(*arguments: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(begin(*arguments, **more))  # type: ignore[arg-type]
        time.sleep(0.2)
        return started[-1]

    monkeypatch.setattr(child, "start", start)
    seen: list[bytes] = []

    def look(process: subprocess.Popen[bytes]) -> bool:
        if not seen:
            seen.append(memory_of(process.pid))
        return True

    monkeypatch.setattr(child._Child, "_is_stuck", lambda self: look(self._process))
    CpuRunner(image, entry, contract).run([case])
    (memory,) = seen
    if not memory:
        pytest.skip("skipped: this user may not look at the memory of the process")
    assert len(memory) > 1 << 16
    assert SECRET.encode() not in memory
    assert str(native.harness()).encode() not in memory
    assert b"HOME=" not in memory


def memory_of(pid: int) -> bytes:
    """What a process can read of what is its own: nothing where the kernel does not let us."""
    found = b""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                span, rights, *_ = line.split()
                first, end = (int(word, 16) for word in span.split("-"))
                if rights.startswith("r") and end - first < 1 << 24 and "[v" not in line:
                    memory.seek(first)
                    found += memory.read(end - first) or b""
    except OSError:
        return b""
    return found


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(system_call(1, "$2", "%rsp", "$8"), id="write elsewhere"),
        pytest.param(system_call(1, "$3", "%rsp", "$8"), id="write to a file that is open"),
        pytest.param(system_call(0, "$0", "%rsp", "$8"), id="read"),
        pytest.param(system_call(2, "%rsp", "$66", "$0"), id="open"),
        pytest.param(system_call(10, "%rsi", "$4096", "$7"), id="mprotect with execute"),
        pytest.param(system_call(9, "$0", "$4096", "$7", "$0x22", "$-1", "$0"), id="mmap with execute"),
        pytest.param(system_call(14, "$2", "$0", "$0", "$8"), id="sigprocmask"),
        pytest.param(system_call(13, "$11", "$0", "$0", "$8"), id="sigaction"),
        pytest.param(system_call(38, "$2", "$0", "$0"), id="setitimer"),
        pytest.param(system_call(62, "$0", "$9"), id="kill"),
        pytest.param(system_call(157, "$22", "$0"), id="prctl"),
        pytest.param(system_call(319, "%rsp", "$0"), id="memfd_create"),
        pytest.param(system_call(25, "%rsi", "$4096", "$8192", "$1"), id="mremap"),
    ],
)
def test_attack_system_call(tmp_path: Path, body: str) -> None:
    """It costs the routine the case in which it does so, and no other."""
    assert endings(tmp_path, body) == ONE_DIED


@pytest.mark.parametrize("code", [2, 3, 5, 6, 7, 0])
def test_attack_exit_code(tmp_path: Path, code: int) -> None:
    """The codes by which the harness says what is wrong with the host are the routine's, once it runs; 0
    too."""
    body = system_call(231, f"${code}")
    assert endings(tmp_path, body) == ONE_DIED
    assert [m.ending for m in CpuRunner(*routine(tmp_path, body)).judge(CASES)][1] is not Ending.RETURNED


def test_attack_garbage_in_the_answer(tmp_path: Path) -> None:
    """Words that are no outcome: a length without an end, no such ending, bytes that were not asked about."""
    for word in ("$-1", "$77", "$0x10000000000"):
        fill = "\n".join(f"movq {word}, %rax\n movq %rax, -{8 * n}(%rsp)" for n in range(1, 65))
        found = endings(tmp_path, f"{fill}\n lea -512(%rsp), %r12\n {system_call(1, '$1', '%r12', '$512')}")
        assert found[0] is Ending.RETURNED
        assert found[1] is Ending.DIED
        assert len(found) == 3


def test_attack_flood_of_the_pipe(tmp_path: Path) -> None:
    """However much it says, the parent holds what the job can have to say."""
    arguments = "mov $1, %edi\n mov %r12, %rsi\n mov $0x80000, %edx"
    body = f"mov %rsi, %r12\n 1: {arguments}\n mov $1, %eax\n syscall\n jmp 1b"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    long = Case(1 << 20, Placement(Place.END), FREE)
    started = time.monotonic()
    assert endings(tmp_path, body, [long]) == [Ending.DIED]
    assert time.monotonic() - started < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10


MASK_AND_LOOP = """
	cmp $2, %rdx
	jne 9f
	sub $1024, %rsp
	and $-16, %rsp
	mov %rsp, %rdi
	mov $128, %ecx
	xor %eax, %eax
	rep stosq
	mov %rsp, 160(%rsp)
	lea 8f(%rip), %rax
	mov %rax, 168(%rsp)
	movq $2, 176(%rsp)
	movabs $0x2b000000000033, %rax
	mov %rax, 184(%rsp)
	movq $-1, 296(%rsp)
	mov $15, %eax
	syscall
8:	jmp 8b
9:	xor %eax, %eax
	ret
"""


def test_attack_signals_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rt_sigreturn with all signals masked, and a loop: the parent counts the time, and ends it."""
    monkeypatch.setattr(cpu, "_STUCK", 0.5)
    started = time.monotonic()
    assert endings(tmp_path, MASK_AND_LOOP) == ONE_DIED
    assert time.monotonic() - started < 60


def harness_offset(name: str) -> int:
    """Where something of the harness lies, from `landing` on."""
    symbols = subprocess.run(["nm", native.harness()], capture_output=True, text=True, check=True).stdout
    places = {
        line.split()[-1]: int(line.split()[0], 16) for line in symbols.splitlines() if len(line.split()) > 2
    }
    return places[name] - places["landing"]


def test_attack_memory_of_the_harness(tmp_path: Path) -> None:
    """What runs are judged by cannot be written: an access without an entry, as to any page that is not
    there."""
    body = f"{FIND_HARNESS} movq $0, {harness_offset('sealed')}(%r10)\n xor %eax, %eax\n ret"
    assert endings(tmp_path, body) == [Ending.OOPS] * 3


def hides() -> str:
    """Before it is judged: all cases are done, none has failed, and the process ends well."""
    return f"""{FIND_HARNESS}
	mov {harness_offset("shared")}(%r10), %r10
	movq $SERIAL, (%r10)
	movq $1, 8(%r10)
	movq $0, 24(%r10)
	movq $0, 32(%r10)
	mov $231, %eax
	xor %edi, %edi
	syscall
"""


def test_attack_forged_result_of_a_sweep(tmp_path: Path, mcverify: Mcverify) -> None:
    """A wrong routine that leaves a whole result behind is found by cases that it cannot foresee."""
    from mcverify.runs.grid import quick_grid

    count = len(quick_grid(load_contract("bytes_left")))
    for serial in {count, *(-(-count // parts) for parts in (2,))}:
        path = written(tmp_path, routine=hides().replace("SERIAL", str(serial)) + WRONG)
        ran = mcverify("sweep", "--quick", path)
        assert ran.code in (1, 3), ran.said
        assert "NO FAILURE" not in ran.said


def test_attack_routine_beside_others(tmp_path: Path, mcverify: Mcverify) -> None:
    """One that ends the process, in whatever way, takes no verdict with it but its own."""
    path = written(tmp_path, first=system_call(231, "$3") + RIGHT, second=RIGHT)
    ran = mcverify("sweep", "--quick", "-q", path)
    lines = {line.split()[1]: line.split()[0] for line in ran.said.splitlines() if "routines.S" in line}
    assert lines["second"] == "clean", ran.said
    assert lines["first"] in ("failed", "incomplete"), ran.said
    assert ran.code in (1, 3), ran.said


NO_FILTERS = """
import ctypes, runpy, sys
class Line(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint),
    ]
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Line))]
lines = [
    (0x20, 0, 0, 0), (0x15, 0, 2, 157), (0x20, 0, 0, 16), (0x15, 1, 0, 22), (6, 0, 0, 0x7fff0000), (6, 0, 0,
    0x50016),
]
program = Program(len(lines), (Line * len(lines))(*[Line(*line) for line in lines]))
libc = ctypes.CDLL(None)
assert not libc.prctl(38, 1, 0, 0, 0) and not libc.prctl(22, 2, ctypes.byref(program))
sys.argv[0] = "mcverify"
runpy.run_module("mcverify", None, "__main__")
"""


def test_attack_without_a_filter(tmp_path: Path) -> None:
    """Where the kernel gives no filter the routine does not run on the CPU: the report says where it ran."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    path = written(tmp_path, routine=system_call(87, "$0") + RIGHT)
    ran = subprocess.run(
        [sys.executable, "-c", NO_FILTERS, "sweep", "--quick", path],
        capture_output=True, text=True, env=os.environ | {"COLUMNS": "300"}, check=False,
    )  # fmt: skip
    assert "run on the emulator: this host does not let a program give up its system calls" in ran.stdout, ran
    assert "on the Unicorn emulator" in ran.stdout
    assert victim.read_text() == "kept"


def test_attack_instruction_that_calls_the_kernel() -> None:
    """The program that compares single instructions has its pipes, and nothing else."""
    names = (*X86_64.general, *X86_64.vectors, *X86_64.flags, *X86_64.control)
    before = dict.fromkeys(names, 0) | {X86_64.general[0]: 39}
    with pytest.raises(InputError, match="system call"):
        silicon.execute([silicon.Test(b"\x0f\x05", silicon.CODE + 64, before)])


def test_what_the_process_lacks_is_told() -> None:
    assert set(native.missing_spaces()) <= {"user", "network", "mount", "IPC", "process"}


# -- less than the CPU


def test_nothing_is_run_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: Mcverify
) -> None:
    """What is proved without a run is; what a run would refute, or a loop would need one for, is unknown."""
    monkeypatch.setenv("MCVERIFY_RUN", "cpu")  # as it was, after the test

    def started(*_: object, **__: object) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr(child, "start", started)
    monkeypatch.setattr(emulator._Emulation, "run", started)
    loop = "1: mov $0, %eax\n dec %rdx\n jnz 1b\n mov %rdx, %rax\n ret"
    path = written(tmp_path, right=RIGHT, loop=loop)
    wrong = written_beside(
        path, "movq %rdx, %rcx\n1: rep movsb\n2: xor %eax, %eax\n ret\n _ASM_EXTABLE(1b, 2b)"
    )
    ran = inside(
        "prove", "--no-run", "-q", "-j", 1, path, wrong, "--routine", "right", "--routine", "routine"
    )
    verdicts = {line.split()[1]: line.split()[0] for line in ran.said.splitlines() if ".S" in line}
    assert verdicts == {"right": "proved", "routine": "unknown"}, ran.said
    assert ran.code == 3
    ran = inside("prove", "--no-run", "--routine", "loop", path)
    assert ran.code == 3
    assert "nothing was run (--no-run)" in ran.said


def written_beside(path: Path, body: str) -> Path:
    folder = path.parent / "beside"
    folder.mkdir()
    return written(folder, routine=body)


def test_runs_are_the_emulators_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: Mcverify
) -> None:
    monkeypatch.setenv("MCVERIFY_RUN", "cpu")

    def started(*_: object, **__: object) -> None:
        raise AssertionError("something was run on the CPU")

    monkeypatch.setattr(child, "start", started)
    path = written(tmp_path, routine=RIGHT)
    ran = inside("prove", "--on", "emulator", path)
    assert ran.code == 0
    assert "routines ran in the emulator: the emulator was asked for (--on emulator)" in " ".join(
        ran.said.split()
    )

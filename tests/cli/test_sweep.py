"""`mcverify sweep` on routines that are right, wrong, or hostile to the one who runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from support.processes import until, until_gone

from mcverify.runs import cpu
from mcverify.witness import sweep as sweep_module

ROOT = Path(__file__).parents[2]
ASM = ROOT / "asm"

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def validator() -> Draft202012Validator:
    schemas = ROOT / "docs/schema"
    prove, sweep = (json.loads((schemas / f"{name}.schema.json").read_text()) for name in ("prove", "sweep"))
    Draft202012Validator.check_schema(sweep)
    for part in (sweep, *sweep["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False  # else a field could be written that nothing describes
    return Draft202012Validator(
        sweep, registry=Registry().with_resource("prove.schema.json", Resource.from_contents(prove))
    )


@pytest.fixture
def sweep(mcverify: Callable, tmp_path: Path) -> Callable:
    """Run it with --quick; its exit code, what it printed, and its JSON, which fits the schema."""

    def call(path: Path, *options: object) -> tuple[int, str, dict]:
        ran = mcverify("sweep", path, "--quick", "--json", tmp_path / "out.json", *options)
        assert ran.err == ""
        document = json.loads((tmp_path / "out.json").read_text())
        validator().validate(document)
        [swept] = document["sweeps"]
        return ran.code, " ".join(ran.out.split()), swept

    return call


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A file with a routine of this body; a copy that would be right follows, unreached unless jumped to."""

    def write(body: str) -> Path:
        path = tmp_path / "routine.S"
        path.write_text(
            "#include <linux/linkage.h>\n#include <asm/asm.h>\n/* mcverify: contract bytes_left */\n"
            f"SYM_FUNC_START(routine)\n{body}\n.Lcopy:\n mov %rdx, %rcx\n.Lread:\n rep movsb\n.Lfix:\n"
            " mov %rcx, %rax\n ret\n_ASM_EXTABLE(.Lread, .Lfix)\nSYM_FUNC_END(routine)\n"
        )
        return path

    return write


@needs_cpu
def test_a_right_routine_shows_no_failure_and_that_is_no_proof(sweep: Callable) -> None:
    code, out, swept = sweep(ASM / "memcpy_64.S")
    assert (code, swept["finding"], swept["kinds"], swept["on"]) == (0, "clean", [], "cpu")
    assert swept["cases"] == swept["planned"] > 10_000
    assert f"NO FAILURE: none in {swept['cases']} cases, which is no proof" in out
    assert "no fault and faults on loads;" in out


@needs_cpu
def test_failures_are_counted_by_obligation_and_exit_with_the_smallest_case(sweep: Callable) -> None:
    code, out, swept = sweep(ASM / "memcpy_64_wrong_subtract.S")
    assert (code, swept["finding"]) == (1, "failed")
    kinds = {kind["exit"]: kind for kind in swept["kinds"]}
    assert set(kinds) == {f".Lfix_b{i}" for i in (1, 2, 3, 5, 6, 7)}
    for exit_id, kind in kinds.items():
        number = int(exit_id[-1])
        assert (kind["obligation"], kind["certain"], kind["ending"]) == ("O3", True, "returned")
        assert kind["case"]["len"] == 64
        assert kind["case"]["src"] == {"place": "hole", "at": 8 * number}
        assert kind["count"] > 100
        source = (ASM / "memcpy_64_wrong_subtract.S").read_text().splitlines()
        assert source[line(kind["access"]) - 2] == f".Lread_b{number}:"
        assert source[line(kind["where"]) - 2] == f"{exit_id}:"
    assert sum(kind["count"] for kind in kinds.values()) == swept["failed"] < swept["cases"]
    assert "FAILED: 6 kinds of failure" in out
    assert "counterexample for O3 at .Lfix_b1, run on cpu" in out


def line(where: str) -> int:
    return int(where.rpartition(":")[2])


@needs_cpu
def test_faults_on_stores_are_tried_where_asked_for(sweep: Callable) -> None:
    assert sweep(ASM / "memcpy_64.S")[2]["faults"] == "loads"
    code, _, swept = sweep(ASM / "memcpy_64.S", "--faults", "both")
    assert (code, {kind["obligation"] for kind in swept["kinds"]}) == (1, {"O1"})
    assert {kind["ending"] for kind in swept["kinds"]} == {"oops"}
    assert all(kind["outcome"]["faults"][-1]["is_store"] for kind in swept["kinds"])


@needs_cpu
def test_a_missing_fence_is_seen_in_single_steps(sweep: Callable) -> None:
    code, out, swept = sweep(ASM / "nontemporal_wrong_fence.S")
    assert (code, {(k["obligation"], k["exit"]) for k in swept["kinds"]}) == (1, {("O10", ".Lfix_b")})
    assert f"a missing fence could have been seen in {swept['ordered']} cases" in " ".join(out.split())
    assert 0 < swept["kinds"][0]["count"] < swept["ordered"] < 2000
    code, _, swept = sweep(ASM / "nontemporal.S")
    assert code == 0
    assert swept["ordered"] > 100
    assert sweep(ASM / "memcpy_64.S")[2]["ordered"] is None


@needs_cpu
@pytest.mark.parametrize("on", ["cpu", "emulator"])
def test_cases_that_leave_the_file_show_nothing(sweep: Callable, on: str) -> None:
    path = Path(__file__).parents[1] / "cases" / "sweep_escape.S"
    code, out, swept = sweep(path, "--quick", "--on", on)
    assert (code, swept["finding"], swept["failed"]) == (3, "incomplete", 0)
    assert "went on at nobody_knows_this, which is not in the file, and show nothing" in " ".join(out.split())


# Each does what no copy routine should, unless len says otherwise; and what is said of it.
HOSTILE = {
    "crashes": (" mov 0, %rax", 1, "and no exception-table entry covers it"),
    "loops": ("1: pause\n jmp 1b", 1, "in the same state again: it never ends"),
    "loops on, counting": ("1: inc %rax\n jmp 1b", 3, "had not returned when its time was over"),
    "faults for ever": (
        " test %rdx, %rdx\n jz .Lcopy\n.Lagain: mov (%rsi), %al\n jmp .Lcopy\n"
        "_ASM_EXTABLE(.Lagain, .Lagain)", 1, "in the same state again: it never ends",
    ),
    "executes a privileged instruction": (" cli", 3, "refused the instruction at"),
    "executes an illegal instruction": (" ud2", 3, "refused the instruction at routine to a user process"),
    "divides by zero": (" xor %ecx, %ecx\n div %ecx", 3, "refused the instruction at"),
    "ends the process": (" mov $60, %eax\n syscall", 3, "was brought down: the routine makes a system call"),
    "kills with a signal": (" mov $62, %eax\n mov $9, %esi\n syscall", 3, "the process that ran the routine"),
    "leaves by another address": (" push $0x1000\n ret", 1, "the routine left its code"),
    "jumps to where a register says": (" jmp *%rbx", 1, "the routine left its code"),
    "jumps into nowhere": (" mov %edx, %ebx\n jmp *%rbx", 1, "the routine left its code"),
    "writes over all it can reach": (
        " mov %rsp, %rdi\n mov $0x10000000, %ecx\n rep stosb", 1, "the store at",
    ),
    "writes below the stack": (
        " std\n mov %rsp, %rdi\n mov $0x10000000, %ecx\n rep stosb", 1, "the stack ran out",
    ),
    "needs 5 GiB of stack": (
        " movabs $0x140000000, %rcx\n sub %rcx, %rsp\n push %rbx\n pop %rbx\n add %rcx, %rsp", 1,
        "and no exception-table entry covers it",
    ),
    "recurses without end": ("1: call 1b", 1, "the stack ran out"),
    "reaches for the thread's own memory": (" mov %rdx, %fs:0x28", 3, "fs and gs lead elsewhere"),
}  # fmt: skip


@needs_cpu
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_routine_is_outlived_and_reported_in_a_sentence(
    sweep: Callable, written: Callable[..., Path], what: str
) -> None:
    body, expected, sentence = HOSTILE[what]
    code, out, swept = sweep(written(body))
    assert (code, swept["finding"]) == (expected, {1: "failed", 3: "incomplete"}[expected])
    assert sentence in out
    assert all(kind["sentence"] for kind in swept["kinds"])
    assert not harnesses_of(os.getpid())


@needs_cpu
@pytest.mark.parametrize("at", [1, 30])
def test_a_routine_that_seldom_goes_wild_is_caught_among_the_others(
    sweep: Callable, written: Callable[..., Path], at: int
) -> None:
    _, _, swept = sweep(written(f" cmp ${at}, %rdx\n jne .Lcopy\n mov $60, %eax\n syscall"))
    [kind] = swept["kinds"]
    assert (kind["ending"], kind["case"]["len"]) == ("died", at)
    assert swept["cases"] < swept["planned"]
    assert any("cases were not run: too many did not return or ended the process" in g for g in swept["gaps"])


def test_sections_of_5_gib_are_refused(mcverify: Callable, written: Callable[..., Path]) -> None:
    path = written("")
    path.write_text(path.read_text() + ".bss\n.skip 0x140000000\n")
    ran = mcverify("sweep", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"mcverify: {path}: error: ")
    assert ran.err.count("\n") == 1


def test_on_the_emulator_a_thinned_grid_is_run_and_that_is_said(
    sweep: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "_EMULATED_QUICK", 150)
    code, out, swept = sweep(ASM / "rep_movsq_wrong_words.S", "--on", "emulator")
    assert (code, swept["on"]) == (1, "emulator")
    assert [(k["obligation"], k["exit"], k["outcome"]["on"]) for k in swept["kinds"]] == [
        ("O3", ".Lfix_q", "emulator")
    ]
    assert 140 <= swept["cases"] == swept["planned"] <= 160
    assert "on the Unicorn emulator" in out
    assert any(gap.startswith(f"a thinned grid: {swept['planned']} of ") for gap in swept["gaps"])
    assert sweep(ASM / "rep_movsq.S", "--on", "emulator")[0] == 0


def test_without_such_a_cpu_the_emulator_runs_it_and_the_report_says_why(
    sweep: Callable, mcverify: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "_EMULATED_QUICK", 20)
    monkeypatch.setattr(cpu, "available", lambda: "the host runs Plan 9, not Linux")
    code, out, swept = sweep(ASM / "rep_movsb.S")
    assert (code, swept["on"]) == (0, "emulator")
    assert "run on the emulator: the host runs Plan 9, not Linux" in out
    ran = mcverify("sweep", ASM / "rep_movsb.S", "--on", "cpu")
    assert (ran.code, ran.out) == (2, "")
    assert "the host runs Plan 9, not Linux" in ran.err


def test_what_has_no_contract_is_incomplete(sweep: Callable, written: Callable[..., Path]) -> None:
    path = written("")
    path.write_text(path.read_text().replace("/* mcverify: contract bytes_left */", ""))
    code, out, swept = sweep(path)
    assert (code, swept["finding"], swept["cases"]) == (3, "incomplete", 0)
    assert "no contract is known for routine" in out
    if cpu.available() is None:
        assert sweep(path, "--contract", "bytes_left")[0] == 0


@needs_cpu
def test_a_time_limit_ends_it_with_what_was_seen(mcverify: Callable, written: Callable[..., Path]) -> None:
    slow = " mov $100000, %ecx\n1: dec %ecx\n jnz 1b\n cmp $3, %rdx\n jne .Lcopy\n mov %edx, %eax\n ret"
    start = time.monotonic()
    ran = mcverify("sweep", written(slow), "--timeout", "3", "--json", "-")
    assert time.monotonic() - start < 20
    [swept] = json.loads(ran.out)["sweeps"]
    assert 0 < swept["cases"] < swept["planned"]
    left = f"{swept['planned'] - swept['cases']} of {swept['planned']} cases were not run"
    assert f"{left}: the time was over" in swept["gaps"]
    assert ran.code == {"failed": 1, "incomplete": 3}[swept["finding"]]


@needs_cpu
def test_each_variant_of_alternatives_is_swept(mcverify: Callable, written: Callable[..., Path]) -> None:
    path = written(' ALTERNATIVE "jmp .Lcopy", "ud2", X86_FEATURE_ERMS')
    path.write_text("#include <asm/alternative.h>\n#include <asm/cpufeatures.h>\n" + path.read_text())
    ran = mcverify("sweep", path, "--quick", "-q")
    assert ran.code == 3
    assert [line.split()[:3] for line in ran.out.splitlines()] == [
        ["incomplete", "routine", "[ERMS]"], ["clean", "routine", "[!ERMS]"],
    ]  # fmt: skip


@needs_cpu
def test_quiet_prints_a_line(mcverify: Callable) -> None:
    ran = mcverify("sweep", ASM / "rep_movsb_wrong_count.S", "--quick", "-q")
    [said] = ran.out.splitlines()
    assert said.startswith("failed     rep_movsb  ")
    assert "O3 at .Lfix_rep" in said


@needs_cpu
def test_an_interrupt_ends_it_with_its_children(written: Callable[..., Path]) -> None:
    path = written(" mov $30000, %ecx\n1: dec %ecx\n jnz 1b")
    process = subprocess.Popen(
        [sys.executable, "-m", "mcverify", "sweep", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = until(lambda: harnesses_of(process.pid))
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, "", "mcverify: interrupted")
    until_gone(*children)


def harnesses_of(pid: int) -> list[int]:
    """Children of a process that run the harness, zombies among them."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            try:
                name = Path(f"/proc/{child}/comm").read_text()
            except OSError:
                continue
            if name.startswith("harness"):
                found.append(int(child))
    return found


@pytest.mark.parametrize(
    "content", ["notes of mine\n", '{\n  "schema": 1,\n  "mcverify": "0.1.0",\n  "options": {}\n}\n']
)
def test_json_overwrites_no_file_that_is_no_sweep(mcverify, tmp_path, content):
    out = tmp_path / "out.json"
    out.write_text(content)
    ran = mcverify("sweep", ASM / "rep_movsb.S", "--quick", "--json", out)
    assert ran.code == 2
    assert "would overwrite a file that is no such report" in ran.err
    assert out.read_text() == content


# -- an end before its time --------------------------------------------------------------------------


def session(leader: int) -> list[int]:
    """The processes of a session that run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of, *_ = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has gone meanwhile
            continue
        if int(of) == leader and state != "Z":
            found.append(int(entry.name))
    return found


@needs_cpu
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_sweep_that_is_ended_leaves_no_child_and_no_file(how: signal.Signals, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    out = tmp_path / "out.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "mcverify", "sweep", str(ASM / "memcpy_64.S"), "--json", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    try:
        until(lambda: any(is_harness(pid) for pid in session(process.pid)))
        process.send_signal(how)
        said, err = process.communicate(timeout=60)
        assert (process.returncode, said, err.strip()) == (130, "", "mcverify: interrupted")
        until(lambda: not session(process.pid), 10)
    finally:
        for pid in session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
    assert not out.exists()
    assert list(temporary.iterdir()) == []


def is_harness(pid: int) -> bool:
    """Whether a process runs the grid."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("harness")
    except OSError:
        return False


@needs_cpu
def test_the_configuration_is_that_of_a_file(mcverify: Callable, written: Callable[..., Path]) -> None:
    source = written("#ifndef CONFIG_X86_MCE\n mov $1, %rax\n ret\n#endif\n")
    config = source.with_name("a.config")
    for line, code in (("CONFIG_X86_MCE=y", 0), ("CONFIG_X86_MCE=n", 1), ("# CONFIG_X86_MCE is not set", 1)):
        config.write_text(f"CONFIG_X86_64=y\n{line}\n")
        ran = mcverify("sweep", source, "--quick", "-q", "--config", config)
        assert ran.code == code, ran.err
    ran = mcverify("sweep", source, "--quick", "--config", config.with_name("missing"))
    assert (ran.code, ran.out) == (2, "")
    assert "the configuration cannot be read" in ran.err

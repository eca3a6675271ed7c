"""`mcverify replay`: runs again, exit codes, what is said of what has changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from support.witnesses import ASM, witness_document, write_witness

from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement

SCHEMAS = Path(__file__).parents[2] / "docs/schema"
CASE = Case(8, Placement(Place.HOLE, 0), Placement(Place.FREE, 0))
ON = "cpu" if cpu.available() is None else "emulator"

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason=f"skipped: {cpu.available()}")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "routine.S"
    path.write_text((ASM / "rep_movsq_wrong_words.S").read_text())
    return path


@pytest.fixture
def witness(source, tmp_path):
    return write_witness(tmp_path / "witness.json", witness_document(source, CASE))


def validator():
    prove, replay = (
        json.loads((SCHEMAS / f"{name}.schema.json").read_text()) for name in ("prove", "replay")
    )
    registry = Registry().with_resource("prove.schema.json", Resource.from_contents(prove))
    return Draft202012Validator(replay, registry=registry)


def replayed(mcverify, *arguments):
    """The only replay of a run that writes JSON, and the exit code."""
    ran = mcverify("replay", *arguments, "--json", "-")
    assert ran.err == ""
    content = json.loads(ran.out)
    validator().validate(content)
    [replay] = content["replays"]
    return replay, ran.code


def test_the_bug_shows_again(mcverify, witness):
    ran = mcverify("replay", witness)
    assert ran.code == 1
    assert ran.err == ""
    assert f"counterexample for O3 at .Lfix, run on {ON}" in ran.out
    assert "called    len 8, dst at 0 mod 64, src at 0 mod 64" in ran.out
    assert "fault     load of src+0 (#PF)" in ran.out
    assert "returned  left 1 (rax)" in ran.out
    assert "replay    STILL BROKEN: O3" in ran.out
    assert "recorded  the same registers, bytes and faults as on record" in ran.out


@pytest.mark.parametrize("on", [pytest.param("cpu", marks=needs_cpu), "emulator"])
def test_on_either_runner(mcverify, witness, on):
    replay, code = replayed(mcverify, witness, "--on", on)
    assert code == 1
    assert (replay["on"], replay["outcome"]["on"]) == (on, on)
    assert replay["differences"] == []
    assert (replay["breaks"], replay["as_recorded"]) == (True, True)
    assert [v["id"] for v in replay["violations"]] == ["O3"]


def test_a_routine_that_has_changed_is_not_run(mcverify, witness, source):
    source.write_text(source.read_text().replace("lea	(%rdx,%rcx), %rax", "lea	(%rdx,%rcx,8), %rax"))
    ran = mcverify("replay", witness)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        f"mcverify: {source}: error: rep_movsq is not the one that was refuted: the code"
    )
    assert "it was 'leaq (%rdx, %rcx), %rax', now it is 'leaq (%rdx, %rcx, 8), %rax'" in ran.err
    assert ran.err.endswith("(--even-if-changed runs the case on the code as it is now)\n")


def test_a_repair_shows_when_asked_for(mcverify, witness, source):
    source.write_text(source.read_text().replace("lea	(%rdx,%rcx), %rax", "lea	(%rdx,%rcx,8), %rax"))
    ran = mcverify("replay", witness, "--even-if-changed")
    assert ran.code == 0
    assert "NOT BROKEN ANY MORE: the run keeps the contract, O3 included" in ran.out
    assert "rax: 0x1 on record, now 0x8" in ran.out
    assert "since     the code differs at" in ran.out


def test_a_repair_that_breaks_something_else(mcverify, witness, source):
    source.write_text(
        source.read_text().replace(
            "lea	(%rdx,%rcx), %rax", "lea	(%rdx,%rcx,8), %rax\n	mov	%rax, %rbx"
        )
    )
    ran = mcverify("replay", witness, "--even-if-changed")
    assert ran.code == 1
    assert "BROKEN OTHERWISE: not O3, but O7 at .Lfix_q: at the return rbx was changed" in " ".join(
        ran.out.split()
    )


def test_the_right_twin_under_another_name(mcverify, witness):
    twin = ASM / "rep_movsq.S"
    replay, code = replayed(mcverify, witness, "--file", twin, "--even-if-changed")
    assert code == 0
    assert replay["file"] == str(twin)
    assert (replay["breaks"], replay["violations"]) == (False, [])
    assert [d["what"] for d in replay["differences"]] == ["rax"]


def test_a_comment_more_is_told(mcverify, witness, source):
    source.write_text("/* new */\n" + source.read_text())
    ran = mcverify("replay", witness)
    assert ran.code == 1
    assert "has changed since, but neither the code nor the table" in " ".join(ran.out.split())


def test_each_instruction_is_shown_when_asked_for(mcverify, witness):
    shown = [" ".join(line.split()) for line in mcverify("replay", witness, "--steps").out.splitlines()]
    first = shown.index("rep_movsq :12 mov %rdx, %rcx rcx = 8")
    assert shown[first + 1 : first + 5] == [
        ":13 and $7, %edx rdx = 0",
        ":14 shr $3, %rcx rcx = 1",
        ".Lread_q :16 rep movsq FAULT load of src+0",
        ".Lfix_q :24 lea (%rdx,%rcx), %rax rax = 1",
    ]
    assert shown[first + 5].startswith(":25 RET load stack[0..7], rsp =")


def test_iterations_are_folded(mcverify, tmp_path):
    case = Case(808, Placement(Place.HOLE, 800), Placement(Place.FREE, 0))
    content = witness_document(ASM / "rep_movsq_wrong_words.S", case)
    replay, _ = replayed(mcverify, write_witness(tmp_path / "w.json", content), "--steps")
    steps = [(step["text"].split()[0], step["times"]) for step in replay["steps"]]
    assert steps[3:6] == [("rep", 100), ("rep", 1), ("lea", 1)]
    faults = [step["fault"] for step in replay["steps"] if step["fault"]]
    assert [(f["buffer"], f["offset"]) for f in faults] == [("src", 800)]


def test_only_what_was_chosen_is_run(mcverify, witness, source, tmp_path):
    content = json.loads(witness.read_text())
    first = content["routines"][0]["counterexamples"][0]
    content["routines"][0]["counterexamples"].append(first | {"exit": ".Lother"})
    write_witness(witness, content)
    assert mcverify("replay", witness).out.count("counterexample for") == 2
    assert replayed(mcverify, witness, "--exit", ".Lother")[0]["exit"] == ".Lother"
    ran = mcverify("replay", witness, "--exit", "nowhere", "--routine", "rep_movsq")
    assert ran.code == 2
    assert ran.err == (
        f"mcverify: {witness}: error: no counterexample in it fits --routine rep_movsq and --exit nowhere"
        " (it has rep_movsq at .Lfix, rep_movsq at .Lother)\n"
    )


def test_a_run_that_rests_on_an_order_of_rep(mcverify, tmp_path):
    case = Case(4, Placement(Place.HOLE, 2), Placement(Place.FREE, 0))
    content = witness_document(ASM / "rep_movsb.S", case, schedule="odd_first")
    witness = write_witness(tmp_path / "w.json", content)
    replay, code = replayed(mcverify, witness)
    assert (code, replay["on"], replay["outcome"]["schedule"]) == (1, "emulator", "odd_first")
    assert (replay["as_recorded"], replay["differences"]) == (True, [])
    assert "no CPU does so" in replay["notes"][0]


@needs_cpu
def test_a_cpu_keeps_the_order_of_rep(mcverify, tmp_path):
    case = Case(4, Placement(Place.HOLE, 2), Placement(Place.FREE, 0))
    content = witness_document(ASM / "rep_movsb.S", case, schedule="odd_first")
    replay, code = replayed(mcverify, write_witness(tmp_path / "w.json", content), "--on", "cpu")
    assert (code, replay["breaks"]) == (0, False)
    assert "which a CPU keeps" in replay["notes"][0]


def test_where_the_cpu_cannot_run_it_the_emulator_is_named(mcverify, witness, monkeypatch):
    monkeypatch.setattr(cpu, "available", lambda: "the host's CPU is riscv64, not x86-64")
    replay, code = replayed(mcverify, witness, "--on", "cpu")
    assert code == 3
    assert replay["problem"] == "the host's CPU is riscv64, not x86-64; --on emulator runs it without"
    assert (replay["outcome"], replay["breaks"]) == (None, None)
    ran = mcverify("replay", witness, "--on", "cpu")
    assert "NOT RUN: the host's CPU is riscv64" in ran.out


def test_a_case_too_long_for_the_emulator(mcverify, witness):
    content = json.loads(witness.read_text())
    content["routines"][0]["counterexamples"][0]["case"]["len"] = 1 << 33
    replay, code = replayed(mcverify, write_witness(witness, content), "--on", "emulator")
    assert code == 3
    assert replay["problem"].startswith("buffers of 0x200000000 bytes are too long for the emulator")


@needs_cpu
def test_a_case_that_no_memory_holds(mcverify, witness):
    content = json.loads(witness.read_text())
    content["routines"][0]["counterexamples"][0]["case"]["len"] = 2**63 - 1
    replay, code = replayed(mcverify, write_witness(witness, content), "--on", "cpu")
    assert code == 3
    assert replay["problem"] == "there is not enough memory for buffers of 0x7fffffffffffffff bytes"


def test_a_file_that_is_gone(mcverify, witness, source):
    source.unlink()
    ran = mcverify("replay", witness)
    assert ran.code == 2
    assert ran.err == (
        f"mcverify: {witness}: error: {source} is gone, the file of rep_movsq"
        " (go to the folder in which it was proved, or name the file with --file)\n"
    )


@pytest.mark.parametrize(
    "arguments", [[], ["missing.json"], ["."], [__file__], ["w.json", "--on", "gpu"], ["w.json", "x.json"]]
)
def test_a_wrong_command_is_one_sentence(mcverify, arguments):
    ran = mcverify("replay", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("mcverify: ")
    assert ran.err.count("\n") == 1


def test_json_overwrites_an_earlier_replay_and_no_other_file(mcverify, witness, tmp_path):
    out, other = tmp_path / "out.json", tmp_path / "other.json"
    assert [mcverify("replay", witness, "--json", out).code for _ in range(2)] == [1, 1]
    other.write_text(witness.read_text())
    assert mcverify("replay", witness, "--json", other).code == 2
    assert other.read_text() == witness.read_text()


def test_json_does_not_overwrite_the_witness(mcverify, witness):
    before = witness.read_text()
    assert mcverify("replay", witness, "--json", witness).code == 2
    assert witness.read_text() == before


def test_a_c_program_is_written_and_the_report_says_how_to_use_it(mcverify, witness, tmp_path):
    target = tmp_path / "repro.c"
    ran = mcverify("replay", witness, "--emit-c", target)
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert (
        f"wrote {target}, the case for O3 at .Lfix; to see it: gcc -O2 {target} -o {tmp_path}/repro.out"
        in said
    )
    text = target.read_text()
    assert text.startswith("/*\n * Made by mcverify ")
    assert " *\tO3 at .Lfix: 1 of 8 bytes are reported left, but byte 0 of dst was not stored\n" in text
    assert "gcc -O2 repro.c -o repro.out && ./repro.out" in text
    assert mcverify("replay", witness, "--emit-c", target).code == 1  # it may be written again


def test_a_c_program_on_standard_output_replaces_the_report(mcverify, witness):
    ran = mcverify("replay", witness, "--emit-c", "-")
    assert ran.code == 1
    assert ran.out.startswith("/*\n * Made by mcverify ")
    assert ran.out.endswith("\treturn verdict();\n}\n")


def test_no_file_of_the_users_is_overwritten_by_a_c_program(mcverify, witness, source, tmp_path):
    mine = tmp_path / "mine.c"
    mine.write_text("int main(void) { return 0; }\n")
    for target in (mine, source, witness):
        before = target.read_bytes()
        ran = mcverify("replay", witness, "--emit-c", target)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"mcverify: {target}: error: --emit-c would overwrite ")
        assert target.read_bytes() == before


def test_two_results_do_not_fit_into_one_file(mcverify, witness, tmp_path):
    for target in ("-", tmp_path / "out"):
        ran = mcverify("replay", witness, "--json", target, "--emit-c", target)
        assert ran.code == 2
        assert "--json and --emit-c cannot both be written there" in ran.err
    assert not (tmp_path / "out").exists()


def test_what_no_c_program_shows_leaves_no_file(mcverify, tmp_path):
    case = Case(4, Placement(Place.HOLE, 2), Placement(Place.FREE, 0))
    content = witness_document(ASM / "rep_movsb.S", case, schedule="odd_first")
    witness = write_witness(tmp_path / "w.json", content)
    targets = tmp_path / "out.json", tmp_path / "out.c"
    ran = mcverify("replay", witness, "--json", targets[0], "--emit-c", targets[1])
    assert (ran.code, ran.out) == (2, "")
    assert "no C program can show it" in ran.err
    assert not any(target.exists() for target in targets)


def test_a_c_program_is_written_where_the_run_cannot_be_made(mcverify, witness, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "available", lambda: "the host's CPU is riscv64, not x86-64")
    target = tmp_path / "repro.c"
    assert mcverify("replay", witness, "--on", "cpu", "--emit-c", target).code == 3
    assert "O3 at .Lfix: 1 of 8 bytes" in target.read_text()


def test_the_smallest_of_several_becomes_a_c_program(mcverify, source, tmp_path):
    content = witness_document(source, Case(16, Placement(Place.HOLE, 8), Placement(Place.FREE, 0)))
    small = witness_document(source, CASE)["routines"][0]["counterexamples"][0]
    content["routines"][0]["counterexamples"].append(small | {"exit": ".Lsmall"})
    witness = write_witness(tmp_path / "w.json", content)
    out = mcverify("replay", witness, "--emit-c", tmp_path / "a.c").out
    assert "a.c, the case for O3 at .Lsmall; to see it:" in " ".join(out.split())
    assert "static const u64 length = 8;" in (tmp_path / "a.c").read_text()
    mcverify("replay", witness, "--exit", ".Lfix", "--emit-c", tmp_path / "b.c")
    assert "static const u64 length = 16;" in (tmp_path / "b.c").read_text()


def test_a_host_that_makes_no_memory_executable(witness):
    """In a process that has given up that right: neither the CPU nor the emulator can run anything."""
    program = (
        "import ctypes, sys; mdwe = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"
        "from mcverify.cli import run; sys.exit(99 if mdwe else run(sys.argv[1:]))"
    )
    for on in ("cpu", "emulator"):
        ran = subprocess.run(
            [sys.executable, "-c", program, "replay", witness, "--on", on],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode == 99:
            pytest.skip("skipped: needs PR_SET_MDWE, Linux 6.3")
        assert ran.returncode == 3
        assert "NOT RUN: this host does not let a program make memory executable" in ran.stdout
        assert ran.stderr == ""


def test_angr_is_not_imported(witness):
    program = (
        "import sys; from mcverify.cli import run; code = run(sys.argv[1:]);"
        "print(code, sorted({'angr', 'claripy'} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "replay", witness], capture_output=True, text=True, check=True
    )
    assert ran.stderr == "1 []\n"

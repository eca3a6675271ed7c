"""C programs of counterexamples: they compile without a warning and show the bug, and no other."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from asm_corpus.expectations import FILES, stated
from asm_corpus.test_corpus import WRONG, is_wrong
from support.witnesses import ASM, witness_document, write_witness

from mcverify.errors import InputError
from mcverify.image.assemble import assembled
from mcverify.image.config import Config
from mcverify.image.source import Source
from mcverify.runs import cpu
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.witness.emit_c import command, emit_c, is_ours, knows
from mcverify.witness.file import Witness, read_witnesses
from mcverify.witness.rerun import rerun
from mcverify.witness.subject import subject

from .broken import witnesses

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason=f"skipped: {cpu.available()}")

STRICT = ("-Wall", "-Wextra", "-Werror")
COMPILERS = [
    ("gcc", "-O2"),
    ("gcc", "-O2", "-fPIE", "-pie"),
    ("gcc", "-O2", "-fno-pie", "-no-pie"),
    ("gcc", "-std=gnu11", "-O0"),
    ("gcc", "-O3", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"),
    ("gcc", "-O2", "-static"),
    ("clang", "-O2"),
    ("clang", "-std=gnu11", "-O0"),
]
FREE = Placement(Place.FREE)


def run(text: str, folder: Path, flags: tuple[str, ...] = ("gcc", "-O0")) -> tuple[int, str]:
    """Compile and run a program: its exit code and what it says."""
    source, program = folder / "repro.c", folder / "repro"
    source.write_text(text)
    subprocess.run([*flags, *STRICT, source, "-o", program], check=True)
    ran = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def broken(said: str) -> set[str]:
    return set(re.findall(r"^  broken    (O\d+): ", said, re.MULTILINE))


def program(witness: Witness, path: Path | None = None) -> str:
    """The program of a witness, on its own code or on that of another file."""
    return emit_c(subject(witness, path or Path(witness.file)), witness.counterexample, "repro.c")


def witness_of(tmp_path: Path, path: Path, case: Case, **options: object) -> Witness:
    content = witness_document(path, case, **options)
    return read_witnesses(write_witness(tmp_path / "witness.json", content))[0]


@pytest.mark.parametrize("path", [p for p in FILES if is_wrong(p)], ids=lambda path: path.stem)
def test_each_wrong_routine_of_asm_shows_what_it_breaks_and_its_twin_nothing(path, tmp_path):
    twin = path.with_name(f"{WRONG.fullmatch(path.stem)['right']}.S")
    for title, found in witnesses(path).items():
        assert stated(path)[title].broken <= found.keys()
        by_case: dict[Case, list[Witness]] = {}
        for witness in found.values():
            case = witness.counterexample.case
            if case.flicker or not knows(witness.contract):
                with pytest.raises(InputError, match="a page comes and goes|it knows no contract that"):
                    program(witness)
            else:
                by_case.setdefault(case, []).append(witness)
        for group in by_case.values():
            # Of those of one case, the one that must be watched most closely.
            chosen = max(group, key=lambda w: int(w.counterexample.obligations[0][1:]))
            code, said = run(program(chosen), tmp_path)
            assert code == 1, said
            assert {w.counterexample.obligations[0] for w in group} <= broken(said)
            code, said = run(program(chosen, twin), tmp_path)
            assert (code, broken(said)) == (0, set()), said


@pytest.mark.parametrize("flags", COMPILERS, ids=" ".join)
def test_compilers(flags, tmp_path):
    if shutil.which(flags[0]) is None:
        pytest.skip(f"skipped: needs {flags[0]}")
    case = Case(72, Placement(Place.HOLE, 64), Placement(Place.END), trap=18)
    witness = witness_of(tmp_path, ASM / "memcpy_64_wrong_trap.S", case)
    for path in (ASM / "memcpy_64_wrong_trap.S", ASM / "memcpy_64.S"):
        code, said = run(program(witness, path), tmp_path, flags)
        assert broken(said) == ({"O9"} if "wrong" in path.stem else set())
        assert code == len(broken(said))


@pytest.mark.parametrize("mode", ["plain", "watched", "stepped"])
@pytest.mark.parametrize("flags", [("gcc", "-O2"), ("clang", "-O1")], ids=" ".join)
def test_every_mode_compiles_without_a_warning(mode, flags, tmp_path, monkeypatch):
    if shutil.which(flags[0]) is None:
        pytest.skip(f"skipped: needs {flags[0]}")
    monkeypatch.setattr("mcverify.witness.emit_c._mode", lambda contract, found: mode)
    for name in ("rep_movsq_wrong_words", "clear_words_wrong_rest"):
        case = Case(9, Placement(Place.HOLE, 0) if "rep" in name else FREE, Placement(Place.HOLE, 0))
        witness = witness_of(tmp_path, ASM / f"{name}.S", case)
        code, said = run(program(witness), tmp_path, flags)
        assert (code, broken(said)) == (1, {"O3"}), said


def test_the_program_tells_the_run_as_the_harness_does(tmp_path):
    """Registers, faults and stored bytes of a run that goes back into its loop after a fault."""
    path = ASM / "memcpy_64_wrong_subtract.S"
    case = Case(200, Placement(Place.HOLE, 144), Placement(Place.FREE, 5), trap=18, seed=7)
    witness = witness_of(tmp_path, path, case)
    outcome = witness.counterexample.outcome
    _, said = run(program(witness), tmp_path)
    left = outcome.registers["rdx"]
    assert f"returned  left {left} (rdx) trap 18 (rax)\n" in said
    assert "load of src+144 at .L" in said
    assert "#MC, continues at .Lfix_" in said
    stored = outcome.written.find(0, -outcome.base) + outcome.base
    assert f"stored    dst[0..{stored - 1}]\n" in said


# ---- What no routine of asm/ needs -----------------------------------------------------------


HEAD = "#include <linux/linkage.h>\n#include <asm/asm.h>\n/* mcverify: contract {contract} */\n"
BYTES = """	test %rdx, %rdx
	jz 2f
1:	{load}
	mov %al, (%rdi)
	inc %rsi
	inc %rdi
	dec %rdx
	jnz 1b
2:	xor %eax, %eax
	{ret}
3:	mov %rdx, %rax
	ret
	_ASM_EXTABLE(1b, 3b)
"""


def routine(tmp_path: Path, body: str, contract: str = "bytes_left", rest: str = "") -> Path:
    path = tmp_path / "routine.S"
    head = HEAD.format(contract=contract)
    path.write_text(f"{head}SYM_FUNC_START(routine)\n{body}\nSYM_FUNC_END(routine)\n{rest}")
    return path


def byte_copy(load: str = "movb (%rsi), %al", ret: str = "ret") -> str:
    return BYTES.format(load=load, ret=ret)


def silent(tmp_path: Path, path: Path, case: Case, obligation: str) -> Witness:
    """A witness for what the outcome alone does not tell, of a routine that is right otherwise."""
    content = witness_document(path, case, must_break=False)
    content["routines"][0]["counterexamples"][0]["obligations"] = [obligation]
    return read_witnesses(write_witness(tmp_path / "witness.json", content))[0]


def test_a_load_behind_the_source_that_does_not_fault_is_seen(tmp_path):
    wide = routine(tmp_path, byte_copy("mov (%rsi), %eax"))
    witness = silent(tmp_path, wide, Case(5, Placement(Place.FREE, 8), FREE), "O8")
    code, said = run(program(witness), tmp_path)
    assert (code, broken(said)) == (1, {"O8"})
    assert "(movl (%rsi), %eax) loads 4 bytes from src+2 on, outside what the contract allows" in said
    right = tmp_path / "right.S"
    right.write_text(routine(tmp_path, byte_copy()).read_text())
    assert run(program(witness, right), tmp_path)[0] == 0


def test_a_load_too_many_of_a_rep_is_seen(tmp_path):
    body = (
        "	mov %rdx, %rcx\n	inc %rcx\n	mov %rsi, %r8\n	rep lodsb\n	mov %r8, %rsi\n"
        + byte_copy()
    )
    witness = silent(tmp_path, routine(tmp_path, body), Case(3, FREE, FREE), "O8")
    _, said = run(program(witness), tmp_path)
    assert re.findall(r"loads .*, outside", said) == ["loads 1 bytes from src+3 on, outside"]


def test_a_load_from_the_files_own_data_is_seen(tmp_path):
    body = byte_copy("mov table(%rip), %r8d\n	movb (%rsi), %al").replace("1:	", "", 1)
    body = body.replace("movb (%rsi), %al", "\n1:	movb (%rsi), %al")
    body = body.replace("	jz 2f\n", "	jz 2f\n4:	").replace("jnz 1b", "jnz 4b")
    path = routine(tmp_path, body, rest=".data\n.balign 8\ntable: .long 1, 2, 3\n")
    witness = silent(tmp_path, path, Case(1, FREE, FREE), "O8")
    text = program(witness)
    assert "0x01, 0x00, 0x00, 0x00, 0x02," in text
    code, said = run(text, tmp_path)
    assert (code, broken(said)) == (1, {"O8"}), said


def test_a_jump_through_a_table_of_the_file_works(tmp_path):
    body = (
        "	lea table(%rip), %r8\n	jmp *(%r8)\n9:\n"
        + byte_copy()
        + "	.data\ntable: .quad 9b\n	.text\n"
    )
    path = routine(tmp_path, body)
    witness = silent(tmp_path, path, Case(3, Placement(Place.HOLE, 1), FREE), "O3")
    code, said = run(program(witness), tmp_path)
    assert code == 0, said
    assert "returned  left 2 (rax)" in said


def test_a_return_by_way_of_a_thunk(tmp_path):
    path = routine(tmp_path, byte_copy(ret="jmp __x86_return_thunk"))
    witness = silent(tmp_path, path, Case(3, FREE, FREE), "O3")
    assert run(program(witness), tmp_path)[0] == 0


def test_a_jump_to_another_symbol_gives_no_verdict(tmp_path):
    path = routine(tmp_path, byte_copy(ret="jmp somewhere_else"))
    witness = silent(tmp_path, path, Case(3, FREE, FREE), "O3")
    code, said = run(program(witness), tmp_path)
    assert (code, broken(said)) == (2, set())
    assert "it jumped to a symbol outside the file" in said


@pytest.mark.parametrize(
    ("handler", "left"),
    [
        ("_ASM_EXTABLE_TYPE(1b, 3b, EX_TYPE_FAULT_MCE_SAFE)", 18),
        ("_ASM_EXTABLE_TYPE_REG(1b, 3b, EX_TYPE_EFAULT_REG, %eax)", 2**64 - 14),
        ("_ASM_EXTABLE_TYPE_REG(1b, 3b, EX_TYPE_UCOPY_LEN8, %edx)", 83),
    ],
)
def test_what_handlers_do_to_registers(tmp_path, handler, left):
    """cx = 8 * cx + dx with rcx 10 and rdx 3; the fixup returns rcx + rax."""
    body = f"	mov $10, %ecx\n	xor %eax, %eax\n1:	movb (%rsi), %r8b\n	ret\n3:	{{}}	ret\n	{handler}\n"
    path = routine(tmp_path, body.format("mov %rcx, %rax\n" if "UCOPY" in handler else ""))
    witness = silent(tmp_path, path, Case(3, Placement(Place.HOLE, 0), FREE, trap=18), "O2")
    _, said = run(program(witness), tmp_path)
    shown = str(left) if left < 1 << 20 else hex(left)
    assert f"returned  left {shown} (rax)" in said


def test_an_endless_loop_is_seen_by_its_states(tmp_path):
    path = ASM / "mixed_loop_wrong_endless.S"
    witness = silent(tmp_path, path, Case(8, FREE, FREE), "O9")
    code, said = run(program(witness), tmp_path)
    assert (code, broken(said)) == (1, {"O9"})
    assert "in the same state again: it never ends" in said


def test_a_long_loop_that_ends_is_not_called_endless(tmp_path):
    body = "	mov $3000, %ecx\n4:	dec %ecx\n	jnz 4b\n" + byte_copy()
    witness = silent(tmp_path, routine(tmp_path, body), Case(8, FREE, FREE), "O9")
    assert run(program(witness), tmp_path)[0] == 0


def test_an_instruction_that_the_cpu_refuses_gives_no_verdict(tmp_path):
    witness = silent(tmp_path, routine(tmp_path, "	wrmsr\n" + byte_copy()), Case(1, FREE, FREE), "O7")
    code, said = run(program(witness), tmp_path)
    assert (code, broken(said)) == (2, set())
    assert "the CPU refused an instruction" in said


def test_a_return_to_elsewhere_and_a_loop_without_an_end(tmp_path):
    witness = silent(tmp_path, routine(tmp_path, "	push %rsi\n	ret\n"), Case(1, FREE, FREE), "O7")
    code, said = run(program(witness), tmp_path)
    assert (code, broken(said)) == (1, {"O7"})
    assert "the routine left its code" in said


def test_long_buffers_take_no_memory(tmp_path):
    """A length of 4 GiB and some: the routine counts in 32 bits and copies the rest only."""
    case = Case((1 << 32) + 13, Placement(Place.HOLE, 64), FREE)
    witness = witness_of(tmp_path, ASM / "count32.S", case)
    code, said = run(program(witness), tmp_path, ("gcc", "-O2"))
    assert code == 1
    assert broken(said) == set(witness.counterexample.obligations)
    assert "stored    dst[0..12]\n" in said


@pytest.mark.parametrize("place", list(Place), ids=lambda place: place.value)
def test_buffers_lie_as_the_case_says(tmp_path, place):
    """What the program says of the run is what the harness does with the same placement, src and dst."""
    at = {Place.FREE: 77, Place.HOLE: 20, Place.INSIDE: 4093}.get(place, 0)
    for src, dst in ((Placement(place, at), FREE), (FREE, Placement(place, at))):
        witness = silent(tmp_path, ASM / "user_both.S", Case(24, src, dst), "O3")
        outcome = witness.counterexample.outcome
        code, said = run(program(witness), tmp_path)
        assert code == 0, said
        assert f"returned  left {outcome.registers['rax']} (rax)" in said
        faults = [f"{f.buffer}+{f.offset}" for f in outcome.faults]
        assert re.findall(r"^  fault     (?:load of|store to) (\S+) at", said, re.MULTILINE) == faults


def test_what_is_written_can_be_recognised(tmp_path):
    witness = silent(tmp_path, ASM / "rep_movsb.S", Case(1, FREE, FREE), "O3")
    assert is_ours(program(witness))
    assert not is_ours("/* my own program */\nint main(void) { return 0; }\n")
    assert not is_ours("")


def test_names_that_c_or_a_shell_would_misread(tmp_path):
    """Comment marks, quotes, trigraphs, format signs and other scripts in the names of files."""
    source = tmp_path / "a??" / 'a"b*\\ %s ??- é.S'
    source.parent.mkdir()
    source.write_text((ASM / "rep_movsq_wrong_words.S").read_text())
    witness = witness_of(tmp_path, source, Case(8, Placement(Place.HOLE, 0), FREE))
    now = subject(witness, source)
    now = replace(now, name="x*/ int y; /*")
    text = emit_c(now, witness.counterexample, 'my "repro";*/.c')
    code, said = run(text, tmp_path, ("gcc", "-std=gnu11", "-Wtrigraphs", "-O0"))
    assert code == 1
    assert source.name in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("repro.c", "gcc -O2 repro.c -o repro.out && ./repro.out"),
        ("out/repro.c", "gcc -O2 out/repro.c -o out/repro.out && out/repro.out"),
        ("my repro.c", "gcc -O2 'my repro.c' -o 'my repro.out' && './my repro.out'"),
        ("-o.c", "gcc -O2 ./-o.c -o ./-o.out && ./-o.out"),
        ("repro", "gcc -O2 -x c repro -o repro.out && ./repro.out"),
    ],
)
def test_the_command_to_compile_it(name, expected):
    assert command(name) == expected


def test_what_no_cpu_shows_is_refused(tmp_path):
    case = Case(4, Placement(Place.HOLE, 2), FREE)
    witness = witness_of(tmp_path, ASM / "rep_movsb.S", case, schedule="odd_first")
    with pytest.raises(InputError, match="rests on a REP that does its elements in no order"):
        program(witness)


def test_runs_and_contracts_that_no_program_knows_are_refused(tmp_path):
    """A page that comes and goes; a result of another kind than those that the program's judge has."""
    witness = silent(tmp_path, ASM / "rep_movsb.S", Case(4, Placement(Place.HOLE, 2), FREE), "O3")
    own, found = subject(witness, Path(witness.file)), witness.counterexample
    assert "int main(" in emit_c(own, found, "repro.c")
    comes_and_goes = replace(found, case=replace(found.case, flicker="0(1)"))
    with pytest.raises(InputError, match="a page comes and goes in this run"):
        emit_c(own, comes_and_goes, "repro.c")
    for change in ({"told": "done"}, {"string_length": "rax"}, {"handed": {"r8": "rdx"}}, {"status": "zf"}):
        other = replace(own, contract=replace(own.contract, **change))
        with pytest.raises(InputError, match="it knows no contract that"):
            emit_c(other, found, "repro.c")


def test_a_handler_that_is_not_modelled_is_refused(tmp_path):
    body = byte_copy().replace("_ASM_EXTABLE(1b, 3b)", "_ASM_EXTABLE_TYPE(1b, 3b, EX_TYPE_BPF)")
    witness = silent(tmp_path, routine(tmp_path, body), Case(1, FREE, FREE), "O3")
    with pytest.raises(InputError, match="what the handler bpf does is not modelled"):
        program(witness)


def test_a_linked_file_at_a_kernels_addresses_is_moved_down(tmp_path):
    linker = shutil.which("ld")
    if linker is None:
        pytest.skip("skipped: needs ld")
    source = ASM / "rep_movsq_wrong_words.S"
    linked = tmp_path / "kernel"
    with assembled(source, Config.of((), ()), Source(str(source), source.read_text()).own_macros) as made:
        script = ["-Ttext=0xffffffff81000000", "--section-start=__ex_table=0xffffffff81100000"]
        subprocess.run([linker, *script, "-e", "rep_movsq", made, "-o", linked], check=True)
    case = Case(8, Placement(Place.HOLE, 0), FREE)
    witness = witness_of(tmp_path, linked, case, contract="bytes_left")
    text = program(witness)
    assert "all are lower by 0xfffffffe81000000 here" in text
    code, said = run(text, tmp_path)
    assert (code, broken(said)) == (1, {"O3"})


@pytest.mark.parametrize("seed", range(20))
def test_any_run_is_judged_as_by_the_harness(seed, tmp_path):
    """Random cases of random routines: what the program says of each is what the harness's run breaks."""
    random = Random(seed)
    path = random.choice([p for p in FILES if "alternative" not in p.stem])
    length = random.choice([0, 1, 8, 9, 31, 64, 65, 200])
    src, dst = (
        random.choice(
            [
                Placement(Place.FREE, random.randrange(70)),
                Placement(Place.HOLE, random.randrange(length + 3)),
                Placement(Place.INSIDE, random.choice([0, 5, 4090])),
                Placement(random.choice([Place.END, Place.FRONT])),
            ]
        )
        for _ in range(2)
    )
    case = Case(length, src, dst, random.choice([14, 18]), seed=seed)
    witness = silent(tmp_path, path, case, random.choice(["O3", "O8"]))
    now = subject(witness, path)
    if not knows(now.contract):
        with pytest.raises(InputError, match="it knows no contract that"):
            program(witness)
        return
    ran = rerun(now, case, "cpu", None, accesses="O8" in witness.counterexample.obligations)
    code, said = run(program(witness), tmp_path)
    expected = {failure.obligation for failure in ran.failures} - {"O10"}
    assert broken(said) == expected, (path, case, said)
    assert code == (1 if expected else 0) or ran.outcome.ending is not Ending.RETURNED
    if ran.outcome.ending is Ending.RETURNED and now.contract.left is not None:
        left = re.search(r"^  returned  left (\S+) ", said, re.MULTILINE)
        assert int(left[1], 0) == ran.outcome.registers[now.contract.left]

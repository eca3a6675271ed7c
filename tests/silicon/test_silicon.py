"""Single instructions on the CPU against what was lifted: agreement, and differences that must be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import z3
from asm_corpus.expectations import FILES
from click import UsageError
from click.testing import CliRunner

from mcverify.arch.x86_64.lift import Lifter
from mcverify.cli.main import cli
from mcverify.image.load import load
from mcverify.machine.instruction import Instruction
from mcverify.machine.symbols import symbol
from mcverify.runs.native import unavailable
from mcverify.silicon import every
from mcverify.silicon.compare import FormResult, compare, encodings

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=f"no runs on this host: {unavailable()}")


def run(codes: dict[str, list[bytes]], cases: int = 60) -> dict[str, FormResult]:
    return {result.form: result for result in compare(codes, cases, 7, lambda _: None)}


def test_every_form_under_asm_agrees_with_this_machines_cpu() -> None:
    results = run(encodings(load(path) for path in FILES), 40)
    assert [d for r in results.values() for d in r.differences] == []
    assert {r.form for r in results.values() if not r.cases} <= {"stac", "clac"}
    assert all(r.faults for r in results.values() if r.form.startswith(("mov m", "rep ", "pop")))


def broken(change: object) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    honest = Lifter.instruction
    patch.setattr(Lifter, "instruction", lambda self, at: change(honest(self, at)))  # type: ignore[operator]
    yield
    patch.undo()


def writes(instruction: Instruction, **terms: z3.BitVecRef) -> Instruction:
    """The instruction, with other values written."""
    steps = (replace(s, writes={**s.writes, **terms}) for s in instruction.steps)
    return replace(instruction, steps=tuple(steps))


def first_access(instruction: Instruction, **changes: object) -> Instruction:
    """The instruction, with its first access changed."""
    step = instruction.steps[0]
    first, *rest = step.accesses
    changed = replace(step, accesses=(replace(first, **changes), *rest))  # type: ignore[arg-type]
    return replace(instruction, steps=(changed, *instruction.steps[1:]))


@pytest.mark.parametrize(
    ("code", "change", "sentence"),
    [
        ("48 01 c8", lambda i: writes(i, rax=symbol("rax")), "rax = "),  # add %rcx, %rax
        ("48 01 c8", lambda i: writes(i, cf=z3.BitVecVal(0, 1)), "cf = "),
        ("48 8b 06", lambda i: first_access(i, address=symbol("rsi") + 1), "rax = "),  # mov (%rsi), %rax
        ("88 07", lambda i: first_access(i, value=z3.BitVecVal(0, 8)), "stores "),  # mov %al, (%rdi)
        ("75 10", lambda i: replace(i, steps=i.steps[:1]), None),  # jne
        ("f3 a4", lambda i: writes(i, rdi=symbol("rdi") + 2), "rdi = "),  # rep movsb
        ("c5 fe 6f 06", lambda i: writes(i, ymm0=symbol("ymm1")), "ymm0 = "),  # vmovdqu (%rsi), %ymm0
    ],
)
def test_a_wrong_model_is_noticed(code: str, change: object, sentence: str | None) -> None:
    made = bytes.fromhex(code)
    whole = broken(change)
    next(whole)
    try:
        if sentence is None:
            with pytest.raises(AssertionError, match="cover every state"):
                run({"form": [made]})
            return
        result = run({"form": [made]})["form"]
    finally:
        next(whole, None)
    assert any(sentence in s for d in result.differences for s in d.sentences), result.differences
    assert run({"form": [made]})["form"].differences == []


def test_what_user_mode_cannot_execute_is_not_called_compared() -> None:
    result = run({"stac": [bytes.fromhex("0f 01 cb")]})["stac"]
    assert (result.cases, result.result) == (0, "not compared: this CPU does not execute it in user mode")


def test_code_behind_bytes_that_are_no_instruction_is_not_left_out(tmp_path: Path) -> None:
    file = tmp_path / "gap.S"
    file.write_text(
        ".globl f\n.type f, @function\nf: add %rcx, %rax\nret\n.byte 0x06\nrol %cl, %rdx\n.size f, .-f\n"
    )
    assert set(encodings([load(file)])) == {"add r64, r64", "ret", "rol cl, r64"}


@pytest.mark.parametrize("code", ["48 d3 27", "d2 17", "66 d3 0f", "48 c1 d0 00", "d3 d8", "c0 18 07"])
def test_shifts_of_memory_and_rotations_by_nothing_agree(code: str) -> None:
    result = run({"shift": [bytes.fromhex(code)]}, 200)["shift"]
    assert result.cases
    assert result.differences == []


def test_what_no_proof_uses_says_why() -> None:
    results = run({"hlt": [b"\xf4"], "jmp r64": [bytes.fromhex("ff e0")]})
    assert "is privileged" in results["hlt"].result
    assert "computed address" in results["jmp r64"].result


def test_the_command_writes_the_table(tmp_path: Path) -> None:
    file, table = tmp_path / "one.S", tmp_path / "table.tsv"
    file.write_text(".globl f\n.type f, @function\nf: add %rcx, %rax\nret\n.size f, .-f\n")
    ran = CliRunner().invoke(
        cli, ["silicon", str(file), "--cases", "30", "--table", str(table)], standalone_mode=False
    )
    assert ran.return_value == 0, ran.output
    rows = [line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#")]
    assert rows[0] == ["form", "encodings", "cases", "faults", "result"]
    assert [row[0] for row in rows[1:]] == ["add r64, r64", "ret"]
    assert all(row[2] == "30" and row[4] == "agrees" for row in rows[1:])
    assert "2 of 2 forms agree with the CPU in 60 cases" in ran.output


@pytest.fixture
def one_byte_opcodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all instructions those of one byte and no prefix, without REX."""
    for name, value in {"_PREFIXES": (b"",), "_REX": (b"",), "_MAPS": (b"",), "_VEX_MAPS": ()}.items():
        monkeypatch.setattr(every, name, value)


@pytest.mark.usefixtures("one_byte_opcodes")
def test_every_form_is_compared_where_it_can_be(tmp_path: Path) -> None:
    file, table = tmp_path / "one.S", tmp_path / "table.tsv"
    file.write_text(".globl f\n.type f, @function\nf: add %ecx, %eax\nret\n.size f, .-f\n")
    given = [
        "silicon",
        str(file),
        "--cases",
        "30",
        "--every",
        "3",
        "--jobs",
        "2",
        "--table",
        str(table),
        "-q",
    ]
    ran = CliRunner().invoke(cli, given, standalone_mode=False)
    assert ran.return_value == 0, ran.output
    rows = [line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#")][1:]
    forms = {row[0]: row for row in rows}
    assert list(forms) == sorted(forms)
    assert {"add m32i, r32", "sub i, h8", "jne label", "pop r64", "sar cl, m8", "movsb"} <= set(forms)
    assert not set(forms) & {"hlt", "div m32", "in dx, al"}
    assert forms["add r32, r32"][2] == "30"
    assert int(forms["xor r8, m8"][2]) >= 3
    assert {row[4] for row in rows} == {"agrees"}


def test_each_opcode_of_a_form_is_among_its_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    opcodes = [bytes.fromhex(f"c4 e1 53 {opcode}") for opcode in ("10", "11")]
    monkeypatch.setattr(every, "_opcodes", lambda: iter(opcodes))
    codes = every.every_form()["vmovsd xmm, xmm, xmm"]
    assert {code[:4] for code in codes} == set(opcodes)


def test_files_or_every_form() -> None:
    with pytest.raises(UsageError, match="--every"):
        CliRunner().invoke(cli, ["silicon"], standalone_mode=False, catch_exceptions=False)

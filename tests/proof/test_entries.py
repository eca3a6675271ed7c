"""Every access that has an entry may fault, whatever the contract lets fault; what is left out is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from mcverify.check.bundle import read_bundle
from mcverify.check.manifest import Routine
from mcverify.check.question import of_prover
from mcverify.check.walk import gaps
from mcverify.cli import run
from mcverify.contract import Contract, can_fault, faults_by_entry, load_contract
from mcverify.image.load import load
from mcverify.machine.instruction import Kind
from mcverify.paths.explore import Options, may_strike
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import not_struck, settled, tasks, usual_faults
from mcverify.runs import cpu

HERE = Path(__file__).parent
ENTRIES = HERE / "entries.S"
WRONG = HERE.parent / "cases" / "store_fixup_unlooked.S"

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


@needs_cpu
@pytest.mark.slow
def test_what_an_option_leaves_out_is_in_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(capsys, "prove", WRONG, "--faults", "loads")
    assert code == 0
    assert "every fault point; entries on stores not looked at: 1" in said
    text = WRONG.read_text()
    plain = "_ASM_EXTABLE_FAULT(.Lread, .Lfix_load)"
    assert plain in text
    recovering = tmp_path / "recovering.S"
    recovering.write_text(
        text.replace(plain, "_ASM_EXTABLE_TYPE(.Lread, .Lfix_load, EX_TYPE_DEFAULT_MCE_SAFE)")
    )
    code, said = answer(capsys, "prove", "-q", recovering, "--trap", "mc")
    assert code == 0
    assert "entries on stores not looked at: 1" in said


@needs_cpu
@pytest.mark.parametrize("faults", ["both", "stores"])
@pytest.mark.slow
def test_the_store_is_looked_at_where_stores_may_fault(
    faults: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(capsys, "prove", "-q", WRONG, "--faults", faults)
    assert (code, "O3 at .Lfix_store" in said) == (1, True)
    assert "not looked at: 1" in said if faults == "stores" else "not looked at" not in said


@needs_cpu
def test_a_sweep_sees_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, "sweep", "--quick", WRONG)
    assert (code, "O3" in said) == (1, True)
    assert answer(capsys, "sweep", "--quick", WRONG, "--faults", "loads")[0] == 0


@needs_cpu
@pytest.mark.parametrize("on", [(), ("--on", "emulator")])
@pytest.mark.slow
def test_a_store_without_an_entry_does_not_fault(
    on: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not because the contract lets loads fault: no O1 failure, neither proved nor run."""
    if not on:
        code, said = answer(capsys, "prove", ENTRIES, "--routine", "some")
        assert code == 0, said
        assert "loads, and stores that have an entry, may fault" in said
        code, said = answer(capsys, "prove", "-q", ENTRIES, "--routine", "some", "--faults", "both")
        assert (code, "O1" in said) == (1, True)
    assert answer(capsys, "sweep", "--quick", *on, ENTRIES, "--routine", "some")[0] == 0


@needs_cpu
def test_an_entry_that_no_path_takes_is_named_in_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = answer(capsys, "prove", ENTRIES, "--routine", "unused", "--json", "-")
    (routine,) = json.loads(said)["routines"]
    line = 1 + ENTRIES.read_text().splitlines().index(".Lnever: movb (%rsi), %cl")
    assert routine["entries_not_taken"] == [f"{ENTRIES}:{line}"]
    _, said = answer(capsys, "prove", ENTRIES, "--routine", "unused")
    assert f"entry that no path takes: entries.S:{line}" in said


def contract(name: str) -> Contract:
    return load_contract(name)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("bytes_left", "loads and entries"), ("mcsafe_ret", "loads and entries"), ("uaccess", "both"),
        ("clear", "stores"), ("get_user_4", "loads"), ("put_user_4", "stores"),
    ],
)  # fmt: skip
def test_what_may_fault_by_default(name: str, faults: str) -> None:
    assert usual_faults(contract(name)) == faults


def test_a_routine_without_such_entries_is_as_its_contract_says() -> None:
    image = load(HERE.parents[1] / "asm" / "memcpy_64.S")
    (task,) = tasks(image, ProveOptions())
    assert (task.faults, settled(task, image).faults) == ("loads and entries", "loads")
    assert not_struck(settled(task, image), image) == ("stores", 0)
    image = load(ENTRIES)
    (task,) = tasks(image, ProveOptions(routines=("some",)))
    assert settled(task, image).faults == "loads and entries"
    assert (can_fault(task.faults, "store"), faults_by_entry(task.faults)) == (True, "store")
    options = Options.of(task.contract or contract("bytes_left"), task.faults, "ordered")
    struck = [e.insn for e in image.entries if may_strike(options, image, e.insn, Kind.STORE)]
    assert len(struck) == len(image.entries)
    assert not may_strike(options, image, task.entry, Kind.STORE)
    assert may_strike(options, image, task.entry, Kind.LOAD)


@needs_cpu
def test_a_bundle_without_the_fault_of_such_a_store_is_not_complete(tmp_path: Path) -> None:
    folder = tmp_path / "proof"
    assert run(["prove", "-q", str(ENTRIES), "--routine", "some", "--proof", str(folder)]) == 0
    (proof,) = read_bundle(folder).manifest.proofs
    image = load(folder / "object.o")
    question = of_prover(proof.routine, contract("bytes_left"))
    assert not list(gaps(proof.routine, question, image))
    struck = [p for p in proof.routine.paths if any(s.fault and s.fault.kind == "store" for s in p.steps)]
    assert len(struck) == 1
    less: Routine = structs.replace(
        proof.routine, paths=tuple(p for p in proof.routine.paths if p not in struck)
    )
    assert any("by a fault of the store is missing" in gap.says for gap in gaps(less, question, image))


INSIDE = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov %rdx, %rcx
.Lcopy:	rep movsb
.Lout:	mov %rcx, %rax
	RET
SYM_FUNC_END(copy)
	_ASM_EXTABLE_FAULT(.Lcopy, .Lout{behind})
"""


@needs_cpu
@pytest.mark.parametrize(("behind", "is_inside"), [("", False), (" + 1", True)])
def test_a_fixup_inside_of_an_instruction_is_remarked(
    behind: str,
    is_inside: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without its prefix the move is one of 32 bits: right, and hardly meant."""
    monkeypatch.chdir(tmp_path)  # a long path would be broken between lines
    source = Path("inside.S")
    source.write_text(INSIDE.format(behind=behind))
    code, said = answer(capsys, "prove", source)
    assert code == 0
    remark = "continues inside of an instruction, 1 behind the beginning of mov ("
    assert (remark in said) == is_inside
    assert f"{source}:7: exception-table entry 0" in said or not is_inside

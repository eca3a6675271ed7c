"""`prove --proof DIR` and `check DIR`: what is written is found right, and what is changed is noticed."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support import work
from support.command import in_process
from support.processes import until, until_gone

from mcverify.check.check import Checked, complete
from mcverify.check.code import decode
from mcverify.check.question import Asked, _borne
from mcverify.check.solvers import Reply, Said, ask, in_processes
from mcverify.check.trial import Tried
from mcverify.cli.check import _code
from mcverify.contract import contracts_for
from mcverify.errors import ExitCode
from mcverify.image.load import load

ASM = Path(__file__).parents[2] / "asm"


def mcverify(*arguments, env=None, cwd=None):
    """The command: in a process of its own where it needs an environment or a folder of its own."""
    if env is None and cwd is None:
        return in_process(*arguments)
    return subprocess.run(
        [sys.executable, "-m", "mcverify", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, **(env or {})}, cwd=cwd, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def loop(tmp_path_factory):
    """The proof of a routine with loops and faults."""
    folder = tmp_path_factory.mktemp("bundle") / "proof"
    done = mcverify("prove", ASM / "count32.S", "--proof", folder, env={"PYTHONHASHSEED": "1"})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(loop, tmp_path):
    return Path(shutil.copytree(loop, tmp_path / "copy"))


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def seal(folder):
    """Make the digests those of the files, as one would who changes a bundle with care."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [
        f"{hashlib.sha256((folder / f).read_bytes()).hexdigest()}  {f}\n" for f in files if f != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def rewritten(folder, change):
    """The bundle with a manifest that `change` changed, and files that say what follows from it."""
    from mcverify.check.manifest import decoded
    from mcverify.check.question import of_prover
    from mcverify.check.statement import obligations
    from mcverify.contract import load_contract

    content = manifest(folder)
    (proof,) = content["proofs"]
    change(proof["routine"])
    routine = decoded(json.dumps(content).encode()).proofs[0].routine
    shutil.rmtree(folder / proof["folder"])
    (folder / proof["folder"]).mkdir()
    proof["obligations"] = []
    for obligation in obligations(routine, of_prover(routine, load_contract(routine.contract))):
        file = f"{obligation.name}.smt2"
        (folder / proof["folder"] / file).write_text(obligation.text)
        proof["obligations"].append({"file": file, "kind": obligation.kind, "says": obligation.says})
    (folder / "manifest.json").write_text(json.dumps(content))
    seal(folder)
    return folder


def refused(folder, code=2):
    """The one sentence with which `check` refuses a bundle."""
    done = mcverify("check", folder)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.strip().splitlines()
    return line.removeprefix("mcverify: ")


def fails(folder):
    """The names of the obligations that do not hold, by bitwuzla alone."""
    found = complete(folder).obligations
    return [o.name for _, o in found if ask("bitwuzla", o.text, 10).said is Said.SAT]


@pytest.mark.slow
def test_both_solvers_agree(loop):
    done = mcverify("check", loop, "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    total = len(manifest(loop)["proofs"][0]["obligations"])
    assert f"{total} obligations, all hold" in done.stdout
    assert f"bitwuzla: {total} unsat" in done.stdout
    assert done.stdout.count("HOLDS: ") == total
    assert "none is missing" in done.stdout


@pytest.mark.slow
def test_a_bundle_is_the_same_from_run_to_run_and_folder_to_folder(loop, tmp_path):
    again = tmp_path / "again"
    done = mcverify("prove", ASM / "count32.S", "--proof", again, env={"PYTHONHASHSEED": "2"}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (again / "SHA256SUMS").read_text() == (loop / "SHA256SUMS").read_text()


def test_the_manifest_says_what_makes_it_a_proof(loop):
    content = manifest(loop)
    routine = content["proofs"][0]["routine"]
    assert content["sha256"] == hashlib.sha256((ASM / "count32.S").read_bytes()).hexdigest()
    assert {"initiation", "consecution", "exit", "footprint", "termination"} <= content["why"].keys()
    assert {o["kind"] for o in content["proofs"][0]["obligations"]} <= content["why"].keys()
    assert all(location["invariant"] for location in routine["locations"][1:])
    assert routine["measures"]
    assert routine["contract"] == "bytes_left"


def test_check_needs_neither_the_lifter_nor_z3_nor_the_engine():
    code = (
        "import sys, pkgutil, importlib, mcverify.check as c, mcverify.cli.check\n"
        "for m in pkgutil.iter_modules(c.__path__): importlib.import_module('mcverify.check.' + m.name)\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"mcverify.check.walk", "mcverify.check.trial", "unicorn"} <= loaded
    rooms = "machine paths runs logic invariants proof witness silicon bundle".split()
    engine = {f"mcverify.{room}" for room in rooms}
    assert not loaded & {"z3", "angr", "claripy", "pyvex", *engine}


@pytest.mark.parametrize("name", ["memcpy_trap", "memcpy_mcsafe"])
def test_a_name_that_has_borne_one_contract_bears_it_in_any_kernel(name):
    """That contract may be of no kernel that was released."""
    image = replace(load(ASM / "memcpy_64.S"), kernels="4.6 to 5.9")
    known = contracts_for(name)
    assert len(known) == 1
    assert _borne(name, image, known) == [*known]


# -- what is changed is noticed


def test_a_changed_file(copy):
    (copy / "manifest.json").write_text((copy / "manifest.json").read_text().replace("loads", "both"))
    assert refused(copy).startswith(f"{copy}/manifest.json: error: it is not as it was written")


def test_what_is_no_bundle(tmp_path):
    file = tmp_path / "file"
    file.touch()
    hint = "(give the folder of --proof DIR)"
    assert refused(tmp_path) == f"{tmp_path}: error: it is no bundle: it has no SHA256SUMS {hint}"
    assert refused(file) == f"{file}: error: it is no folder {hint}"
    assert refused(tmp_path / "none") == f"{tmp_path}/none: error: there is no such folder {hint}"


def test_a_file_too_few(copy):
    file = next(copy.glob("*/*.smt2"))
    file.unlink()
    assert refused(copy) == f"{file}: error: the bundle lacks this file"


def test_a_file_too_many(copy):
    (copy / "more.smt2").write_text("(check-sat)")
    assert "is not among those of SHA256SUMS" in refused(copy)
    seal(copy)
    assert "no proof of the manifest lists it" in refused(copy)


def test_a_dropped_obligation(copy):
    content = manifest(copy)
    (proof,) = content["proofs"]
    dropped = next(o for o in proof["obligations"] if o["kind"] == "consecution")
    proof["obligations"].remove(dropped)
    (copy / proof["folder"] / dropped["file"]).unlink()
    (copy / "manifest.json").write_text(json.dumps(content))
    seal(copy)
    assert f"the obligation {dropped['file'].removesuffix('.smt2')} is missing" in refused(copy)


def test_an_obligation_made_easier(copy):
    file = next(f for f in sorted(copy.glob("*/*consecution.smt2")))
    file.write_text(file.read_text().replace("(check-sat)", "(assert false)\n(check-sat)"))
    seal(copy)
    assert refused(copy) == f"{file}: error: it does not say what follows from the manifest"


def test_a_dropped_path(copy):
    def drop(routine):
        routine["paths"] = [p for p in routine["paths"] if not any("fault" in s for s in p["steps"])]

    assert "by a fault of the load is missing behind" in refused(rewritten(copy, drop))


def test_a_dropped_branch(copy):
    def drop(routine):
        back = next(p for p in routine["paths"] if p["source"] == p.get("target"))
        routine["paths"].remove(back)
        for measure in routine["measures"]:
            for names in (measure["falls"], measure["stays"]):
                names[:] = [n for n in names if n != back["name"]]

    assert "the proof is not complete" in refused(rewritten(copy, drop))


def test_a_loop_instruction_goes_two_ways():
    assert decode(bytes.fromhex("e2 fe"), 16).targets == (16, 18)
    assert decode(bytes.fromhex("c2 10 00"), 16).targets == ()


def test_a_changed_byte_of_the_object(copy):
    """A jump of the loop that goes elsewhere."""
    code = bytearray((copy / "object.o").read_bytes())
    jump = next(
        i for i in range(0x40, len(code) - 1) if code[i] in (0x72, 0x73, 0x74, 0x75) and code[i + 1] > 0xE0
    )
    code[jump + 1] += 3
    (copy / "object.o").write_bytes(code)
    assert "it is not as it was written" in refused(copy)
    seal(copy)
    assert "the proof is not complete" in refused(copy)


@pytest.mark.slow
def test_a_weakened_invariant(copy):
    """Without the equalities nothing follows any more from what is left."""

    def weaken(routine):
        for location in routine["locations"]:
            location["invariant"] = [f for f in location["invariant"] if " = " not in f["says"]]

    assert any("consecution" in name for name in fails(rewritten(copy, weaken)))


@pytest.mark.slow
def test_an_invariant_made_too_strong(copy):
    def strengthen(routine):
        routine["locations"][1]["invariant"] = [{"says": "false", "term": "false"}]

    assert any("initiation" in name for name in fails(rewritten(copy, strengthen)))


@pytest.mark.slow
def test_an_obligation_that_does_not_hold_is_loud(copy):
    def change(routine):
        routine["measures"][0]["term"] = "#x0000000000000001"

    done = mcverify("check", rewritten(copy, change), "--limit", "5")
    assert done.returncode == 4, done.stdout + done.stderr
    (failed,) = re.findall(r"FAILS: (\S+): bitwuzla sat in \S+ s, cvc5 sat", done.stdout)
    assert Path(failed).exists()


@pytest.mark.parametrize(
    ("said", "standing"),
    [
        (("unsat", "unsat"), "holds"),
        (("unsat", "timeout"), "holds"),
        (("error", "unsat"), "holds"),
        (("timeout", "error"), "open"),
        (("sat", "timeout"), "fails"),
        (("sat", "unsat"), "disputed"),
        (("unsat", "sat"), "disputed"),
    ],
)
def test_what_two_answers_make_together(said, standing):
    replies = {name: Reply(Said(word), 0.0) for name, word in zip(("one", "other"), said, strict=True)}
    result = Checked(None, None, replies)
    assert result.standing == standing
    codes = {"holds": ExitCode.PROVED, "open": ExitCode.UNKNOWN}
    assert _code([result]) is codes.get(standing, ExitCode.INTERNAL)


@pytest.mark.slow
def test_an_altered_path_condition(copy):
    """A branch that is said to be taken less often leaves states for which there is no way."""

    def alter(routine):
        path = next(p for p in routine["paths"] if any(s.get("conditions") for s in p["steps"]))
        step = next(s for s in path["steps"] if s.get("conditions"))
        old = step["conditions"]
        for each in routine["paths"]:
            for s in each["steps"]:
                if s["at"] == step["at"] and s.get("conditions") == old:
                    s["conditions"] = [*old, "(= rdx@0 #x0000000000000007)"]

    assert "its terms are not what the code does" in refused(rewritten(copy, alter))
    with pytest.MonkeyPatch.context() as patch:  # nor would a solver let it pass
        patch.setattr("mcverify.check.check.trial", lambda *_: Tried())
        assert any(name.endswith("-ways") for name in fails(copy))


@pytest.mark.slow
def test_a_measure_that_does_not_fall(copy):
    def change(routine):
        for measure in routine["measures"]:
            measure["term"] = "#x0000000000000001"

    assert any("falls" in name for name in fails(rewritten(copy, change)))


@pytest.mark.slow
def test_a_slack_that_is_too_small(copy):
    def change(routine):
        assert routine["slack"] == 7
        routine["slack"] = 6

    assert {name.rpartition("-")[2] for name in fails(rewritten(copy, change))} == {"slack"}


def test_a_loop_without_a_measure(copy):
    def drop(routine):
        routine["measures"] = []

    assert "no measure falls in the loop" in refused(rewritten(copy, drop))


def test_a_final_value_that_is_not_told(copy):
    def forget(routine):
        path = next(p for p in routine["paths"] if p["end"] == "return")
        path["final"].pop("rbx")

    with pytest.raises(Exception, match="does not tell what becomes of rbx"):
        rewritten(copy, forget)


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "no manifest"), ("[]", "no manifest"), ('{"format": "mcverify-proof 9"}', "this version reads")],
)
def test_a_manifest_that_is_none(copy, content, says):
    (copy / "manifest.json").write_text(content)
    seal(copy)
    assert says in refused(copy)


def test_what_is_there_is_kept(tmp_path):
    (tmp_path / "mine").write_text("mine")
    done = mcverify("prove", ASM / "rep_movsb.S", "--proof", tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("error: it is there already (--proof wants a new or empty folder)")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.slow
def test_nothing_is_written_where_nothing_is_proved(tmp_path):
    done = mcverify("prove", ASM / "rep_movsb_wrong_count.S", "--proof", tmp_path / "proof", "-q")
    assert done.returncode == 1
    assert "nothing was proved" in done.stderr
    assert not (tmp_path / "proof").exists()


# -- alternatives


@pytest.fixture(scope="session")
def variants(tmp_path_factory):
    """The proofs of a routine of which CPUs run different code."""
    folder = tmp_path_factory.mktemp("variants") / "proof"
    done = mcverify("prove", ASM / "alternative.S", "--proof", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_each_variant_has_a_proof_of_its_own(variants):
    done = mcverify("check", variants)
    assert done.returncode == 0, done.stdout + done.stderr
    features = [p["routine"]["features"] for p in manifest(variants)["proofs"]]
    assert features == [{"ERMS": True}, {"ERMS": False}]


def test_a_dropped_variant(variants, tmp_path):
    copy = Path(shutil.copytree(variants, tmp_path / "copy"))
    content = manifest(copy)
    shutil.rmtree(copy / content["proofs"].pop()["folder"])
    (copy / "manifest.json").write_text(json.dumps(content))
    seal(copy)
    assert "the variants of alternative are not those of all CPUs" in refused(copy)


def test_the_code_of_another_variant(variants, tmp_path):
    copy = Path(shutil.copytree(variants, tmp_path / "copy"))
    content = manifest(copy)
    one, other = (p["routine"] for p in content["proofs"])
    one["features"], other["features"] = other["features"], one["features"]
    (copy / "manifest.json").write_text(json.dumps(content))
    seal(copy)
    assert "is not the one that its features choose" in refused(copy)


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """The proof of a routine that calls a loop from two places."""
    folder = tmp_path_factory.mktemp("called") / "proof"
    done = mcverify("prove", ASM.parent / "tests/hostile/call_loop.S", "--proof", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_loop_in_a_callee_returns_to_each_of_its_callers(called):
    done = mcverify("check", called)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "locations 5, paths 14: none is missing" in done.stdout


def test_a_location_that_returns_elsewhere_is_noticed(called, tmp_path):
    def change(routine):
        first, second = (
            c for c in routine["locations"][1:] if c["address"] == routine["locations"][1]["address"]
        )
        assert first["calls"] != second["calls"]
        first["calls"] = second["calls"]

    folder = Path(shutil.copytree(called, tmp_path / "changed"))
    assert "the proof is not complete" in refused(rewritten(folder, change))


# -- routines of other kinds


@pytest.mark.parametrize("name", ["byte_retry", "sse", "tail_in_c"])
@pytest.mark.slow
def test_no_way_is_missing_where(name, tmp_path):
    """Faults that persist, operands that must be aligned, a routine in C that is assumed."""
    done = mcverify("prove", ASM / f"{name}.S", "--proof", tmp_path / "proof")
    assert done.returncode == 0, done.stderr
    found = complete(tmp_path / "proof", Asked(faults="loads")).obligations
    ways = [o for _, o in found if o.kind in ("ways", "impossible", "initiation")]
    assert len(ways) > 3
    assert {ask("bitwuzla", o.text, 20).said for o in ways} == {Said.UNSAT}


SLEEPING = """
import os, sys, time
from mcverify.check.solvers import in_processes
from mcverify.interrupt import leave_on_interrupt
def sleep(folder):
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(300)
if __name__ == "__main__":
    leave_on_interrupt()
    list(in_processes(sleep, [(sys.argv[1],)], 1))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_does_not_wait_for_a_solver(tmp_path: Path, number: signal.Signals) -> None:
    program, folder = tmp_path / "sleeping.py", tmp_path / "pids"
    program.write_text(SLEEPING)
    folder.mkdir()
    process = subprocess.Popen([sys.executable, program, folder], stderr=subprocess.DEVNULL)
    pids = until(lambda: os.listdir(folder))
    assert len(pids) == 1
    process.send_signal(number)
    assert process.wait(timeout=30) != 0
    until_gone(int(pids[0]))


def test_a_question_that_ends_its_process_is_told_and_costs_no_other():
    first, second, third = in_processes(work.vanish_at, [(n, 1) for n in range(3)], 2)
    assert (first, third) == (0, 2)
    assert second == "a process of its own was killed by signal 9 (Killed)"

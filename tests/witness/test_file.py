"""Witness files: what is written is read back, what is wrong in one is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.results import FULL, REFUTED
from support.witnesses import write_witness

from mcverify.errors import InputError
from mcverify.proof.options import ProveOptions
from mcverify.report.json import document
from mcverify.runs.case import Preset
from mcverify.witness.file import LARGEST, read_witnesses


def refusal(path: Path, content=None) -> InputError:
    if content is not None:
        write_witness(path, content)
    with pytest.raises(InputError) as caught:
        read_witnesses(path)
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "witness.json"


OPTIONS = ProveOptions(
    contract="mcsafe_ret",
    faults="both",
    len_max=4096,
    include=(Path("include"),),
    defines=("A=1", "CONFIG_B=n"),
)


def test_what_was_written_is_read_back(path):
    write_witness(path, document([FULL], OPTIONS))
    [witness] = read_witnesses(path)
    assert witness.counterexample == FULL.counterexamples[0]
    assert witness.contract == FULL.contract
    assert (witness.listing, witness.table) == (FULL.listing, FULL.table)
    assert (witness.file, witness.sha256, witness.routine) == (FULL.file, FULL.sha256, FULL.name)
    assert (witness.entry, witness.faults) == (FULL.entry, FULL.faults)
    assert witness.options == replace(OPTIONS, routines=(FULL.name,))


def test_what_a_case_presets_is_read_back(path):
    preset = Preset(
        registers=(("rax", 18), ("rflags", 0x41), ("ymm15", (1 << 256) - 1)),
        every=bytes(range(8)),
        pieces=((-3, b"\x80" * 20), (64, b"\xff")),
    )
    (found,) = FULL.counterexamples
    case = replace(found.case, later_traps=(18, 14), preset=preset)
    write_witness(path, document([replace(FULL, counterexamples=(replace(found, case=case),))], OPTIONS))
    [witness] = read_witnesses(path)
    assert witness.counterexample.case == case


def test_a_document_without_what_came_later_is_read(path):
    written = document([FULL], OPTIONS)
    case = written["routines"][0]["counterexamples"][0]["case"]
    del case["later_traps"], case["preset"]
    write_witness(path, written)
    [witness] = read_witnesses(path)
    assert witness.counterexample == FULL.counterexamples[0]


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ({"registers": {"rsp": "0x1"}}, "preset.registers: 'rsp' is unknown"),
        ({"registers": {"rax": "0x" + "1" * 17}}, "preset.registers.rax: it has more than 64 bits"),
        ({"every": "0102"}, "preset.every"),
        ({"pieces": [{"offset": 0, "bytes": ""}]}, "preset.pieces"),
    ],
)
def test_a_wrong_preset_is_named(path, preset, said):
    written = document([FULL], OPTIONS)
    whole = {"registers": {}, "every": "", "pieces": []} | preset
    written["routines"][0]["counterexamples"][0]["case"]["preset"] = whole
    assert said in refusal(path, written).message


def test_routines_without_counterexamples_are_passed_over(path):
    right = replace(FULL, name="right", counterexamples=())
    two = replace(FULL, counterexamples=FULL.counterexamples * 2)
    write_witness(path, document([right, two, FULL], OPTIONS))
    assert [w.routine for w in read_witnesses(path)] == [FULL.name] * 3


def test_a_file_that_is_not_there(path):
    assert refusal(path).message == "there is no such file"


def test_a_folder(tmp_path):
    assert refusal(tmp_path).message == "it is a folder"


@pytest.mark.parametrize("text", ["", "hello", "[1, 2]", "\x7fELF", "<html>"])
def test_what_is_no_json_object(path, text):
    path.write_text(text)
    error = refusal(path)
    assert error.message in ("it is no JSON object", "the file is empty")
    assert "prove --json" in error.hint


def test_malformed_json_is_named_by_line(path):
    path.write_text('{\n "schema": 1,\n "mcverify": nonsense\n}')
    error = refusal(path)
    assert error.where == f"{path}:3"
    assert error.message.startswith("it is no JSON: ")


def test_bytes_that_are_no_text(path):
    path.write_bytes(b'{"schema": 1, "mcverify": "\xff\xfe"}')
    assert refusal(path).message.startswith("it is no JSON")


def test_a_file_that_was_cut_off(path, found):
    text = json.dumps(found)
    for end in (1, 10, len(text) // 2, len(text) - 1):
        path.write_text(text[:end])
        assert refusal(path).message == "it ends in the middle: the file was cut off"


def test_a_huge_file_is_not_read(path):
    with path.open("wb") as file:
        file.write(b"{")
        file.truncate(LARGEST + 1)
    assert refusal(path).message.startswith("it has more than 64 MiB")


def test_an_endless_one_is_not_read():
    assert "no regular file" in refusal(Path("/dev/zero")).message


def test_another_schema_is_named_before_its_fields(path):
    error = refusal(path, {"schema": 2, "mcverify": "9.0", "results": []})
    assert error.message == "it is of schema 2 (mcverify 9.0); this one reads schema 1"


def test_another_document(path):
    error = refusal(path, {"version": "2.1.0", "runs": []})
    assert error.message == "schema is missing"


def test_nothing_was_refuted(path):
    error = refusal(path, document([replace(FULL, counterexamples=())], OPTIONS))
    assert error.message == f"it holds no counterexample: nothing in it ({FULL.name}) was refuted"


AT = "routines[0].counterexamples[0]"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("case.len", -1, f"{AT}.case.len: expected `int` >= 0"),
        ("case.len", 2**70, f"{AT}.case.len: expected `int` <= 9223372036854775807"),
        ("case.len", "8", f"{AT}.case.len: expected `int`, got `str`"),
        ("case.len", 8.5, f"{AT}.case.len: expected `int`, got `float`"),
        ("case.trap", 3, f"{AT}.case.trap: invalid enum value 3"),
        ("case.seed", -1, f"{AT}.case.seed: expected `int` >= 0"),
        ("case.src.place", "nowhere", f"{AT}.case.src.place: invalid enum value 'nowhere'"),
        ("case.src.at", 2**60, f"{AT}.case.src.at: expected `int` <= {2**56 - 1}"),
        ("case.src", {"place": "inside", "at": 4096}, f"{AT}.case.src.at: a bad page has offsets 0 to 4095"),
        ("case.src", None, f"{AT}.case.src: expected `object`, got `null`"),
        ("outcome.ending", "refused", f"{AT}.outcome.ending: invalid enum value 'refused'"),
        ("outcome.written", "012", f"{AT}.outcome.written: expected `str` matching"),
        ("outcome.written", "0", f"{AT}.outcome.correct: it is not as long as"),
        ("outcome.registers", {}, f"{AT}.outcome.registers: registers are missing or unknown: r10"),
        ("outcome.rip", "123", f"{AT}.outcome.rip: expected `str` matching"),
        ("outcome.schedule", "sideways", f"{AT}.outcome.schedule: invalid enum value"),
        ("obligations", ["O11"], f"{AT}.obligations[0]: 'O11' is unknown"),
        ("obligations", [], f"{AT}.obligations: expected `array` of length >= 1"),
        ("trace", [{}], f"{AT}.trace[0].address is missing"),
    ],
)
def test_a_wrong_field_of_a_counterexample_is_named(path, place, value, said):
    content = document([FULL], OPTIONS)
    _put(content["routines"][0]["counterexamples"][0], place, value)
    assert refusal(path, content).message.startswith(said)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("listing", [], "routines[0].listing: there are counterexamples, but no code"),
        ("terms", None, "routines[0].terms: there are counterexamples, but no contract"),
        ("terms.dst", "rxx", "routines[0].terms: arguments.dst names 'rxx'"),
        ("terms.left", None, "routines[0].terms: result must name exactly one of left and status"),
        ("terms.over_report", -1, "routines[0].terms.over_report: expected `int` >= 0"),
        ("faults", "some", "routines[0].faults: invalid enum value 'some'"),
        ("entry", 5, "routines[0].entry: expected `str`, got `int`"),
    ],
)
def test_a_wrong_field_of_a_routine_is_named(path, place, value, said):
    content = document([FULL], OPTIONS)
    _put(content["routines"][0], place, value)
    assert refusal(path, content).message.startswith(said)


@pytest.mark.parametrize("field", ["options", "routines"])
def test_a_document_of_an_older_mcverify_lacks_a_field(path, field):
    content = document([REFUTED], OPTIONS)
    del content[field]
    assert refusal(path, content).message == f"{field} is missing"


def test_deep_nesting_is_refused_in_a_sentence(path):
    path.write_text('{"schema": 1, "mcverify": "x", "options": ' + "[" * 100_000)
    assert refusal(path).where.startswith(str(path))


def _put(tree, place, value):
    *way, last = place.split(".")
    for key in way:
        tree = tree[key]
    tree[last] = value

"""The JSON document agrees with its schema and says all that the result says."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from support.results import COUNTEREXAMPLE, FULL, PROVED, REFUTED, UNKNOWN

from mcverify.contract import Contract
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import SecondOpinion
from mcverify.report import json as report

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schema/prove.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def document(results, options=None):
    return report.document(results, options or ProveOptions())


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("result", [PROVED, REFUTED, UNKNOWN, FULL])
def test_every_verdict_fits_the_schema(result):
    VALIDATOR.validate(json.loads(report.to_json([result], ProveOptions())))


def test_without_a_contract_there_are_no_terms():
    unknown = document([replace(UNKNOWN, contract=None)])
    VALIDATOR.validate(unknown)
    assert (unknown["routines"][0]["contract"], unknown["routines"][0]["terms"]) == ("", None)


def test_the_options_that_matter_are_there():
    options = ProveOptions(
        contract="c.toml",
        faults="both",
        include=(Path("a/b"),),
        defines=("A=1",),
        rep_model="unordered",
        kernel=Path("linux"),
    )
    written = document([PROVED], options)
    VALIDATOR.validate(written)
    assert written["options"] == {
        "contract": "c.toml",
        "faults": "both",
        "trap": None,
        "fault_model": None,
        "len_max": 0x7FFFF000,
        "rep_model": "unordered",
        "include": ["a/b"],
        "defines": ["A=1"],
        "system_map": None,
        "kernel": "linux",
        "config": None,
        "second_solver": None,
        "ignore_annotations": False,
        "callers": [],
        "resumable": False,
        "table": None,
        "syntax": None,
    }


def test_a_second_opinion_is_told():
    opinion = SecondOpinion("cvc5", 37, 1, 0.25)
    written = document([replace(PROVED, second=opinion)], ProveOptions(second_solver="cvc5"))
    VALIDATOR.validate(written)
    assert written["options"]["second_solver"] == "cvc5"
    assert written["routines"][0]["second"] == {
        "solver": "cvc5",
        "agreed": 37,
        "undecided": 1,
        "seconds": 0.25,
    }


def test_the_contract_is_there_by_value():
    [routine] = document([FULL])["routines"]
    assert routine["terms"]["name"] == routine["contract"] == "mcsafe_ret"
    # Which registers a routine must restore is the architecture's business.
    assert {f.name for f in fields(Contract)} - {"callee_saved"} == routine["terms"].keys()


def test_the_code_and_its_table_are_there():
    [routine] = document([FULL])["routines"]
    assert routine["listing"][0]["code"] == "89d1"
    assert [line["fixup"] for line in routine["listing"] if line["handler"]] == ["0x10e0"]
    assert routine["table"] == [
        {
            "insn": "0x1040",
            "fixup": "0x10e0",
            "handler": "imm_reg",
            "effects": ["ax = trap", "reg = imm"],
            "register": "rdx",
            "imm": -14,
            "index": 3,
        }
    ]


def test_a_refutation_without_a_run_does_not_fit():
    refuted = document([REFUTED])
    refuted["routines"][0]["counterexamples"] = []
    with pytest.raises(ValidationError):
        VALIDATOR.validate(refuted)


@pytest.mark.parametrize(
    "field", ["verdict", "exits", "obligations", "domain", "counterexamples", "unknowns"]
)
def test_a_routine_without_a_promised_field_does_not_fit(field):
    proved = document([PROVED])
    del proved["routines"][0][field]
    with pytest.raises(ValidationError):
        VALIDATOR.validate(proved)


def test_a_counterexample_is_complete():
    [found] = document([REFUTED])["routines"][0]["counterexamples"]
    assert found["case"] == {
        "len": 72,
        "src": {"place": "hole", "at": 16},
        "dst": {"place": "free", "at": 3},
        "trap": 14,
        "seed": 1,
        "later_traps": [],
        "preset": None,
        "flicker": "",
    }
    outcome = found["outcome"]
    assert outcome["registers"]["rdx"] == "0x30"
    assert outcome["faults"] == [{"insn": "0x1040", "buffer": "src", "offset": 16, "is_store": False}]
    stored = [outcome["base"] + i for i, bit in enumerate(outcome["written"]) if bit == "1"]
    assert stored == list(range(16))
    assert len(outcome["written"]) == len(COUNTEREXAMPLE.outcome.written)


def test_each_obligation_names_an_exit_of_the_list_or_everywhere():
    [routine] = document([UNKNOWN])["routines"]
    exits = {row["id"] for row in routine["exits"]} | {"*"}
    assert {o["exit"] for o in routine["obligations"]} <= exits
    assert [o["reason"] for o in routine["obligations"] if o["verdict"] == "unknown"] == [
        "Z3 gave up after 5 s"
    ]


def test_the_schema_describes_every_field_that_is_written():
    """Otherwise a field could change unseen: the schema admits unknown ones."""
    closed = json.loads(json.dumps(SCHEMA), object_hook=_closed)
    Draft202012Validator(closed).validate(document([PROVED, REFUTED, UNKNOWN, FULL]))


def _closed(part):
    if "type" in part and "properties" in part and "required" in part:
        part["additionalProperties"] = False
    return part

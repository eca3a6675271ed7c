"""The JSON document agrees with its schema and says all that the result says."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from support.results import COUNTEREXAMPLE, PROVED, REFUTED, UNKNOWN

from mcverify.report.json import document, to_json

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schema/prove.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("result", [PROVED, REFUTED, UNKNOWN], ids=lambda r: r.verdict)
def test_every_verdict_fits_the_schema(result):
    VALIDATOR.validate(json.loads(to_json([result])))


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
    Draft202012Validator(closed).validate(document([PROVED, REFUTED, UNKNOWN]))


def _closed(part):
    if "properties" in part and "required" in part:
        part["additionalProperties"] = False
    return part

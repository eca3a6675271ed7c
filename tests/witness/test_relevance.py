"""What is said to matter, and not to matter, is what the runs showed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from mcverify.deadline import Deadline
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import SUCCESS, Domain, Relevance, RoutineResult
from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement
from mcverify.witness.relevance import _said, lengths, relevant

from .found import ASM, image_of
from .test_shrink import HOSTILE, broken_by_a_run, refuted

FREE = Placement(Place.FREE)

needs_cpu = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")


def hole(at: int) -> Placement:
    return Placement(Place.HOLE, at)


def said_of(name: str, case: Case, key: tuple[str, str], rep_model: str = "ordered") -> dict[str, str]:
    return {r.input: r.values for r in relevance(name, case, key, rep_model)}


def relevance(
    name: str, case: Case, key: tuple[str, str], rep_model: str = "ordered"
) -> tuple[Relevance, ...]:
    path = ASM / f"{name}.S"
    result = refuted(path, case, key, rep_model)
    after = relevant(image_of(path), result, ProveOptions(rep_model=rep_model), Deadline(None))
    [found] = after.counterexamples
    assert replace(found, relevance=()) == result.counterexamples[0]
    return found.relevance


@needs_cpu
def test_a_wrong_fixup_of_one_load() -> None:
    said = said_of("memcpy_64_wrong_subtract", Case(64, hole(8), FREE), ("O3", ".Lfix_b1"))
    assert said == {
        "len": "64 or more (338 tried, up to 65536)",
        "fault offset": "only 8",
        "src alignment": "set by the fault offset: a page begins at src+8",
        "dst alignment": "any of 0 to 63",
        "trap": "14 or 18",
        "contents": "any of the 16 tried",
    }


CASES = {
    "one range of lengths": (
        "index_total_wrong_clobber", Case(2, hole(1), FREE), ("O3", ".Lfix_b"), "len",
        "2 to 7 (338 tried, up to 65536)",
    ),
    "a remainder": (
        "alternative_wrong_words", Case(9, hole(0), FREE), ("O3", ".Lfix_w"), "len",
        "9 or more, not divisible by 8 (338 tried, up to 65536)",
    ),
    "a range of faults": (
        "byte_retry_wrong_rounded", Case(32, hole(16), FREE), ("O4", ".Lfix_half"), "fault offset",
        "16 to 31",
    ),
    "the trap number": (
        "retry_by_trap_wrong_zero", Case(16, hole(0), FREE, 18), ("O3", ".Lfix_w0"), "trap", "only 18",
    ),
    "the alignment of a destination": (
        "clear_words_wrong_rest", Case(9, FREE, hole(0)), ("O3", ".Lfix_w"), "dst alignment",
        "0 to 56, divisible by 8",
    ),
    "the alignment of a source": (
        "align_words_wrong_register", Case(8, Placement(Place.INSIDE, 1), FREE), ("O3", ".Lfix_a"),
        "src alignment", "1 to 63, not divisible by 8",
    ),
    "a fault that cannot be elsewhere": (
        "align_words_wrong_register", Case(8, Placement(Place.INSIDE, 1), FREE), ("O3", ".Lfix_a"),
        "fault offset", "only 0",
    ),
    "the end of a page": (
        "words_bytes_wrong_overread", Case(1, Placement(Place.END), FREE), ("O8", ".Lread_t"),
        "src alignment", "none of the 64 tried: only where the next page is bad",
    ),
}  # fmt: skip


@needs_cpu
@pytest.mark.parametrize("what", CASES)
def test_what_matters(what: str) -> None:
    name, case, key, asked, expected = CASES[what]
    assert said_of(name, case, key)[asked] == expected


@needs_cpu
def test_a_single_length() -> None:
    path = HOSTILE / "skip_one_length.S"
    result = refuted(path, Case(74565, FREE, FREE), ("O9", SUCCESS))
    [found] = relevant(image_of(path), result, ProveOptions(), Deadline(None)).counterexamples
    assert found.relevance[0].values.startswith("only 74565 (")


@needs_cpu
def test_without_a_source_or_a_fault_nothing_is_said_of_them() -> None:
    clear = said_of("clear_words_wrong_rest", Case(9, FREE, hole(0)), ("O3", ".Lfix_w"))
    assert "src alignment" not in clear
    assert "trap" not in clear  # a fault on a store is a page fault
    copy = said_of("words_bytes_wrong_order", Case(8, FREE, FREE), ("O6", SUCCESS))
    assert set(copy) == {"len", "src alignment", "dst alignment", "contents"}


@needs_cpu
def test_of_what_cannot_be_otherwise_nothing_is_said() -> None:
    """The routine takes two bytes, whatever it is asked, and returns them in a register."""
    said = said_of("get_half_wrong_extension", Case(2, FREE, FREE), ("O6", SUCCESS))
    assert set(said) == {"src alignment", "contents"}


@needs_cpu
@pytest.mark.parametrize(
    ("name", "case", "key"),
    [
        ("memcpy_64_wrong_trap", Case(8, hole(0), FREE), ("O9", ".Lfix_w")),
        ("alternative_wrong_words", Case(9, hole(0), FREE), ("O3", ".Lfix_w")),
        ("pushed_wrong_pop", Case(1, hole(0), FREE), ("O7", ".Lfix_b")),
    ],
)
def test_the_lengths_said_are_those_that_runs_break(name: str, case: Case, key: tuple[str, str]) -> None:
    path = ASM / f"{name}.S"
    result = refuted(path, case, key)
    holds = meaning(said_of(name, case, key)["len"])
    for length in range(120):
        assert holds(length) == (key in set(broken_by_a_run(path, result, replace(case, len=length)))), length


@needs_cpu
def test_the_runs_are_counted() -> None:
    found = relevance("byte_retry_wrong_rounded", Case(32, hole(16), FREE), ("O4", ".Lfix_half"))
    runs = {r.input: r.runs for r in found}
    assert runs == {
        "len": 338, "fault offset": 32, "src alignment": 0, "dst alignment": 64, "trap": 2, "contents": 16,
    }  # fmt: skip


@needs_cpu
def test_lengths_beyond_the_domain_are_neither_run_nor_spoken_of() -> None:
    path = ASM / "memcpy_64_wrong_subtract.S"
    result = replace(refuted(path, Case(64, hole(8), FREE), ("O3", ".Lfix_b1")), domain=Domain(0, 99))
    [found] = relevant(image_of(path), result, ProveOptions(), Deadline(None)).counterexamples
    assert found.relevance[0] == Relevance("len", "64 or more (100 tried, up to 99)", 100)


@needs_cpu
def test_cases_behind_too_many_that_do_not_return_are_not_spoken_of(tmp_path: Path) -> None:
    path = tmp_path / "routine.S"
    path.write_text(
        "#include <linux/linkage.h>\n#include <asm/asm.h>\n/* mcverify: contract bytes_left */\n"
        "SYM_FUNC_START(routine)\n cmp $20, %rdx\n1: jae 1b\n mov %rdx, %rcx\n.Lr: rep movsb\n"
        " inc %rbx\n.Lf: mov %rcx, %rax\n ret\n_ASM_EXTABLE(.Lr, .Lf)\nSYM_FUNC_END(routine)\n"
    )
    result = refuted(path, Case(0, FREE, FREE), ("O7", SUCCESS))
    [found] = relevant(image_of(path), result, ProveOptions(), Deadline(None)).counterexamples
    assert found.relevance[0] == Relevance("len", "0 to 19 (28 tried, up to 27)", 28)


def test_on_the_emulator_fewer_are_tried_and_the_words_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "available", lambda: "there is none")
    said = said_of("rep_movsq_wrong_words", Case(8, hole(0), FREE), ("O3", ".Lfix_q"))
    assert said["dst alignment"] == "any of the 14 tried from 0 to 63"
    assert re.fullmatch(r"8 or more \(\d\d tried, up to 129\)", said["len"])
    assert said["contents"] == "any of the 4 tried"


def test_with_rep_in_no_order_one_schedule_is_enough() -> None:
    case = Case(2, Placement(Place.INSIDE, 4095), FREE)
    said = said_of("rep_movsb", case, ("O4", ".Lfix_rep"), "unordered")
    assert said["dst alignment"].startswith("any of")
    assert said["len"].startswith("2 or more")


@needs_cpu
def test_past_the_deadline_nothing_is_said() -> None:
    path = ASM / "rep_movsb_wrong_count.S"
    result = refuted(path, Case(50, hole(30), FREE), ("O4", ".Lfix_rep"))
    assert relevant(image_of(path), result, ProveOptions(), Deadline(0.0)) == result


@needs_cpu
def test_nothing_is_said_of_what_does_not_show_again() -> None:
    path = ASM / "rep_movsb_wrong_count.S"
    result = refuted(path, Case(50, hole(30), FREE), ("O4", ".Lfix_rep"))
    [found] = result.counterexamples
    shy: RoutineResult = replace(result, counterexamples=(replace(found, case=Case(50, FREE, FREE)),))
    assert relevant(image_of(path), shy, ProveOptions(), Deadline(None)) == shy


# -- words -----------------------------------------------------------------------------------------

TRIED = [*range(41), 64, 65, 100, 4096]


@pytest.mark.parametrize(
    ("broken", "of_lengths", "of_others"),
    [
        ([], "none of the 45 tried", "none of the 45 tried"),
        ([8], "only 8 (45 tried, up to 4096)", "only 8"),
        (TRIED, "any (45 tried, up to 4096)", "any of the 45 tried from 0 to 4096"),
        (TRIED[16:], "16 or more (45 tried, up to 4096)", "the 29 tried from 16 to 4096"),
        ([3, 4, 5], "3 to 5 (45 tried, up to 4096)", "3 to 5"),
        ([3, 4, 9, 12], "3, 4, 9, 12 (45 tried, up to 4096)", "3, 4, 9, 12"),
        (
            [8, 16, 24, 32, 40, 64, 4096],
            "8 or more, divisible by 8 (45 tried, up to 4096)",
            "the 37 tried from 8 to 4096, divisible by 8",
        ),
        (
            list(range(1, 41, 2)),
            "20 of those (45 tried, up to 4096)",
            "1 to 39, with remainder 1 by 2",
        ),
        ([1, 3, 7, 8, 12, 20], "6 of those (45 tried, up to 4096)", "6 of the 45 tried"),
    ],
)
def test_values_in_words(broken: list[int], of_lengths: str, of_others: str) -> None:
    assert lengths(broken, TRIED) == of_lengths
    assert _said(broken, TRIED) == of_others


def meaning(words: str):
    """What the words say of a value that was tried."""
    text = re.sub(r" \(\d+ tried, up to \d+\)$", "", words)
    pattern = re.search(r", (not )?(?:divisible by (\d+)|with remainder (\d+) by (\d+))$", text)
    fits = lambda _: True  # noqa: E731
    if pattern:
        text = text[: pattern.start()]
        modulus, rest = int(pattern[2] or pattern[4]), int(pattern[3] or 0)
        fits = lambda v: (v % modulus == rest) != bool(pattern[1])  # noqa: E731
    text = text.removeprefix("only ").removeprefix("any of ")
    if text == "any":
        return fits
    if text.startswith("none of"):
        return lambda _: False
    if more := re.fullmatch(r"(\d+) or more", text):
        return lambda v: v >= int(more[1]) and fits(v)
    ranges = [
        (int(r[1]), int(r[2] or r[1]))
        for r in re.finditer(r"(?:the \d+ tried from )?(\d+)(?: to (\d+))?(?:, |$)", text)
    ]
    return lambda v: any(a <= v <= b for a, b in ranges) and fits(v)


def test_the_words_mean_just_the_values_that_break() -> None:
    random = Random(4)
    for _ in range(3000):
        tried = sorted(random.sample(range(60), random.randrange(3, 60)))
        modulus = random.choice((1, 2, 4, 8))
        low, high = sorted((random.randrange(60), random.randrange(60)))
        keep = random.random() < 0.5
        broken = [v for v in tried if low <= v <= high and (v % modulus == 0) == keep]
        if random.random() < 0.3:
            broken = sorted(random.sample(tried, random.randrange(len(tried))))
        for words in (lengths(broken, tried), _said(broken, tried)):
            if re.search(r"\d+ of (?:the|those)", words) and not words.startswith("none"):
                continue  # it names no values
            assert [v for v in tried if meaning(words)(v)] == broken, (words, broken, tried)

"""A repair is the smallest change that holds; it is said only when it has been proved."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.contract import faults_by_entry
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.image.source import Source
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import ObligationResult, Repair, RoutineResult, Verdict
from mcverify.runs import cpu
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.grid import quick_grid
from mcverify.witness import repair as repairing
from mcverify.witness.candidates import candidates
from mcverify.witness.edits import Edit, Palette, Size, applied, conditions, is_control, operation, variations
from mcverify.witness.repair import all_repaired
from mcverify.witness.source import SourceText
from mcverify.witness.table_edits import by_address, entries, for_uncovered

from .found import ASM, contract_of, image_of, results_of

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: no CPU to run on")

OPTIONS = ProveOptions()
Fake = Callable[..., list[RoutineResult]]


def silent(_: str) -> None: ...


def refuted(path: Path) -> tuple[Image, RoutineResult]:
    """The one routine, in the one variant, of a file that is wrong."""
    (found,) = [(image, result) for image, result in results_of(path) if result.counterexamples]
    return found


def repairs(image: Image, result: RoutineResult, options: ProveOptions = OPTIONS) -> dict[str, Repair | None]:
    """The repairs by exit."""
    made = all_repaired(image, result, options, Deadline(None), silent)
    return {c.exit: c.explanation.repair if c.explanation else None for c in made.counterexamples}


class Believing:
    """In place of a proof: believes what it is given, and keeps its text."""

    def __init__(self, result: RoutineResult, verdicts: Sequence[Verdict] = ()) -> None:
        self._result, self._verdicts = result, list(verdicts)
        self.texts: list[str] = []

    def __call__(self, path: Path, options: ProveOptions, progress: object) -> list[RoutineResult]:
        assert (options.routines, options.is_thorough) == ((self._result.name,), False)
        self.texts.append(path.read_text())
        verdict = self._verdicts.pop(0) if self._verdicts else Verdict.PROVED
        return [replace(self._result, verdict=verdict)]


@pytest.fixture
def believing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Believing]:
    def install(result: RoutineResult, verdicts: Sequence[Verdict] = ()) -> Believing:
        prover = Believing(result, verdicts)
        monkeypatch.setattr(repairing, "prove_file", prover)
        return prover

    return install


# ---- Every twin that a small change explains ---------------------------------------------

TWINS = {
    "align_words_wrong_register": "r8 should be rcx",
    "alternative_wrong_words": "rdx should be added",
    "clear_words_wrong_rest": "rcx should be added",
    "down_words_wrong_cld": "cld is missing",
    "fixup_section_wrong_neighbour": "the fixup of .Lread_q should be .Lfix_q",
    "get_half_wrong_extension": "mov should be movzbl",
    "index_up_wrong_sign": "neg %rax is missing",
    "mixed_loop_wrong_endless": "ja should be jae",
    "nontemporal_sse_wrong_fence": "sfence is missing",
    "nontemporal_wrong_fence": "sfence is missing",
    "rep_movsq_rcx_wrong_scale": "rcx and rax should change places",
    "rep_movsq_wrong_words": "rcx should be scaled by 8, not 1",
    "retry_moved_wrong_source": "sub $8, %rsi is missing",
    "sse_wrong_rounded": "0 should be -16",
    "status_wrong_unlisted": "the entry for .Lread_q1 should be for .Lread_q2",
    "tail_in_c_wrong_count": "rdx should be added",
    "user_both_wrong_clac": "clac is missing",
    "words_bytes_wrong_order": "bswap %rax should go",
}
"""The change gives the code of the right twin, which tests/proof proves."""

OTHERWISE = {
    "clear_stosb_wrong_entry": (
        "_ASM_EXTABLE_UA(.Lwrite_rep, .Lfix_rep)",
        "the entry for .Lwrite should be for .Lwrite_rep",
    ),
    "byte_retry_wrong_rounded": ("lea\\t-16(%rdx), %rax", "16 should be subtracted"),
    "count32_wrong_16": ("", "movzwl %cx, %ecx should go"),
    "index_total_wrong_clobber": ("", "sub %rcx, %rax should go"),
    "pushed_wrong_pop": ("", "nothing should be popped"),
    "rep_movsb_wrong_count": ("mov\\t%rcx, %rax", "rcx should be returned"),
    "rep_movsb_wrong_zero": ("mov\\t%rcx, %rax", "rcx should be returned"),
    "rep_movsq_tail_wrong_rest": ("and\\t$3, %eax", "and $3, %eax is missing"),
    "rep_movsq_wrong_scratch": ("lea\\t(%rdx,%rcx,8), %rcx\\nmov\\t%rcx, %rax", "rbx should be rcx"),
}
"""Right as well, though not as the twin has it, or not the whole of it."""

NONE = ("user_both_wrong_progress", "words_bytes_wrong_overread")
"""Here more is wrong than one statement."""


def code(text: str) -> list[str]:
    """The statements of a source, without its table macros' order of white space."""
    return [" ".join(line.split()) for line in Source("", text).code.splitlines() if line.strip()]


@pytest.mark.parametrize("name", TWINS)
def test_the_repair_gives_the_right_twin(name: str, believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / f"{name}.S")
    prover = believing(result)
    made = repairs(image, result)
    assert made.keys() == {c.exit for c in result.counterexamples}
    first = made[result.counterexamples[0].exit]
    assert first is not None
    assert first.sentence.startswith(TWINS[name] + ": assembled with this change")
    assert first.sentence.endswith("the routine is proved")
    assert all(made.values())
    right = (ASM / f"{name.partition('_wrong_')[0]}.S").read_text()
    assert sorted(code(prover.texts[-1])) == sorted(code(right))
    _is_in_the_source(ASM / f"{name}.S", first)


@pytest.mark.parametrize("name", OTHERWISE)
def test_the_repair_holds_on_the_cpu(name: str, believing: Callable[..., Believing], tmp_path: Path) -> None:
    image, result = refuted(ASM / f"{name}.S")
    prover = believing(result)
    made = repairs(image, result)
    after, words = OTHERWISE[name]
    for repair in made.values():
        assert repair is not None
        assert (repair.after, repair.sentence.partition(": ")[0]) == (
            after.encode().decode("unicode_escape"),
            words,
        )
        _is_in_the_source(ASM / f"{name}.S", repair)
    changed = tmp_path / "changed.S"
    changed.write_text(prover.texts[-1])
    assert _is_clean(load(changed), result)


STALE = """\
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract get_user_2 */
SYM_FUNC_START(one)
.Lread:
	movzwl	(%rax), %edx
	xor	%eax, %eax
	RET
.Lfix:
	mov	$-14, %eax
	RET
	_ASM_EXTABLE_UA(.Lread, .Lfix)
SYM_FUNC_END(one)
"""


def test_a_value_that_is_not_cleared_after_a_fault(
    believing: Callable[..., Believing], tmp_path: Path
) -> None:
    path = tmp_path / "one.S"
    path.write_text(STALE)
    image, result = refuted(path)
    prover = believing(result)
    (repair,) = repairs(image, result).values()
    assert repair is not None
    assert repair.sentence.startswith("xor %edx, %edx is missing: assembled with this change")
    assert "mov\t$-14, %eax\n\txor\t%edx, %edx\n\tRET" in prover.texts[-1]
    _is_in_the_source(path, repair)


# Two words are loaded before two are stored; the second load's fixup counts the first word as stored, as in
# the user copy of 2.6 before 42a886af728c (2008). The stores' fixups are right.
TWO_LOADS = """\
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
ENTRY(copy)
	movl %edx, %ecx
	andl $15, %edx
	shrl $4, %ecx
	jz 20f
1:	movq (%rsi), %r8
2:	movq 8(%rsi), %r9
3:	movq %r8, (%rdi)
4:	movq %r9, 8(%rdi)
	addq $16, %rsi
	addq $16, %rdi
	decl %ecx
	jnz 1b
20:	testl %edx, %edx
	jz 23f
21:	movb (%rsi), %al
	movb %al, (%rdi)
	incq %rsi
	incq %rdi
	decl %edx
	jnz 21b
23:	xorl %eax, %eax
	ret
	.section .fixup, "ax"
30:	shll $4, %ecx
	leal (%rdx,%rcx), %eax
	ret
31:	shll $4, %ecx
	leal -8(%rdx,%rcx), %eax
	ret
40:	movl %edx, %eax
	ret
	{section}
	{first}
	{second}
	{third}
	{fourth}
	{rest}
	.text
ENDPROC(copy)
"""
FORMS = {
    "macro": ("", "_ASM_EXTABLE({}, {})"),
    "absolute": ('.section __ex_table, "a"', ".quad {},{}"),
    "relative": ('.section __ex_table, "a"', ".long {} - ., {} - ."),
    "brackets": ('.section __ex_table, "a"', ".long ({}) - ., ({}) - ."),
}


@pytest.mark.parametrize("form", ["macro", "absolute"])
@pytest.mark.slow
def test_an_entry_may_need_another_target(
    form: str, believing: Callable[..., Believing], tmp_path: Path
) -> None:
    """Entries by hand and with local labels, which are no symbols, are changed too."""
    section, entry = FORMS[form]
    pairs = {"first": "1 30", "second": "2 31", "third": "3 30", "fourth": "4 31", "rest": "21 40"}
    made = {name: entry.format(*(f"{n}b" for n in pair.split())) for name, pair in pairs.items()}
    path = tmp_path / "two.S"
    path.write_text(TWO_LOADS.format(section=section, **made))
    image, result = refuted(path)
    prover = believing(result)
    (repair,) = repairs(image, result).values()
    assert repair is not None
    assert (repair.before, repair.after) == (entry.format("2b", "31b"), entry.format("2b", "30b"))
    assert repair.sentence.startswith("the fixup of 2b should be 30b: assembled with this change")
    _is_in_the_source(path, repair)
    path.write_text(prover.texts[-1])
    assert _is_clean(load(path), result)


@pytest.mark.parametrize("form", FORMS)
def test_entries_are_read_in_every_form(form: str, tmp_path: Path) -> None:
    section, entry = FORMS[form]
    made = {"first": "1b 30b", "second": "2b 31b", "third": "3b 30b", "fourth": "4b 31b", "rest": "21b 40b"}
    path = tmp_path / "two.S"
    path.write_text(
        TWO_LOADS.format(
            section=section, **{name: entry.format(*pair.split()) for name, pair in made.items()}
        )
    )
    image = load(path)
    found = by_address(SourceText(image), image)
    assert [found[e.insn][0].insn for e in image.entries] == ["1b", "2b", "3b", "4b", "21b"]
    assert found[image.entries[1].insn][0].text(fixup="30b") == entry.format("2b", "30b")


def test_local_labels_are_not_counted_where_macros_hide_entries(tmp_path: Path) -> None:
    """Then the number of an entry in the source is not that in the table."""
    section, entry = FORMS["absolute"]
    made = dict.fromkeys(("first", "third", "fourth", "rest"), "")
    path = tmp_path / "two.S"
    path.write_text(
        TWO_LOADS.format(section=section, second=entry.format("2b", "31b"), **made)
        + ".macro hide\n.quad 1b,30b\n.endm\n"
        '.section __ex_table, "a"\nhide\nhide\n'
    )
    image = load(path)
    assert len(image.entries) == 3
    assert by_address(SourceText(image), image) == {}


def _is_in_the_source(path: Path, repair: Repair) -> None:
    """`where` and `before` are what the file has there."""
    file, _, number = repair.where.rpartition(":")
    assert file == str(path)
    lines = path.read_text().splitlines()
    if repair.before:
        assert repair.before.splitlines()[0] in lines[int(number) - 1]


def _is_clean(image: Image, result: RoutineResult) -> bool:
    contract = contract_of(result)
    (entry,) = [s.address for s in image.functions if s.name == result.name]
    by_entry = faults_by_entry(result.faults)
    runner = CpuRunner(image, entry, contract, Deadline(None), by_entry)
    shown = runner.grid(quick_grid(contract, result.faults))  # type: ignore[arg-type]
    return shown.complete and not shown.violations


@pytest.mark.parametrize("name", NONE)
def test_no_repair_is_a_normal_result(name: str, believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / f"{name}.S")
    prover = believing(result)
    assert set(repairs(image, result).values()) == {None}
    assert prover.texts == []


# These are proved for real: a constant, a register, a table entry, a line that is missing.
@pytest.mark.parametrize(
    "name",
    [
        "sse_wrong_rounded",
        "rep_movsq_rcx_wrong_scale",
        "fixup_section_wrong_neighbour",
        "index_up_wrong_sign",
    ],
)
def test_the_repaired_routine_is_proved(name: str) -> None:
    image, result = refuted(ASM / f"{name}.S")
    for repair in repairs(image, result).values():
        assert repair is not None
        assert repair.sentence == f"{TWINS[name]}: assembled with this change, the routine is proved"


@pytest.mark.slow
def test_several_exits_are_repaired_together(believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / "memcpy_64_wrong_subtract.S")
    prover = believing(result)
    made = repairs(image, result)
    assert len(prover.texts) == 1
    said = {exit_id: repair.sentence for exit_id, repair in made.items() if repair}
    suffix = ": assembled with this change and the others suggested here, the routine is proved"
    assert said == {
        ".Lfix_b1": "-8 should be 0" + suffix,
        ".Lfix_b2": "-16 should be 0" + suffix,
        ".Lfix_b3": "-24 should be 0" + suffix,
        ".Lfix_b5": "-40 should be -32" + suffix,
        ".Lfix_b6": "-48 should be -32" + suffix,
        ".Lfix_b7": "-56 should be -32" + suffix,
    }


# ---- What is not said ----------------------------------------------------------------------


def test_what_is_not_proved_is_not_said(believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / "rep_movsb_wrong_zero.S")
    prover = believing(result, [Verdict.UNKNOWN] * 100)
    assert set(repairs(image, result).values()) == {None}
    assert 1 <= len(prover.texts) <= repairing.MOST_PROOFS
    assert len(set(prover.texts)) == len(prover.texts)


def test_the_next_change_is_tried_when_one_is_not_proved(believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / "rep_movsq_wrong_scratch.S")
    prover = believing(result, [Verdict.REFUTED])
    assert None not in repairs(image, result).values()
    assert len(prover.texts) == 2
    assert prover.texts[0] != prover.texts[1]


@pytest.fixture
def only_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """One candidate for each exit."""
    monkeypatch.setattr(repairing, "candidates", lambda suspects: candidates(suspects)[:1])


@pytest.mark.usefixtures("only_the_first")
def test_exits_are_accepted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one exit cannot be repaired, what is proved of the others is said of them alone."""
    image, result = refuted(ASM / "memcpy_64_wrong_subtract.S")

    def half(path: Path, options: ProveOptions, progress: object) -> list[RoutineResult]:
        rows = (
            ObligationResult("O3", ".Lfix_b1", Verdict.PROVED, 0.0),
            ObligationResult("O3", ".Lfix_b2", Verdict.UNKNOWN, 0.0),
        )
        return [replace(result, verdict=Verdict.UNKNOWN, obligations=rows)]

    monkeypatch.setattr(repairing, "prove_file", half)
    made = repairs(image, result)
    assert {exit_id for exit_id, repair in made.items() if repair} == {".Lfix_b1"}
    assert made[".Lfix_b1"] is not None
    assert made[".Lfix_b1"].sentence.endswith("all that is asked at .Lfix_b1 is proved")


@pytest.mark.usefixtures("only_the_first")
def test_nothing_that_was_proved_may_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    image, result = refuted(ASM / "memcpy_64_wrong_subtract.S")
    before = replace(result, obligations=(ObligationResult("O6", ".Lfix_w", Verdict.PROVED, 0.0),))

    def worse(path: Path, options: ProveOptions, progress: object) -> list[RoutineResult]:
        rows = (
            ObligationResult("O3", ".Lfix_b1", Verdict.PROVED, 0.0),
            ObligationResult("O6", ".Lfix_w", Verdict.UNKNOWN, 0.0),
        )
        return [replace(result, verdict=Verdict.UNKNOWN, obligations=rows)]

    monkeypatch.setattr(repairing, "prove_file", worse)
    assert set(repairs(image, before).values()) == {None}


def test_the_users_file_stays_as_it_is(believing: Callable[..., Believing], tmp_path: Path) -> None:
    path = tmp_path / "routine.S"
    path.write_bytes((ASM / "sse_wrong_rounded.S").read_bytes())
    before = path.stat().st_mtime_ns
    image, result = refuted(path)
    believing(result)
    assert None not in repairs(image, result).values()
    assert path.read_bytes() == (ASM / "sse_wrong_rounded.S").read_bytes()
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == ["routine.S"]


def test_a_change_may_use_what_the_source_includes_and_defines(
    believing: Callable[..., Believing], tmp_path: Path
) -> None:
    text = (ASM / "sse_wrong_rounded.S").read_text()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "first.inc").write_text("#define FIRST 16\n")
    head = '#include "deep/first.inc"\n#if WORDS != 2 || FIRST != 16\n#error wrong\n#endif\n'
    path = tmp_path / "routine.S"
    path.write_text(head + text)
    image = load(path, defines=("WORDS=2",))
    _, result = refuted(ASM / "sse_wrong_rounded.S")
    result = replace(result, file=str(path))
    options = ProveOptions(defines=("WORDS=2",))
    believing(result)
    assert None not in repairs(image, result, options).values()
    assert set(repairs(image, result, OPTIONS).values()) == {None}


def test_without_a_source_there_is_no_repair(tmp_path: Path, believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / "sse_wrong_rounded.S")
    believing(result)
    gone = replace(image, path=tmp_path / "gone.S")
    other = replace(image, sha256="0" * 64)
    compiled = replace(image, path=tmp_path / "routine.o")
    for changed in (gone, other, compiled):
        assert all_repaired(changed, result, OPTIONS, Deadline(None), silent) is result


def test_without_a_cpu_or_an_order_there_is_no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    image, result = refuted(ASM / "sse_wrong_rounded.S")
    unordered = ProveOptions(rep_model="unordered")
    assert all_repaired(image, result, unordered, Deadline(None), silent) is result
    monkeypatch.setattr(cpu, "available", lambda: "no CPU")
    assert all_repaired(image, result, OPTIONS, Deadline(None), silent) is result


def test_past_the_deadline_nothing_is_tried(believing: Callable[..., Believing]) -> None:
    image, result = refuted(ASM / "sse_wrong_rounded.S")
    prover = believing(result)
    assert all_repaired(image, result, OPTIONS, Deadline(0), silent) is result
    assert prover.texts == []


def test_what_is_done_is_told() -> None:
    image, result = refuted(ASM / "rep_movsb_wrong_zero.S")
    told: list[str] = []
    all_repaired(image, result, OPTIONS, Deadline(None), told.append)
    assert any(text.startswith("rep_movsb: repair: trying change 1 of ") for text in told)
    assert any("repair: proving" in text for text in told)


# ---- Edits ---------------------------------------------------------------------------------

SOURCE = """\
#include <asm/asm.h>
/* a comment */
.Lfirst:	add	%r8, %rdx	/* which says something */
	lea	-8(%rdx,%rcx), %rdx
	RET
.Lfix_a:
	shl	$3, %rcx; nop
	_ASM_EXTABLE(.Lread_a, .Lfix_a)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE(.Lread_b, .Lfix_a)
"""


@pytest.fixture
def source(tmp_path: Path) -> SourceText:
    path = tmp_path / "some.S"
    path.write_text(SOURCE)
    return SourceText(replace(image_of(ASM / "sse.S"), path=path, sha256=""))


def test_statements_of_a_source(source: SourceText) -> None:
    found = {n: s.plain for n in range(12) if (s := source.statement(n)) is not None}
    assert found == {
        3: "add %r8, %rdx",
        4: "lea -8(%rdx,%rcx), %rdx",
        5: "RET",
        8: "_ASM_EXTABLE(.Lread_a, .Lfix_a)",
        9: "_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)",
        10: "_ASM_EXTABLE(.Lread_b, .Lfix_a)",
    }
    assert [n for n in range(1, 11) if source.is_free(n)] == [4, 5, 8, 9, 10]


def test_an_edit_leaves_labels_and_comments(source: SourceText) -> None:
    edit = Edit(Size.SEVERAL, "", {3: "add\t%rcx, %rdx", 4: ""}, {5: "nop"})
    expected = SOURCE.replace("%r8", "%rcx").replace("\tlea\t-8(%rdx,%rcx), %rdx\n", "\t\n")
    assert applied(source, [edit]) == expected.replace("\tRET", "\tnop\n\tRET")
    assert edit.lines == {3, 4, 5}


def varied(text: str, **palette: tuple[int | str, ...] | int) -> set[str]:
    statement = replace_statement(text)
    what = operation(statement)
    assert what is not None
    given = {"registers": (), "constants": (), "deltas": (), **palette}
    return {next(iter(e.replaced.values())) for e in variations(what, Palette(**given))}  # type: ignore[arg-type]


def replace_statement(text: str):
    from mcverify.witness.source import Statement

    return Statement(1, 0, len(text), text)


@pytest.mark.parametrize(
    ("text", "palette", "expected"),
    [
        ("lea -8(%rdx,%rcx), %rdx", {"deltas": (8,)}, "lea (%rdx,%rcx), %rdx"),
        ("lea (%rdx,%rcx), %rdx", {"deltas": (-32,)}, "lea -32(%rdx,%rcx), %rdx"),
        ("lea (%rdx,%rcx), %rdx", {}, "lea (%rdx,%rcx,8), %rdx"),
        ("lea (%rdx,%rcx,8), %rdx", {}, "lea (%rdx,%rcx), %rdx"),
        ("lea (%rcx,%rax,8), %rcx", {}, "lea (%rax,%rcx,8), %rcx"),
        ("lea (,%r8,8), %rcx", {"registers": ("rcx",)}, "lea (%rcx,%r8,8), %rcx"),
        ("add $0x10, %rdx", {"deltas": (-1,)}, "add $15, %rdx"),
        ("and $7, %edx", {"constants": (63,)}, "and $63, %edx"),
        ("shl $6, %rcx", {"constants": (3,)}, "shl $3, %rcx"),
        ("shl $3, %rcx", {"registers": ("rdx",)}, "lea (%rdx,%rcx,8), %rcx"),
        ("add %r8d, %edx", {"registers": ("rcx",)}, "add %ecx, %edx"),
        ("mov %al, (%rdi)", {"registers": ("r9",)}, "mov %r9b, (%rdi)"),
        ("sub %rcx, %rax", {}, "sub %rax, %rcx"),
        ("sub %rcx, %rax", {}, "add %rcx, %rax"),
        ("mov %rdx, %rax", {"deltas": (-16,)}, "lea -16(%rdx), %rax"),
        ("mov %rdx, %rax", {"registers": ("rcx",)}, "lea (%rcx,%rdx), %rax"),
        ("neg %rax", {}, ""),
    ],
)
def test_a_statement_is_varied(text: str, palette: dict, expected: str) -> None:
    assert expected in varied(text, **palette)


def test_variations_that_make_no_sense_are_left_out() -> None:
    assert varied("shl $6, %rcx", deltas=(-8, 64), constants=(0,)) == {""}
    assert varied("pop %rbx", registers=("rbx",)) == {""}
    assert not any(text.startswith("lea") for text in varied("mov %rsp, %rbp", registers=("rax",)))


def test_branches_are_told_apart() -> None:
    whats = [
        operation(replace_statement(text)) for text in ("ja 1f", "jmp 1f", "cmp $18, %eax", "test %rax, %rax")
    ]
    assert all(what is not None and is_control(what) for what in whats)
    assert whats[0] is not None
    assert [next(iter(e.replaced.values())) for e in conditions(whats[0])] == ["jae 1f"]
    plain = operation(replace_statement("mov %rax, %rdx"))
    assert plain is not None
    assert not is_control(plain)


@pytest.mark.parametrize("text", ["rep movsq", "RET", "_ASM_EXTABLE(.La, .Lb)", ".byte 1", "ASM_CLAC"])
def test_what_is_no_plain_instruction_is_not_taken_apart(text: str) -> None:
    assert operation(replace_statement(text)) is None


def test_entries_and_their_lines(source: SourceText) -> None:
    assert [(e.line, e.insn, e.fixup) for e in entries(source)] == [
        (8, ".Lread_a", ".Lfix_a"),
        (9, ".Lread_b", ".Lfix_b"),
        (10, ".Lread_b", ".Lfix_a"),
    ]


def test_entries_for_what_has_none(source: SourceText) -> None:
    changes = list(for_uncovered(source, ".Lread_c", {".Lread_a"}))
    assert [dict(e.replaced) for e in changes if e.size is Size.TABLE] == [
        {10: "_ASM_EXTABLE(.Lread_c, .Lfix_a)"},
        {9: "_ASM_EXTABLE_TYPE(.Lread_c, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)"},
        {8: "_ASM_EXTABLE(.Lread_c, .Lfix_a)"},
    ]
    assert {10: "_ASM_EXTABLE(.Lread_c, .Lfix_a)"} in [dict(e.inserted) for e in changes]


def test_an_edited_source_assembles(tmp_path: Path) -> None:
    """Moved, inserted and removed statements stand on lines of their own."""
    source = SourceText(image_of(ASM / "user_rcx_wrong_early.S"))
    text = applied(source, [Edit(Size.SEVERAL, "", {69: ""}, {72: "dec\t%rcx"})])
    path = tmp_path / "routine.S"
    path.write_text(text)
    diff = subprocess.run(
        ["diff", str(ASM / "user_rcx_wrong_early.S"), str(path)], capture_output=True, text=True, check=False
    ).stdout
    assert [line for line in diff.splitlines() if line[0] in "<>"] == [
        "< \tdec\t%rcx",
        "> \t",
        "> \tdec\t%rcx",
    ]
    assert load(path).functions

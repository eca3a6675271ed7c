"""What changes from one revision to the next: the series of memcpy_trap, and pairs that differ in one
respect."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcverify.deadline import Deadline
from mcverify.errors import ExitCode, InputError
from mcverify.proof.result import EVERYWHERE, Verdict
from mcverify.report.review_words import clobbered
from mcverify.review.differ import Pair
from mcverify.review.result import Change, Kind, Relation, Review, Step
from mcverify.review.review import exit_code
from mcverify.runs.case import Case, Place, Placement
from review.conftest import Reviewed
from review.support import HERE

EXPECTED = tomllib.loads((HERE / "memcpy_trap.toml").read_text())


def _by_access(review: Review) -> dict[str, str]:
    """Short names of rows: `b1` for the access at .Lread_b1 or .Lload_b1."""
    (routine,) = review.routines
    labels = {row.name: [c.label for c in row.cells if c is not None and c.label] for row in routine.rows}
    return {name: found[0].rpartition("_")[2] if found else name for name, found in labels.items()}


def _changed(step: Step, change: Change, names: dict[str, str]) -> list[str]:
    return sorted(f"{o.obligation} {names.get(o.row, o.row)}" for o in step.of(change))


def test_each_revision_of_the_series_has_the_verdicts_that_are_expected(series: Review) -> None:
    (routine,) = series.routines
    for result, expected in zip(routine.results, EXPECTED["revision"], strict=True):
        assert result is not None
        assert result.verdict == expected["verdict"]
        failing = [f"{o.id} {o.exit}" for o in result.obligations if o.verdict is not Verdict.PROVED]
        assert [f for f in failing if EVERYWHERE not in f] == expected["failing"]


def test_each_step_of_the_series_changes_what_is_expected(series: Review) -> None:
    names = _by_access(series)
    (routine,) = series.routines
    for step, expected in zip(routine.steps, EXPECTED["step"], strict=True):
        assert step.behaviour.relation == expected["relation"]
        for change in (Change.BROKEN, Change.FIXED, Change.UNDECIDED):
            assert _changed(step, change, names) == expected.get(str(change), []), (step.new, change)
        if step.new != len(routine.results) - 1:
            for change in (Change.NEW, Change.GONE):
                assert _changed(step, change, names) == expected.get(str(change), []), (step.new, change)
        assert sorted(names[c.row] for c in step.counts) == expected.get("counts", [])


def test_at_each_exit_the_series_differs_or_is_proved_not_to(series: Review) -> None:
    names = _by_access(series)
    (routine,) = series.routines
    for step, expected in zip(routine.steps, EXPECTED["step"], strict=True):
        found = {
            relation: sorted(names.get(e.row, e.row) for e in step.exits(relation)) for relation in Relation
        }
        assert found[Relation.DIFFERENT] == expected.get("differ", []), step.new
        assert found[Relation.OPEN] == expected.get("open", []), step.new
        assert {d.row for d in step.behaviour.differences} == {e.row for e in step.exits(Relation.DIFFERENT)}
        if step.code_changed:
            assert "t" in found[Relation.EQUIVALENT]


def test_renamed_labels_cost_no_proof(series: Review) -> None:
    assert series.reused >= 1


def test_a_difference_is_shown_by_the_smallest_run_of_both(series: Review) -> None:
    step = series.routines[0].steps[0]
    names = _by_access(series)
    found = {names[d.row]: d for d in step.behaviour.differences}
    assert found["b2"].case.len == 64
    assert found["b2"].kinds == (Kind.COUNT,)
    assert [o.registers["rdx"] for o in (found["b2"].before, found["b2"].after)] == [48, 64]
    assert found["b1"].kinds == (Kind.ENDING,)


def test_the_series_breaks_something_on_its_way(series: Review) -> None:
    assert exit_code(series, ()) is ExitCode.REFUTED
    assert exit_code(series, ("refuted", "unknown")) is ExitCode.PROVED


@pytest.mark.parametrize(
    ("name", "relation", "clobbered"),
    [
        ("registers", Relation.EQUIVALENT, ("r8", "r9")),
        ("scratch", Relation.EQUIVALENT, ("r9",)),
        ("far", Relation.EQUIVALENT, ()),
        ("alignment", Relation.DIFFERENT, ()),
        ("status", Relation.DIFFERENT, ()),
        ("renamed", Relation.IDENTICAL, ()),
    ],
)
def test_two_routines_that_differ_in_one_respect(
    reviewed: Reviewed, pairs: Path, name: str, relation: Relation, clobbered: tuple[str, ...]
) -> None:
    found = reviewed(pairs / "bytes.S", pairs / f"{name}.S")
    (routine,) = found.routines
    (step,) = routine.steps
    assert step.behaviour.relation is relation
    assert step.behaviour.clobbered_after == clobbered
    is_worse = relation is Relation.DIFFERENT
    assert bool(step.worse) is is_worse
    assert exit_code(found, ()) is (ExitCode.REFUTED if is_worse else ExitCode.PROVED)


def test_a_difference_for_one_alignment_is_found_by_the_solver(reviewed: Reviewed, pairs: Path) -> None:
    (routine,) = reviewed(pairs / "bytes.S", pairs / "alignment.S").routines
    (difference,) = routine.steps[0].behaviour.differences
    assert (difference.row, difference.case.src.at) == ("success", 0x7A5)


def _step(review: Review) -> Step:
    (routine,) = review.routines
    (step,) = routine.steps
    return step


@pytest.mark.slow
def test_each_exit_is_asked_of_the_solver_also_where_runs_differ_at_another(
    reviewed: Reviewed, pairs: Path, tmp_path: Path
) -> None:
    """The count after a fault is wrong for all inputs, that after success for one place in a page only."""
    both = tmp_path / "both.S"
    text = (pairs / "alignment.S").read_text()
    both.write_text(text.replace("mov\t%rcx, %rax\n\tRET\n\t_ASM", "lea\t1(%rcx), %rax\n\tRET\n\t_ASM"))
    step = _step(reviewed(pairs / "bytes.S", both, key="both"))
    found = {d.row: d for d in step.behaviour.differences}
    assert found.keys() == {".Lfix", "success"}
    assert found["success"].case.src.at == 0x7A5
    assert step.exits(Relation.OPEN) == step.exits(Relation.EQUIVALENT) == []


@pytest.mark.slow
def test_an_exit_that_changed_without_effect_is_proved_beside_one_that_differs(
    reviewed: Reviewed, pairs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.S"
    path.write_text((pairs / "status.S").read_text().replace("xor\t%eax, %eax", "mov\t$0, %eax"))
    step = _step(reviewed(pairs / "bytes.S", path, key="mixed"))
    (equal,) = step.exits(Relation.EQUIVALENT)
    assert (equal.row, equal.changed) == ("success", True)
    assert [e.row for e in step.exits(Relation.DIFFERENT)] == [".Lfix"]


def test_a_register_that_is_clobbered_at_one_exit_is_told_with_that_exit(
    reviewed: Reviewed, pairs: Path, tmp_path: Path
) -> None:
    """Both overwrite r9 on their way to success, the newer one also after a fault."""
    path = tmp_path / "scratch_twice.S"
    text = (pairs / "scratch.S").read_text()
    path.write_text(text.replace(".Lfix:\n", ".Lfix:\n\txor\t%r9d, %r9d\n"))
    found = _step(reviewed(pairs / "scratch.S", path, key="scratch twice")).behaviour
    assert found.relation is Relation.EQUIVALENT
    assert (found.clobbered_before, found.clobbered_after) == ((), ())
    assert {e.row: e.clobbered_after for e in found.exits} == {"success": (), ".Lfix": ("r9",)}
    assert "may change r9, which it left alone before, at .Lfix" in clobbered(found)


@pytest.mark.parametrize(("stopped", "tried"), [(0, 3000), (1, 12 * 32), (5, 3 * 32)])
def test_where_runs_do_not_end_not_all_cases_are_tried(stopped: int, tried: int) -> None:
    """Each of them takes the time that a run may take."""
    pair = Pair.__new__(Pair)
    pair.deadline = Deadline(None)
    seen: list[Case] = []

    def batch(cases: Sequence[Case]) -> int:
        seen.extend(cases)
        return stopped

    pair._try_batch = batch  # type: ignore[method-assign]
    free = Placement(Place.FREE)
    rest = pair._try_while_they_end([Case(n, free, free) for n in range(3000)])
    assert (len(seen), len(rest)) == (tried, 3000 - tried)
    assert [case.len for case in (*seen, *rest)] == list(range(3000))


def test_only_runs_that_equivalence_speaks_of_are_compared() -> None:
    """Where pages come and go, or the same fault has another number, two routines that are proved to do the
    same may differ."""
    pair = Pair.__new__(Pair)
    pair.len_max = 4096
    pair._trials = (Always(),)  # type: ignore[assignment]
    free, hole = Placement(Place.FREE), Placement(Place.HOLE, 0)
    cases = [Case(1, hole, free), Case(1, hole, free, flicker="01"), Case(1, hole, free, later_traps=(18,))]
    assert [pair._allowed(case) for case in (*cases, Case(4097, free, free))] == [True, False, False, False]


class Always:
    """Runs of a routine to which everything may happen."""

    def may_happen(self, case: Case) -> bool:
        """Whether a case may."""
        return True


@pytest.mark.slow
def test_a_difference_beyond_the_domain_is_told_and_one_within_a_wider_domain_counts(
    reviewed: Reviewed, pairs: Path
) -> None:
    within = reviewed(pairs / "bytes.S", pairs / "far.S").routines[0].steps[0].behaviour
    assert within.beyond is not None
    assert within.beyond.case.len >= 1 << 32
    wide = reviewed(pairs / "bytes.S", pairs / "far.S", len_max=1 << 33).routines[0].steps[0].behaviour
    assert wide.relation is Relation.DIFFERENT
    assert wide.differences[0].case.len >= 1 << 32


def test_files_without_a_routine_in_common_are_refused(reviewed: Reviewed, pairs: Path) -> None:
    with pytest.raises(InputError) as caught:
        reviewed(pairs / "bytes.S", "asm/alternative.S")
    assert "no routine in common: bytes.S has copy, " in caught.value.message.replace(
        "tests/review/pairs/", ""
    )


@pytest.mark.slow
def test_the_repair_of_entries_that_count_loads_as_copied_is_seen_at_these_loads(
    reviewed: Reviewed, tmp_path: Path
) -> None:
    """As 42a886af728c (2008): the routine zeroes what is left, and that is no failure of the repaired one."""
    right = HERE.parent / "proof" / "zeroing" / "blocks.S"
    old = tmp_path / "old.S"
    old.write_text(right.read_text().replace("Lload2, Lleft2", "Lload2, Lleft1"))
    review = reviewed(old, right, key="loads before stores")
    (routine,) = review.routines
    assert [result and result.verdict for result in routine.results] == [Verdict.REFUTED, Verdict.PROVED]
    (step,) = routine.steps
    assert {found.obligation for found in step.of(Change.FIXED)} == {"O3"}
    assert not step.of(Change.BROKEN)

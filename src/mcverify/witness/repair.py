"""The small change of the source that makes a refuted routine proved: tried on the CPU, then proved.

Only changes of the user's own `.S` are tried, in a folder for temporary files; nothing is suggested that was
not assembled and proved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from mcverify.contract import faults_by_entry
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import InputError
from mcverify.image.image import Image
from mcverify.image.kernel_tree import KernelTree
from mcverify.proof.exits import SUCCESS, exit_of_fault
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import EVERYWHERE, Counterexample, Repair, RoutineResult, Verdict
from mcverify.proof.select import tasks
from mcverify.proof.variants import variants
from mcverify.runs import cpu
from mcverify.runs.case import Case
from mcverify.runs.code import reachable
from mcverify.runs.constants import presets
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.grid import Grid, quick_grid
from mcverify.scratch import scratch_folder
from mcverify.witness.candidates import candidates, without
from mcverify.witness.edits import Edit, applied
from mcverify.witness.explain import explain, explained
from mcverify.witness.source import SourceText
from mcverify.witness.suspects import Suspects
from mcverify.witness.walk import walk

SECONDS = 60.0
"""A search for repairs takes so long at most, and as long again as a few proofs of the routine took."""

MOST_TRIALS = 480
"""Changes of one routine that are tried: of each exit that is wrong an equal share, and what others left."""

MOST_PROOFS = 5
"""Changes that are proved, or tried in vain to be."""

_KNOWN_CASES = 40
_FEW = 4
_INCLUDES = re.compile(r'^\s*(?:#\s*include|\.include|\.incbin)\s*"', re.M)

Progress = Callable[[str], None]
_Key = tuple[str, str]
"""An obligation and the exit at which it is broken."""


def all_repaired(
    image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline, progress: Progress
) -> RoutineResult:
    """The result with repairs of its counterexamples, as far as they were found and proved.

    A routine may be wrong at several exits: their repairs are proved together. `image` is that of the
    result's variant, `options` those of its proof.
    """
    source = SourceText(image)
    if not result.counterexamples or result.contract is None or source.text is None:
        return result
    if cpu.available() is not None or options.rep_model != "ordered":
        return result
    remaining = deadline.remaining()
    seconds = SECONDS + _FEW * result.seconds
    own = Deadline(seconds if remaining is None else min(seconds, remaining))
    try:
        with _bench(source, image, result, options, own) as bench:
            repairs = _Search(bench, result, progress).repairs()
    except OutOfTime:
        return result
    told = (_with(image, result, c, repairs.get(i)) for i, c in enumerate(result.counterexamples))
    return replace(result, counterexamples=tuple(told))


def _with(
    image: Image, result: RoutineResult, found: Counterexample, repair: Repair | None
) -> Counterexample:
    if repair is None:
        return found
    told = found.explanation or explained(image, result, found).explanation
    return found if told is None else replace(found, explanation=replace(told, repair=repair))


# ---- Trying a change -------------------------------------------------------------------


@dataclass
class _Bench:
    """Assembles, runs and proves the source with changes."""

    source: SourceText
    image: Image
    result: RoutineResult
    options: ProveOptions
    deadline: Deadline
    path: Path
    grid: Grid
    _known: dict[str, tuple[Image, CpuRunner] | None] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """How many changed sources have been assembled."""
        return len(self._known)

    def share(self, of: int) -> int:
        """How many may have been when one of so many exits has had its share of what is left."""
        return self.trials + (MOST_TRIALS - self.trials) // of

    def runner(self, edits: Sequence[Edit]) -> tuple[Image, CpuRunner] | None:
        """The changed routine, ready to run; None if it does not assemble or is not there any more. Each is
        assembled once: what is wrong at one exit is so at others too, and the same changes are tried."""
        self.deadline.check("repair")
        text = applied(self.source, edits)
        if text not in self._known:
            self._known[text] = self._assembled(text)
        return self._known[text]

    def _assembled(self, text: str) -> tuple[Image, CpuRunner] | None:
        assert self.result.contract is not None
        self.path.write_text(text, encoding="utf-8")
        try:
            image = self.options.image(self.path)
            entry = tasks(image, replace(self.options, routines=(self.result.name,)))[0].entry
            its_variants = variants(image, entry)
        except InputError:
            return None
        chosen = next((v.image for v in its_variants if v.name == self.result.variant), None)
        if chosen is None:
            return None
        return chosen, CpuRunner(
            chosen, entry, self.result.contract, self.deadline, faults_by_entry(self.result.faults)
        )

    def prove(self, edits: Sequence[Edit], progress: Progress) -> list[RoutineResult]:
        """The results of all variants of the routine with the changes; none if it is refused."""
        self.path.write_text(applied(self.source, edits), encoding="utf-8")
        self.deadline.check("repair")
        options = replace(
            self.options,
            routines=(self.result.name,),
            timeout=self.deadline.remaining(),
            is_thorough=False,
        )
        try:
            return prove_file(self.path, options, lambda text: progress(f"repair: {text}"))
        except InputError:
            return []


@contextmanager
def _bench(
    source: SourceText, image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline
) -> Iterator[_Bench]:
    """A folder of its own for the changed source, which finds what lies beside the original too."""
    assert result.contract is not None
    with scratch_folder() as folder:
        path = folder / image.path.name
        if _INCLUDES.search(source.text or ""):
            options = replace(options, include=(*options.include, image.path.resolve().parent))
        tree = KernelTree.around(image.path.parent)
        if tree is not None and options.kernel is None:
            options = replace(options, kernel=tree.root)
        states = presets(image, result.entry, result.contract)
        grid = quick_grid(result.contract, result.faults, states)  # type: ignore[arg-type]
        yield _Bench(source, image, result, options, deadline, path, grid)


# ---- Searching -------------------------------------------------------------------------


@dataclass
class _Fault:
    """What is wrong at one exit: a counterexample, the cases that break, the changes that repair them."""

    index: int
    exit: str
    cases: list[Case]
    survivors: Iterator[Edit] = field(default_factory=lambda: iter(()))
    chosen: Edit | None = None


class _Search:
    """The search for the repairs of one routine."""

    def __init__(self, bench: _Bench, result: RoutineResult, progress: Progress) -> None:
        self._bench = bench
        self._result = result
        self._progress: Progress = lambda text: progress(f"{result.name}: {text}")
        self._end = MOST_TRIALS

    def repairs(self) -> dict[int, Repair]:
        """Repairs by the number of the counterexample."""
        broken = self._broken([])
        if broken is None:
            return {}
        faults = self._faults(broken)
        chosen: list[Edit] = []
        for number, fault in enumerate(faults):
            self._end = self._bench.share(len(faults) - number)
            if not self._is_clean(chosen, fault.cases):
                fault.survivors = self._survivors(fault, tuple(chosen), set(broken))
                fault.chosen = next(fault.survivors, None)
                chosen += [fault.chosen] if fault.chosen is not None else []
            elif chosen:
                fault.chosen = self._responsible(chosen, fault)
        self._end = MOST_TRIALS
        return self._proved(faults) if chosen else {}

    def _faults(self, broken: dict[_Key, list[Case]]) -> list[_Fault]:
        """One for each exit at which a counterexample breaks something."""
        faults: dict[str, _Fault] = {}
        for index, found in enumerate(self._result.counterexamples):
            fault = faults.setdefault(found.exit, _Fault(index, found.exit, []))
            fault.cases.append(found.case)
            for obligation in found.obligations:
                fault.cases += broken.get((obligation, found.exit), [])
        for fault in faults.values():
            fault.cases = list(dict.fromkeys(fault.cases))[:_KNOWN_CASES]
        return list(faults.values())

    def _survivors(self, fault: _Fault, others: Sequence[Edit], allowed: set[_Key]) -> Iterator[Edit]:
        """The changes with which the cases of `fault` break nothing and the grid breaks nothing new."""
        suspects = self._suspects(fault)
        if suspects is None:
            return
        tried = candidates(suspects)
        taken = {line for edit in others for line in edit.lines}
        for number, edit in enumerate(tried, start=1):
            if taken & edit.lines:
                continue
            if self._bench.trials >= self._end:
                return
            self._progress(f"repair: trying change {number} of {len(tried)}")
            if self._survives(edit, others, fault, allowed):
                removed = without(edit, suspects)
                if removed is not None and self._survives(removed, others, fault, allowed):
                    yield removed
                yield edit

    def _survives(self, edit: Edit, others: Sequence[Edit], fault: _Fault, allowed: set[_Key]) -> bool:
        left = self._broken([*others, edit], fault.cases)
        return left is not None and set(left) <= {key for key in allowed if key[1] != fault.exit}

    def _suspects(self, fault: _Fault) -> Suspects | None:
        image, result = self._bench.image, self._result
        found = result.counterexamples[fault.index]
        assert result.contract is not None
        run = walk(image, result.entry, result.contract, found.case, found.outcome, self._bench.deadline)
        if run is None:
            return None
        told = found.explanation or explain(image, result, found, run)
        return Suspects(run, found, told, self._bench.source, self._shared)

    @cached_property
    def _shared(self) -> frozenset[int]:
        """Lines that routines run too which do not run this one."""
        image, source, entry = self._bench.image, self._bench.source, self._result.entry
        others = (reachable(image, symbol.address) for symbol in image.functions)
        lines = (source.line_of(address) for code in others if entry not in code for address in code)
        return frozenset(line for line in lines if line is not None)

    def _broken(self, edits: Sequence[Edit], known: Sequence[Case] = ()) -> dict[_Key, list[Case]] | None:
        """What the grid breaks of the changed routine; None if it cannot be run, or one of `known` breaks."""
        made = self._bench.runner(edits)
        if made is None:
            return None
        image, runner = made
        if any(mark.broken for mark in runner.judge(known)):
            return None
        shown = runner.grid(self._bench.grid)
        if not shown.complete and edits:
            return None
        broken: dict[_Key, list[Case]] = {}
        for violation in shown.violations:
            where = SUCCESS if violation.insn is None else exit_of_fault(image, violation.insn)
            broken.setdefault((violation.obligation, where), []).extend(violation.cases)
        return broken

    def _is_clean(self, edits: Sequence[Edit], cases: Sequence[Case]) -> bool:
        made = self._bench.runner(edits) if edits else None
        return made is not None and not any(mark.broken for mark in made[1].judge(cases))

    def _responsible(self, chosen: Sequence[Edit], fault: _Fault) -> Edit | None:
        """The change that repairs `fault` too."""
        return next((edit for edit in chosen if self._is_clean([edit], fault.cases)), None)

    # -- proving --------------------------------------------------------------------------------

    def _proved(self, faults: Sequence[_Fault]) -> dict[int, Repair]:
        """Prove the changes together; where that fails, with other ones that survived."""
        best: dict[int, Repair] = {}
        with suppress(OutOfTime):
            for _ in range(MOST_PROOFS):
                edits = list(dict.fromkeys(f.chosen for f in faults if f.chosen is not None))
                self._progress(f"repair: proving it with {len(edits)} changed")
                proved = self._bench.prove(edits, self._progress)
                if proved and all(r.verdict is Verdict.PROVED for r in proved):
                    return self._said(faults, edits, {f.exit for f in faults}, whole=True)
                open_exits = {f.exit for f in faults if not self._is_proved(f.exit, proved)}
                said = self._said(faults, edits, {f.exit for f in faults} - open_exits, whole=False)
                best = max(best, said, key=len)
                if not self._choose_others(faults, open_exits):
                    break
        return best

    def _is_proved(self, exit_id: str, proved: Sequence[RoutineResult]) -> bool:
        """Whether with the changes all that is asked at an exit is proved, and nothing has become worse."""
        before = {(o.id, o.exit) for o in self._result.obligations if o.verdict is Verdict.PROVED}
        for result in proved:
            rows = {(o.id, o.exit): o.verdict for o in result.obligations}
            own = [verdict for (_, where), verdict in rows.items() if where == exit_id]
            if exit_id == EVERYWHERE or not own or any(v is not Verdict.PROVED for v in own):
                return False
            if any(rows.get(key, Verdict.PROVED) is not Verdict.PROVED for key in before):
                return False
        return bool(proved)

    def _choose_others(self, faults: Sequence[_Fault], open_exits: set[str]) -> bool:
        """Take the next change that survived for the exits that are not proved; False if there is none."""
        moved = False
        for fault in faults:
            other = next(fault.survivors, None) if fault.exit in open_exits else None
            if other is not None:
                fault.chosen, moved = other, True
        return moved

    def _said(
        self, faults: Sequence[_Fault], edits: Sequence[Edit], accepted: set[str], *, whole: bool
    ) -> dict[int, Repair]:
        chosen = {f.exit: f.chosen for f in faults if f.exit in accepted and f.chosen is not None}
        with_others = len(edits) > 1
        repairs = {}
        for index, found in enumerate(self._result.counterexamples):
            edit = chosen.get(found.exit)
            if edit is not None:
                repairs[index] = self._repair(edit, _proof_words(found.exit, whole, with_others))
        return repairs

    def _repair(self, edit: Edit, proof: str) -> Repair:
        source = self._bench.source
        lines = sorted(edit.replaced)
        if edit.replaced and edit.inserted:  # a statement that moves: those that it passes are shown too
            lines = list(range(lines[0], max(edit.inserted)))
        statements = [s for n in lines if (s := source.statement(n)) is not None]
        before = [s.text for s in statements]
        after = [edit.replaced.get(s.line, s.text) for s in statements] + list(edit.inserted.values())
        return Repair(
            where=source.where(min(edit.lines)),
            before="\n".join(before),
            after="\n".join(filter(None, after)),
            sentence=f"{edit.words}: {proof}",
        )


def _proof_words(exit_id: str, whole: bool, with_others: bool) -> str:
    what = "with this change and the others suggested here" if with_others else "with this change"
    return f"assembled {what}, " + (
        "the routine is proved" if whole else f"all that is asked at {exit_id} is proved"
    )

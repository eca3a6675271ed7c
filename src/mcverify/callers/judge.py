"""What a routine's obligations mean for a system call: verdicts on the claims of a caller.

Proved: by induction, from no more than was proved of the routine. Refuted: a call was carried out, with the
routine itself run for each copy, and broke the claim. Else unknown, with what would have to be proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import product

from mcverify.callers.induction import Example, Induction
from mcverify.callers.loop import Bad, Call, Ended, Routine, Undecided, carry_out, memoized
from mcverify.callers.model import Caller, Claim, Loop, claims, find
from mcverify.callers.premises import ALL, OBLIGATIONS, SLACK, Premises, premises_of, traps_of
from mcverify.contract import MACHINE_CHECK
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import (
    CallerResult,
    CallShown,
    ClaimResult,
    RoutineResult,
    Verdict,
)
from mcverify.runs.case import PAGE, PAGE_FAULT, Case, Outcome, Place, Placement
from mcverify.witness.again import trials_of

Run = Callable[[Sequence[Case]], Sequence[Outcome]]
_LARGEST = 1 << 13
"""Calls of more bytes are not carried out."""

_USUAL = tuple((n, bad) for n in (2, 9, 71, 100, 200) for bad in (1, 8, n // 2, n - 1) if bad < n)
"""Lengths and first bad bytes with which every caller is tried that is not proved."""

_BAD: Mapping[str, tuple[Bad, ...]] = {"loads": ("src",), "stores": ("dst",), "both": ("src", "dst")}

_ORDERS = ((0,), (1,), (0, 1))


def judged(caller: Caller, result: RoutineResult, run: Run | None) -> tuple[CallerResult, ...]:
    """What each loop of the caller makes of the routine; `run` executes it (None: it cannot be). Nothing is
    said of a routine that the caller does not call."""
    if why := _apart(caller, result):
        first = caller.loops[0]
        return (CallerResult(caller.name, caller.call, "", first.source, (), apart=why),)
    premises = premises_of(result, traps_of(result, caller.faults))
    if missing := _unasked(caller, result):
        premises = Premises(frozenset())
    assert result.contract is not None
    routine = None if run is None else memoized(result.contract, run)
    return tuple(_of_loop(caller, loop, premises, result, routine, missing) for loop in caller.loops)


def with_callers(
    image: Image,
    result: RoutineResult,
    options: ProveOptions,
    deadline: Deadline,
    progress: Callable[[str], None],
) -> RoutineResult:
    """`result` with what the callers that `options` name make of it. Raises InputError where there is no such
    caller."""
    found: list[CallerResult] = []
    for name in options.callers:
        progress(f"{result.name}: what {name} makes of it")
        found += judged(find(name), result, _runner(image, result, options, deadline))
    return replace(result, callers=tuple(found))


def _runner(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> Run | None:
    """What runs the routine; None where its runs show nothing."""
    if result.contract is None:
        return None
    trials = trials_of(image, result, options, deadline)
    return trials.runner.run if trials.is_faithful else None


def _apart(caller: Caller, result: RoutineResult) -> str:
    """Why the caller does not call such a routine; "" where it may."""
    contract = result.contract
    if contract is None:
        return "nobody says what it promises"
    if contract.src is None or contract.dst is None or contract.data != "copy" or contract.len is None:
        return f"its contract, {contract.name}, is not that of a copy of any length"
    if contract.left is None:
        return f"its contract, {contract.name}, returns no count of bytes left"
    return ""


def _unasked(caller: Caller, result: RoutineResult) -> str:
    """What the proof did not look at though the caller meets it; "" for nothing."""
    kinds = {"loads": ("load",), "stores": ("store",), "both": ("load", "store")}[caller.faults]
    for kind in kinds:
        if result.faults not in ("both", f"{kind}s", f"{kind}s and entries"):
            more = f"(--faults {caller.faults})"
            return f"the proof takes {kind}s not to fault, and those of {caller.call} do {more}"
        if _trap_of(caller, kind) not in _traps(result, kind):
            name = "machine check" if _trap_of(caller, kind) == MACHINE_CHECK else "page fault"
            return f"the proof takes no {kind} to meet a {name}, and those of {caller.call} do (--trap)"
    if result.domain.len_min > 1:
        return f"the proof is about {result.domain.len_min} bytes and more"
    return ""


def _trap_of(caller: Caller, kind: str) -> int:
    return caller.trap_on_loads if kind == "load" else PAGE_FAULT


def _traps(result: RoutineResult, kind: str) -> tuple[int, ...]:
    assert result.contract is not None
    return result.contract.load_traps if kind == "load" else result.contract.store_traps


def _of_loop(
    caller: Caller,
    loop: Loop,
    premises: Premises,
    result: RoutineResult,
    routine: Routine | None,
    missing: str,
) -> CallerResult:
    induction = Induction(loop, premises, result.domain.len_max)
    found = tuple(
        _Asked(caller, loop, claim, induction, premises, result, routine).verdict(missing)
        for claim in claims()
    )
    return CallerResult(
        caller.name,
        caller.call,
        loop.kernels,
        loop.source,
        found,
        tuple(fact.text for fact in induction.invariants),
        caller.assumed,
    )


@cache
def _whole(loop: Loop) -> Induction:
    """The loop with a routine of which everything is proved."""
    return Induction(loop, ALL, (1 << 63) - 1)


class _Asked:
    """One claim about one loop."""

    def __init__(
        self,
        caller: Caller,
        loop: Loop,
        claim: Claim,
        induction: Induction,
        premises: Premises,
        result: RoutineResult,
        routine: Routine | None,
    ) -> None:
        self._caller = caller
        self._loop = loop
        self._claim = claim
        self._induction = induction
        self._premises = premises
        self._result = result
        self._routine = routine

    def verdict(self, missing: str) -> ClaimResult:
        """The claim's row; `missing` is what the proof did not look at."""
        blank = ClaimResult(self._claim.id, self._claim.name, Verdict.UNKNOWN)
        used = self._induction.rests_on(self._claim)
        if used is not None:
            return replace(blank, verdict=Verdict.PROVED, rests_on=used)
        example = self._induction.example(self._claim)
        in_numbers = _flat(example) if example else {}
        lacking = self._lacking()
        if not missing and (ended := self._seen(example)):
            said = f"{self._claim.broken.format(call=self._caller.call)}: {_told(self._caller, ended)}"
            return replace(
                blank,
                verdict=Verdict.REFUTED,
                lacking=lacking,
                sentence=said,
                example=in_numbers,
                shown=ended.shown,
            )
        if unmet := self._induction.unmet_choice:
            return replace(blank, lacking=lacking, sentence=f"the model may leave no value for {unmet}")
        said = missing or self._not_proved(lacking, example) + self._asked_too_much()
        return replace(blank, lacking=lacking, sentence=said, example=in_numbers)

    def _lacking(self) -> tuple[str, ...]:
        """Of the premises by which the claim would follow, those that there are not."""
        wanted = _whole(self._loop).rests_on(self._claim) or ()
        return tuple(name for name in wanted if name not in self._premises.names)

    def _not_proved(self, lacking: Sequence[str], example: Example | None) -> str:
        if not lacking:
            return "it does not follow from what is proved of the routine"
        said = f"it would follow with {' and '.join(map(_named, lacking))}"
        if self._result.contract is not None:
            asked = self._result.contract.obligations
            if unasked := [o for o in lacking if o in OBLIGATIONS and o not in asked]:
                said += f" (contract {self._result.contract.name} does not ask for {' and '.join(unasked)})"
        if example:
            said += (
                f"; else {self._claim.broken.format(call=self._caller.call)} where of {example.given['n']} "
                f"bytes the first {example.given['first_bad']} can be accessed and a copy of {example.asked} "
                f"counts {example.copied}"
            )
        return said

    def _asked_too_much(self) -> str:
        """What to ask for where the proof is about more faults than the caller meets."""
        wanted = self._caller.faults
        if wanted in ("both", self._result.faults):
            return ""
        return f"; --faults {wanted} asks the routine for no more than {self._caller.call} meets"

    # -- carrying it out

    def _seen(self, example: Example | None) -> Ended | None:
        """The first call that breaks the claim."""
        if self._routine is None:
            return None
        contract = self._result.contract
        # With O5 every good byte is copied in the end, whatever one call of the routine leaves.
        slack = 0 if contract is not None and "O5" in contract.obligations else self._result.slack
        for call in self._calls(example):
            for chosen in _policies(self._loop):
                try:
                    ended = carry_out(self._loop, replace(call, chosen=chosen), self._routine)
                except (Undecided, OutOfTime):
                    break
                if ended.breaks(self._claim, slack):
                    return ended
        return None

    def _calls(self, example: Example | None) -> Iterator[Call]:
        """Calls that may go wrong, small ones first: those of the routine's counterexamples, that of Z3, and
        some more."""
        bads = _BAD[self._caller.faults]
        for found in sorted(self._result.counterexamples, key=lambda c: c.case.len):
            yield from _like(found.case, bads)
        for bad in bads:
            like = Case(1, Placement(Place.FREE), Placement(Place.FREE), trap=self._trap(bad))
            if example is not None and example.given["n"] <= _LARGEST:
                given = example.given
                yield Call(given["n"], given["first_bad"], given["offset"], bad, like)
            for n, first_bad in _USUAL:
                yield Call(n, first_bad, 0, bad, like)

    def _trap(self, bad: Bad) -> int:
        return _trap_of(self._caller, "load" if bad == "src" else "store")


def _like(case: Case, bads: Sequence[Bad]) -> Iterator[Call]:
    """The calls whose first copy may be that of a run of the routine."""
    if case.flicker or case.len < 1 or case.len > _LARGEST:
        return
    for bad in bads:
        hole, other = (case.src, case.dst) if bad == "src" else (case.dst, case.src)
        if other.first_bad is not None:
            continue
        first_bad = hole.first_bad
        first_bad = case.len if first_bad is None else min(first_bad, case.len)
        at = {Place.FREE: other.at % PAGE, Place.END: -case.len % PAGE}.get(other.place, 0)
        for offset in dict.fromkeys((at % 64, at)):
            yield Call(case.len, first_bad, offset, bad, case)


def _policies(loop: Loop) -> list[Mapping[str, Sequence[int]]]:
    """Which of its values each choice takes, round by round."""
    names = [step.choose for step in loop.rounds if len(step.values) > 1]
    return [dict(zip(names, orders, strict=True)) for orders in product(_ORDERS, repeat=len(names))]


def _flat(example: Example) -> dict[str, int]:
    numbers = {k: v for k, v in asdict(example).items() if isinstance(v, int)}
    given = {name: value for name, value in example.given.items() if name in ("n", "first_bad")}
    return {**given, **example.state, **numbers}


def _named(premise: str) -> str:
    return "a bound on the slack" if premise == SLACK else premise


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def _told(caller: Caller, ended: Ended) -> str:
    """What was seen, in a sentence."""
    shown: CallShown = ended.shown
    last = shown.rounds[-1]
    said = f"of {shown.n} bytes the first {shown.first_bad} can be accessed"
    if shown.first_bad >= shown.n:
        said = f"of {shown.n} bytes all can be accessed"
    if ended.lost:
        return f"{said}; {ended.lost} in round {shown.count}"
    if shown.back_at is not None:
        first = shown.rounds[min(shown.back_at, len(shown.rounds)) - 1]
        state = ", ".join(f"{name} {value}" for name, value in first.state.items())
        return (
            f"{said}; a copy of {first.asked} counts {first.copied}, and after {_rounds(shown.count)} the"
            f" loop stands as it did before round {shown.back_at} ({state})"
        )
    stored = sum(1 for at in ended.at_k.values() if at)
    return (
        f"{said}; after {_rounds(shown.count)}, the last a copy of {last.asked} that counts {last.copied},"
        f" it returns {shown.returned}, and {stored} bytes of {caller.destination} have changed"
    )

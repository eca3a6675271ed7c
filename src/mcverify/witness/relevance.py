"""Which inputs of a counterexample matter: each is varied alone, and what is said of a value was run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mcverify.contract import Contract
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, Relevance, RoutineResult
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.runs.wire import is_long
from mcverify.witness.again import Again, Pace, again_for, trials_of

_LINE = 64
_MODULI = (2, 4, 8, 16, 32, 64)
_MOST_RUNS = 4
"""A sentence names at most so many ranges of values."""


@dataclass(frozen=True, slots=True)
class Values:
    """What is tried: every length up to `dense` and the `sparse` ones; as many fault offsets, evenly chosen
    beyond that; `alignments`; `seeds` of contents."""

    dense: int
    sparse: tuple[int, ...]
    offsets: int
    alignments: tuple[int, ...]
    seeds: int


MANY = Values(
    320,
    (383, 384, 511, 512, 513, 640, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 10_000, 65_535, 65_536),
    512,
    tuple(range(_LINE)),
    16,
)
FEW = Values(24, (31, 32, 33, 63, 64, 65, 127, 128, 129), 16, (*range(9), 15, 16, 31, 32, 63), 4)
FEWEST = Values(16, (31, 32, 33, 64), 8, (0, 1, 2, 4, 8, 32), 2)
LONG = Values(8, (), 4, (0, 1, 63), 2)
"""Where the case is so long that each takes a tenth of a second or more."""


def relevant(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> RoutineResult:
    """`result`, each counterexample with its `relevance`; none for those that the deadline leaves no time
    for."""
    if result.contract is None or not result.counterexamples:
        return result
    trials = trials_of(image, result, options, deadline)
    found = []
    for counterexample in result.counterexamples:
        try:
            again = again_for(image, trials, counterexample, result.domain.len_max)
            relevance = relevance_of(counterexample, again, _buffers(result.contract))
            found.append(replace(counterexample, relevance=relevance))
        except OutOfTime:
            found.append(counterexample)
    return replace(result, counterexamples=tuple(found))


def relevance_of(
    found: Counterexample, again: Again | None, buffers: Sequence[str] = ("src", "dst")
) -> tuple[Relevance, ...]:
    """For each input the values with which any of the counterexample's obligations breaks at its exit.

    Empty where the failure does not show again at all; nothing is said of an input of which no other value
    could be tried.
    """
    if again is None:
        return ()
    values = _effort(found, again)
    said = (
        _of_len(found.case, again, values),
        *(_of_fault(found.case, buffer, again, values) for buffer in buffers),
        *(_of_alignment(found.case, buffer, again, values) for buffer in buffers),
        _of_trap(found, again),
        _of_contents(found.case, again, values),
    )
    return tuple(relevance for relevance in said if relevance is not None)


def _buffers(contract: Contract) -> list[str]:
    """The buffers of which the routine is given an address."""
    registers = {"src": contract.src, "dst": contract.dst}
    return [buffer for buffer, register in registers.items() if register is not None]


def _effort(found: Counterexample, again: Again) -> Values:
    """The dearer a run, the fewer."""
    if found.outcome.ending is Ending.TIMEOUT:
        return FEWEST
    if again.pace is not Pace.FAST:
        return FEW
    return LONG if is_long(found.case) else MANY


# -- one input each ------------------------------------------------------------------------------


def _of_len(case: Case, again: Again, values: Values) -> Relevance | None:
    dense = max(values.dense, case.len + _LINE) if case.len < values.dense else values.dense
    around: Iterable[int] = range(case.len + 1) if values is FEWEST else _around(case.len)
    if values is LONG:
        around = {max(0, case.len + step) for step in (-8, -1, 0, 1, 8, case.len)}
    tried = sorted({*range(dense + 1), *values.sparse, *around})
    tried, broken = _which(again, tried, lambda length: replace(case, len=length))
    if len(tried) < 2 or not broken:
        return None
    return Relevance("len", lengths(broken, tried), len(tried))


def _around(length: int) -> Iterator[int]:
    """Lengths near one, and some times as long."""
    for factor in (1, 2, 3):
        yield from (near for near in range(factor * length - 9, factor * length + 10) if near >= 0)


def _of_fault(case: Case, buffer: str, again: Again, values: Values) -> Relevance | None:
    """None where the buffer has no bad byte."""
    now = _placement(case, buffer)
    if now.first_bad is None:
        return None
    first = now.first_bad
    tried = _spread(case.len, values.offsets, first)
    tried, broken = _which(
        again, tried, lambda at: case if at == first else _placed(case, buffer, Placement(Place.HOLE, at))
    )
    if len(tried) < 2:
        return None
    other = case.dst if buffer == "src" else case.src
    name = "fault offset" if other.first_bad is None else f"fault offset in {buffer}"
    return Relevance(name, _said(broken, tried), len(tried))


def _spread(end: int, count: int, also: int) -> list[int]:
    """All numbers below `end`, or about `count` of them with the first and the last ones; and `also`."""
    if end <= count:
        return sorted({*range(end), also})
    edge = count // 4
    step = max(1, end // (count // 2))
    return sorted({*range(edge), *range(end - edge, end), *range(0, end, step), also})


def _of_alignment(case: Case, buffer: str, again: Again, values: Values) -> Relevance | None:
    name = f"{buffer} alignment"
    now = _placement(case, buffer)
    if now.place is Place.HOLE and now.at:
        return Relevance(name, f"set by the fault offset: a page begins at {buffer}+{now.at}", 0)
    place = Place.FREE if now.first_bad is None else Place.INSIDE
    own = [now.at] if now.place is place and now.at >= _LINE else []
    tried = [*values.alignments, *own]
    tried, broken = _which(again, tried, lambda at: _placed(case, buffer, Placement(place, at)))
    if not tried:
        return None
    where = " (its offset in the page)" if own and broken == own else ""
    return Relevance(name, _said(broken, tried) + where + _where_needed(now, broken), len(tried))


def _where_needed(now: Placement, broken: Sequence[int]) -> str:
    """What there is to say of a buffer that must lie at the edge of its page."""
    if broken or now.place not in (Place.END, Place.FRONT):
        return ""
    return ": only where the next page is bad" if now.place is Place.END else ": only where a page begins"


def _of_trap(found: Counterexample, again: Again) -> Relevance | None:
    """None without a fault on a load: others are page faults always."""
    if not any(not fault.is_store for fault in found.outcome.faults):
        return None
    tried, broken = _which(again, [14, 18], lambda trap: replace(found.case, trap=trap, later_traps=()))
    if not tried:
        return None
    if found.case.later_traps and not broken:
        return Relevance("trap", f"{', then '.join(map(str, found.case.traps))}; neither alone", len(tried))
    return Relevance("trap", "14 or 18" if len(broken) == 2 else _said(broken, tried), len(tried))


def _of_contents(case: Case, again: Again, values: Values) -> Relevance | None:
    tried = [case.seed + 7 * i for i in range(values.seeds)]
    tried, broken = _which(again, tried, lambda seed: replace(case, seed=seed))
    if not tried:
        return None
    count = len(broken)
    said = f"any of the {count} tried" if count == len(tried) else f"{count} of the {len(tried)} tried"
    return Relevance("contents", said, len(tried))


def _which(
    again: Again, values: Sequence[int], case_of: Callable[[int], Case]
) -> tuple[list[int], list[int]]:
    """The values of which a case was run, and those of them whose case breaks the same."""
    answers = list(zip(values, again.any_of([case_of(v) for v in values]), strict=True))
    return [v for v, broken in answers if broken is not None], [v for v, broken in answers if broken]


def _placement(case: Case, buffer: str) -> Placement:
    return case.src if buffer == "src" else case.dst


def _placed(case: Case, buffer: str, placement: Placement) -> Case:
    return replace(case, src=placement) if buffer == "src" else replace(case, dst=placement)


# -- in words ------------------------------------------------------------------------------------


def lengths(broken: Sequence[int], tried: Sequence[int]) -> str:
    """The lengths that break, in words that claim no more than was tried:
    `16 or more (338 tried, up to 4096)`."""
    if not broken:
        return _said(broken, tried)
    above = [v for v in tried if v >= broken[0]]
    to = f"({len(tried)} tried, up to {tried[-1]})"
    if len(broken) == len(tried):
        return f"any {to}"
    if len(broken) == len(above) > 1:
        return f"{broken[0]} or more {to}"
    pattern = _pattern(broken, above)
    if pattern:
        return f"{broken[0]} or more, {pattern} {to}"
    if len(broken) > 2 * _MOST_RUNS and broken[-1] == tried[-1]:
        return f"{len(broken)} of the {len(above)} tried from {broken[0]} to {tried[-1]}"
    if len(broken) == 1:
        return f"only {broken[0]} {to}"
    runs = _runs(broken, tried)
    return f"{_listed(runs) if len(runs) <= _MOST_RUNS else f'{len(broken)} of those'} {to}"


def _said(broken: Sequence[int], tried: Sequence[int]) -> str:
    """Values in words: `any of 0 to 63`, `only 8`, `0 to 3, 8 to 15`, `12 of the 64 tried`."""
    if not broken:
        return f"none of the {len(tried)} tried"
    runs = _runs(broken, tried)
    if len(broken) == len(tried):
        return f"only {broken[0]}" if len(tried) == 1 else f"any of {_listed(runs)}"
    if len(broken) == 1:
        return f"only {broken[0]}"
    if len(runs) <= _MOST_RUNS:
        return _listed(runs)
    between = [v for v in tried if broken[0] <= v <= broken[-1]]
    pattern = _pattern(broken, between)
    return f"{_range(between)}, {pattern}" if pattern else f"{len(broken)} of the {len(tried)} tried"


def _runs(broken: Sequence[int], tried: Sequence[int]) -> list[list[int]]:
    """The broken values in runs, without a tried one between that is not broken."""
    number = {value: i for i, value in enumerate(tried)}
    runs: list[list[int]] = []
    for value in broken:
        if runs and number[value] == number[runs[-1][-1]] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _listed(runs: Sequence[Sequence[int]]) -> str:
    return ", ".join(_range(run) for run in runs)


def _range(run: Sequence[int]) -> str:
    if len(run) == 1:
        return str(run[0])
    if len(run) == 2:
        return f"{run[0]}, {run[1]}"
    ends = f"{run[0]} to {run[-1]}"
    return ends if run[-1] - run[0] == len(run) - 1 else f"the {len(run)} tried from {ends}"


def _pattern(broken: Sequence[int], tried: Sequence[int]) -> str:
    """What just the broken ones of `tried` have in common, if that is their remainder by a power of two; or
    if the others have it in common."""
    others = [v for v in tried if v not in set(broken)]
    for values, negation in ((list(broken), ""), (others, "not ")):
        modulus = _modulus(values, tried)
        if modulus is not None:
            rest = values[0] % modulus
            remainder = f"with remainder {rest} by {modulus}" if rest else f"divisible by {modulus}"
            return negation + remainder
    return ""


def _modulus(values: Sequence[int], tried: Sequence[int]) -> int | None:
    """The least power of two by which just `values` of those tried have one remainder."""
    if len(values) < 3:
        return None
    for modulus in _MODULI:
        if values == [v for v in tried if v % modulus == values[0] % modulus]:
            return modulus
    return None

"""What became of each byte of both buffers in a run, as runs of equal bytes: what is drawn.

Nothing here grows with the length of the copy but with the number of changes along it, so that a copy
of 2^33 bytes is as good as one of eight.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from mcverify.contract import Contract
from mcverify.proof.result import Counterexample
from mcverify.runs.case import PAGE, RED_ZONE, Case, Ending, Outcome, Place, Placement, Run
from mcverify.runs.layout import lay_out

LINE = 64
"""Bytes of a cache line; alignments are shown modulo this."""

_GROUP = 8


class ByteClass(StrEnum):
    """What became of a byte; the value says it in words. Of a byte of src: of the copy of it."""

    COPIED = "copied"
    CLAIMED = "claimed but not copied"
    UNCLAIMED = "stored but not claimed"
    WRONG = "wrong data"
    STRAY = "stored outside"
    OVERREAD = "loaded outside"
    BAD = "bad (cannot be accessed)"
    UNTOUCHED = "untouched"
    GUARD = "bad, outside the buffer"
    OUTSIDE = "outside the buffer"


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` to before `end`, all of one class."""

    start: int
    end: int
    kind: ByteClass


@dataclass(frozen=True, slots=True)
class Row:
    """One buffer: `spans` cover the map without a gap; `phase` is the address of byte 0 modulo the page
    size; `faults` are the offsets of the faults that were taken in it and lie in the map, in order."""

    buffer: str
    phase: int
    spans: tuple[Span, ...]
    faults: tuple[int, ...]

    def within(self, start: int, end: int) -> Iterator[Span]:
        """The spans between two offsets, cut to them."""
        for span in self.spans:
            if span.start < end and start < span.end:
                yield Span(max(span.start, start), min(span.end, end), span.kind)

    def boundaries(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The offsets from `start` to before `end` at which a cache line begins, with PAGE or LINE."""
        for offset in range(start + -(start + self.phase) % LINE, end, LINE):
            yield offset, LINE if (offset + self.phase) % PAGE else PAGE


@dataclass(frozen=True, slots=True)
class ByteMap:
    """Both buffers of a run from offset `start` to before `end`; src is absent in a clear.

    `length` is the length asked for, `claim` the number of bytes that the routine says it copied: None
    where it did not return, or said nothing that can be compared. The map reaches beyond 0 and
    `length` only where something happened there.
    """

    start: int
    end: int
    length: int
    claim: int | None
    rows: tuple[Row, ...]

    @property
    def kinds(self) -> tuple[ByteClass, ...]:
        """The classes that occur, in the order of the enumeration, without `OUTSIDE`."""
        seen = {span.kind for row in self.rows for span in row.spans}
        return tuple(kind for kind in ByteClass if kind in seen and kind is not ByteClass.OUTSIDE)


def byte_map(found: Counterexample, contract: Contract | None) -> ByteMap:
    """The map of a counterexample. Without a contract nothing is claimed, and src is taken to be there."""
    return _Mapped(found, contract).map()


def stored_prefix(outcome: Outcome, length: int) -> int:
    """How many of the first `length` bytes of dst were stored without a gap."""
    edge = 0
    for first, end in stored_runs(outcome):
        if first <= edge < end:
            edge = end
    return min(edge, length)


def stored_runs(outcome: Outcome) -> list[Run]:
    """The runs of offsets of dst that were stored, ascending."""
    if outcome.stored is not None:
        return list(outcome.stored)
    return _runs(outcome.written, outcome.base)


def wrong_runs(outcome: Outcome) -> list[Run]:
    """The runs of offsets of dst that were stored with a wrong value, ascending."""
    if outcome.wrong is not None:
        return list(outcome.wrong)
    marks = bytes(w and not c for w, c in zip(outcome.written, outcome.correct, strict=True))
    return _runs(marks, outcome.base)


def in_words(drawn: ByteMap) -> str:
    """The map as sentences, for those who cannot see it."""
    said = []
    for row in drawn.rows:
        spans = [span for span in row.spans if span.kind is not ByteClass.OUTSIDE]
        parts = [f"{_offsets(span)} {span.kind}" for span in spans[:12]]
        if len(spans) > len(parts):
            parts.append(f"and {len(spans) - len(parts)} more changes")
        said.append(f"{row.buffer}: {', '.join(parts) or 'no bytes'}.")
        said += [f"A fault at {row.buffer}{offset:+d}." for offset in row.faults[:1]]
    if drawn.claim is not None:
        said.append(f"The routine claims the first {drawn.claim} of {drawn.length} bytes.")
    return " ".join(said)


def phase(placement: Placement, length: int) -> int:
    """Address of a buffer of `length` bytes, placed like this, modulo the page size."""
    match placement.place:
        case Place.FREE | Place.INSIDE:
            return placement.at % PAGE
        case Place.HOLE:
            return -placement.at % PAGE
        case Place.END:
            return -length % PAGE
        case Place.FRONT:
            return 0


class _Mapped:
    """A run, with what the classes depend on worked out."""

    def __init__(self, found: Counterexample, contract: Contract | None) -> None:
        self.found, self.contract = found, contract
        self.case, self.outcome = found.case, found.outcome
        self.length = found.case.len
        self.stored, self.wrong = stored_runs(self.outcome), wrong_runs(self.outcome)
        self.claim = _claim(self.case, self.outcome, contract)
        self.promised = self.claim if self.binds("O3") or self.binds("O9") else None
        self.limit = self._limit() if self.binds("O4") else None
        named = [] if contract is None else [n for n in ("src", "dst") if getattr(contract, n) is None]
        self.absent = frozenset(named)

    def binds(self, obligation: str) -> bool:
        if self.contract is None:
            return False
        return obligation in self.contract.binding(self._last_trap)

    @property
    def _last_trap(self) -> int | None:
        return self.case.trap_after(self.outcome.faults)

    def _limit(self) -> int | None:
        """The first offset at which a store breaks O4: past the claim, or past the fault point."""
        within = (f.offset for f in self.outcome.faults if f.buffer and 0 <= f.offset < self.length)
        limits = list(within)
        if self.claim is not None and self.contract is not None:
            last = max(
                (min(end, self.length) for first, end in self.stored if first < self.length), default=0
            )
            if last - self.claim > self.contract.over_report_after(self._last_trap):
                limits.append(self.claim)
        return min(limits, default=None)

    def map(self) -> ByteMap:
        start, end = self._extent()
        placements = (("src", self.case.src), ("dst", self.case.dst))
        rows = tuple(self._row(n, p, start, end) for n, p in placements if n not in self.absent)
        return ByteMap(start, end, self.length, self.claim, rows)

    def _extent(self) -> Run:
        """What is drawn: the buffer, and whole groups of bytes around it where something happened there."""
        touched = [(f.offset, f.offset + 1) for f in self.outcome.faults if f.buffer]
        touched += [*self.stored, *self._outside("src"), *self._outside("dst")]
        low, high = -RED_ZONE, self.length + RED_ZONE
        clipped = [(max(a, low), min(b, high)) for a, b in touched if a < high and low < b]
        start = min((a for a, _ in clipped), default=0)
        end = max((b for _, b in clipped), default=0)
        return min(0, start // _GROUP * _GROUP), max(
            self.length, -(-end // _GROUP) * _GROUP if end > self.length else 0
        )

    def _outside(self, buffer: str) -> list[Run]:
        """What the instructions of the trace touched of a buffer outside its bytes."""
        accesses = (a for step in self.found.trace for a in step.accesses if a.buffer == buffer)
        runs = {(a.offset, a.offset + a.size) for a in accesses}
        return sorted(run for run in runs if run[0] < 0 or run[1] > self.length)

    def _row(self, buffer: str, placement: Placement, start: int, end: int) -> Row:
        bad = _gaps(_mapped(placement, self.length), start, end)
        overread = _merged(self._outside(buffer))
        tests = {"stored": self.stored, "wrong": self.wrong, "bad": bad, "overread": overread}
        edges = {start, end, 0, self.length, *(e for runs in tests.values() for run in runs for e in run)}
        edges |= {edge for edge in (self.promised, self.limit) if edge is not None}
        inner = sorted(edge for edge in edges if start <= edge <= end)
        index = {name: _Index(runs) for name, runs in tests.items()}
        classify = self._class_of_dst if buffer == "dst" else self._class_of_src
        spans = (Span(a, b, classify(a, index)) for a, b in pairwise(inner))
        faults = (f.offset for f in self.outcome.faults if f.buffer == buffer)
        within = tuple(dict.fromkeys(offset for offset in faults if start <= offset < end))
        return Row(buffer, phase(placement, self.length), tuple(_joined(spans)), within)

    def _class_of_dst(self, offset: int, index: dict[str, _Index]) -> ByteClass:
        stored = offset in index["stored"]
        if not 0 <= offset < self.length:
            return ByteClass.STRAY if stored else _outside_class(offset, index)
        if stored:
            if offset in index["wrong"]:
                return ByteClass.WRONG
            beyond = self.limit is not None and offset >= self.limit
            return ByteClass.UNCLAIMED if beyond else ByteClass.COPIED
        if self.promised is not None and offset < self.promised:
            return ByteClass.CLAIMED
        return ByteClass.BAD if offset in index["bad"] else ByteClass.UNTOUCHED

    def _class_of_src(self, offset: int, index: dict[str, _Index]) -> ByteClass:
        if not 0 <= offset < self.length:
            return _outside_class(offset, index)
        if offset in index["bad"]:
            return ByteClass.BAD
        copied = offset in index["stored"] and offset not in index["wrong"]
        return ByteClass.COPIED if copied else ByteClass.UNTOUCHED


class _Index:
    """Ascending disjoint runs that can be asked for a member."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._starts = [first for first, _ in runs]
        self._ends = [end for _, end in runs]

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._starts, offset) - 1
        return at >= 0 and offset < self._ends[at]


def _outside_class(offset: int, index: dict[str, _Index]) -> ByteClass:
    if offset in index["bad"]:
        return ByteClass.GUARD
    return ByteClass.OVERREAD if offset in index["overread"] else ByteClass.OUTSIDE


def _claim(case: Case, outcome: Outcome, contract: Contract | None) -> int | None:
    if contract is None or outcome.ending is not Ending.RETURNED:
        return None
    if contract.left is not None:
        left = contract.left_of(outcome.registers, outcome.initial, case.len)
        return case.len - left if left <= case.len else None
    if contract.status is None or contract.dst is None or contract.success_unasked:
        return None
    succeeded = (contract.result("status", outcome.registers) == 0) != contract.status_inverted
    return case.len if succeeded else None


def _mapped(placement: Placement, length: int) -> list[Run]:
    """The offsets of a buffer, and around it, that can be accessed."""
    buffer = lay_out(placement, length, 0)
    return [(a - buffer.at, b - buffer.at) for a, b in buffer.mapped]


def _gaps(runs: Iterable[Run], start: int, end: int) -> list[Run]:
    """What the ascending `runs` leave of start..end."""
    gaps = []
    for first, last in runs:
        if start < first:
            gaps.append((start, min(first, end)))
        start = max(start, last)
    return [(a, b) for a, b in [*gaps, (start, end)] if a < b]


def _merged(runs: Iterable[Run]) -> list[Run]:
    merged: list[Run] = []
    for first, end in sorted(runs):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged


def _runs(marks: bytes, base: int) -> list[Run]:
    runs: list[Run] = []
    end = 0
    while (first := marks.find(1, end)) >= 0:
        end = marks.find(0, first)
        end = len(marks) if end < 0 else end
        runs.append((first + base, end + base))
    return runs


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    last: Span | None = None
    for span in spans:
        if last is not None and last.kind is span.kind:
            last = Span(last.start, span.end, span.kind)
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def _offsets(span: Span) -> str:
    return f"byte {span.start}" if span.end == span.start + 1 else f"bytes {span.start} to {span.end - 1}"

"""The memory of one case, as the model of the paths sees it: both buffers, and which bytes are bad.

It is laid out around the addresses that a run was given (`runs.layout`, `runs.pattern`), so that the same
access meets the same bytes. Of anything else in the address space nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from mcverify.contract import Contract
from mcverify.runs.case import PAGE, PAGE_FAULT, RED_ZONE, Case, Place, Placement, Run
from mcverify.runs.layout import extent, lay_out
from mcverify.runs.pattern import LEAD, complement, contents_of
from mcverify.runs.wire import MOST_RUNS, is_long

_PERIOD = 509 * PAGE
"""Contents of buffers that are too long for a map repeat after so many bytes (PERIOD in harness.c)."""

_MOST_BYTES = 1 << 28
"""More bytes than this are not moved at once."""


class Unpredictable(Exception):
    """The model of the paths does not say what the run does; the message is a sentence without its end."""


class Periodic:
    """Bytes that repeat a pattern until they are overwritten: `bytearray` for areas of gigabytes."""

    def __init__(self, pattern: bytes, phase: int) -> None:
        self._twice = pattern + pattern[:PAGE]
        self._period = len(pattern)
        self._phase = phase
        self.pages: dict[int, bytearray] = {}

    def __getitem__(self, part: slice) -> bytes:
        pieces = ((self.pages.get(n) or self.original(n))[a:b] for n, a, b in _by_page(part))
        return b"".join(pieces)

    def __setitem__(self, part: slice, value: bytes) -> None:
        done = 0
        for number, first, end in _by_page(part):
            page = self.pages.get(number)
            if page is None:
                page = self.pages[number] = bytearray(self.original(number))
            page[first:end] = value[done : done + end - first]
            done += end - first

    def original(self, number: int) -> bytes:
        """What page `number` held at first."""
        start = (number * PAGE + self._phase) % self._period
        return self._twice[start : start + PAGE]


def _by_page(part: slice) -> Iterator[tuple[int, int, int]]:
    """Page number, and first and end offset in the page, of each piece of the slice."""
    at: int = part.start
    while at < part.stop:
        end = min(part.stop, (at // PAGE + 1) * PAGE)
        yield at // PAGE, at % PAGE, (end - 1) % PAGE + 1
        at = end


@dataclass(frozen=True, slots=True)
class Area:
    """Addresses from `start` to before `end`, all accessible; of those in `known` the contents are known."""

    start: int
    end: int
    known: Run
    data: bytearray | Periodic


class Store(NamedTuple):
    """Bytes that a way through the code stored, `at` an offset in the area; `number` counts the way's stores
    of computed values (-1 for others). `blurred`: nobody knows which bytes."""

    area: Area
    at: int
    value: bytes
    before: bytes
    number: int = -1
    blurred: bool = False

    def word(self, number: int) -> Store:
        """One word of 8 bytes of the store, of which nobody knows the value."""
        part = slice(8 * number, 8 * number + 8)
        return Store(self.area, self.at + 8 * number, self.value[part], self.before[part], -1, True)

    @property
    def addresses(self) -> range:
        """The addresses of the bytes."""
        return range(self.area.start + self.at, self.area.start + self.at + len(self.value))


class Touch(NamedTuple):
    """An access to memory: address and size in bytes."""

    is_store: bool
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Side:
    """One buffer: name, address, the areas it lies in, and addresses that are surely bad."""

    name: str
    at: int
    areas: tuple[Area, ...]
    bad: tuple[Run, ...]
    reach: Run
    spans: tuple[Run, ...]


class Memory:
    """The memory of `case` for a routine called with these addresses of dst and src.

    What a way through the code does is undone by `end` and happens with `commit`. An access
    that meets a bad byte is answered with None or False, one of which nothing is known raises Unpredictable.

    Of the way that is tried: `stores` and accesses `touched`, the bad bytes that `struck` its faults, loads
    whose values are in `doubts`, whether its `facts` hold, and which of its checks `failed`. Of the case:
    addresses whose bytes are `unknown`, kinds of access that `met` a bad byte (True for a store), addresses
    at which the run is `told` to have faulted next, how many faults were on `loads`, a `version` that counts
    changes.
    """

    def __init__(self, contract: Contract, case: Case, dst: int, src: int) -> None:
        self._case = case
        self.is_long = is_long(case)
        self._zeroes = contract.rest_zeroed
        size = _PERIOD if self.is_long else case.len + 2 * LEAD
        known = contents_of(case, contract, size)
        self._fresh = known if contract.data == "zero" else complement(known)
        self._wanted = bytes(len(known)) if contract.data == "zero" else known
        self.dst = _side("dst", case.dst, case, dst, self._fresh)
        sides = [_side("src", case.src, case, src, known)] if contract.src is not None else []
        self.sides = (*sides, self.dst) if contract.dst is not None else tuple(sides)
        areas = [area for side in self.sides for area in side.areas]
        self._fast = [(*area.known, area.start, area) for area in areas if area.known[0] < area.known[1]]
        self._areas = tuple(areas)
        self._bad = tuple(bad for side in self.sides for bad in side.bad)
        self.store_trap, self.loads = PAGE_FAULT, 0
        self.unknown: set[int] = set()
        self.met: set[bool] = set()
        at = {side.name: (side.at, side.at + case.len) for side in self.sides}
        self._bounds = at.get("src", (0, -1)), at.get("dst", (0, -1))
        self.told: Sequence[int] = ()
        self.version = 0
        self.begin()

    def load_trap(self, number: int) -> int:
        """The trap number of the way's fault on a load before which it had `number` others."""
        return self._case.trap_of_load(self.loads + number)

    # -- trying a way -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget what the last way did."""
        self.stores: list[Store] = []
        self.touched: list[Touch] = []
        self.struck: dict[int, int] = {}
        self.doubts: set[str] = set()
        self.facts: tuple[bool, ...] = ()
        self.failed = -1

    def end(self) -> None:
        """Undo the stores of the way, and begin another."""
        for area, at, value, before, _, _ in reversed(self.stores):
            area.data[at : at + len(value)] = before
        self.begin()

    def commit(self, stores: Sequence[Store]) -> None:
        """Let `stores` have happened."""
        for store in stores:
            area, end = store.area, store.at + len(store.value)
            if area.data[store.at : end] != store.value:
                self.version += 1
                area.data[store.at : end] = store.value
            if store.blurred:
                self.unknown.update(store.addresses)
            elif self.unknown:
                self.unknown.difference_update(store.addresses)

    def load(self, address: int, size: int, name: str) -> int | None:
        """What is loaded; unknown bytes are zero, and the load's `name` is put among the doubts."""
        self.touched.append(Touch(False, address, size))
        for low, high, start, area in self._fast:
            if low <= address and address + size <= high:
                if self.unknown and not self.unknown.isdisjoint(range(address, address + size)):
                    self.doubts.add(name)
                at = address - start
                return int.from_bytes(area.data[at : at + size], "little")
        if self._area(address, size, is_store=False) is None:
            return None
        self.doubts.add(name)
        return 0

    def store(self, number: int, address: int, size: int, value: int) -> bool:
        """Store `value`, little endian."""
        return self._write(address, value.to_bytes(size, "little"), number)

    def passes(self, address: int, size: int) -> bool:
        """Whether `size` bytes can be loaded from `address` on."""
        self.touched.append(Touch(False, address, size))
        return size == 0 or self._area(address, size, is_store=False) is not None

    def copy(self, address: int, source: int, size: int) -> bool:
        """Store what stands at `source`, which was found to be accessible."""
        if size == 0:
            return True
        _refuse_many(size)
        area = self._area(source, size, is_store=False)
        if area is None:
            return False
        if source < address + size and address < source + size:
            raise Unpredictable("it copies a range of memory to one that overlaps it")
        value = bytes(area.data[source - area.start : source - area.start + size])
        if not self._write(address, value):
            return False
        low, high = (min(max(edge, source), source + size) - source for edge in area.known)
        doubtful = [(0, low), (high, size)] if low < high else [(0, size)]
        doubtful += [(a - source, a - source + 1) for a in self.unknown if source <= a < source + size]
        for first, end in doubtful:
            if first < end:
                self._write(address + first, value[first:end], blurred=True)
        return True

    def fill(self, number: int, address: int, value: int, size: int, elements: int) -> bool:
        """Store `elements` times `value` of `size` bytes."""
        _refuse_many(size * elements)
        return elements == 0 or self._write(address, value.to_bytes(size, "little") * elements, number)

    def blur(self, address: int, size: int) -> bool:
        """Let some of the bytes have been stored, nobody knows which: those that can be."""
        _refuse_many(size)
        self.touched.append(Touch(True, address, size))
        for area in self._areas:
            first, end = max(address, area.start), min(address + size, area.end)
            if first < end:
                before = bytes(area.data[first - area.start : end - area.start])
                self.stores.append(Store(area, first - area.start, before, before, -1, True))
        return True

    def strikes(self, number: int, is_store: bool, address: int, size: int) -> bool:
        """Whether the access, the way's fault of that number, meets a bad byte; the first is remembered."""
        bad = self.first_bad(address, size)
        if bad is None:
            return False
        self.touched.append(Touch(is_store, address, size))
        self.struck[number] = bad
        return True

    def element(self, address: int, size: int, number: int | None = None) -> int | None:
        """Number of the first of the elements of `size` bytes from `address` on that meets a bad byte; where
        REP keeps no order, of the one that the run says it met as the way's fault of that `number`."""
        if number is not None:
            return (self.told[number] - address) // size if number < len(self.told) else None
        area = next((a for a in self._areas if a.start <= address < a.end), None)
        bad = area.end if area is not None else address
        return (bad - address) // size if self._is_bad(bad) else None

    def _write(self, address: int, value: bytes, number: int = -1, *, blurred: bool = False) -> bool:
        self.touched.append(Touch(True, address, len(value)))
        area = self._area(address, len(value), is_store=True)
        if area is None:
            return False
        at, end = address - area.start, address - area.start + len(value)
        self.stores.append(Store(area, at, value, bytes(area.data[at:end]), number, blurred))
        area.data[at:end] = value
        return True

    # -- which bytes are bad ----------------------------------------------------------------------

    def first_bad(self, address: int, size: int) -> int | None:
        """First bad address of an access, None if it meets none."""
        bad = address
        for area in self._areas:
            if area.start <= address < area.end:
                if address + size <= area.end:
                    return None
                bad = area.end
        if self._is_bad(bad):
            return bad
        raise Unpredictable(f"it accesses address {bad:#x}, and nothing is known of what lies there")

    def _area(self, address: int, size: int, *, is_store: bool) -> Area | None:
        """The area of an access, None if it meets a bad byte."""
        for area in self._areas:
            if area.start <= address and address + size <= area.end:
                return area
        self.first_bad(address, size)
        self.met.add(is_store)
        return None

    def _is_bad(self, address: int) -> bool:
        return any(first <= address < end for first, end in self._bad)

    def place(self, address: int) -> tuple[str, int]:
        """The buffer to which a bad address belongs, and its offset there."""
        side = next((s for s in self.sides if s.reach[0] <= address < s.reach[1]), None)
        return ("", address) if side is None else (side.name, address - side.at)

    def outside(self) -> Touch | None:
        """The first access of the way that lies outside the buffer it belongs to: a load src, a store dst."""
        for touch in self.touched:
            low, high = self._bounds[touch[0]]
            if not (low <= touch[1] and touch[1] + touch[2] <= high) and touch[2]:
                return touch
        return None

    # -- what came out ----------------------------------------------------------------------------

    @property
    def base(self) -> int:
        """Offset of the first byte of dst that a map covers."""
        return extent(self.dst.spans, self._case.len)[0]

    def maps(self) -> tuple[bytes, bytes, bytes]:
        """Of each byte of dst and its red zones: whether it changed, whether it is right now, and whether
        the model knows. Bytes that are not mapped did not change."""
        base, end = extent(self.dst.spans, self._case.len)
        written, correct, sure = bytearray(end - base), bytearray(end - base), bytearray(end - base)
        for a, b in self.dst.spans:
            part = slice(a - base, b - base)
            memory, index = self._bytes(a, b), slice(LEAD + a, LEAD + b)
            written[part] = bytes(x != y for x, y in zip(memory, self._fresh[index], strict=True))
            correct[part] = bytes(x == y for x, y in zip(memory, self._wanted[index], strict=True))
            hidden = range(self._case.len) if self._zeroes else range(0)
            sure[part] = bytes(byte != 0 or at not in hidden for at, byte in enumerate(memory, a))
        for address in self.unknown:
            if 0 <= address - self.dst.at - base < end - base:
                sure[address - self.dst.at - base] = 0
        return bytes(written), bytes(correct), bytes(sure)

    def runs(self) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """The runs of offsets of a long dst that changed, and of those that changed to a wrong value, as
        `Outcome` has them."""
        if self.unknown:
            raise Unpredictable("it stores what nobody knows into a buffer without a map")
        changed: list[int] = []
        wrong: list[int] = []
        for a, b in self.dst.spans:
            for offset, value in self._changed(a, b):
                if self._zeroes and not value:
                    raise Unpredictable("it zeroes bytes of a buffer without a map")
                changed.append(offset)
                if value != self._wanted[(offset + LEAD) % len(self._wanted)]:
                    wrong.append(offset)
        return _runs(changed), _runs(wrong)

    def _changed(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Offset and value of the bytes of dst from `first` to `end` that changed, in order."""
        for area in self.dst.areas:
            data = area.data
            assert isinstance(data, Periodic)
            for number, page in sorted(data.pages.items()):
                start = area.start + number * PAGE - self.dst.at
                for i, (now, before) in enumerate(zip(page, data.original(number), strict=True), start):
                    if now != before and first <= i < end:
                        yield i, now

    def _bytes(self, first: int, end: int) -> bytes:
        """What stands at the offsets from `first` to `end` of dst, which are accessible."""
        start = self.dst.at + first
        area = next(a for a in self.dst.areas if a.start <= start < a.end)
        return bytes(area.data[start - area.start : start - area.start + end - first])


def _refuse_many(size: int) -> None:
    if size > _MOST_BYTES:
        raise Unpredictable(f"it moves {size:#x} bytes at once")


def _runs(offsets: Sequence[int]) -> tuple[Run, ...]:
    groups = (list(g) for _, g in groupby(enumerate(offsets), key=lambda pair: pair[1] - pair[0]))
    runs = [(group[0][1], group[-1][1] + 1) for group in groups]
    if len(runs) > MOST_RUNS:
        runs[MOST_RUNS - 1 :] = [(runs[MOST_RUNS - 1][0], runs[-1][1])]
    return tuple(runs)


def _side(name: str, placement: Placement, case: Case, at: int, pattern: bytes) -> Side:
    """The buffer at its address. Of its pages those count that every runner maps."""
    laid = lay_out(placement, case.len, 0)
    shift = at - laid.at
    near_back = -(-case.len // PAGE) * PAGE + PAGE
    start, hole, back = laid.start + shift, laid.hole + shift, laid.back + shift
    if placement.place is Place.FREE:
        accessible: tuple[Run, ...] = ((start, hole),)
        bad: tuple[Run, ...] = ((start - PAGE, start),)
    else:
        accessible, bad = ((start, hole), (back, back + near_back)), ((hole, back),)
    make = _periodic if is_long(case) else _plain
    areas = tuple(make(a, b, at, case.len, pattern) for a, b in accessible)
    return Side(name, at, areas, bad, (start - PAGE, laid.end + shift + PAGE), tuple(laid.spans))


def _plain(start: int, end: int, at: int, length: int, pattern: bytes) -> Area:
    low, high = max(start, at - RED_ZONE), min(end, at + length + RED_ZONE)
    data = bytearray(end - start)
    if low < high:
        data[low - start : high - start] = pattern[LEAD + low - at : LEAD + high - at]
    return Area(start, end, (low, max(low, high)), data)


def _periodic(start: int, end: int, at: int, length: int, pattern: bytes) -> Area:
    return Area(start, end, (start, end), Periodic(pattern, (start - at + LEAD) % len(pattern)))

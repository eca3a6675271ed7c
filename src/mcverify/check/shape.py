"""What may stand where in the record of a routine: its names, its numbers, and the symbols of its terms.

A term of a path speaks of the state where the path begins and of what came up before on it: what a load gave,
the number of a fault. One that is believed at a location speaks of the state there, and of what is the same
all along a run. So nothing that is said of one path is about another, and no symbol is given two meanings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from mcverify.arch.known import X86_64
from mcverify.check.manifest import Location, Moved, Path, Routine, Step
from mcverify.check.term import Lookup, Malformed, Term, read
from mcverify.contract import REGISTERS, Contract

FLAGS = ("cf", "pf", "af", "zf", "sf", "of", "df", "ac", "id")
VECTORS = tuple(f"ymm{number}" for number in range(16))

STATE: Mapping[str, int] = (
    dict.fromkeys(REGISTERS, 64) | dict.fromkeys(FLAGS, 1) | dict.fromkeys(VECTORS, 256)
)
"""The registers and their widths in bits."""

GHOST: Mapping[str, int] = {"hit": 0, "ok": 0, "zeroed": 0, "top": 64, "last_trap": 64}
"""What is known at a location of the stores before it, and of the last fault; 0: a truth value."""

DEEPEST = -X86_64.limits.own_frame
"""Offset from rsp at entry below which the own frame may not go."""

_ADDRESSES = 1 << 64
_MOST_STEPS = 2000
"""Steps of a path."""
_MOST_IN_ALL = 500_000
"""Steps of all paths."""
_MOST_FEATURES = 16
_LARGEST_ACCESS = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,80}")
_ROUTINE = re.compile(r"[A-Za-z_.$][A-Za-z0-9_.$@+-]{0,200}")
_NUMBER = "(0|[1-9][0-9]{0,9})"
_SLOT = re.compile(r"stack-([1-9][0-9]{0,5})")
_STALE = re.compile(rf"\|stack\[-?{_NUMBER}\]\.{_NUMBER}\|")
_CODE = re.compile(r"\|code#[0-9a-f]{1,16}\|")
_CLOBBERED = re.compile(rf"clobbered{_NUMBER}\.({'|'.join((*REGISTERS, *FLAGS))})")
_FRESH = {kind: re.compile(kind + _NUMBER) for kind in ("load", "trap", "done")}
_FRESH |= {"undefined": re.compile(rf"undefined\.(cf|pf|af|zf|sf|of){_NUMBER}")}


def sorts(routine: Routine, contract: Contract) -> dict[str, int]:
    """The widths in bits of all symbols of a routine's record, once all of it is found in its place.

    Raises Malformed, with the place.
    """
    shape = _Shape(routine, contract)
    shape.check()
    return shape.widths


def slot_of(name: str) -> int | None:
    """The offset of the stack word that a symbol stands for, from rsp at entry; None for another symbol."""
    match = _SLOT.fullmatch(name)
    return -int(match[1]) if match else None


def _say(place: str, found: bool, what: str) -> None:
    """Raise Malformed unless what is said there is right."""
    if not found:
        raise Malformed(f"{place}: {what}")


class _Shape:
    def __init__(self, routine: Routine, contract: Contract) -> None:
        self._routine = routine
        self._buffers = {"load": contract.src, "store": contract.dst}
        self._locations = {location.name: location for location in routine.locations}
        self.widths: dict[str, int] = dict(STATE) | dict(GHOST)
        self._rigid = {"j": 64, "source_byte": 8, "return@0": 64}
        self._rigid |= {f"{name}@0": width for name, width in STATE.items()}
        self._rigid |= {f"bad_{n}": 64 for n, r in (("src", contract.src), ("dst", contract.dst)) if r}
        self.widths |= self._rigid

    def check(self) -> None:
        routine = self._routine
        _say("it", all(text.isprintable() for text in _strings(routine)), "holds text that is not printable")
        _say("name", _ROUTINE.fullmatch(routine.name) is not None, "is no name of a routine")
        names = [*(each.name for each in routine.locations), *(each.name for each in routine.paths)]
        _say("names", len(set(names)) == len(names), "one stands for two locations or paths")
        for name in names:
            _say("names", _NAME.fullmatch(name) is not None, f"{name!r} is none")
        _say("len_max", 0 <= routine.len_max < 1 << 62, "is no length")
        _say("slack", routine.slack is None or 0 <= routine.slack < 1 << 62, "is no number of bytes")
        _say("features", len(routine.features) <= _MOST_FEATURES, "are too many")
        _say("entry", 0 <= routine.entry < _ADDRESSES, "is no address")
        steps = sum(len(path.steps) for path in routine.paths)
        _say("paths", steps <= _MOST_IN_ALL, f"have more than {_MOST_IN_ALL} steps")
        for location in routine.locations:
            self._location(location)
        for path in routine.paths:
            _Along(self, path).check()
        for number, measure in enumerate(routine.measures, 1):
            self.term(f"measure {number}", measure.term, 64, self._lasting)
        for stray in routine.strays:
            self._stray(stray.source, stray.conditions)

    def _stray(self, source: str, conditions: Iterable[str]) -> None:
        """The conditions of a stray are those of some path's steps: they are held against these later, and
        need no more here than to be terms of such."""
        own = (path for path in self._routine.paths if path.source == source)
        known = {c for path in own for step in path.steps for c in step.conditions}
        _say("strays", set(conditions) <= known, "one has a condition that no path has")

    def _location(self, location: Location) -> None:
        place = location.name
        _say(place, 0 <= location.address < _ADDRESSES, "lies at no address")
        _say(place, location.df in (0, 1) and location.ac in (0, 1), "has a flag that is neither 0 nor 1")
        _say(place, DEEPEST <= location.stack <= 8, "has a stack pointer that is out of the own frame")
        for offset, address in location.calls:
            inside = DEEPEST <= offset <= -8 and 0 <= address < _ADDRESSES
            _say(place, inside, "has a return address that lies out of the own frame")
        offsets = [offset for offset, _ in location.calls]
        _say(place, offsets == sorted(set(offsets), reverse=True), "has return addresses out of order")
        if location.entry:
            plain = not (
                location.faulted or location.stack or location.df or location.ac or location.unfenced
            )
            known = location.calls or location.invariant or location.staying
            _say(place, plain and not known, "is no entry of a routine")
        for fact in (*location.invariant, *location.staying):
            self.term(place, fact.term, 0, self._lasting)

    def _lasting(self, name: str) -> int | None:
        """A symbol that means something at a location by itself."""
        if slot_of(name) is not None or _CODE.fullmatch(name):
            return self.known(name, 64)
        return STATE.get(name, GHOST.get(name, self._rigid.get(name)))

    def rigid(self, name: str) -> int | None:
        """A symbol that is the same all along a run."""
        return self.known(name, 64) if _CODE.fullmatch(name) else self._rigid.get(name)

    def known(self, name: str, width: int) -> int | None:
        """The width of a symbol, which is the same wherever it occurs: None where it had another one."""
        return width if self.widths.setdefault(name, width) == width else None

    def source_of(self, path: Path) -> Location:
        """The location where a path begins."""
        _say(path.name, path.source in self._locations, f"begins at {path.source}, which is no location")
        return self._locations[path.source]

    def has_buffer(self, kind: str) -> bool:
        """Whether the contract knows where accesses of that kind go."""
        return self._buffers[kind] is not None

    def term(self, place: str, text: str, width: int, lookup: Lookup) -> Term:
        """The term that stands at a place, of that many bits."""
        try:
            found = read(text, lookup)
        except Malformed as wrong:
            raise Malformed(f"{place}: {wrong}") from None
        _say(place, found.width == width, f"a term has {found.width} bits and should have {width}")
        return found


class _Along:
    """One path: what its terms may speak of grows with its steps."""

    def __init__(self, shape: _Shape, path: Path) -> None:
        self._shape, self._path = shape, path
        self._source = shape.source_of(path)
        self._fresh: dict[str, int] = {}
        self._in_condition = False

    def check(self) -> None:
        path = self._path
        _say(path.name, 0 < len(path.steps) <= _MOST_STEPS, "has no steps, or too many")
        ends_inside = path.end == "location"
        _say(path.name, ends_inside == (path.target is not None), "is wrong about where it ends")
        _say(path.name, path.end == "return" or path.returned_to is None, "returns, and does not")
        _say(path.name, path.to is None or 0 <= path.to < _ADDRESSES, "ends at no address")
        impossible = path.end not in ("location", "return")
        _say(path.name, impossible or not path.by_address, "is no path that is impossible")
        for step in path.steps:
            self._step(step)
        for name, term in path.final.items():
            width = 64 if slot_of(name) is not None else STATE.get(name)
            _say(path.name, width is not None, f"gives {name} a value, which is no part of the state")
            self._shape.known(name, width or 0)
            self._term(term, width or 0)
        if path.returned_to is not None:
            self._term(path.returned_to, 64)

    def _step(self, step: Step) -> None:
        place = self._path.name
        _say(place, 0 <= step.at < _ADDRESSES, "has a step at no address")
        _say(place, (step.fault is None) == (step.trap == ""), "has a fault without its number")
        _say(place, step.fault is not None or not step.done, "counts elements where none faults")
        for kind, name in (("trap", step.trap), ("done", step.done)):
            if name:
                self._come_up(kind, name, 64)
        self._in_condition = True
        for condition in step.conditions:
            self._term(condition, 0)
        self._in_condition = False
        for moved in step.moved:
            self._moved(moved)
        if step.fault is not None:
            bare = (step.fault.value, step.fault.elements, step.fault.source, step.fault.partial)
            _say(place, bare == (None, None, None, False), "has a fault of more than one access")
            self._moved(step.fault, faults=True)
        if step.hint is not None:
            self._term(step.hint, 64)
        for name in step.undefined:
            self._come_up("undefined", name, 1)
        for frame in step.frame:
            inside = DEEPEST - 64 <= frame.offset <= 4096 and 0 < frame.size <= _LARGEST_ACCESS
            _say(place, inside, "touches the stack where there is none")

    def _moved(self, moved: Moved, *, faults: bool = False) -> None:
        place = self._path.name
        _say(place, 0 < moved.size <= _LARGEST_ACCESS, "has an access of no bytes, or of too many")
        self._term(moved.address, 64)
        if faults:
            return
        is_load, one = moved.kind == "load", moved.elements is None
        _say(place, not (moved.partial and (one or is_load)), "stores a part of one access")
        _say(place, not (moved.source is not None and (one or is_load)), "copies by one access")
        if moved.elements is not None:
            self._term(moved.elements, 64)
        if is_load:
            _say(place, one == (moved.value is not None), "has a load without what it gives")
            if moved.value is not None:
                self._come_up("load", moved.value, 8 * moved.size)
            return
        _say(place, (moved.value is None) != (moved.source is None), "stores something that is not told")
        if moved.value is not None:
            self._term(moved.value, 8 * moved.size)
        if moved.source is not None:
            _say(place, self._shape.has_buffer("load"), "copies from a source that there is not")
            self._term(moved.source, 64)

    def _come_up(self, kind: str, name: str, width: int) -> None:
        """A symbol that has its meaning from here on."""
        is_new = _FRESH[kind].fullmatch(name) is not None and name not in self._fresh
        _say(self._path.name, is_new, f"{name} is no new symbol of what is told there")
        _say(self._path.name, self._shape.known(name, width) is not None, f"{name} has two widths")
        self._fresh[name] = width

    def _term(self, text: str, width: int) -> None:
        self._shape.term(self._path.name, text, width, self._lookup)

    def _lookup(self, name: str) -> int | None:
        if name in self._fresh:
            return self._fresh[name]
        if _STALE.fullmatch(name):
            return self._shape.known(name, 8)
        if (match := _CLOBBERED.fullmatch(name)) is not None:
            return self._shape.known(name, STATE[match[2]])
        if _CODE.fullmatch(name) or name in ("rsp@0", "return@0"):
            return self._shape.rigid(name)
        if not self._source.entry and slot_of(name) is not None:
            return self._shape.known(name, 64)
        if self._source.entry or self._in_condition:
            found = self._shape.rigid(name)
            if found is not None and name not in ("j", "source_byte"):
                return found
        return None if self._source.entry else STATE.get(name)


def _strings(record: Any) -> Iterator[str]:
    """All text in a record."""
    waiting: list[Any] = [record]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, msgspec.Struct):
            waiting += [getattr(found, name) for name in found.__struct_fields__]
        elif isinstance(found, Mapping):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, tuple | list):
            waiting += found


__all__ = ["DEEPEST", "FLAGS", "GHOST", "STATE", "VECTORS", "slot_of", "sorts"]

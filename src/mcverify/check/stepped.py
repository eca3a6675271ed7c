"""One instruction in one state: each way that a bundle lists for it, held against what it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mcverify.check.bench import (
    MASK,
    NEAR,
    At,
    Bench,
    Differs,
    Env,
    bytes_of,
    handled,
    number_of,
    one_of,
    place_of,
)
from mcverify.check.emulated import NotRunError, Touched
from mcverify.check.manifest import Moved, Path, Step
from mcverify.check.shape import DEEPEST, STATE, slot_of
from mcverify.check.shown import Repeated, Shown
from mcverify.check.tree import IMPOSSIBLE, Way
from mcverify.contract import CALLEE_SAVED, REGISTERS
from mcverify.image.callees import StandIn

SCRATCH = tuple(r for r in REGISTERS if r not in (*CALLEE_SAVED, "rsp"))
ARITHMETIC = ("cf", "pf", "af", "zf", "sf", "of")
_CALLER = 8
"""Offset from rsp at entry of the caller's frame."""
_MOST_ELEMENTS = 40
"""Elements of a REP that are executed; more are done by the closed form."""
_MANY = 1 << 31


@dataclass(frozen=True, slots=True)
class _Copied:
    """What a REP, or a routine in C, does: where it loads and stores, how many elements of how many."""

    repeated: Repeated
    start: int
    to: int
    done: int
    of: int


class Stepped:
    """One instruction in one state of a bench."""

    def __init__(self, bench: Bench, at: At, shown: Shown) -> None:
        self._bench, self._at, self._shown = bench, at, shown
        self._machine = bench.machine
        self._before: Mapping[str, int] = {name: bench.machine.get(name) for name in REGISTERS}
        self._popped: int | None = None
        self._touched: tuple[Touched, ...] = ()
        self._drops = at.drops

    def following(self) -> Iterator[At]:
        """The states behind it, by each way that can be gone from here. Raises Differs and NotRunError."""
        bench, at = self._bench, self._at
        if all(way.to in IMPOSSIBLE for way in at.node.ways):
            return
        if self._shown.uses_segment:
            raise NotRunError("it uses fs or gs")
        open_ = [way for way in at.node.ways if not way.fault and bench.holds(way, at.env)]
        ways = [(number, way) for number, way in enumerate(at.node.ways) if way.to not in IMPOSSIBLE]
        for _, way in ways:
            self._wish(way)
        to = self._carried_out()
        after = self._machine.save()
        if not any(way.to in IMPOSSIBLE for way in open_):
            self._check_open(open_, to)
        for number, way in ways:
            if not way.fault and (way in open_ or self._shown.kind == "jump"):
                self._machine.restore(after)
                yield from self._usual(number, way)
        for number, way in ways:
            if way.fault:
                self._machine.restore(at.snapshot)
                yield from self._fault(number, way)

    def _wish(self, way: Way) -> None:
        """Have its loads give what was wished for."""
        for moved in way.step.moved:
            wish = self._bench.wishes.get(moved.value or "") if moved.kind == "load" else None
            if wish is not None:
                address = self._bench.value(moved.address, self._at.env)
                self._machine.write(address, bytes_of(wish, moved.size))

    # -- what it does

    def _carried_out(self) -> int | None:
        """Execute it; where it goes on, None for a return."""
        shown, machine = self._shown, self._machine
        to: int | None = shown.end
        dropped = False
        if shown.kind == "return":
            self._touched = (Touched(False, self._before["rsp"] % (1 << 52), self._pop(shown.pops)),)
            to = None
        elif shown.kind in ("stac", "clac"):
            machine.set("ac", int(shown.kind == "stac"))
        elif shown.kind == "rep":
            self._repeat()
        elif shown.kind != "nothing":
            to = self._executed()
            if to is not None and self._bench.is_thunk(to):
                called = machine.get("rsp") != self._before["rsp"]
                self._pop(8)
                to, dropped = shown.end if called else None, True
        if dropped or self._risen():
            self._bench.spoil(self._at.lowest)
            self._drops += 1
        return to

    def _executed(self) -> int:
        undefined = self._shown.undefined(self._before.__getitem__)
        to, self._touched = self._machine.step(self._shown.address, self._near())
        for flag in undefined:
            self._machine.set(flag, self._bench.random.getrandbits(1))
        return to

    def _near(self) -> list[int]:
        """Where its accesses lie: at its operand, at rsp, or where a string instruction goes."""
        near = [self._before[name] for name in ("rsp", "rsi", "rdi")]
        return near if self._shown.place is None else [*near, self._shown.place(self._before.__getitem__)]

    def _pop(self, size: int) -> bytes:
        rsp = self._machine.get("rsp")
        found = self._machine.read(rsp, 8)
        self._popped = number_of(found)
        self._machine.set("rsp", (rsp + size) & MASK)
        return found

    def _risen(self) -> bool:
        return self._bench.offset(self._machine.get("rsp")) > self._bench.offset(self._before["rsp"])

    def _repeat(self) -> None:
        """Execute a REP: element by element if there are few, else by the closed form, which is proved."""
        machine, repeated, count = self._machine, self._shown.repeated, self._before["rcx"]
        assert repeated is not None
        if machine.get("df"):
            raise self._differs("runs backwards")
        advanced = _advanced(self._before, repeated, count)
        if count <= _MOST_ELEMENTS:
            for _ in range(count + 2):
                if machine.step(self._shown.address, self._near())[0] != self._shown.address:
                    break
            if any(machine.get(name) != value for name, value in advanced.items()):
                raise self._differs("does not do what its closed form says")
        for name, value in advanced.items():
            machine.set(name, value)

    def _differs(self, what: str) -> Differs:
        return self._bench.differs(self._at, what)

    # -- the ways on which nothing faults

    def _check_open(self, open_: list[Way], to: int | None) -> None:
        """One of the ways that are open is the one that the code takes."""
        shown = self._shown
        if shown.aligned > 1 and shown.place is None:
            raise NotRunError("where its aligned operand lies is not known")
        place = shown.place(self._before.__getitem__) if shown.place is not None else 0
        if place % shown.aligned:
            raise self._differs("is taken to do without an exception what needs an aligned operand")
        for way in open_:
            if to is None and (way.to == "return" or place_of(way.to) == self._popped):
                return
            if to is not None and place_of(way.to) == place_of(to):
                return
        where = "returns" if to is None else f"goes on at {to:#x}"
        raise self._differs(f"{where}, and no way that is open there does")

    def _usual(self, number: int, way: Way) -> Iterator[At]:
        """What a way moves is what the instruction touches; then on."""
        env, before = Env(self._at.env), self._before
        if self._shown.repeated is not None:
            count = before["rcx"]
            copied = _Copied(self._shown.repeated, before["rsi"], before["rdi"], count, count)
            check_copied(self._bench, replace(self._at, env=env), way, copied)
        else:
            self._compare(way, env)
        if way.step.hint is not None:
            place = self._shown.place
            if place is None or self._bench.value(way.step.hint, env) != place(before.__getitem__):
                raise self._differs(f"gives no hint about {way.step.hint}")
        for name in way.step.undefined:
            env[name] = self._machine.get(name.removeprefix("undefined.")[:2])
        self._exposed(way)
        yield from go_on(
            self._bench, replace(self._at, env=env, drops=self._drops), number, way, self._popped
        )

    def _compare(self, way: Way, env: Env) -> None:
        """Hold the accesses of a way, and their bytes, against those of the instruction."""
        touched: dict[str, dict[int, int]] = {"load": {}, "store": {}}
        frames: list[tuple[str, int]] = []
        for each in self._touched:
            address, kind = self._full(each.place), "store" if each.is_store else "load"
            offset = self._bench.offset(address)
            if not each.is_store and self._constant(address, len(each.data)) == bytes(each.data):
                continue  # data that are never written are as good as the code
            for k, byte in enumerate(each.data):
                if not -NEAR <= offset < NEAR:
                    touched[kind][(address + k) & MASK] = byte
                    continue
                frames.append((kind, offset + k))
                if kind == "load":
                    env.setdefault(f"|stack[{offset + k}].{self._at.drops}|", byte)
        told = [(f.kind, f.offset + k) for f in way.step.frame for k in range(f.size)]
        if sorted(told) != sorted(frames):
            raise self._differs("touches other places of the own frame than is said")
        self._in_bounds(way)
        for moved in way.step.moved:
            self._moved(moved, env, touched[moved.kind])
        for kind, places in touched.items():
            if places:
                raise self._differs(f"makes a {kind} at {min(places):#x}, of which nothing is said")

    def _constant(self, address: int, size: int) -> bytes | None:
        return self._bench.image.constant_at(self._shown.address, self._shown.size, address, size)

    def _moved(self, moved: Moved, env: Env, touched: dict[int, int]) -> None:
        address = self._bench.value(moved.address, env)
        places = [(address + k) & MASK for k in range(moved.size)]
        if moved.elements is not None or any(place not in touched for place in places):
            raise self._differs(f"makes no {moved.kind} of {moved.size} bytes at {moved.address}")
        found = number_of(bytes(touched.pop(place) for place in places))
        if moved.kind == "load":
            env[moved.value or ""] = found
        elif self._bench.value(moved.value or "", env) != found:
            raise self._differs(f"stores {found:#x}, and not {moved.value}")

    def _full(self, place: int) -> int:
        """The whole of an address of which the emulator tells the low bits."""
        bases = [self._before["rsp"], self._before["rsi"], self._before["rdi"]]
        if self._shown.place is not None:
            bases.insert(0, self._shown.place(self._before.__getitem__))
        for base in bases:
            near = (place - base + (1 << 51)) % (1 << 52) - (1 << 51)
            if abs(near) <= 4096:
                return (base + near) & MASK
        return place

    # -- the own frame

    def _in_bounds(self, way: Way) -> None:
        """An access to the stack outside the own frame is one that is proved to be impossible."""
        before, after = (self._bench.offset(rsp) for rsp in (self._before["rsp"], self._machine.get("rsp")))
        for frame in way.step.frame:
            lowest = min(before, after) if frame.kind == "store" else before
            highest = 0 if frame.kind == "store" else 8
            if frame.offset < lowest or frame.offset + frame.size > highest:
                self._must_be_stray(way, frame.offset)

    def _exposed(self, way: Way) -> None:
        """The stack pointer has not risen into the caller's frame, nor gone deeper than the stack is."""
        rsp = self._bench.offset(self._machine.get("rsp"))
        if not DEEPEST <= rsp <= NEAR:
            raise self._differs("leaves the stack pointer nowhere in the own frame")
        if rsp > _CALLER and way.to != "return":
            self._must_be_stray(way, _CALLER)

    def _must_be_stray(self, way: Way, offset: int) -> None:
        known = {*self._at.node.conditions, *way.step.conditions}
        for stray in self._bench.routine.strays:
            here = stray.source, stray.at, stray.offset
            if here == (self._at.location.name, self._shown.address, offset) and known.issuperset(
                stray.conditions
            ):
                return
        raise self._differs(f"touches the stack at {offset:+d}, out of the own frame, which is not said")

    # -- faults

    def _fault(self, number: int, way: Way) -> Iterator[At]:
        """The state at the fixup, once an access has faulted."""
        bench, step, wishes = self._bench, way.step, self._bench.wishes
        numbers, env = bench.question.traps(way.fault), Env(self._at.env)
        repeated, count = self._shown.repeated, self._before["rcx"]
        if repeated is None and step.done:
            raise self._differs("counts elements, and is no REP")
        if not numbers or (repeated is not None and not (count and step.done)):
            return
        env[step.trap] = trap = one_of(numbers, wishes.get(step.trap), bench.random)
        if repeated is not None:
            env[step.done] = one_of(range(min(count, _MANY)), wishes.get(step.done), bench.random)
        if not bench.holds(way, env):
            return
        if repeated is not None:
            self._repeated_fault(way, env, repeated)
        else:
            self._struck(step, env)
        entry = bench.image.entry_at(self._shown.address)
        if entry is None or not handled(self._machine, entry.handler, trap):
            raise self._differs("has no entry whose handler is known")
        drops = self._at.drops
        if self._risen():
            bench.spoil(self._at.lowest)
            drops += 1
        self._exposed(way)
        yield from go_on(bench, replace(self._at, env=env, drops=drops), number, way, None)

    def _repeated_fault(self, way: Way, env: Env, repeated: Repeated) -> None:
        before, done = self._before, env[way.step.done]
        copied = _Copied(repeated, before["rsi"], before["rdi"], done, before["rcx"])
        partial = self._bench.question.rep_model == "unordered"
        check_copied(self._bench, replace(self._at, env=env), way, copied, partial=partial)
        for name, value in _advanced(before, repeated, done).items():
            self._machine.set(name, value)

    def _struck(self, step: Step, env: Env) -> None:
        """The access that faults is one that the instruction makes, and nothing is done before it."""
        assert step.fault is not None
        address, is_store = self._bench.value(step.fault.address, env), step.fault.kind == "store"
        touched = {
            (self._full(t.place) + k) & MASK
            for t in self._touched
            if t.is_store == is_store
            for k in range(len(t.data))
        }
        if not all((address + k) & MASK in touched for k in range(step.fault.size)):
            raise self._differs(f"makes no {step.fault.kind} at {step.fault.address} that could fault")
        if step.moved or step.frame or step.undefined:
            raise self._differs("is said to do something before it faults")


def _advanced(before: Mapping[str, int], repeated: Repeated, done: int) -> dict[str, int]:
    """The registers of a REP once so many elements are done, by its closed form."""
    moved = repeated.size * done
    found = {"rcx": (before["rcx"] - done) & MASK, "rdi": (before["rdi"] + moved) & MASK}
    if repeated.copies:
        found["rsi"] = (before["rsi"] + moved) & MASK
    return found


def check_copied(bench: Bench, at: At, way: Way, copied: _Copied, *, partial: bool = False) -> None:
    """Hold what a way says of a REP, or of a routine in C, against what it does. `partial`: some of all its
    elements were stored. Raises Differs."""
    size, elements = copied.repeated.size, copied.of if partial else copied.done

    def is_(moved: Moved, address: int, *, partly: bool) -> bool:
        told = None if moved.elements is None else bench.value(moved.elements, at.env)
        found = bench.value(moved.address, at.env), moved.size, told, moved.partial
        return found == (address, size, elements, partly)

    loads = [m for m in way.step.moved if m.kind == "load"]
    stores = [m for m in way.step.moved if m.kind == "store"]
    right = len(stores) == 1 and len(loads) == int(copied.repeated.copies) and not way.step.frame
    right = right and all(is_(load, copied.start, partly=False) for load in loads)
    right = right and is_(stores[0], copied.to, partly=partial)
    if right and copied.repeated.copies:
        source = stores[0].source
        right = source is not None and bench.value(source, at.env) == copied.start
    elif right:
        stored = stores[0].value
        low = bench.machine.get("rax") % (1 << 8 * size)
        right = stored is not None and bench.value(stored, at.env) == low
    if right and way.step.fault is not None:
        struck = (copied.start if way.fault == "load" else copied.to) + copied.done * size
        fault = bench.value(way.step.fault.address, at.env), way.step.fault.size
        right = fault == (struck & MASK, size)
    if not right or way.step.undefined:
        raise bench.differs(at, "is said to move something else than it does")


# -- a routine in C


def outside(bench: Bench, at: At) -> Iterator[At]:
    """The states behind a routine outside that is taken to do what `models/x86_64/callees.toml` says."""
    callee = bench.callees.get(at.address)
    if callee is None:
        return  # every way ends there: `walk.py`
    machine = bench.machine
    to, start, count, rsp = (machine.get(name) for name in ("rdi", "rsi", "rdx", "rsp"))
    popped = number_of(machine.read(rsp, 8))
    open_ = [way for way in at.node.ways if not way.fault and bench.holds(way, at.env)]
    if not any(way.to in IMPOSSIBLE or way.to == "return" or place_of(way.to) == popped for way in open_):
        raise bench.differs(at, "returns, and no way that is open there does")
    for number, way in enumerate(at.node.ways):
        if way.to in IMPOSSIBLE or (way.fault and not count):
            continue
        machine.restore(at.snapshot)
        env, done = _struck(bench, at, way, count)
        if bench.holds(way, env):
            here = replace(at, env=env, drops=at.drops + 1)
            check_copied(bench, here, way, _Copied(Repeated(1, copies=True), start, to, done, count))
            if way.fault and callee.zero_at is not None:
                yield from go_on(bench, here, number, way, popped)
                continue
            _return_from(bench, here, callee, count - done)
            yield from go_on(bench, here, number, way, popped)


def zeroing(bench: Bench, at: At, callee: StandIn) -> Iterator[At]:
    """The states behind the zeroing of what such a routine could not copy."""
    machine, before = bench.machine, at.node.way
    to, count, rsp = (machine.get(name) for name in ("rdi", "rdx", "rsp"))
    if before is None or not before.step.done:
        raise bench.differs(at, "zeroes, and nothing says how much is left")
    copied = at.env[before.step.done]
    left, popped = count - copied, number_of(machine.read(rsp, 8))
    asked = machine.get("rcx") % (1 << 32) != 0
    open_ = [way for way in at.node.ways if not way.fault and bench.holds(way, at.env)]
    if not any(way.to in IMPOSSIBLE or bool(way.step.moved) == asked for way in open_):
        raise bench.differs(at, "zeroes what is left or not, and no way that is open there does so")
    for number, way in enumerate(at.node.ways):
        if way.to in IMPOSSIBLE:
            continue
        machine.restore(at.snapshot)
        env, done = _struck(bench, at, way, left)
        if bench.holds(way, env):
            here = replace(at, env=env)
            _check_zeroed(bench, here, way, (to + copied) & MASK, done if asked else None)
            _return_from(bench, here, callee, left)
            yield from go_on(bench, here, number, way, popped)


def _struck(bench: Bench, at: At, way: Way, count: int) -> tuple[Env, int]:
    """The values on a way, and how many of `count` bytes come before one that faults there."""
    if way.step.fault is None:
        return Env(at.env), count
    done = one_of(range(min(count, _MANY)), bench.wishes.get(way.step.done), bench.random)
    trap = one_of(bench.question.traps(way.fault), bench.wishes.get(way.step.trap), bench.random)
    return Env(at.env | {way.step.trap: trap, way.step.done: done}), done


def _check_zeroed(bench: Bench, at: At, way: Way, start: int, done: int | None) -> None:
    """Hold what a way says that it zeroes against the `done` bytes from `start` on; None: nothing is."""
    told = [
        (m.kind, bench.value(m.address, at.env), m.size, m.elements and bench.value(m.elements, at.env))
        for m in way.step.moved
    ]
    right = told == ([] if done is None else [("store", start, 1, done)]) and not way.step.frame
    right = right and all(m.value is not None and not bench.value(m.value, at.env) for m in way.step.moved)
    if right and way.step.fault is not None:
        fault = bench.value(way.step.fault.address, at.env), way.step.fault.size
        right = done is not None and fault == ((start + done) & MASK, 1)
    if not right or way.step.undefined:
        raise bench.differs(at, "is said to zero something else than it does")


def _return_from(bench: Bench, at: At, callee: StandIn, left: int) -> None:
    """Leave the registers as a routine in C may, and return."""
    machine = bench.machine
    for name in (*SCRATCH, *ARITHMETIC):
        machine.set(name, at.env[f"clobbered.{name}"])
    machine.set("rax", left)
    if callee.clears_ac:
        machine.set("ac", 0)
    machine.set("rsp", (machine.get("rsp") + 8) & MASK)
    bench.spoil(at.lowest)


# -- behind a way


def go_on(bench: Bench, at: At, number: int, way: Way, popped: int | None) -> Iterator[At]:
    """The state behind a way, in which the machine stands; or the end of its path. Raises Differs."""
    for path in at.node.ended[number]:
        _finish(bench, at, path, popped)
    child = at.node.following[number]
    if child is not None and isinstance(way.to, int):
        lowest = min(at.lowest, bench.offset(bench.machine.get("rsp")))
        yield At(at.location, child, way.to, bench.machine.save(), at.env, at.drops, lowest)


def _finish(bench: Bench, at: At, path: Path, popped: int | None) -> None:
    """Hold what a path says of its end against the machine, which stands there."""
    bench.ended.add(path.name)
    machine = bench.machine
    for name, term in path.final.items():
        offset = slot_of(name)
        actual = machine.get(name) if offset is None else number_of(machine.read(bench.rsp + offset, 8))
        if bench.final(term, at.env) != actual:
            raise bench.differs(at, f"leaves {actual:#x} in {name} at the end of {path.name}, and not {term}")
    if path.returned_to is not None and bench.final(path.returned_to, at.env) != popped:
        raise bench.differs(at, f"does not return to {path.returned_to}")
    if path.target is None:
        return
    for offset, address in bench.routine.location(path.target).calls:
        if number_of(machine.read(bench.rsp + offset, 8)) != place_of(address):
            raise bench.differs(at, f"has lost the return address {address:#x} of a call")


assert set(ARITHMETIC) <= STATE.keys()

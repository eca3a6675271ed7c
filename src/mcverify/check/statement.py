"""The obligations of a proof, stated from the question that is asked and from the record of the paths.

From paths, invariants and measures each statement that must hold is put together as SMT-LIB text. Contract,
domain and what REP does are none of the record's business; its terms have been read by `shape.py` before.
Nothing is simplified, no equality is used up: what is stored is followed store by store, and the invariant at
the end of a path is the invariant with the final values for its symbols. The engine that found the proof has
code of its own for all this, which is not used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mcverify.arch.known import X86_64
from mcverify.check.manifest import Location, Measure, Moved, Path, Routine, Step, Stray
from mcverify.check.question import GRANULARITY, Question
from mcverify.check.shape import sorts
from mcverify.check.term import Malformed
from mcverify.check.tree import Node, branches
from mcverify.contract import MACHINE_CHECK

WHY = {
    "initiation": "a path from the entry to a cut point establishes the invariant there",
    "consecution": "a path from a cut point to a cut point keeps the invariant: by induction on the number of"
    " paths taken, an invariant holds whenever its location is reached",
    "exit": "on a path that returns the contract holds; one file for each obligation",
    "impossible": "a path that ends at an uncovered fault, at an exception or at something not understood,"
    " or that was not followed since its condition is false, is taken by no run",
    "footprint": "an access lies inside its buffer; what lies before it on its path may be used, as it is"
    " proved by itself",
    "frame": "a touch of the stack outside the own frame is made by no run",
    "ways": "at each instruction one of the listed ways is open, so no run leaves the paths of its location",
    "termination": "a measure is lowered, or not raised, by a path: no loop is taken for ever",
    "slack": "beside the contract: so many good bytes before the bad one are at most left after a fault",
    "recursion": "a copy of one byte does not come to a routine in C that calls this one for each byte: what"
    " that does follows from what is proved here of a length of 1",
    "rep": "a REP instruction does what its closed form says, iteration by iteration",
}
"""The kinds of obligations, and what each is for."""

USER_END = X86_64.limits.user_end
"""User memory lies below it."""

_TOKEN = re.compile(r"\|[^|]*\||[^\s()]+")
_BAD = {"load": "bad_src", "store": "bad_dst"}
_AT_ENTRY = {"hit": "false", "ok": "true", "top": "#x0000000000000000", "zeroed": "false"}
_GHOSTS = ("hit", "ok", "top", "zeroed")


class Inconsistent(Exception):
    """The manifest contradicts itself; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Obligation:
    """One statement: a name fit for a file, its kind (a key of `WHY`), what it says, and the SMT-LIB text, to
    be unsatisfiable. `of` are the parts of the proof that it is about (`check.answers`)."""

    name: str
    kind: str
    says: str
    text: str
    of: frozenset[tuple[str, ...]] = frozenset()


def word(value: int) -> str:
    """A 64-bit constant."""
    return f"#x{value % (1 << 64):016x}"


def _all(terms: Iterable[str]) -> str:
    return _joined("and", "true", list(terms))


def _any(terms: Iterable[str]) -> str:
    return _joined("or", "false", list(terms))


def _joined(operator: str, neutral: str, terms: list[str]) -> str:
    """The terms joined; the operator wants two of them at least."""
    if len(terms) < 2:
        return terms[0] if terms else neutral
    return f"({operator} {' '.join(terms)})"


def _implies(premise: str, conclusion: str) -> str:
    return f"(=> {premise} {conclusion})"


def _let(values: Mapping[str, str], term: str) -> str:
    """`term` with values for symbols, all at once."""
    used = [n for n in sorted(values) if n in set(_TOKEN.findall(term))]
    return f"(let ({' '.join(f'({n} {values[n]})' for n in used)}) {term})" if used else term


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).strip("_") or "x"


def obligations(routine: Routine, question: Question) -> list[Obligation]:
    """All that must hold, in the order of the manifest; of two statements with the same text the first, about
    the parts of both. Raises what :func:`statements` does."""
    found: dict[str, Obligation] = {}
    for obligation in statements(routine, question):
        first = found.setdefault(obligation.text, obligation)
        found[obligation.text] = replace(first, of=first.of | obligation.of)
    return list(found.values())


def statements(routine: Routine, question: Question) -> Iterator[Obligation]:
    """All that must hold, one after the other; some say the same.

    Raises Inconsistent where the manifest names what it does not have, or a term is not one that belongs to
    its place.
    """
    names: set[str] = set()
    try:
        made = _Statements(routine, question)
    except Malformed as wrong:
        raise Inconsistent(f"of {routine.title}, {wrong}") from wrong
    for obligation in made.all():
        if obligation.name in names:
            raise Inconsistent(f"two obligations of {routine.title} are named {obligation.name}")
        names.add(obligation.name)
        yield obligation


@dataclass
class _Script:
    """What is said before a goal: conditions, and definitions in their order."""

    asserted: list[str] = field(default_factory=list)
    defined: list[tuple[str, str, str]] = field(default_factory=list)

    def define(self, name: str, sort: str, term: str) -> str:
        self.defined.append((name, sort, term))
        return name


@dataclass(frozen=True)
class _Buffer:
    kind: str
    base: str
    bad: str


class _Statements:
    def __init__(self, routine: Routine, question: Question) -> None:
        self._routine, self._question = routine, question
        self._contract = contract = question.contract
        self._length = f"{contract.len}@0" if contract.len else word(contract.size or 0)
        named = {"load": contract.src, "store": contract.dst}
        self._buffers = {k: _Buffer(k, f"{name}@0", _BAD[k]) for k, name in named.items() if name}
        self._sorts = {name: _sort(width) for name, width in sorts(routine, contract).items()}
        self._locations = {location.name: location for location in routine.locations}
        self._paths = {path.name: path for path in routine.paths}

    def all(self) -> Iterator[Obligation]:
        for location in self._routine.locations:
            yield from self._ways(location)
        for path in self._routine.paths:
            yield from self._footprint(path)
            yield from self._recursion(path)
            yield from self._end(path)
        for number, stray in enumerate(self._routine.strays, 1):
            yield self._stray(number, stray)
        for number, measure in enumerate(self._routine.measures, 1):
            yield from self._termination(number, measure)
        for size, copies in self._repeated():
            yield from self._closed_form(size, copies=copies)

    # -- premises

    def _location(self, name: str) -> Location:
        if name not in self._locations:
            raise Inconsistent(f"{self._routine.title} has no location {name}")
        return self._locations[name]

    def _rests(self, what: str) -> bool:
        """Whether an obligation of the exits, or what is asked of each thing of a kind, rests on bad
        addresses staying bad (`Routine.resting`)."""
        return what in self._routine.resting

    def _at(self, location: Location, *, bad_bytes: bool, staying: bool = False) -> _Script:
        """What is known at a location: the assumptions, its mode, its invariant; with `staying` what holds
        there if bad addresses stay bad."""
        length, limit = self._length, word(self._question.len_max)
        said = [f"(bvule {length} {limit})", f"(bvule j {limit})"]
        said += [f"(bvule {b.base} (bvsub {word(-1)} {length}))" for b in self._buffers.values()]
        if self._contract.told == "address" and self._contract.status is None:
            said += [f"(not (= {b.base} {word(0)}))" for b in self._buffers.values()]
        if self._contract.user:
            said += [f"(bvule {b.base} (bvsub {word(USER_END)} {length}))" for b in self._buffers.values()]
        said += [f"(= {r}@0 {word(v)})" for r, v in sorted(self._contract.given.items())]
        if bad_bytes or staying:
            for buffer in self._buffers.values():
                said += self._bad_byte(buffer)
        if not location.entry:
            said += self._mode(location)
            said += [fact.term for fact in (*location.invariant, *(location.staying if staying else ()))]
        return _Script(said)

    @staticmethod
    def _mode(location: Location) -> list[str]:
        return [
            f"(= rsp (bvadd rsp@0 {word(location.stack)}))",
            f"(= df #b{location.df})",
            f"(= ac #b{location.ac})",
        ]

    def _bad_byte(self, buffer: _Buffer) -> Iterator[str]:
        """The first bad byte of a buffer: in it or just behind, at a line's begin if it is inside."""
        yield f"(bvule {buffer.bad} {self._length})"
        low = GRANULARITY.bit_length() - 1
        line = f"(= ((_ extract {low - 1} 0) (bvadd {buffer.base} {buffer.bad})) (_ bv0 {low}))"
        yield f"(or (= {buffer.bad} {word(0)}) (= {buffer.bad} {self._length}) {line})"

    def _along(self, path: Path, *, bad_bytes: bool, staying: bool = False) -> _Script:
        """What is known at the end of a path, its accesses being inside their buffers."""
        script = self._at(self._location(path.source), bad_bytes=bad_bytes, staying=staying)
        for step in path.steps:
            self._take(script, step, bad_bytes=bad_bytes or staying)
        return script

    def _take(self, script: _Script, step: Step, *, bad_bytes: bool) -> None:
        script.asserted += step.conditions
        for moved in step.moved:
            self._know(script, moved)
            if bad_bytes and not moved.partial and self._may_fault(moved):
                script.asserted.append(self._survives(moved))
        if step.fault is not None:
            script.asserted.append(self._inside(step.fault))
            if bad_bytes:
                script.asserted.append(self._strikes(step.fault))

    def _know(self, script: _Script, moved: Moved) -> None:
        script.asserted.append(self._inside(moved))
        if moved.kind == "load" and moved.value is not None:
            for k in range(moved.size):
                here = f"(= (bvadd {self._offset(moved)} {word(k)}) j)"
                byte = f"((_ extract {8 * k + 7} {8 * k}) {moved.value})"
                script.asserted.append(_implies(here, f"(= {byte} source_byte)"))

    def _may_fault(self, moved: Moved) -> bool:
        return self._question.may_fault(moved.kind)

    def _offset(self, moved: Moved) -> str:
        buffer = self._buffers.get(moved.kind)
        return f"(bvsub {moved.address} {buffer.base})" if buffer else moved.address

    @staticmethod
    def _bytes(moved: Moved) -> str:
        size = word(moved.size)
        return size if moved.elements is None else f"(bvmul {size} {moved.elements})"

    def _inside(self, moved: Moved) -> str:
        """Obligation O8 of one access; the bytes of a REP must be countable."""
        if moved.kind not in self._buffers:
            return "false"
        offset, length = self._offset(moved), self._length
        inside = f"(and (bvule {offset} {length}) (bvule {self._bytes(moved)} (bvsub {length} {offset})))"
        if moved.elements is None:
            return inside
        countable = f"(bvule {moved.elements} {word((1 << 62) // moved.size)})"
        return f"(and {countable} (or (= {moved.elements} {word(0)}) {inside}))"

    def _survives(self, moved: Moved) -> str:
        buffer = self._buffers.get(moved.kind)
        return (
            f"(bvuge (bvsub {buffer.bad} {self._offset(moved)}) {self._bytes(moved)})" if buffer else "true"
        )

    def _strikes(self, moved: Moved) -> str:
        buffer = self._buffers.get(moved.kind)
        return (
            f"(bvult {buffer.bad} (bvadd {self._offset(moved)} {self._bytes(moved)}))" if buffer else "true"
        )

    # -- the one arbitrary byte

    def _ghost(self, script: _Script, path: Path) -> dict[str, str]:
        """Whether byte j has been stored, whether rightly, and how far stores have come, after a path."""
        entry = self._location(path.source).entry
        now = dict(_AT_ENTRY) if entry else {n: n for n in _GHOSTS}
        stores = [m for step in path.steps for m in step.moved if m.kind == "store"]
        for number, store in enumerate(stores, 1):
            define = script.define
            offset = define(f"offset.{number}", _sort(64), self._offset(store))
            end = define(f"end.{number}", _sort(64), f"(bvadd {offset} {self._bytes(store)})")
            covers = f"(bvult (bvsub j {offset}) {self._bytes(store)})"
            if store.partial:
                self._sorts |= {f"stored.{number}": "Bool", f"above.{number}": _sort(64)}
                covers = f"(and {covers} stored.{number})"
            covers = define(f"covers.{number}", "Bool", covers)
            right = define(f"right.{number}", "Bool", self._right(store, offset))
            zeroed = now["zeroed"]
            if self._contract.zeroes_rest:
                is_zero = "true" if _is_zero(store) else "false"
                zeroed = define(f"zeroed.{number}", "Bool", f"(ite {covers} {is_zero} {zeroed})")
            top = f"(ite (bvult {now['top']} {end}) {end} {now['top']})"
            if self._may_be_zeroed(store):  # it counts as not stored, where the contract lets it be zeroed
                zeroes, kept = self._zeroes(), f"(and {now['hit']} (not {covers}))"
                hit, ok = f"(or {now['hit']} {covers})", f"(ite {covers} {right} {now['ok']})"
                now = {
                    "hit": define(f"hit.{number}", "Bool", f"(ite {zeroes} {kept} {hit})"),
                    "ok": define(f"ok.{number}", "Bool", f"(ite {zeroes} {now['ok']} {ok})"),
                    "top": define(f"top.{number}", _sort(64), f"(ite {zeroes} {now['top']} {top})"),
                    "zeroed": zeroed,
                }
                continue
            now = {
                "hit": define(f"hit.{number}", "Bool", f"(or {now['hit']} {covers})"),
                "ok": define(f"ok.{number}", "Bool", f"(ite {covers} {right} {now['ok']})"),
                "top": define(f"top.{number}", _sort(64), f"above.{number}" if store.partial else top),
                "zeroed": zeroed,
            }
        return now

    def _may_be_zeroed(self, store: Moved) -> bool:
        """Whether a store of zeros may be the zeroing of bytes that are reported left."""
        return self._contract.rest_zeroed and _is_zero(store) and not store.partial

    def _zeroes(self) -> str:
        """When the contract lets bytes that are reported left be zeroed."""
        register = self._contract.zero_rest
        return "true" if register is None else f"(not (= ((_ extract 31 0) {register}@0) #x00000000))"

    def _right(self, store: Moved, offset: str) -> str:
        """That the byte which a store puts at j is the one expected there."""
        if store.source is not None:
            return f"(= (bvsub {store.source} {self._buffers['load'].base}) {offset})"
        if store.value is None:
            raise Inconsistent(f"{self._routine.title} stores something that is not told")
        expected = self._expected()
        parts = []
        for k in range(store.size):
            byte = f"(= ((_ extract {8 * k + 7} {8 * k}) {store.value}) {expected})"
            distance = f"(bvsub j {offset})"
            if store.elements is not None:
                distance = f"(bvurem {distance} {word(store.size)})"
            parts.append(_implies(f"(= {distance} {word(k)})", byte))
        return _all(parts)

    def _expected(self) -> str:
        """What byte j of dst is to become."""
        if self._contract.stored_value:
            unit = self._contract.unit
            at = "j" if unit is None else f"(bvurem j {word(unit)})"
            return f"((_ extract 7 0) (bvlshr {self._contract.stored_value}@0 (bvmul {word(8)} {at})))"
        return "source_byte" if self._contract.data == "copy" else "#x00"

    # -- statements

    def _stated(
        self, name: str, kind: str, says: str, script: _Script, goal: str, of: tuple[str, ...] = ()
    ) -> Obligation:
        lines = [f"; {self._routine.title}: {says}", f"; {kind}: {WHY[kind]}", "(set-logic QF_BV)"]
        body = [f"(assert {term})" for term in script.asserted]
        body += [f"(define-fun {n} () {sort} {term})" for n, sort, term in script.defined]
        body.append(f"(assert (not {goal}))")
        used = set(_TOKEN.findall(" ".join(body)))
        lines += [f"(declare-const {n} {self._sorts[n]})" for n in sorted(used & self._sorts.keys())]
        text = "\n".join([*lines, *body, "(check-sat)", ""])
        return Obligation(name, kind, says, text, frozenset({(kind, *of)}))

    def _footprint(self, path: Path) -> Iterator[Obligation]:
        staying = self._rests("access")
        script = self._at(self._location(path.source), bad_bytes=False, staying=staying)
        number = hints = 0
        for step in path.steps:
            script.asserted += step.conditions
            if step.hint is not None:
                hints += 1
                says = f"on {path.name} the hint at {step.at:#x} is about a line that holds a good byte"
                goal = self._is_harmless(step.hint)
                yield self._stated(f"{path.name}-hint{hints}", "footprint", says, script, goal)
            for moved in (*step.moved, *((step.fault,) if step.fault else ())):
                number += 1
                says = f"on {path.name} the {moved.kind} at {step.at:#x} lies inside its buffer"
                name = f"{path.name}-access{number}-{moved.kind}"
                of = path.name, str(number)
                yield self._stated(name, "footprint", says, script, self._inside(moved), of)
                self._know(script, moved)

    def _is_harmless(self, address: str) -> str:
        """That the cache line of a byte holds a good one of a buffer, so that a hint about it does not fault:
        they lie in one page. It may lie before the buffer, in the line where that begins."""
        goals = []
        for buffer in self._buffers.values():
            good = buffer.bad if self._question.may_fault(buffer.kind) else self._length
            end = f"(bvuge (bvor {address} {word(GRANULARITY - 1)}) {buffer.base})"
            goals.append(f"(bvult (bvsub {address} {buffer.base}) {good})")
            goals.append(f"(and (bvule {address} {buffer.base}) {end} (not (= {good} {word(0)})))")
        return _any(goals)

    def _recursion(self, path: Path) -> Iterator[Obligation]:
        """That a path which comes back from a routine in C that calls this one was not to copy one byte."""
        script = self._at(self._location(path.source), bad_bytes=False)
        for number, step in enumerate(passed(path), 1):
            script.asserted += step.conditions
            if step.at in self._routine.recursive:
                nothing = [f"(= {m.elements} {word(0)})" for m in step.moved if m.elements and not step.fault]
                goal = _any([f"(not (= {self._length} {word(1)}))", *nothing[:1]])
                says = f"on {path.name} no copy of one byte goes on at {step.at:#x}"
                yield self._stated(
                    f"{path.name}-recursion{number}", "recursion", says, script, goal, (path.name,)
                )

    def _end(self, path: Path) -> Iterator[Obligation]:
        if path.end == "location":
            yield from self._arrival(path)
        elif path.end == "return":
            yield from self._return(path)
        else:
            staying = path.by_address and bool(self._routine.resting)
            script = self._along(path, bad_bytes=path.by_address, staying=staying)
            says = f"{path.name} from {path.source} to {path.where} ({path.end}) is impossible"
            name = f"{path.name}-{path.end}-impossible"
            yield self._stated(name, "impossible", says, script, "false", (path.name,))

    def _arrival(self, path: Path) -> Iterator[Obligation]:
        """The mode, and what the invariant says of what the path leaves as it was, in one statement; each of
        its other facts in one of its own, which is quicker to decide. So too, if bad addresses stay bad, what
        holds only then."""
        yield from self._establishes(path, staying=False)
        if self._location(path.target or "").staying:
            yield from self._establishes(path, staying=True)

    def _establishes(self, path: Path, *, staying: bool) -> Iterator[Obligation]:
        source, target = self._location(path.source), self._location(path.target or "")
        kind = "initiation" if source.entry else "consecution"
        name = f"{path.name}-{source.name}-{target.name}-{kind}{'-staying' if staying else ''}"
        facts = target.staying if staying else target.invariant
        kept = [fact.term for fact in facts if self._is_left(path, fact.term)]
        parts = [("its mode, and what it leaves as it was", _all([*self._mode(target), *kept]))]
        parts += [(fact.says, fact.term) for fact in facts if fact.term not in kept]
        for number, (part, goal) in enumerate(parts):
            script = self._along(path, bad_bytes=False, staying=staying)
            values = self._final(script, path)
            self._complete(path, values, [goal])
            says = f"{path.name} establishes the invariant of {target.name} ({target.where}): {part}"
            again = f"-{number}" if number else ""
            yield self._stated(f"{name}{again}", kind, says, script, _let(values, goal), (path.name,))

    @staticmethod
    def _is_left(path: Path, term: str) -> bool:
        """Whether a path changes nothing of what a term speaks of."""
        names = set(_TOKEN.findall(term))
        changed = {name for name, value in path.final.items() if value not in (name, f"{name}@0")}
        return names.isdisjoint(changed | {*_GHOSTS, "last_trap"})

    def _final(self, script: _Script, path: Path) -> dict[str, str]:
        """The values of all state at the end of a path, by symbol."""
        values = {
            name: script.define(f"{name.strip('|')}.end" if "|" not in name else f"|{name.strip('|')}.end|",
                                self._sorts.get(name, _sort(64)), term)
            for name, term in sorted(path.final.items())
        }  # fmt: skip
        if path.returned_to is not None:
            values["returned_to"] = path.returned_to
        return values | self._ghost(script, path) | {"last_trap": self._trap(path)}

    @staticmethod
    def _trap(path: Path) -> str:
        return next((s.trap for s in reversed(path.steps) if s.fault is not None), "last_trap")

    def _complete(self, path: Path, values: Mapping[str, str], goals: Iterable[str]) -> None:
        """Refuse goals about state whose value at the end is not told: that at the start is not meant."""
        lasting = {"j", "source_byte", *_BAD.values()}
        for name in {t for goal in goals for t in _TOKEN.findall(goal)} & self._sorts.keys():
            if name not in values and name not in lasting and not name.strip("|").endswith("@0"):
                raise Inconsistent(
                    f"{path.name} of {self._routine.title} does not tell what becomes of {name}"
                )

    def _stray(self, number: int, stray: Stray) -> Obligation:
        script = self._at(self._location(stray.source), bad_bytes=False, staying=self._rests("frame"))
        script.asserted += stray.conditions
        says = f"the touch of the stack at {stray.offset:+d}, by {stray.at:#x}, is impossible"
        return self._stated(f"frame{number}", "frame", says, script, "false", (str(number),))

    # -- returns

    def _return(self, path: Path) -> Iterator[Obligation]:
        for identifier in dict.fromkeys((*self._contract.obligations, *self._contract.on_machine_check)):
            for number, (goal, bad_bytes) in enumerate(self._exit_goals(identifier, path)):
                script = self._along(path, bad_bytes=bad_bytes, staying=self._rests(identifier))
                values = self._final(script, path)
                bound = self._where_it_binds(identifier, path, goal)
                if identifier == "O4":
                    for n, fault in enumerate(_faults(path), 1):
                        script.define(f"fault.{n}", _sort(64), self._offset(fault))
                self._complete(path, values, [bound])
                again = f"-{number + 1}" if number else ""
                says = f"{identifier} holds where {path.name} returns ({path.exit})"
                name = f"{path.name}-return-{_plain(path.exit)}-{identifier}{again}"
                yield self._stated(name, "exit", says, script, _let(values, bound), (path.name, identifier))

        if self._routine.slack is not None and self._faulted(path) and self._contract.left:
            yield self._within_slack(path, self._routine.slack)

    def _within_slack(self, path: Path, slack: int) -> Obligation:
        """That the bytes done and `slack` more reach a bad one."""
        script = self._along(path, bad_bytes=True, staying=bool(self._routine.resting))
        values = self._final(script, path)
        reached = f"(bvadd (bvsub {self._length} {self._left(path)}) {word(slack)})"
        goal = _any(f"(bvule {bad} {reached})" for bad in self._bad())
        self._complete(path, values, [goal])
        says = f"at most {slack} good bytes are left where {path.name} returns ({path.exit})"
        name = f"{path.name}-return-{_plain(path.exit)}-slack"
        return self._stated(name, "slack", says, script, _let(values, goal))

    def _faulted(self, path: Path) -> bool:
        return path.faulted or self._location(path.source).faulted

    def _where_it_binds(self, identifier: str, path: Path, goal: str) -> str:
        generally = identifier in self._contract.obligations
        after_machine_check = identifier in self._contract.on_machine_check
        if generally and after_machine_check:
            return goal
        machine_check = f"(= last_trap {word(MACHINE_CHECK)})" if self._faulted(path) else "false"
        return _implies(machine_check if after_machine_check else f"(not {machine_check})", goal)

    def _exit_goals(self, identifier: str, path: Path) -> Iterator[tuple[str, bool]]:
        """Goals over final values, each with whether it rests on bad addresses staying bad."""
        left, length, faulted = self._left(path), self._length, self._faulted(path)
        claim = f"(bvule {left} {length})"
        claimed = f"(bvsub {length} {left})"
        if identifier == "O2" and left:
            yield claim, False
        elif identifier == "O3" and left:
            yield _implies(f"(and {claim} (bvult j {claimed}))", "hit"), False
        elif identifier == "O4":
            yield from self._nothing_beyond(path, f"(and {claim} hit)", claimed)
        elif identifier == "O5" and left and faulted:
            nothing = f"(and (= {left} {length}) (not (= {length} {word(0)})))"
            yield _implies(nothing, _any(f"(= {bad} {word(0)})" for bad in self._bad())), True
        elif identifier == "O6":
            yield from ((goal, False) for goal in self._right_data(faulted=faulted))
            if self._contract.zeroes_rest and faulted:
                yield self._rest_zeroed(claim, claimed)
        elif identifier == "O7":
            yield self._machine_state(path), False
        elif identifier == "O9":
            yield _all(self._failure() if faulted else self._success(path)), False
        elif identifier == "O10":
            yield "false" if path.unfenced else "true", False

    def _result(self, role: str) -> str:
        """The result `role` as 64 bits, what lies above its width left out; "" where there is none."""
        register, bits = getattr(self._contract, role) or "", self._contract.bits(role)
        if not register or bits == 64:
            return register
        return f"((_ zero_extend {64 - bits}) ((_ extract {bits - 1} 0) {register}))"

    def _left(self, path: Path) -> str:
        """The count of bytes left that the registers tell at the end of a path; "" where nothing tells it.
        The buffers do not overlap, so an address is looked for first where the last fault was."""
        told, contract = self._result("left"), self._contract
        if not told or contract.told == "left":
            return told
        if contract.told == "done":
            return f"(bvsub {self._length} {told})"
        found = word(-1)
        last = next((fault.kind for fault in reversed(_faults(path))), "load")
        for kind in sorted(self._buffers, key=lambda kind: kind == last):
            offset = f"(bvsub {told} {self._buffers[kind].base})"
            found = f"(ite (bvult {offset} {self._length}) (bvsub {self._length} {offset}) {found})"
        is_zero = f"(= {self._result('status') or told} {word(0)})"
        succeeded = f"(not {is_zero})" if contract.status and contract.status_inverted else is_zero
        return f"(ite {succeeded} {word(0)} {found})"

    def _nothing_beyond(self, path: Path, claim: str, claimed: str) -> Iterator[tuple[str, bool]]:
        """No byte is stored behind the claim, nor at or behind a bad one."""
        if self._contract.left:
            yield _implies(claim, f"(bvult j (bvadd {claimed} {self._over_report(path)}))"), False
        if self._faulted(path):
            yield self._before_the_fault(path)

    def _right_data(self, *, faulted: bool) -> Iterator[str]:
        if self._contract.dst:
            yield _implies("hit", "ok")
        if self._contract.loaded_value:
            yield self._value_returned(self._contract.loaded_value, faulted=faulted)

    def _rest_zeroed(self, claim: str, claimed: str) -> tuple[str, bool]:
        """Each byte that is reported left is zero, as far as it can be written."""
        rest = [self._zeroes(), claim, f"(bvule {claimed} j)", f"(bvult j {self._length})"]
        may_fault = self._question.may_fault("store")
        if may_fault:
            rest.append(f"(bvult j {self._buffers['store'].bad})")
        return _implies(_all(rest), "zeroed"), may_fault

    def _value_returned(self, register: str, *, faulted: bool) -> str:
        """That the register returns the bytes of src, zero-extended; 0 after a fault."""
        size = self._contract.size
        if faulted or size is None:
            return f"(= {register} {word(0)})"
        bytes_of_src = [
            _implies(f"(= j {word(k)})", f"(= ((_ extract {8 * k + 7} {8 * k}) {register}) source_byte)")
            for k in range(size)
        ]
        above = f"(= ((_ extract 63 {8 * size}) {register}) (_ bv0 {64 - 8 * size}))" if size < 8 else "true"
        return _all([*bytes_of_src, above])

    def _bad(self) -> list[str]:
        return [b.bad for b in self._buffers.values() if self._question.may_fault(b.kind)]

    def _over_report(self, path: Path) -> str:
        usually, then = (word(self._contract.over_report_after(t)) for t in (None, MACHINE_CHECK))
        if not self._faulted(path) or usually == then:
            return usually
        return f"(ite (= last_trap {word(MACHINE_CHECK)}) {then} {usually})"

    def _before_the_fault(self, path: Path) -> tuple[str, bool]:
        """No byte is stored at or behind the one that faulted: the first bad byte where a fault lies before
        the path, else the place where each access that faulted begins."""
        if self._location(path.source).faulted or self._rests("O4"):
            return _implies("hit", _all(f"(bvult j {bad})" for bad in self._bad())), True
        faults = _faults(path)
        return _implies("hit", _all(f"(bvult j fault.{n})" for n in range(1, len(faults) + 1))), False

    def _machine_state(self, path: Path) -> str:
        kept = [f"(= {name} {name}@0)" for name in self._contract.kept]
        state = [f"(= rsp (bvadd rsp@0 {word(8)}))", "(= df #b0)", "(= ac #b0)"]
        if path.returned_to is None:
            raise Inconsistent(f"{path.name} of {self._routine.title} does not tell where it returns to")
        return _all([*kept, *state, "(= returned_to return@0)"])

    def _success(self, path: Path) -> Iterator[str]:
        contract = self._contract
        if contract.dst:
            yield _implies(f"(bvult j {self._length})", "hit")
        if contract.left:
            yield f"(= {self._left(path)} {word(0)})"
        if contract.trap:
            yield f"(= {self._result('trap')} {word(0)})"
        if contract.status and not contract.success_unasked:
            is_zero = f"(= {self._result('status')} {word(0)})"
            if contract.status_is_bool:
                yield f"(= {self._result('status')} {word(1)})"
            else:
                yield f"(not {is_zero})" if contract.status_inverted else is_zero

    def _failure(self) -> Iterator[str]:
        contract = self._contract
        if contract.trap:
            yield f"(= {self._result('trap')} last_trap)"
        if contract.status and contract.error is not None:
            bits = contract.error_bits
            value = f"(_ bv{contract.error % (1 << bits)} {bits})"
            yield f"(= ((_ extract {bits - 1} 0) {contract.status}) {value})"
        elif contract.status:
            is_zero = f"(= {self._result('status')} {word(0)})"
            yield is_zero if contract.status_inverted else f"(not {is_zero})"

    # -- REP

    def _repeated(self) -> list[tuple[int, bool]]:
        """The sizes of the elements that some step moves many of, with whether they are copied."""
        moved = (m for path in self._routine.paths for step in path.steps for m in step.moved)
        return sorted({(m.size, m.source is not None) for m in moved if m.kind == "store" and m.elements})

    def _closed_form(self, size: int, *, copies: bool) -> Iterator[Obligation]:
        """That from one iteration, as the Intel SDM has it, what is said of k elements follows by induction
        on k: from rcx = n, rsi = s, rdi = d the registers are n - k, s + e*k, d + e*k, and the bytes that
        have been stored are [d, d + e*k). One iteration ends where rcx = 0; else it moves one element, at rsi
        and rdi, adds e to these and takes 1 from rcx (DF is clear)."""
        e, more = word(size), "(bvult rep.k rep.n)"
        self._sorts |= {f"rep.{name}": _sort(64) for name in ("n", "s", "d", "k", "at")}

        def at(k: str) -> dict[str, str]:
            moved = f"(bvmul {e} {k})"
            return {
                "rcx": f"(bvsub rep.n {k})",
                "rdi": f"(bvadd rep.d {moved})",
                **({"rsi": f"(bvadd rep.s {moved})"} if copies else {}),
            }

        now, following = at("rep.k"), at(f"(bvadd rep.k {word(1)})")
        after = {name: f"(bvadd {value} {word(-1) if name == 'rcx' else e})" for name, value in now.items()}
        same = _all(f"(= {after[name]} {following[name]})" for name in sorted(now))
        moved = f"(bvmul {e} rep.k)"
        grown = f"(or (bvult rep.at {moved}) (bvult (bvsub rep.at {moved}) {e}))"
        bytes_grow = f"(= (bvult rep.at (bvadd {moved} {e})) {grown})"
        claims = {
            "it ends at k = n": f"(= {at('rep.n')['rcx']} {word(0)})",
            "below n it goes on": _implies(more, f"(not (= {now['rcx']} {word(0)}))"),
            "element k leaves the registers of k + 1": _implies(more, same),
            "one more element is e more bytes": _implies(
                f"(bvult rep.k {word((1 << 62) // size)})", bytes_grow
            ),
        }
        what = f"{'movs' if copies else 'stos'} of {size}"
        for number, (says, claim) in enumerate(claims.items(), 1):
            name = f"rep-{'movs' if copies else 'stos'}{size}-{number}"
            yield self._stated(name, "rep", f"REP {what}: {says}", _Script(), claim)

    # -- ways and ends

    def _ways(self, location: Location) -> Iterator[Obligation]:
        """That at each instruction of the tree of paths one of the ways is open, and each of its faults."""
        own = [path for path in self._routine.paths if path.source == location.name]
        goals = [goal for node in branches(own) for goal in self._open(node)]
        if goals:
            says = f"at each instruction behind {location.name} one of the listed ways is open"
            script = self._at(location, bad_bytes=False)
            yield self._stated(f"{location.name}-ways", "ways", says, script, _all(goals))

    def _open(self, node: Node) -> Iterator[str]:
        reached = _all(node.conditions)
        usual = [way for way in node.ways if not way.fault]
        if all(way.step.conditions for way in usual):
            yield _implies(reached, _any(dict.fromkeys(_all(way.step.conditions) for way in usual)))
        for kind in ("load", "store"):
            numbers = self._question.traps(kind)
            faults = [way for way in node.ways if way.fault == kind]
            others = [_all(w.step.conditions) for w in usual if all(m.kind != kind for m in w.step.moved)]
            elements = {m.elements for w in usual for m in w.step.moved if m.elements is not None}
            for number in numbers if faults else ():
                open_faults, premises = [], [reached]
                for way in faults:
                    condition = _all(way.step.conditions)
                    open_faults.append(f"(let (({way.step.trap} {word(number)})) {condition})")
                    done = [way.step.done] if way.step.done else []
                    premises += [f"(bvult {d} {e})" for d in done for e in sorted(elements)]
                yield _implies(_all(premises), _any([*open_faults, *others]))

    def _termination(self, number: int, measure: Measure) -> Iterator[Obligation]:
        for relation, names in (("falls", measure.falls), ("stays", measure.stays)):
            for name in names:
                if name not in self._paths:
                    raise Inconsistent(
                        f"{self._routine.title} has no path {name}, which measure {number} names"
                    )
                path = self._paths[name]
                script = self._along(path, bad_bytes=False, staying=self._rests("loops"))
                values = self._final(script, path)
                self._complete(path, values, [measure.term])
                comparison = {"falls": "bvult", "stays": "bvule"}[relation]
                goal = f"({comparison} {_let(values, measure.term)} {measure.term})"
                does = {"falls": "lowers", "stays": "does not raise"}[relation]
                says = f"{path.name} {does} the measure {measure.says}"
                yield self._stated(
                    f"measure{number}-{path.name}-{relation}", "termination", says, script, goal
                )


def _is_zero(store: Moved) -> bool:
    """Whether a constant zero is stored."""
    return re.fullmatch(r"#x0+", store.value or "") is not None


def passed(path: Path) -> tuple[Step, ...]:
    """The steps of a path behind which it goes on."""
    return path.steps if path.end in ("location", "return") else path.steps[:-1]


def _faults(path: Path) -> list[Moved]:
    return [step.fault for step in path.steps if step.fault is not None]


def _sort(width: int) -> str:
    return f"(_ BitVec {width})" if width else "Bool"

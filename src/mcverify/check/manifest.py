"""The manifest of a proof bundle: what was proved, by which paths, invariants and measures.

Terms are text, SMT-LIB 2 over the logic QF_BV. Symbols are those of docs/bundle.md: ``rsi`` is the register
at the location where a path starts, ``rsi@0`` at the entry of the routine. Nothing that is said here is
believed: `shape.py` says what of it may stand where.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from mcverify.contract import Faults, Traps

FORMAT = "mcverify-proof 2"
"""The format of the manifest; another one is refused. 1: until terms were read and run against the code."""

LARGEST = 256 << 20
"""Bytes of a manifest, at most."""

Term = str
"""A term of SMT-LIB 2."""

KindName = Literal["load", "store"]

End = Literal["location", "return", "uncovered", "trap", "outside", "lost", "endless", "pruned"]
"""How a path ends: `location` and `return` as they should; all others must be impossible."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Fact(_Record, frozen=True):
    """A condition, in words and as a term."""

    says: str
    term: Term


class Location(_Record, frozen=True):
    """A cut point in one mode, and what holds whenever it is reached; `staying` holds besides if bad
    addresses stay bad. `stack` is rsp minus its value at entry, `calls` are the words on the stack to which
    calls return, each its offset and the address, the last one last."""

    name: str
    address: int
    where: str
    entry: bool
    faulted: bool
    stack: int
    df: int
    ac: int
    unfenced: bool
    invariant: tuple[Fact, ...]
    calls: tuple[tuple[int, int], ...] = ()
    staying: tuple[Fact, ...] = ()


class Moved(_Record, frozen=True):
    """Bytes loaded or stored: `size` of them, or `elements` times as many. `value` is a load's symbol, or the
    term stored; of what REP copies the address `source` is told instead. `partial`: only some were stored."""

    kind: KindName
    address: Term
    size: int
    value: Term | None = None
    elements: Term | None = None
    source: Term | None = None
    partial: bool = False


class Frame(_Record, frozen=True):
    """An access to the own stack frame, at `offset` from rsp at entry."""

    kind: KindName
    offset: int
    size: int


class Step(_Record, frozen=True):
    """One instruction of a path: its address, under which conditions the path takes it so, and what it moves.

    Where an access faults, `fault` is that access, `trap` the symbol of the trap's number, and `done` that of
    how many elements of a REP, or bytes of a routine in C, came before it. `hint` is the byte whose cache
    line an instruction like clwb is about, `undefined` are the symbols of the flags that it leaves undefined.
    """

    at: int
    conditions: tuple[Term, ...] = ()
    moved: tuple[Moved, ...] = ()
    frame: tuple[Frame, ...] = ()
    fault: Moved | None = None
    trap: str = ""
    done: str = ""
    hint: Term | None = None
    undefined: tuple[str, ...] = ()


class Path(_Record, frozen=True):
    """One acyclic way from a location. `to` is the address (None: none) and `target` the location where it
    ends, `final` the values at the end by symbol.
    `by_address`: its impossibility needs that bad addresses stay bad; `unfenced`: a non-temporal store waits
    for a fence at its end."""

    name: str
    source: str
    end: End
    where: str
    exit: str
    to: int | None
    target: str | None
    steps: tuple[Step, ...]
    final: dict[str, Term]
    returned_to: Term | None = None
    by_address: bool = False
    unfenced: bool = False
    reason: str = ""

    @property
    def faulted(self) -> bool:
        """Whether a fault is taken on it."""
        return any(step.fault is not None for step in self.steps)


class Measure(_Record, frozen=True):
    """An unsigned term that no path of a loop raises: the paths `falls` lower it, `stays` do not raise it."""

    says: str
    term: Term
    falls: tuple[str, ...]
    stays: tuple[str, ...]


class Stray(_Record, frozen=True):
    """A touch of the stack outside the own frame, that must be impossible."""

    source: str
    at: int
    offset: int
    conditions: tuple[Term, ...]


class Routine(_Record, frozen=True):
    """The proof of one routine, in one variant of its code. `alternatives` are the numbers of those that the
    boot code writes where the CPU has (and lacks) `features`. After a fault at most `slack` good bytes before
    the bad one are left, if that was proved. `recursive` are the addresses of routines in C that call this
    one for each byte.

    `contract` is its name; what the contract asks for is not read from here. `faults`, `traps`, `rep_model`
    and `len_max` are what the proof took on, `notes` what the prover was told about the code (a CONFIG that
    was assumed).

    `resting` is what the proof has only if bad addresses stay bad: obligations of the exits by their ids, and
    "access", "frame", "loops" for what is asked of each access, each touch of the stack and the loops."""

    name: str
    features: dict[str, bool]
    alternatives: tuple[int, ...]
    entry: int
    contract: str
    faults: Faults
    traps: Traps
    rep_model: Literal["ordered", "unordered"]
    len_max: int
    notes: tuple[str, ...]
    locations: tuple[Location, ...]
    paths: tuple[Path, ...]
    measures: tuple[Measure, ...]
    strays: tuple[Stray, ...]
    slack: int | None = None
    recursive: tuple[int, ...] = ()
    resting: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """The features in short, "" where none matters."""
        return ",".join(name if has else f"!{name}" for name, has in self.features.items())

    @property
    def title(self) -> str:
        """Its name, with the variant where there are several."""
        return f"{self.name} [{self.variant}]" if self.variant else self.name

    def location(self, name: str) -> Location:
        """The location of that name. Raises KeyError."""
        return next(found for found in self.locations if found.name == name)


class Listed(_Record, frozen=True):
    """An obligation of a routine: its file, what it is and why it is needed."""

    file: str
    kind: str
    says: str


class Proof(_Record, frozen=True):
    """A routine with the list of its obligations; their files lie in `folder`. `code` is the file with its
    code where that was cut out of a linked kernel or a module."""

    folder: str
    routine: Routine
    obligations: tuple[Listed, ...]
    code: str = ""


class Manifest(_Record, frozen=True):
    """All of a bundle. `source` is the file that was proved, `sha256` its digest and `object` the name of the
    object in the bundle; `why` says how the obligations make a proof."""

    format: str
    tools: dict[str, str]
    source: str
    sha256: str
    object: str
    why: dict[str, str]
    proofs: tuple[Proof, ...]


def encoded(manifest: Manifest) -> bytes:
    """The manifest as a file: JSON, one field a line."""
    return (json.dumps(msgspec.to_builtins(manifest), indent=1, ensure_ascii=False) + "\n").encode()


def decoded(content: bytes) -> Manifest:
    """The manifest in a file. Raises ValueError with a sentence on what is wrong."""
    if len(content) > LARGEST:
        raise ValueError(f"it has {len(content)} bytes, more than {LARGEST}")
    try:
        raw: Any = msgspec.json.decode(content)
        if isinstance(raw, dict) and raw.get("format") != FORMAT:
            raise ValueError(f"its format is {raw.get('format')!r}, and this version reads {FORMAT!r}")
        return msgspec.convert(raw, Manifest)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(str(error)[:1].lower() + str(error)[1:]) from error

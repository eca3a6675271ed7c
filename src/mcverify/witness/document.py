"""The shape of a document of `mcverify prove --json`, as far as a replay needs it.

What msgspec checks while it reads: types, ranges and words, each wrong one named by its path in the document.
docs/json.md says what the fields mean. Fields that are not here are skipped.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mcverify.contract import FaultModel, Faults, Told, Traps

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Offset = Annotated[int, Meta(ge=-(1 << 63))]
Distance = Annotated[int, Meta(ge=0, lt=1 << 56)]
Word = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{1,16}$")]
Bits = Annotated[str, Meta(pattern=r"^[01]*$")]
Hex = Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){1,15}$")]
Words = dict[str, Word]
Runs = tuple[tuple[Offset, Offset], ...] | None


class Head(Struct):
    """What every document begins with."""

    schema: int
    mcverify: str


class Options(Struct):
    """Options of the command."""

    contract: str | None
    faults: Faults | None
    len_max: Count
    rep_model: Literal["ordered", "unordered"]
    include: tuple[str, ...]
    defines: tuple[str, ...]
    trap: Traps | None = None
    fault_model: FaultModel | None = None
    system_map: str | None = None
    kernel: str | None = None
    config: str | None = None
    ignore_annotations: bool = False
    table: str | None = None
    syntax: Literal["att", "intel"] | None = None


class Terms(Struct):
    """A contract by value."""

    name: str
    summary: str
    dst: str | None
    src: str | None
    len: str | None
    left: str | None
    status: str | None
    trap: str | None
    obligations: tuple[str, ...]
    on_machine_check: tuple[str, ...]
    faults: Faults
    data: Literal["copy", "zero", "value", "fill", "compare", "swap", "add"]
    over_report: Count
    status_inverted: bool
    given: Words
    preserved: tuple[str, ...]
    routines: dict[str, str]
    source: str
    over_report_on_machine_check: Count | None = None
    traps: Traps = "both"
    fault_model: FaultModel = "mixed"
    reads_user: bool = False
    recoverable: bool = False
    size: Count | None = None
    stored_value: str | None = None
    loaded_value: str | None = None
    success_unasked: bool = False
    rest_zeroed: bool = False
    zero_rest: str | None = None
    error: int | None = None
    user: bool = False
    clobbered: tuple[str, ...] = ()
    widths: dict[str, int] = {}
    faults_by_table: bool = False
    when_reads: tuple[str, ...] = ()
    unit: int | None = None
    zeroes_rest: bool = False
    string_length: str | None = None
    counts_nul: bool = False
    told: Told = "left"
    handed: dict[str, str] = {}
    compared: str | None = None
    found: str | None = None
    window: dict[str, str | int | list[str]] | None = None


class Line(Struct):
    """An instruction of the listing."""

    address: Word
    code: Hex
    text: str
    label: str
    where: str
    fixup: Word | None
    handler: str


class TableEntry(Struct):
    """An entry of the exception table."""

    insn: Word
    fixup: Word
    handler: str
    effects: tuple[str, ...]
    register: str | None
    imm: Offset
    index: Count


class Placement(Struct):
    """Where a buffer lies."""

    place: Literal["free", "hole", "inside", "end", "front"]
    at: Distance


class Piece(Struct):
    """Bytes of src."""

    offset: Offset
    bytes: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})+$")]


class Preset(Struct):
    """What a case finds at entry in place of what its seed chooses."""

    registers: dict[str, Annotated[str, Meta(pattern=r"^0x[0-9a-f]{1,64}$")]]
    every: Annotated[str, Meta(pattern="^([0-9a-f]{16})?$")]
    pieces: tuple[Piece, ...]


class Case(Struct):
    """The input of a run."""

    len: Count
    src: Placement
    dst: Placement
    trap: Literal[14, 18]
    seed: Count
    later_traps: tuple[Literal[14, 18], ...] = ()
    flicker: Annotated[str, Meta(pattern=r"^([01]{0,24}\([01]{1,8}\))?$")] = ""
    preset: Preset | None = None


class Fault(Struct):
    """A fault that was taken."""

    insn: Word
    buffer: Literal["src", "dst", ""]
    offset: Offset
    is_store: bool


class Access(Struct):
    """An access that was carried out."""

    insn: Word
    buffer: Literal["src", "dst", "stack", ""]
    offset: Offset
    size: Count
    is_store: bool


class Outcome(Struct):
    """What a run did."""

    on: Literal["cpu", "emulator"]
    schedule: Literal["", "descending", "odd_first", "blocks", "outside_in"]
    ending: Literal["returned", "oops", "wild", "illegal", "timeout", "escaped", "died", "trapped"]
    rip: Word
    registers: Words
    initial: Words
    faults: tuple[Fault, ...]
    base: Offset
    written: Bits
    correct: Bits
    stored: Runs
    wrong: Runs
    ac: bool
    frame_intact: bool


class Relevance(Struct):
    """An input, and for which values of it the same happens."""

    input: str
    values: str
    runs: Count


class Step(Struct):
    """An executed instruction."""

    address: Word
    where: str
    label: str
    text: str
    registers: Words
    accesses: tuple[Access, ...]
    fault: Fault | None
    stored: Count
    times: Annotated[int, Meta(ge=1)]


class Repair(Struct):
    """A changed line that makes the routine proved."""

    where: str
    before: str
    after: str
    sentence: str


class Explanation(Struct):
    """Why a run breaks its obligation."""

    rule: str
    fixup: str
    label: str
    access: str
    formula: str
    numbers: str
    value: Offset | None
    expected: Offset | None
    parted: str
    how: str
    repair: Repair | None


class Prediction(Struct):
    """How much of a run the model predicted, or the emulator where the model cannot."""

    registers: Count
    bytes: Count
    by: Literal["model", "emulator"] = "model"
    why: str = ""


class Counterexample(Struct):
    """A run that breaks obligations."""

    obligations: Annotated[tuple[str, ...], Meta(min_length=1)]
    exit: str
    sentence: str
    case: Case
    outcome: Outcome
    others: Count
    relevance: tuple[Relevance, ...]
    trace: tuple[Step, ...]
    explanation: Explanation | None
    prediction: Prediction | None


class Routine(Struct):
    """One routine, with its counterexamples."""

    name: str
    file: str
    sha256: str
    terms: Terms | None
    faults: Faults
    entry: Word
    listing: tuple[Line, ...]
    table: tuple[TableEntry, ...]
    counterexamples: tuple[Counterexample, ...]
    variant: str = ""


class Document(Struct):
    """A whole document."""

    options: Options
    routines: tuple[Routine, ...]

"""Results made by hand, one for each verdict, for tests of what is made from them."""

from __future__ import annotations

from dataclasses import replace

from mcverify.contract import load_contract
from mcverify.image.image import Handler, TableEntry
from mcverify.proof.result import (
    EVERYWHERE,
    SUCCESS,
    Counterexample,
    Domain,
    Exit,
    Explanation,
    ListingLine,
    ObligationResult,
    Prediction,
    Relevance,
    Repair,
    RoutineResult,
    TraceStep,
    Verdict,
)
from mcverify.runs.case import RED_ZONE, Access, Case, Ending, Fault, Outcome, Place, Placement

FILE = "asm/memcpy_64.S"
AT_EXITS = ("O2", "O3", "O4", "O6", "O7", "O9")
GENERAL = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rflags".split()


def _exits() -> tuple[Exit, ...]:
    success = Exit(SUCCESS, "", f"{FILE}:92", "", "0")
    lead = Exit(".Lfix_a", ".Lfix_a", f"{FILE}:101", f"{FILE}:31", "rdx + ecx")
    early = [
        Exit(f".Lfix_b0 (b{i})", ".Lfix_b0", f"{FILE}:104", f"{FILE}:{42 + i}", "64*ecx + edx")
        for i in range(4)
    ]
    late = [
        Exit(f".Lfix_b4 (b{4 + i})", ".Lfix_b4", f"{FILE}:109", f"{FILE}:{50 + i}", "64*ecx + edx - 32")
        for i in range(4)
    ]
    words = Exit(".Lfix_w", ".Lfix_w", f"{FILE}:114", f"{FILE}:66", "8*ecx + edx")
    rest = Exit(".Lfix_c", ".Lfix_c", f"{FILE}:118", f"{FILE}:78", "edx")
    return (success, lead, *early, *late, words, rest)


def _obligations(exits: tuple[Exit, ...]) -> tuple[ObligationResult, ...]:
    everywhere = tuple(
        ObligationResult(name, EVERYWHERE, Verdict.PROVED, 0.02) for name in ("O1", "O8", "termination")
    )
    at_exits = tuple(
        ObligationResult(name, row.id, Verdict.PROVED, 0.01)
        for row in exits
        for name in AT_EXITS
        if (name == "O9") == (row.id == SUCCESS) or name in ("O6", "O7")
    )
    return everywhere + at_exits


PROVED = RoutineResult(
    name="memcpy_trap",
    file=FILE,
    contract=load_contract("mcsafe_ret"),
    verdict=Verdict.PROVED,
    domain=Domain(0, 0x7FFFF000, 0x4000000000, "the count of blocks is kept in 32 bits"),
    exits=_exits(),
    obligations=_obligations(_exits()),
    counterexamples=(),
    slack=31,
    assumptions=(
        "dst and src do not overlap, and neither buffer wraps around the address space",
        "a fault is reported as trap 14 or 18, and stays while the routine runs",
    ),
    unknowns=(),
    phases={"assemble": 0.05, "lift": 0.31, "paths": 0.42, "runs": 0.6, "invariants": 1.2, "proof": 1.33},
    seconds=3.95,
)


def with_verdict(result: RoutineResult, key: tuple[str, str], verdict: Verdict, reason: str) -> RoutineResult:
    """`result` with the obligation `key` (id, exit) and the whole at `verdict`."""
    changed = tuple(
        replace(o, verdict=verdict, reason=reason) if (o.id, o.exit) == key else o for o in result.obligations
    )
    return replace(result, verdict=verdict, obligations=changed, slack=None)


def outcome(length: int, written: range, left: int) -> Outcome:
    """A run that returned `left` in rdx after a load fault at src+16, with dst[written] stored."""
    stored = bytes(i - RED_ZONE in written for i in range(length + 2 * RED_ZONE))
    registers = dict.fromkeys(GENERAL, 0) | {"rax": 14, "rdx": left}
    faults = (Fault(0x1040, "src", 16, is_store=False),)
    return Outcome(Ending.RETURNED, 0x10F0, registers, registers, faults, stored, stored, -RED_ZONE)


COUNTEREXAMPLE = Counterexample(
    obligations=("O3",),
    exit=".Lfix_w",
    case=Case(72, Placement(Place.HOLE, 16), Placement(Place.FREE, 3), trap=14),
    outcome=outcome(72, range(16), 48),
    sentence="24 bytes are claimed as copied, and dst[16] was not stored",
)

REFUTED = replace(
    with_verdict(PROVED, ("O3", ".Lfix_w"), Verdict.REFUTED, COUNTEREXAMPLE.sentence),
    counterexamples=(COUNTEREXAMPLE,),
)

UNKNOWN = replace(
    with_verdict(PROVED, ("O6", ".Lfix_b4 (b5)"), Verdict.UNKNOWN, "Z3 gave up after 5 s"),
    unknowns=("asm/memcpy_64.S:55: vmovdqu64 is not modelled",),
)

DST, SRC = 0x7F0000001003, 0x7F0000103FF0
"""Where the buffers of EXPLAINED's run lie."""


def _line(
    address: int, code: str, text: str, line: int, label: str = "", fixup: int | None = None
) -> ListingLine:
    handler = "fault" if fixup is not None else ""
    return ListingLine(address, bytes.fromhex(code), text, label, f"{FILE}:{line}", fixup, handler)


LISTING = (
    _line(0x1020, "89d1", "mov ecx, edx", 60, "memcpy_trap"),
    _line(0x1022, "83e207", "and edx, 7", 61),
    _line(0x1025, "c1e903", "shr ecx, 3", 62),
    _line(0x1040, "488b06", "mov rax, qword ptr [rsi]", 66, ".Lw", fixup=0x10E0),
    _line(0x1043, "488907", "mov qword ptr [rdi], rax", 67),
    _line(0x1046, "4883c608", "add rsi, 8", 68),
    _line(0x104A, "4883c708", "add rdi, 8", 69),
    _line(0x104E, "ffc9", "dec ecx", 70),
    _line(0x1050, "75ee", "jne 0x1040", 71),
    _line(0x10E0, "8d14ca", "lea edx, [rdx + rcx*8 - 8]", 114, ".Lfix_w"),
    _line(0x10F0, "c3", "ret", 115),
)

_STORED = tuple(Access(0x1043, "dst", at, 8, is_store=True) for at in (0, 8))


def _step(address: int, registers: dict[str, int], **more: object) -> TraceStep:
    line = next(line for line in LISTING if line.address == address)
    return TraceStep(address, line.where, line.label, line.text, registers, **more)


TRACE = (
    _step(0x1020, {"rcx": 72}),
    _step(0x1022, {"rdx": 0}),
    _step(0x1025, {"rcx": 9}),
    _step(0x1040, {"rax": 0x11}, accesses=(Access(0x1040, "src", 0, 8, is_store=False),), times=2),
    _step(0x1043, {}, accesses=_STORED[1:], stored=16, times=2),
    _step(0x1046, {"rsi": SRC + 16}, stored=16, times=2),
    _step(0x104A, {"rdi": DST + 16}, stored=16, times=2),
    _step(0x104E, {"rcx": 7, "rflags": 0x206}, stored=16, times=2),
    _step(0x1050, {}, stored=16, times=2),
    _step(0x1040, {"rax": 14}, fault=Fault(0x1040, "src", 16, is_store=False), stored=16),
    _step(0x10E0, {"rdx": 48}, stored=16),
    _step(0x10F0, {}, stored=16),
)

REPAIR = Repair(
    where=f"{FILE}:114",
    before="leal -8(%rdx,%rcx,8), %edx",
    after="leal (%rdx,%rcx,8), %edx",
    sentence="-8 should be 0: assembled with this change, the routine is proved",
)

EXPLANATION = Explanation(
    rule="every byte that the count claims as copied has been stored",
    fixup=f"{FILE}:114",
    label=".Lfix_w",
    access=f"{FILE}:66",
    formula="8*ecx + edx - 8",
    numbers="8*7 + 0 - 8",
    value=48,
    expected=56,
    parted=f"{FILE}:114: lea edx, [rdx + rcx*8 - 8]",
    how="a fault here is counted as 48 left, while 56 are missing",
    repair=REPAIR,
)

EXPLAINED_COUNTEREXAMPLE = replace(
    COUNTEREXAMPLE,
    others=41,
    relevance=(
        Relevance("len", "16 or more", 40),
        Relevance("src alignment", "any", 64),
        Relevance("dst alignment", "any", 64),
        Relevance("trap", "any", 2),
    ),
    trace=TRACE,
    explanation=EXPLANATION,
    prediction=Prediction(registers=17, bytes=96),
    outcome=replace(
        COUNTEREXAMPLE.outcome, initial=COUNTEREXAMPLE.outcome.initial | {"rdi": DST, "rsi": SRC, "rdx": 72}
    ),
)
"""A counterexample with all that can be found out about it."""

EXPLAINED = replace(
    REFUTED, counterexamples=(EXPLAINED_COUNTEREXAMPLE,), listing=LISTING, entry=0x1020, sha256="ab" * 32
)

FULL = replace(
    EXPLAINED,
    table=(TableEntry(0x1040, 0x10E0, Handler("imm_reg", ("ax = trap", "reg = imm"), "rdx", -14), 3),),
    counterexamples=(
        replace(
            EXPLAINED_COUNTEREXAMPLE,
            outcome=replace(
                EXPLAINED_COUNTEREXAMPLE.outcome,
                stored=((0, 16),),
                wrong=((3, 5),),
                schedule="blocks",
                on="emulator",
            ),
        ),
    ),
)
"""A refutation with every field set that there is."""

"""A counterexample made by hand with everything filled in that may be empty, for reports of all formats."""

from __future__ import annotations

from dataclasses import replace

from mcverify.proof.result import (
    Explanation,
    ListingLine,
    Prediction,
    Relevance,
    Repair,
    RoutineResult,
    TraceStep,
)
from mcverify.runs.case import Access, Fault
from support.results import COUNTEREXAMPLE, FILE, REFUTED

_LOAD = Access(0x1040, "src", 0, 8, is_store=False)
_STORE = Access(0x1043, "dst", 0, 8, is_store=True)

REPAIR = Repair(
    f"{FILE}:114",
    "leal -8(%rdx,%rcx,8), %edx",
    "leal (%rdx,%rcx,8), %edx",
    "-8 should be 0: with this change the routine is proved",
)

FILLED_RUN = replace(
    COUNTEREXAMPLE,
    others=7,
    relevance=(
        Relevance("len", "16 or more", 40),
        Relevance("dst alignment", "any", 64),
    ),
    trace=(
        TraceStep(0x1040, f"{FILE}:66", ".Lw", "mov rax, qword ptr [rsi]", {"rax": 0x11}, (_LOAD,), times=2),
        TraceStep(0x1043, f"{FILE}:67", "", "mov qword ptr [rdi], rax", {}, (_STORE,), stored=16, times=2),
        TraceStep(
            *(0x1040, f"{FILE}:66", ".Lw", "mov rax, qword ptr [rsi]", {"rax": 14}),
            fault=Fault(0x1040, "src", 16, is_store=False),
            stored=16,
        ),
        TraceStep(0x10E0, f"{FILE}:114", ".Lfix_w", "lea edx, [rdx + rcx*8 - 8]", {"rdx": 48}, stored=16),
    ),
    explanation=Explanation(
        rule="every byte that the count claims as copied has been stored",
        fixup=f"{FILE}:114",
        label=".Lfix_w",
        access=f"{FILE}:66",
        formula="8*ecx + edx - 8",
        numbers="8*7 + 0 - 8",
        value=48,
        expected=56,
        parted=f"{FILE}:114: lea edx, [rdx + rcx*8 - 8]",
        repair=REPAIR,
    ),
    prediction=Prediction(16, 200),
)

_LISTING = (
    ListingLine(0x1020, b"\x89\xd1", "mov ecx, edx", "memcpy_trap", f"{FILE}:60"),
    ListingLine(0x1040, b"\x48\x8b\x06", "mov rax, qword ptr [rsi]", ".Lw", f"{FILE}:66", 0x10E0, "fault"),
    ListingLine(0x10E0, b"\x8d\x14\xca", "lea edx, [rdx + rcx*8 - 8]", ".Lfix_w", f"{FILE}:114"),
)

FILLED: RoutineResult = replace(
    REFUTED, counterexamples=(FILLED_RUN,), listing=_LISTING, entry=0x1020, sha256="ab" * 32
)

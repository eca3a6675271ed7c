"""What a contract must promise where a routine in C calls the routine for each byte (`callees.toml`).

Such a routine in C does what is assumed of it as far as the routine keeps its contract for a length of 1.
"""

from __future__ import annotations

from mcverify.contract import MACHINE_CHECK, Contract

_ENOUGH = ("O1", "O2", "O3", "O4", "O6", "O7", "O8", "O9")
"""The obligations that tell what becomes of a single byte."""


def lacks(contract: Contract) -> str:
    """What the contract does not say, to stand behind "the contract NAME"; "" if it says enough."""
    registers = contract.dst, contract.src, contract.len, contract.left
    if (
        registers != ("rdi", "rsi", "rdx", "rax")
        or contract.given
        or contract.trap
        or contract.bits("left") < 64
    ):
        return "is about other arguments or results"
    missing = [o for o in _ENOUGH if o not in contract.obligations or o not in contract.on_machine_check]
    if missing:
        return f"does not ask for {', '.join(missing)} after each fault"
    if contract.over_report_after(None) or contract.over_report_after(MACHINE_CHECK):
        return "lets bytes be stored that are reported left"
    return "does not keep all registers that C relies on" if contract.clobbered else ""

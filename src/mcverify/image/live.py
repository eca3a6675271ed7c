"""Which argument registers a routine reads, and so which of several promises of its name it makes.

The kernel's routines changed their arguments over the years: the user copy of 2.6.18 to 2.6.26 had a fourth
one, the checksumming copy before 5.10 six. Code that reads a register before writing it was given something.
"""

from __future__ import annotations

from mcverify.contract import Contract, contract_for, contracts_for
from mcverify.image.image import Image
from mcverify.kernels import overlap

_MOST = 4096
"""Instructions that are looked at."""


def borne(image: Image, routine: str) -> Contract | None:
    """The contract that a routine of the file bears by its name: of several, the one of which the code reads
    most registers, else that of the kernels that the file is for (the newest, if nothing tells them). None
    for an unknown name, for code that reads not all of what its contract says, and where code and kernels
    contradict each other."""
    known = contracts_for(routine)
    if not any(contract.when_reads for contract in known):
        return contract_for(routine, image.kernels)
    entry = next((s.address for s in image.symbols if s.name == routine), None)
    if entry is None:
        return None
    fitting = [c for c in known if all(reads(image, entry, register) for register in c.when_reads)]
    most = max((len(contract.when_reads) for contract in fitting), default=0)
    best = [contract for contract in fitting if len(contract.when_reads) == most]
    if not image.kernels:
        return best[-1] if best else None
    return next((c for c in best if overlap(c.routines[routine], image.kernels)), None)


def reads(image: Image, entry: int, register: str) -> bool:
    """Whether some path from `entry` reads `register` before it writes all of it. Calls are not followed."""
    architecture = image.architecture
    whole = architecture.parts[register].written
    waiting, seen = [entry], set[int]()
    while waiting and len(seen) < _MOST:
        address = waiting.pop()
        code = image.code_at(address)
        insn, done = architecture.decode(code, address), architecture.effects(code, address)
        if address in seen or insn is None or done is None:
            continue
        seen.add(address)
        if register in done.reads:
            return True
        if done.writes.get(register) != whole:
            waiting.extend(() if insn.is_call else insn.targets)
            entry_of_table = image.entry_at(address)
            waiting += [entry_of_table.fixup] if entry_of_table is not None else []
    return False

"""Explore one routine for one length with angr as it comes, for comparison.

Concrete buffers, symbolic contents, a fixed length, default engine, memory and solver settings. At each
instruction with an exception-table entry the state forks: it goes on, or it goes to the fixup, with the trap
number in rax if the handler puts it there. At every return the bytes that the returned count claims must
equal those of the source. The source's address modulo 8 is 0 (`one`), each of 0 to 7 in its turn
(`each`), or an unknown of 0 to 7 (`unknown`): then angr decides what to do with addresses that are not
concrete. That is one length; `prove` is about all of them, and about all alignments of both buffers.

Usage: plain_angr.py FILE ROUTINE LEN [--alignment one|each|unknown]   prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

started = time.perf_counter()
import angr  # noqa: E402
import claripy  # noqa: E402

from mcverify.contract import Contract, contract_for, load_contract  # noqa: E402
from mcverify.image.image import Image, TableEntry  # noqa: E402
from mcverify.image.load import load  # noqa: E402

DST, SRC, STACK, RETURN = 0x7000_0000, 0x7100_0000, 0x7FFF_0000, 0xDEAD_0000
PAGE_FAULT = 14


def main() -> None:
    options = _arguments()
    imported = time.perf_counter()
    image = load(Path(options.file))
    contract = _contract(image, options.routine)
    project = _project(image)
    ends = wrong = 0
    for align in _alignments(options.alignment):
        found, bad = explore(project, image, contract, options.routine, options.len, align)
        ends, wrong = ends + found, wrong + bad
    done = time.perf_counter()
    print(
        json.dumps({"ends": ends, "wrong": wrong, "import": imported - started, "explore": done - imported})
    )


def explore(
    project: Any, image: Image, contract: Contract, routine: str, length: int, align: Any
) -> tuple[int, int]:
    """How many states returned for src at `align` (a number or a term), and how many with wrong bytes."""
    entry = next(s.address for s in image.functions if s.name == routine)
    source = SRC + align
    state = project.factory.call_state(entry, ret_addr=RETURN, stack_base=STACK)
    for register, value in (
        (contract.dst, DST),
        (contract.src, source),
        (contract.len, length),
        *contract.given.items(),
    ):
        setattr(state.regs, register, value)
    state.memory.store(SRC, claripy.BVS("contents", 8 * (length + 8)))
    if not isinstance(align, int):
        state.solver.add(align < 8)
    manager = project.factory.simulation_manager(state)
    entries = {e.insn: e for e in image.entries}
    while manager.active:
        manager.stash(lambda s: s.addr == RETURN, to_stash="returned")
        faulting = [_faulted(s, entries[s.addr]) for s in manager.active if s.addr in entries]
        going = [successor for s in manager.active for successor in _step(project, s, entries)]
        manager.stashes["active"] = going + faulting
    returned = manager.stashes.get("returned", [])
    return len(returned), sum(not _is_right(s, contract, source, length) for s in returned)


def _step(project: Any, state: Any, entries: dict[int, TableEntry]) -> list[Any]:
    """Up to the next instruction that may fault: one basic block, or what is left of it."""
    if state.addr in entries:
        successors = project.factory.successors(state, num_inst=1)
    else:
        successors = project.factory.successors(state, extra_stop_points=set(entries))
    return list(successors.flat_successors)


def _faulted(state: Any, entry: TableEntry) -> Any:
    fault = state.copy()
    fault.regs.rip = entry.fixup
    if "ax = trap" in entry.handler.effects:
        fault.regs.rax = PAGE_FAULT
    return fault


def _is_right(state: Any, contract: Contract, source: Any, length: int) -> bool:
    """Whether the bytes that the count claims hold the source's."""
    if contract.left is None:
        return True
    left = getattr(state.regs, contract.left)
    return all(
        _holds(state, left == count, source, length - count)
        for count in state.solver.eval_upto(left, length + 2)
    )


def _holds(state: Any, condition: Any, source: Any, copied: int) -> bool:
    if copied == 0:
        return True
    if copied < 0:
        return False
    differs = state.memory.load(DST, copied) != state.memory.load(source, copied)
    return not state.solver.satisfiable(extra_constraints=[condition, differs])


def _alignments(choice: str) -> list[Any]:
    if choice == "unknown":
        return [claripy.BVS("align", 64)]
    return [0] if choice == "one" else list(range(8))


def _project(image: Image) -> Any:
    """The code at its addresses; without relocations the rest does not matter here."""
    code = [s for s in image.sections if s.executable and s.data]
    low, high = min(s.address for s in code), max(s.end for s in code)
    data = bytearray(high - low)
    for section in code:
        data[section.address - low : section.end - low] = section.data
    return angr.load_shellcode(bytes(data), "amd64", load_address=low)


def _contract(image: Image, routine: str) -> Contract:
    named = next((a.value for a in image.annotations if a.key == "contract"), None)
    contract = load_contract(named) if named else contract_for(routine)
    assert contract is not None, f"no contract is known for {routine}"
    return contract


def _arguments() -> argparse.Namespace:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("routine")
    parser.add_argument("len", type=int)
    parser.add_argument("--alignment", choices=["one", "each", "unknown"], default="one")
    return parser.parse_args()


if __name__ == "__main__":
    main()

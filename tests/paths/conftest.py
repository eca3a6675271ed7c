"""Routines of a few instructions, explored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.arch.architecture import Architecture
from mcverify.arch.known import X86_64
from mcverify.arch.x86_64.lift import Lifter
from mcverify.contract import load_contract
from mcverify.deadline import Deadline
from mcverify.image.load import load
from mcverify.paths.explore import Explorer, Options
from mcverify.paths.segment import Ending, Location, Paths, Segment


class Explored:
    """The paths of a routine, with places named by their labels."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.image = explorer.image
        self.paths: Paths = explorer.explore()

    def label(self, address: int) -> str:
        return self.image.label_at(address) or hex(address)

    def ways(self) -> list[tuple[str, str]]:
        """Each segment as its source and target, sorted."""
        return sorted((self.label(s.source.address), self._target(s)) for s in self.paths.segments)

    def _target(self, segment: Segment) -> str:
        target = segment.target
        return target.value if isinstance(target, Ending) else self.label(target.address)

    def ending(self, ending: Ending) -> list[Segment]:
        return [s for s in self.paths.segments if s.target is ending]

    def leaving(self, location: Location) -> list[Segment]:
        return [s for s in self.paths.segments if s.source == location]

    def at(self, label: str) -> list[Location]:
        return [place for place in self.paths.locations if self.label(place.address) == label]


Explore = Callable[..., Explored]


@pytest.fixture
def explore(tmp_path: Path) -> Explore:
    """Explores the routine `body`; `entries` are pairs of labels: faulting instruction, fixup."""

    def explored(
        body: str,
        entries: Sequence[tuple[str, str]] = (),
        *,
        faults: str = "loads",
        contract: str = "bytes_left",
        rep_ordered: bool = True,
        macro: str = "_ASM_EXTABLE",
        seconds: float | None = None,
        architecture: Architecture = X86_64,
        lifter: type[Lifter] = Lifter,
    ) -> Explored:
        table = "".join(f"{macro}({insn}, {fixup})\n" for insn, fixup in entries)
        path = tmp_path / "routine.S"
        head = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
        path.write_text(f"{head}SYM_FUNC_START(routine)\n{body}\n{table}SYM_FUNC_END(routine)\n")
        image = replace(load(path), architecture=architecture)
        loads, stores = faults in ("loads", "both"), faults in ("stores", "both")
        return Explored(
            Explorer(
                image=image,
                entry=image.functions[0].address,
                contract=load_contract(contract),
                options=Options(loads, stores, (14, 18), (14,), rep_ordered),
                deadline=Deadline(seconds),
                progress=lambda _: None,
                lifter=lifter(image),
            )
        )

    return explored

"""Random cases of many routines, on the CPU and in the model of the proof: do they agree?

As a script (`make cosim`) it prints how often each kind of instruction was executed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from mcverify.arch.x86_64.lift import Lifter
from mcverify.contract import Contract
from mcverify.errors import Disagreement, InputError
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import Task, tasks
from mcverify.proof.variants import variants
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.code import reachable
from mcverify.runs.cpu import CpuRunner
from mcverify.witness.model.memory import Unpredictable
from mcverify.witness.predict import Predictor

ROOT = Path(__file__).resolve().parents[2]
ASM = sorted((ROOT / "asm").glob("*.S"))
HOSTILE = [
    path
    for path in sorted((ROOT / "tests/hostile").glob("*.S"))
    if "/* hostile: refused " not in path.read_text()
]
LONGEST = 300
_CONTRACT = re.compile(r"/\* hostile: contract (\S+) \*/")


@dataclass
class Tally:
    """What was compared: runs that agreed, runs that the model did not predict, and why, registers and
    bytes, executed instructions by mnemonic."""

    agreed: int = 0
    unpredicted: Counter[str] = field(default_factory=Counter)
    registers: int = 0
    bytes: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    executed: Counter[str] = field(default_factory=Counter)
    reachable: set[str] = field(default_factory=set)

    @property
    def runs(self) -> int:
        return self.agreed + self.unpredicted.total()


def routines(paths: Sequence[Path]) -> Iterator[tuple[Image, Task, Contract]]:
    """Each routine that has a contract, in each of its variants."""
    for path in paths:
        said = _CONTRACT.search(path.read_text())
        image = load(path)
        options = ProveOptions(contract=str(path.parent / said[1]) if said else None)
        for task in tasks(image, options):
            if task.contract is not None:
                for variant in variants(image, task.entry):
                    yield variant.image, task, task.contract


def random_cases(task: Task, contract: Contract, count: int, seed: int) -> list[Case]:
    """Lengths from 0 to LONGEST, half of them small; faults where the contract lets accesses fault."""
    random = Random(f"{task.name} {seed}")
    # Of the kind that faults by its entries alone some may have none.
    kinds = task.faults.removesuffix(" and entries")
    loads, stores = kinds in ("loads", "both"), kinds in ("stores", "both")
    return [
        Case(
            length := random.randrange(random.choice((26, LONGEST + 1))),
            _placement(random, length, loads) if contract.src else Placement(Place.FREE),
            _placement(random, length, stores),
            trap=random.choice(contract.load_traps or (14,)),
            seed=seed * count + number + 1,
        )
        for number in range(count)
    ]


def _placement(random: Random, length: int, may_fault: bool) -> Placement:
    good = [Placement(Place.FREE, random.randrange(4096)), Placement(Place.END), Placement(Place.FRONT)]
    if not may_fault or random.random() < 0.3:
        return random.choice(good)
    bad = [
        Placement(Place.HOLE, random.randrange(length + 1)),
        Placement(Place.HOLE, max(0, length - random.randrange(20))),
        Placement(Place.HOLE, length + random.randrange(80)),
        Placement(Place.INSIDE, random.choice((0, 4095, random.randrange(4096)))),
    ]
    return random.choice([*bad[:2], *bad[:2], *bad])


def compare(image: Image, task: Task, contract: Contract, cases: Sequence[Case], tally: Tally) -> None:
    """Run the cases on the CPU and hold each outcome against its prediction. Raises Disagreement."""
    runner = CpuRunner(image, task.entry, contract)
    predictor = Predictor(image, task.entry, contract, task.faults, lifter=Lifter(image))
    for case, outcome in zip(cases, runner.run(cases), strict=True):
        try:
            found = predictor.agree(case, outcome, lambda case=case: runner.trace(case))  # type: ignore[misc]
        except Unpredictable as why:
            tally.unpredicted[f"{task.name}: {why}"] += 1
            continue
        except Disagreement as difference:
            raise Disagreement(f"{image.path}: {difference} ({case})", difference.states) from difference
        tally.agreed += 1
        tally.registers += found.registers
        tally.bytes += found.bytes
        tally.endings[outcome.ending.value] += 1
        tally.faults.update("store" if f.is_store else f"load, trap {case.trap}" for f in outcome.faults)
    mnemonics = {address: i.mnemonic for address, i in reachable(image, task.entry).items()}
    tally.reachable.update(mnemonics.values())
    for address, times in predictor.walker.instructions().items():
        tally.executed[mnemonics[address]] += times


def cosimulate(paths: Sequence[Path], count: int, seed: int) -> Tally:
    """`count` cases of every routine of the files."""
    tally = Tally()
    for image, task, contract in routines(paths):
        compare(image, task, contract, random_cases(task, contract, count, seed), tally)
    return tally


def report(tally: Tally) -> Iterator[str]:
    """The table, line by line."""
    yield f"{'instruction':<16}{'executed':>12}"
    for mnemonic, times in sorted(tally.executed.items()):
        yield f"{mnemonic:<16}{times:>12,}"
    for mnemonic in sorted(tally.reachable - tally.executed.keys()):
        yield f"{mnemonic:<16}{'never':>12}"
    yield ""
    yield f"{tally.agreed:,} of {tally.runs:,} runs were predicted: {tally.registers:,} registers and flags,"
    yield f"{tally.bytes:,} bytes, all as on the CPU"
    for what, counter in (("ended", tally.endings), ("faults", tally.faults), ("not", tally.unpredicted)):
        for name, times in counter.most_common():
            yield f"  {what:<8}{times:>8,}  {name}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="[default: asm/ and tests/hostile/]")
    parser.add_argument("--cases", type=int, default=100, help="of each routine [default: 100]")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of cases [default: 1]")
    asked = parser.parse_args()
    try:
        tally = cosimulate(asked.files or [*ASM, *HOSTILE], asked.cases, asked.seed)
    except Disagreement as difference:
        print(f"the model and the CPU disagree: {difference}", file=sys.stderr)
        return 4
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(report(tally)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

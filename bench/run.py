"""`make bench`: what `prove` costs, measured side by side in one run.

The whole process against `import angr`; against angr as it comes, one length and one alignment at a time
(plain_angr.py); the growth with the size of the code (blocks.py); the time by phase. Medians of
several repetitions, taken in turns so that a busy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

BENCH = Path(__file__).parent
OUT = BENCH / "out"
FILE = BENCH.parent / "asm" / "memcpy_64.S"
ROUTINE = "memcpy_trap"
LENGTHS = (8, 16, 32, 64)
ALIGNMENTS = {"one": "0", "each": "0, 1, ... 7", "unknown": "unknown"}
COPIES = (1, 2, 4, 8, 16)
FAILED = -1
console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


@dataclass(frozen=True)
class Run:
    """One run of a command: its wall time, exit code (None: it was stopped at the limit) and output."""

    seconds: float
    code: int | None
    out: str


@dataclass(frozen=True)
class Series:
    """Runs of one command."""

    runs: tuple[Run, ...]

    @property
    def median(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def failed(self) -> bool:
        """A run that ended badly; one that was stopped at the limit did not fail."""
        return any(run.code == FAILED for run in self.runs)

    def cells(self) -> tuple[str, str]:
        """Median and range, as text."""
        if self.failed:
            return "failed", ""
        if any(run.code is None for run in self.runs):
            return f"> {self.median:.1f} s", "stopped"
        low, high = (pick(run.seconds for run in self.runs) for pick in (min, max))
        return f"{self.median:.2f} s", f"{low:.2f} - {high:.2f}"


def main() -> None:
    options = _arguments()
    OUT.mkdir(exist_ok=True)
    console.print(
        f"{os.cpu_count()} CPUs, Python {sys.version.split()[0]}, {options.reps} repetitions, medians"
    )
    proof = whole_process(options)
    plain_angr(options, proof)
    growth(options)
    phases(proof)
    solvers(options)


def whole_process(options: argparse.Namespace) -> Series:
    """`prove`, the same with a second solver, and `import angr`, in turns; gives the runs of `prove`."""
    second = [*_prove(FILE), "--second-solver", "bitwuzla"]
    commands = [_prove(FILE), second, [sys.executable, "-c", "import angr"]]
    proof, confirmed, angr = _in_turns(commands, options.reps, options.limit)
    table = _table("Whole process", "command", "median", "range", "times", "result")
    table.add_row("import angr", *angr.cells(), "1.0", "")
    table.add_row(f"mcverify prove {FILE.name}", *proof.cells(), _ratio(proof, angr), _verdicts(proof))
    table.add_row(
        "  ... --second-solver bitwuzla", *confirmed.cells(), _ratio(confirmed, angr), _verdicts(confirmed)
    )
    _show(table, "target: at most 3 times, the second solver included")
    return proof


def plain_angr(options: argparse.Namespace, proof: Series) -> None:
    """angr as it comes: one length; the source at one alignment, at each of eight, at an unknown one."""
    table = _table(
        "Plain angr, one length at a time",
        "len",
        "src mod 8",
        "median",
        "range",
        "times prove",
        "returns (wrong)",
    )
    for alignment in ALIGNMENTS:
        commands = [_plain(length, alignment) for length in LENGTHS]
        for length, series in zip(LENGTHS, _in_turns(commands, options.reps, options.limit), strict=True):
            table.add_row(
                str(length), ALIGNMENTS[alignment], *series.cells(), _ratio(series, proof), _ends(series)
            )
    table.add_row("all", "all", *proof.cells(), "", "mcverify prove")
    _show(table, "target: all lengths sooner than plain angr takes for 32")


def growth(options: argparse.Namespace) -> None:
    """`prove` of 1, 2, 4, 8, 16 block loops."""
    files = [_generated(copies) for copies in COPIES]
    series = _in_turns([_prove(file) for file in files], options.reps, options.limit)
    table = _table(
        "Growth with code size", "block loops", "lines", "median", "range", "times one loop", "result"
    )
    for copies, file, runs in zip(COPIES, files, series, strict=True):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        table.add_row(str(copies), str(lines), *runs.cells(), _ratio(runs, series[0]), _verdicts(runs))
    medians = [runs.median for runs in series]
    slope, start = statistics.linear_regression(COPIES, medians)
    straight = statistics.correlation(COPIES, medians)
    _show(
        table,
        f"{start:.1f} s and {slope:.2f} s for each loop; correlation with a straight line {straight:.3f}",
    )


def phases(proof: Series) -> None:
    """Medians of the phases that `--json` gives; the rest is starting Python and importing."""
    documents = [document for run in proof.runs if (document := _document(run)) is not None]
    if not documents:
        return
    table = _table("Time by phase", "phase", "median", "share")
    spent: dict[str, float] = {}
    for name in documents[0]["routines"][0]["phases"]:
        spent[name] = statistics.median(
            sum(r["phases"].get(name, 0.0) for r in d["routines"]) for d in documents
        )
    spent["outside (start, imports, output)"] = max(0.0, proof.median - sum(spent.values()))
    for name, seconds in spent.items():
        table.add_row(name, f"{seconds:.2f} s", f"{100 * seconds / proof.median:.0f} %")
    _show(table)


def solvers(options: argparse.Namespace) -> None:
    """Z3, bitwuzla and cvc5 on the obligations of a proof bundle, as they are before anything is simplified;
    `best` takes each from the solver that is quickest there: what a portfolio could come to."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        proved = _timed([*_prove(FILE), "--proof", str(bundle)], options.limit)
        script = [sys.executable, str(BENCH / "solvers.py"), str(bundle), "2", str(options.every)]
        asked = _timed(script, options.limit * 5)
    if proved.code != 0 or asked.code != 0:
        console.print("the solvers were not compared: no bundle, or no end within the limit")
        return
    found = json.loads(asked.out)
    table = _table(
        f"Solvers, one obligation at a time (every {options.every}th)",
        "solver", "obligations", "decided in 2 s", "median", "longest", "together",
    )  # fmt: skip
    for name, one in found.items():
        table.add_row(name, str(len(one["seconds"])), str(one["decided"]), *_spent(one["seconds"]))
    best = [min(seconds) for seconds in zip(*(one["seconds"] for one in found.values()), strict=True)]
    table.add_row("best", str(len(best)), "", *_spent(best))
    _show(table)


def _spent(seconds: list[float]) -> tuple[str, str, str]:
    return f"{statistics.median(seconds):.3f} s", f"{max(seconds):.2f} s", f"{sum(seconds):.1f} s"


def _prove(file: Path) -> list[str]:
    return [sys.executable, "-m", "mcverify", "prove", str(file), "--json", "-"]


def _plain(length: int, alignment: str) -> list[str]:
    script = str(BENCH / "plain_angr.py")
    return [sys.executable, script, str(FILE), ROUTINE, str(length), "--alignment", alignment]


def _generated(copies: int) -> Path:
    file = OUT / f"blocks_{copies}.S"
    command = [sys.executable, str(BENCH / "blocks.py"), str(copies)]
    file.write_text(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout, encoding="utf-8"
    )
    return file


def _in_turns(commands: list[list[str]], repetitions: int, limit: float) -> list[Series]:
    rounds: list[list[Run]] = []
    for n in range(repetitions):
        rounds.append([])
        for command in commands:
            with console.status(f"{n + 1}/{repetitions}: {' '.join(command[1:])}"):
                rounds[-1].append(_timed(command, limit))
    return [Series(tuple(runs)) for runs in zip(*rounds, strict=True)]


def _timed(command: list[str], limit: float) -> Run:
    start = time.perf_counter()
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return Run(time.perf_counter() - start, None, "")
    seconds = time.perf_counter() - start
    allowed = (0, 1, 3) if "mcverify" in command else (0,)
    if done.returncode in allowed:
        return Run(seconds, done.returncode, done.stdout)
    console.print(f"failed: {' '.join(command)}\n{done.stderr.strip()[-2000:]}", soft_wrap=True, markup=False)
    return Run(seconds, FAILED, done.stdout)


def _document(run: Run) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(run.out)
    except ValueError:
        return None
    return found


def _verdicts(series: Series) -> str:
    document = _document(series.runs[-1])
    if document is None:
        return "no result"
    return ", ".join(f"{r['name']} {r['verdict']}" for r in document["routines"])


def _ends(series: Series) -> str:
    document = _document(series.runs[-1])
    return "no result" if document is None else f"{document['ends']} ({document['wrong']})"


def _ratio(series: Series, base: Series) -> str:
    return "-" if series.failed or base.failed else f"{series.median / base.median:.1f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _show(table: Table, note: str = "") -> None:
    console.print()
    console.print(table)
    if note:
        console.print(f"  {note}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reps", type=int, default=3, help="repetitions of each measurement (3)")
    parser.add_argument(
        "--limit", type=float, default=120.0, help="seconds after which a run is stopped (120)"
    )
    parser.add_argument(
        "--every", type=int, default=8, help="solvers are compared on every Nth obligation (8)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

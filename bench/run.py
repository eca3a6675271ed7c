"""`make bench`: what `prove` costs, measured side by side in one run.

The whole process against `import angr`, and the time by phase; then against angr as it comes, one length and
one alignment at a time (plain_angr.py); the growth with the size of the code (blocks.py); other solvers;
several routines at a time; the whole of asm/ and of a kernel's library, and the longest question that Z3 was
asked there (questions.py). Medians of several repetitions, taken in turns so that a busy machine disturbs all
alike; the whole is run once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kernels
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
PARTS = ("angr", "growth", "solvers", "jobs", "everything", "questions")
FAILED = -1
console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


@dataclass(frozen=True)
class Run:
    """One run of a command: its wall time, exit code (None: it was stopped at the limit), output, the CPU
    time of it and its children, in seconds, and the memory of the largest process among them, in MB."""

    seconds: float
    code: int | None
    out: str
    cpu: float = 0.0
    memory: float = 0.0


@dataclass(frozen=True)
class Series:
    """Runs of one command."""

    runs: tuple[Run, ...]

    @property
    def median(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def cpu(self) -> float:
        """CPU seconds, the median."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def memory(self) -> str:
        """The largest process of all runs, as text."""
        return f"{max(run.memory for run in self.runs):.0f} MB"

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
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # mcverify's modules are not compiled in each run
    OUT.mkdir(exist_ok=True)
    console.print(
        f"{os.cpu_count()} CPUs, Python {sys.version.split()[0]}, {options.reps} repetitions, medians"
    )
    proof = whole_process(options)
    phases(proof)
    parts = {"angr": lambda: plain_angr(options, proof), "growth": lambda: growth(options),
             "solvers": lambda: solvers(options), "jobs": lambda: side_by_side(options),
             "everything": lambda: everything(options), "questions": lambda: questions(options)}  # fmt: skip
    for name in options.only or PARTS:
        parts[name]()


def whole_process(options: argparse.Namespace) -> Series:
    """`prove`, the same with a second solver, and `import angr`, in turns; gives the runs of `prove`."""
    second = [*_prove(FILE), "--second-solver", "bitwuzla"]
    commands = [_prove(FILE), second, [sys.executable, "-c", "import angr"]]
    proof, confirmed, angr = _in_turns(commands, options.reps, options.limit)
    table = _table("Whole process", "command", "median", "range", "times", "memory", "result")
    for name, runs in (
        ("import angr", angr),
        (f"mcverify prove {FILE.name}", proof),
        ("  ... --second-solver bitwuzla", confirmed),
    ):
        result = "" if runs is angr else _verdicts(runs)
        table.add_row(name, *runs.cells(), _ratio(runs, angr), runs.memory, result)
    _show(table, "target: at most 3 times, the second solver included; below 600 MB")
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
        "Growth with code size",
        "block loops",
        "lines",
        "median",
        "range",
        "times one loop",
        "memory",
        "result",
    )
    for copies, file, runs in zip(COPIES, files, series, strict=True):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        ratio = _ratio(runs, series[0])
        table.add_row(str(copies), str(lines), *runs.cells(), ratio, runs.memory, _verdicts(runs))
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


def side_by_side(options: argparse.Namespace) -> None:
    """Two files, their routines one after the other and side by side; wall time and CPU time."""
    files = (FILE, FILE.with_name("words_bytes.S"))
    one, two = (_prove(*files, jobs=jobs) for jobs in (1, 2))
    series = _in_turns([one, two], options.reps, options.limit)
    table = _table(
        "Two files", "processes", "median", "range", "times one", "CPU seconds", "proofs per second", "result"
    )
    for jobs, runs in zip((1, 2), series, strict=True):
        table.add_row(
            str(jobs), *runs.cells(), _ratio(runs, series[0]), f"{runs.cpu:.1f}", _rate(runs), _verdicts(runs)
        )
    _show(table)


def everything(options: argparse.Namespace) -> None:
    """The whole of asm/, and the copy routines of the newest kernel whose sources are there, once each."""
    table = _table(
        "Everything, once",
        "what", "processes", "time", "CPU seconds", "proofs per second", "memory", "result",
    )  # fmt: skip
    jobs = os.cpu_count() or 1
    with _all_files() as all_files:
        for name, files in all_files.items():
            [runs] = _in_turns([_prove(*files, jobs=jobs)], 1, options.limit * 20)
            counts = Counter(r["verdict"] for r in (_document(runs.runs[0]) or {"routines": []})["routines"])
            words = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
            table.add_row(
                name, str(jobs), runs.cells()[0], f"{runs.cpu:.0f}", _rate(runs), runs.memory, words
            )
    _show(table, "target: no process above 600 MB")


def questions(options: argparse.Namespace) -> None:
    """What Z3 was asked in the proofs of the same files, once each, in one process."""
    table = _table("Questions to Z3, in CPU seconds", "what", "questions", "together", "longest", "in")
    with _all_files() as all_files:
        for name, files in all_files.items():
            script = [sys.executable, str(BENCH / "questions.py"), *map(str, files)]
            [runs] = _in_turns([script], 1, options.limit * 20)
            found = _document(runs.runs[0])
            if found is None:
                table.add_row(name, runs.cells()[0])
                continue
            together, longest = f"{found['seconds']:.1f} s", f"{found['longest']:.2f} s"
            table.add_row(name, str(found["questions"]), together, longest, found["file"])
    _show(table, "target: none above 2 s")


@contextmanager
def _all_files() -> Iterator[dict[str, list[Path]]]:
    """By a name: the files of asm/, and those of the newest kernel whose sources are there."""
    asm = sorted(FILE.parent.glob("*.S"))
    found = {f"asm/ ({len(asm)} files)": asm}
    there = next((v for v in reversed(kernels.VERSIONS) if kernels.archive(v).exists()), None)
    with tempfile.TemporaryDirectory() as folder:
        if there is not None:
            found[f"linux-source-{there}"] = kernels.extract(there, Path(folder))
        yield found


def _rate(series: Series) -> str:
    """Routines, and variants, with a verdict per second."""
    document = _document(series.runs[-1])
    return "-" if document is None else f"{len(document['routines']) / series.median:.2f}"


def _spent(seconds: list[float]) -> tuple[str, str, str]:
    return f"{statistics.median(seconds):.3f} s", f"{max(seconds):.2f} s", f"{sum(seconds):.1f} s"


def _prove(*files: Path, jobs: int = 1) -> list[str]:
    named = [str(file) for file in files]
    return [sys.executable, "-m", "mcverify", "prove", *named, "--jobs", str(jobs), "--json", "-"]


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
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            process.kill()

        watch = threading.Timer(limit, stop)
        watch.start()
        try:
            _, status, used = os.wait4(process.pid, 0)  # Popen's own wait does not tell what was used
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            raise
        finally:
            watch.cancel()
        seconds = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        said, complaint = out.read(), err.read()
    if stopped.is_set():
        return Run(seconds, None, "")
    code = process.returncode
    if code not in ((0, 1, 3) if "mcverify" in command else (0,)):
        said_so = f"failed: {' '.join(command)}\n{complaint.strip()[-2000:]}"
        console.print(said_so, soft_wrap=True, markup=False)
        code = FAILED
    return Run(seconds, code, said, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


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
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, metavar="PART", help=f"only these: {', '.join(PARTS)}"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

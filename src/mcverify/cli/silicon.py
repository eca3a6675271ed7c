"""`mcverify silicon`: what was lifted against what this machine's CPU does, instruction by instruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mcverify.cli.options import include_option, jobs_option, unconfined_option
from mcverify.cli.output import check_writable, write_whole
from mcverify.cli.streams import indifferent_to_readers
from mcverify.crew import usable_cpus
from mcverify.errors import ExitCode

if TYPE_CHECKING:
    from mcverify.silicon.compare import FormResult

_FIRST = "# Lifted instructions compared"


@click.command(short_help="Compare the lifter with this machine's CPU.")
@click.argument("files", metavar="[FILE.S|FILE.o...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--cases",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="Random states for each form of instruction.",
)
@click.option(
    "--seed", metavar="N", type=int, default=1, show_default=True, help="Equal seeds give equal states."
)
@click.option(
    "--every",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="Compare all other forms that the lifter reads too, from N random states each (many minutes).",
)
@jobs_option("Compare so many forms at a time, each in a process of its own.")
@click.option("--table", metavar="OUT", help="Write the result as tab-separated text, too.")
@include_option
@unconfined_option
@click.option("-q", "--quiet", is_flag=True, help="No table: only differences, and the sum.")
def silicon(
    files: tuple[Path, ...],
    cases: int,
    seed: int,
    every: int | None,
    jobs: int | None,
    table: str | None,
    include: tuple[Path, ...],
    quiet: bool,
) -> ExitCode:
    """Execute every form of instruction that occurs in the files, and compare what happens with its model.

    With --every, all forms that there are: what the lifter refuses or user mode cannot execute is
    left out of the table then.

    All registers, flags and bytes of memory, from random states, those that a fault leaves
    included, a REP element by element and at full speed.

    Exit codes: 0 all agree, 2 wrong input or usage, 3 something could not be compared,
    4 the model and the CPU differ: a fault of mcverify itself.
    """
    if not files and every is None:
        raise click.UsageError("name a file, or give --every")
    if table is not None:
        check_writable(table, "--table", is_ours=lambda text: text.startswith(_FIRST))
    results = _compared(files, include, Extent(cases, every, seed, jobs or usable_cpus()))
    from mcverify.silicon.table import cpu_name, to_table

    if table is not None:
        write_whole(table, to_table(results, seed))
    from mcverify.report.silicon import print_forms

    with indifferent_to_readers():
        print_forms(results, cpu_name(), with_table=not quiet)
    return exit_code(results)


class Extent(NamedTuple):
    """How many states for each form of the files, and of each other form; and who executes them."""

    cases: int
    every: int | None
    seed: int
    jobs: int


def _compared(files: Sequence[Path], include: Sequence[Path], extent: Extent) -> list[FormResult]:
    from mcverify.cli.progress import status_line
    from mcverify.image.load import load

    images = [load(file, include=include) for file in files]
    from mcverify.silicon.compare import compare, encodings
    from mcverify.silicon.every import MOST_ENCODINGS, every_form

    with status_line() as say:
        forms = encodings(images)
        results = compare(forms, extent.cases, extent.seed, say, jobs=extent.jobs)
        if extent.every is not None:
            say("looking for instructions")
            others = {form: codes for form, codes in every_form().items() if form not in forms}
            found = compare(others, extent.every, extent.seed, say, most=MOST_ENCODINGS, jobs=extent.jobs)
            results += [result for result in found if result.cases]
    return sorted(results, key=lambda result: result.form)


def exit_code(results: Sequence[FormResult]) -> ExitCode:
    """A difference before something that was not compared before agreement."""
    if any(result.differences for result in results):
        return ExitCode.INTERNAL
    return ExitCode.PROVED if all(result.cases for result in results) else ExitCode.UNKNOWN

"""`mcverify sweep`: the grid of cases alone, without a proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from mcverify.cli.options import (
    config_option,
    define_option,
    fault_model_option,
    ignore_annotations_option,
    include_option,
    syntax_option,
    table_option,
    unconfined_option,
)
from mcverify.cli.output import STDOUT, check_writable, write_whole
from mcverify.cli.sizes import parse_seconds
from mcverify.cli.streams import indifferent_to_readers
from mcverify.errors import ExitCode
from mcverify.report.mark import is_document

if TYPE_CHECKING:
    from mcverify.image.syntax import Syntax
    from mcverify.witness.sweep import On, SweepOptions, SweepResult


@click.command(short_help="Run a grid of cases, without a proof.")
@click.argument("file", metavar="FILE.S|FILE.o", type=click.Path(path_type=Path))
@click.option(
    "--routine",
    "routines",
    multiple=True,
    metavar="NAME",
    help="Sweep this routine; may be repeated. [default: all with a table entry]",
)
@click.option(
    "--contract",
    metavar="NAME|FILE.toml",
    help="What the routines promise. [default: by their name, or the file's annotation]",
)
@click.option(
    "--faults",
    type=click.Choice(["loads", "stores", "both"]),
    help="Which accesses may fault. [default: as the contract says, and all others that have an entry]",
)
@click.option(
    "--trap",
    type=click.Choice(["pf", "mc", "both"]),
    help="Which faults may happen: page faults, machine checks (on loads alone), or both."
    " [default: as the contract says, both]",
)
@fault_model_option
@click.option("--quick", is_flag=True, help="Tens of thousands of cases instead of a million.")
@click.option(
    "--on",
    type=click.Choice(["cpu", "emulator"]),
    help="Run on this machine's CPU, or a part of the grid on the emulator. [default: the CPU if it can]",
)
@click.option(
    "--json",
    "json_target",
    metavar="OUT",
    help="Write the result as JSON to OUT ('-': standard output, without the report).",
)
@click.option("--timeout", metavar="S", help="End after S seconds, with what has been seen until then.")
@include_option
@define_option
@table_option
@syntax_option
@config_option
@ignore_annotations_option
@unconfined_option
@click.option("-q", "--quiet", is_flag=True, help="One line for each routine instead of the report.")
def sweep(
    file: Path,
    routines: tuple[str, ...],
    contract: str | None,
    faults: str | None,
    trap: str | None,
    fault_model: str | None,
    quick: bool,
    on: str | None,
    json_target: str | None,
    timeout: str | None,
    include: tuple[Path, ...],
    defines: tuple[str, ...],
    table: str | None,
    syntax: Syntax | None,
    config: Path | None,
    ignore_annotations: bool,
    quiet: bool,
) -> ExitCode:
    """Run the routines of a file on a grid of cases, with real faults, and judge each run by the contract.

    All lengths from 0 to 300 and some longer ones, alignments from 0 to 63, every fault point, pages without
    access around the buffers. To find no failure is no proof: `mcverify prove` is about every case there is.

    Exit codes: 0 no failure was found, 1 failures were found, 2 wrong input or usage,
    3 no failure, but not everything could be run or understood, 4 a fault of mcverify itself.
    """
    budget = None if timeout is None else parse_seconds(timeout, "--timeout")
    if json_target is not None:
        check_writable(json_target, "--json", source=file, is_ours=lambda text: is_document(text, "sweeps"))
    from mcverify.witness.sweep import SweepOptions

    options = SweepOptions(
        routines,
        contract,
        faults,
        quick,
        cast("On | None", on),
        budget,
        include,
        defines,
        trap,
        config=config,
        ignore_annotations=ignore_annotations,
        table=table,
        syntax=syntax,
        fault_model=fault_model,
    )
    results = _sweep(file, options)
    if json_target is not None:
        from mcverify.report.sweep import to_json

        write_whole(json_target, to_json(results))
    if json_target != STDOUT:
        _show(results, quiet)
    return exit_code(results)


def exit_code(results: Sequence[SweepResult]) -> ExitCode:
    """Failures before something incomplete before nothing found."""
    from mcverify.witness.sweep import Finding

    findings = {result.finding for result in results}
    if Finding.FAILED in findings:
        return ExitCode.REFUTED
    return ExitCode.UNKNOWN if Finding.INCOMPLETE in findings else ExitCode.PROVED


def _sweep(file: Path, options: SweepOptions) -> list[SweepResult]:
    from mcverify.cli.progress import status_line
    from mcverify.witness.sweep import sweep_file

    with status_line() as progress:
        return sweep_file(file, options, progress)


def _show(results: Sequence[SweepResult], quiet: bool) -> None:
    """Print the results; a reader that goes away (`| head`) changes nothing about the exit code."""
    from mcverify.report.sweep import print_lines, print_sweeps

    with indifferent_to_readers():
        (print_lines if quiet else print_sweeps)(results)

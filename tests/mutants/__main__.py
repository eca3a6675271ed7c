"""`make mutants`: every mutant of every right routine; exit code 1 if one must not be as it is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import click
from rich.console import Console

from mcverify.cli.output import check_writable, write_whole
from mcverify.errors import ExitCode, InputError
from mcverify.interrupt import INTERRUPTED, leave_on_interrupt, prepare_processes
from mcverify.runs import cpu
from mutants import report
from mutants.kept import Kept, is_ours
from mutants.operators import mutants
from mutants.source import ASM, Source, read, sources
from mutants.workers import examine_all


@click.command()
@click.argument("files", nargs=-1, metavar="[asm/NAME.S]...", type=click.Path(path_type=Path))
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="So many mutants at a time.")
@click.option(
    "--blind",
    default=12,
    show_default=True,
    type=click.IntRange(min=0),
    help="Of every Nth mutant, if a run kills it, make the proof without runs too: it must fail. 0: of none.",
)
@click.option(
    "--keep",
    "kept",
    metavar="FILE",
    help="Write each finding to FILE, and take from it what is known of the same mutant and the same tool.",
)
@click.option("--json", "json_target", metavar="OUT", help="Write every mutant and its fate to OUT.")
@click.option("--markdown", "markdown_target", metavar="OUT", help="Write the tables as in docs/mutants.md.")
def main(
    files: tuple[Path, ...],
    jobs: int,
    blind: int,
    kept: str | None,
    json_target: str | None,
    markdown_target: str | None,
) -> ExitCode:
    """Examine the mutants of right routines: all of those under asm/ unless named.

    Exit code 1: one is unknown, is proved without a reason, or is proved and broken by a run.
    """
    if why := cpu.available():
        raise InputError(f"mutants are run on the CPU: {why}")
    if kept is not None:
        check_writable(kept, "--keep", is_ours=is_ours)
    for target, option in ((json_target, "--json"), (markdown_target, "--markdown")):
        if target is not None:
            check_writable(target, option)
    chosen = [mutant for source in _sources(files) for mutant in mutants(source)]
    start = time.monotonic()
    findings = examine_all(chosen, jobs, blind, Kept(None if kept is None else Path(kept)))
    console = Console(file=sys.stdout, highlight=False)
    report.show(findings, console)
    console.print(f"{len(chosen)} mutants in {time.monotonic() - start:.0f} s")
    if json_target is not None:
        write_whole(json_target, report.to_json(findings))
    if markdown_target is not None:
        write_whole(markdown_target, report.to_markdown(findings))
    return ExitCode.REFUTED if report.wrong(findings) else ExitCode.PROVED


def _sources(files: Sequence[Path]) -> list[Source]:
    """The files named, or all. Raises InputError for one that is no right routine of ours."""
    for path in files:
        if path.resolve().parent != ASM or "_wrong_" in path.stem:
            raise InputError("only right routines under asm/ are mutated", where=str(path))
    return [read(path.resolve()) for path in files] or sources()


def run() -> int:
    """Run the command line and give the exit code."""
    leave_on_interrupt()
    prepare_processes()
    try:
        return int(main.main(standalone_mode=False) or ExitCode.PROVED)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except InputError as error:
        click.echo(f"{error.where}: " * bool(error.where) + f"error: {error.message}", err=True)
        return ExitCode.USAGE
    except BrokenProcessPool:
        click.echo("mutants: internal error: a worker died", err=True)
        return ExitCode.INTERNAL
    except (KeyboardInterrupt, click.Abort):
        click.echo("mutants: interrupted", err=True)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(run())

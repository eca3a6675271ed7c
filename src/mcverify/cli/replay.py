"""`mcverify replay`: counterexamples from a file, run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from mcverify.cli.output import STDOUT, check_writable, write_whole
from mcverify.errors import ExitCode, InputError
from mcverify.report.mark import is_document

if TYPE_CHECKING:
    from mcverify.witness.file import Witness
    from mcverify.witness.replay import Replay, ReplayOptions
    from mcverify.witness.rerun import On


@click.command(short_help="Run recorded counterexamples again.")
@click.argument("witness", metavar="WITNESS.json", type=click.Path(path_type=Path))
@click.option(
    "--on",
    type=click.Choice(["cpu", "emulator"]),
    help="Run on this machine's CPU or on the emulator. [default: where it was recorded]",
)
@click.option("--routine", metavar="NAME", help="Only the counterexamples of this routine.")
@click.option("--exit", "exit_id", metavar="ID", help="Only those at this exit: success, or a fixup's label.")
@click.option("--steps", is_flag=True, help="Show each executed instruction and what it changed.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file with the routine, where it is no longer under the recorded name.",
)
@click.option(
    "--even-if-changed",
    is_flag=True,
    help="Run the case on the routine as it is now, though it is not the one that was refuted.",
)
@click.option(
    "--json",
    "json_target",
    metavar="OUT",
    help="Write the result as JSON to OUT ('-': standard output, without the report).",
)
def replay(
    witness: Path,
    on: str | None,
    routine: str | None,
    exit_id: str | None,
    steps: bool,
    file: Path | None,
    even_if_changed: bool,
    json_target: str | None,
) -> ExitCode:
    """Run the counterexamples again that `mcverify prove --json WITNESS.json` wrote.

    The same case, with the same placement of the buffers, contents and faults, is run on the routine as
    it is in its file, judged by its contract, and compared with what was recorded.

    \b
    Exit codes: 0 nothing is broken any more, 1 still broken, 2 wrong input or usage
    (also: the routine has changed since), 3 the run cannot be made here,
    4 a fault of mcverify itself.
    """  # noqa: D301 -- click wants the control character \b itself
    from mcverify.witness.file import read_witnesses
    from mcverify.witness.replay import ReplayOptions

    chosen = choose(read_witnesses(witness), witness, routine, exit_id)
    if json_target is not None:
        check_writable(
            json_target, "--json", source=witness, is_ours=lambda text: is_document(text, "replays")
        )
    options = ReplayOptions(cast("On | None", on), file, steps, even_if_changed)
    replays = _replay(chosen, witness, options)
    if json_target is not None:
        from mcverify.report.replay import to_json

        write_whole(json_target, to_json(replays))
    if json_target != STDOUT:
        from mcverify.report.replay import print_replays

        print_replays(replays)
    return exit_code(replays)


def choose(
    witnesses: Sequence[Witness], path: Path, routine: str | None, exit_id: str | None
) -> list[Witness]:
    """Those of a routine and at an exit (None: of any). Raises InputError where there is none."""
    chosen = [
        w
        for w in witnesses
        if routine in (None, w.routine, w.title) and exit_id in (None, w.counterexample.exit)
    ]
    if not chosen:
        asked = " and ".join(
            f"{option} {value}" for option, value in (("--routine", routine), ("--exit", exit_id)) if value
        )
        found = dict.fromkeys(f"{w.title} at {w.counterexample.exit}" for w in witnesses)
        raise InputError(
            f"no counterexample in it fits {asked}", where=str(path), hint=f"it has {', '.join(found)}"
        )
    return chosen


def exit_code(replays: Sequence[Replay]) -> ExitCode:
    """Broken before not run before not broken."""
    if any(replay.breaks for replay in replays):
        return ExitCode.REFUTED
    return ExitCode.UNKNOWN if any(replay.found is None for replay in replays) else ExitCode.PROVED


def _replay(witnesses: Sequence[Witness], path: Path, options: ReplayOptions) -> list[Replay]:
    from mcverify.cli.progress import status_line
    from mcverify.witness.replay import replay as run_again

    with status_line() as progress:
        return run_again(witnesses, path, options, progress)

"""`mcverify replay`: counterexamples from a file, run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from mcverify.cli.options import unconfined_option
from mcverify.cli.output import STDOUT, check_writable, write_all
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
    "--trust-paths",
    is_flag=True,
    help="Read the files and folders that the witness names wherever they lie. [default: those in the working"
    " folder and beside the witness]",
)
@unconfined_option
@click.option(
    "--json",
    "json_target",
    metavar="OUT",
    help="Write the result as JSON to OUT ('-': standard output, without the report).",
)
@click.option(
    "--emit-c",
    "c_target",
    metavar="OUT.c",
    help="Write the smallest of them as one C file that shows the bug with gcc alone.",
)
@click.option(
    "--emit-syscall",
    "system_call",
    type=click.Choice(["write", "read"]),
    help="Print a C program that makes this system call over a buffer with the smallest one's bad page"
    " (docs/findings.md), and run nothing.",
)
def replay(
    witness: Path,
    on: str | None,
    routine: str | None,
    exit_id: str | None,
    steps: bool,
    file: Path | None,
    even_if_changed: bool,
    trust_paths: bool,
    json_target: str | None,
    c_target: str | None,
    system_call: Literal["write", "read"] | None,
) -> ExitCode:
    """Run the counterexamples again that `mcverify prove --json WITNESS.json` wrote.

    The same case, with the same placement of the buffers, contents and faults, is run on the routine as
    it is in its file, judged by its contract, and compared with what was recorded.

    Exit codes: 0 nothing is broken any more, 1 still broken, 2 wrong input or usage
    (also: the routine has changed since), 3 the run cannot be made here,
    4 a fault of mcverify itself.
    """
    from mcverify.witness.file import read_witnesses
    from mcverify.witness.replay import ReplayOptions

    chosen = choose(read_witnesses(witness), witness, routine, exit_id)
    if system_call is not None:
        if json_target is not None or c_target is not None:
            raise click.UsageError("--emit-syscall runs nothing: --json and --emit-c have nothing to tell.")
        click.echo(_program(chosen, system_call), nl=False)
        return ExitCode.PROVED
    _check_targets(json_target, c_target, witness)
    options = ReplayOptions(cast("On | None", on), file, steps, even_if_changed, trust_paths)
    replays = _replay(chosen, witness, options)
    emitted = _smallest(replays) if c_target is not None else None
    write_all(list(_outputs(replays, json_target, emitted, c_target)))
    if STDOUT not in (json_target, c_target):
        _show(replays, emitted, c_target)
    return exit_code(replays)


def _program(chosen: Sequence[Witness], call: Literal["write", "read"]) -> str:
    """The C program for the smallest counterexample of which such a call makes the copy. Raises InputError,
    by the smallest one, where it makes none."""
    from mcverify.callers.program import SystemCall, call_of, program
    from mcverify.report.counterexample import smallest_first

    first: InputError | None = None
    for found in smallest_first([w.counterexample for w in chosen]):
        try:
            made: SystemCall = call_of(found.case, call)
        except InputError as error:
            first = first or error
            continue
        title = next(w.title for w in chosen if w.counterexample is found)
        broken = " and ".join(found.obligations)
        return program([made], f"the copy with which {title} breaks {broken}, made by {call}(2)")
    assert first is not None
    raise first


def _check_targets(json_target: str | None, c_target: str | None, witness: Path) -> None:
    """Raise InputError if what is to be written cannot be, or would overwrite what is not ours."""
    if json_target is not None and c_target is not None and _is_same(json_target, c_target):
        raise InputError("--json and --emit-c cannot both be written there", where=json_target)
    if json_target is not None:
        check_writable(
            json_target, "--json", source=witness, is_ours=lambda text: is_document(text, "replays")
        )
    if c_target is not None:
        from mcverify.witness.emit_c import is_ours

        check_writable(c_target, "--emit-c", source=witness, is_ours=is_ours)


def _is_same(one: str, other: str) -> bool:
    return one == other or (STDOUT not in (one, other) and Path(one).resolve() == Path(other).resolve())


def _smallest(replays: Sequence[Replay]) -> Replay:
    """The one with the smallest case."""
    from mcverify.report.counterexample import smallest_first

    first = smallest_first([replay.witness.counterexample for replay in replays])[0]
    return next(replay for replay in replays if replay.witness.counterexample is first)


def _outputs(
    replays: Sequence[Replay], json_target: str | None, emitted: Replay | None, c_target: str | None
) -> Iterator[tuple[str, str]]:
    """Target and text of each file. Raises InputError where no C program can show the run."""
    if json_target is not None:
        from mcverify.report.replay import to_json

        yield json_target, to_json(replays)
    if emitted is not None and c_target is not None:
        from mcverify.witness.emit_c import emit_c

        found = emitted.found or emitted.witness.counterexample
        yield c_target, emit_c(emitted.subject, found, file_name(c_target))


def _show(replays: Sequence[Replay], emitted: Replay | None, c_target: str | None) -> None:
    from mcverify.report.replay import print_emitted, print_replays

    print_replays(replays)
    if emitted is not None and c_target is not None:
        print_emitted(emitted, c_target)


def file_name(target: str) -> str:
    """What the C file is called in the command that compiles it."""
    return "repro.c" if target == STDOUT else Path(target).name


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

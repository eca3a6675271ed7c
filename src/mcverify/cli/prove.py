"""`mcverify prove`: from the command line to the engine and on to the reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcverify.arch.known import X86_64
from mcverify.cli.options import (
    config_option,
    define_option,
    fault_model_option,
    ignore_annotations_option,
    include_option,
    jobs_option,
    need_solvers,
    no_run_option,
    on_option,
    syntax_option,
    table_option,
    unconfined_option,
)
from mcverify.cli.output import check_writable, write_whole
from mcverify.cli.outputs import Outcome, Outputs, output_options, without_outputs
from mcverify.cli.sizes import parse_seconds, parse_size
from mcverify.cli.streams import indifferent_to_readers
from mcverify.errors import Disagreement, ExitCode, InputError
from mcverify.quiet import quieten_libraries
from mcverify.report.invocation import Invocation

if TYPE_CHECKING:
    from mcverify.crew import Progress
    from mcverify.deadline import Deadline
    from mcverify.image.image import Image
    from mcverify.image.syntax import Syntax
    from mcverify.proof.prove import ProveOptions
    from mcverify.proof.result import RoutineResult


@click.command(short_help="Prove the routines of files, or of a kernel's tree.")
@click.argument("files", metavar="[FILE.S|FILE.o]...", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--kernel",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Prove every copy routine of a kernel's source tree (arch/x86/lib), in one table; with a FILE: take"
    " the headers of that tree. [default for a FILE: the tree in which it lies]",
)
@click.option(
    "--routine",
    "routines",
    multiple=True,
    metavar="NAME",
    help="Prove this routine; may be repeated. [default: all with a table entry; of a module or a linked"
    " kernel those with a contract]",
)
@click.option(
    "--all",
    "all_routines",
    is_flag=True,
    help="Take all routines with a table entry, without a contract too.",
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
@click.option(
    "--len-max",
    metavar="N",
    help="The largest length in bytes: 4096, 0x1000, 64k, 1M, 2G."
    " [default: 0x7ffff000, the kernel's MAX_RW_COUNT]",
)
@click.option(
    "--save-disagreement",
    metavar="FILE",
    help="Where a run contradicts the model of the proof, or one solver the other, a fault of mcverify: write"
    " both sides to FILE.",
)
@click.option(
    "--proof",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write what is proved to the new folder DIR, for `mcverify check`; of several files each to a folder"
    " within.",
)
@click.option(
    "--second-solver",
    type=click.Choice(["bitwuzla", "cvc5"]),
    help="Take for proved only what this solver proves too; where it contradicts Z3, exit code 4.",
)
@click.option(
    "--caller",
    "callers",
    multiple=True,
    metavar="write|read|dax-read|FILE.toml",
    help="Say what the routines mean for this system call (docs/callers.md); may be repeated.",
)
@click.option(
    "--resumable",
    is_flag=True,
    help="Say whether the routine ends as if there had been no fault where the cause of one is repaired and"
    " the instruction executed again (docs/callers.md).",
)
@click.option("--timeout", metavar="S", help="End after S seconds; what is not decided by then is unknown.")
@click.option(
    "--rep-model",
    type=click.Choice(["ordered", "unordered"]),
    default="ordered",
    show_default=True,
    help="What a fault in REP MOVS/STOS leaves: a whole prefix, as the SDM says, or no promise.",
)
@include_option
@define_option
@table_option
@syntax_option
@click.option(
    "--system-map",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the symbols of a linked kernel that has none of its own from its System.map.",
)
@config_option
@ignore_annotations_option
@unconfined_option
@on_option
@no_run_option
@jobs_option("Prove so many routines at a time, each in a process of its own.")
@output_options
@click.option("-q", "--quiet", is_flag=True, help="One line for each routine instead of the table.")
@click.option("-v", "--verbose", is_flag=True, help="Every counterexample in full, with all its steps.")
def prove(
    files: tuple[Path, ...],
    kernel: Path | None,
    routines: tuple[str, ...],
    all_routines: bool,
    contract: str | None,
    faults: str | None,
    trap: str | None,
    fault_model: str | None,
    len_max: str | None,
    save_disagreement: str | None,
    proof: Path | None,
    second_solver: str | None,
    callers: tuple[str, ...],
    resumable: bool,
    timeout: str | None,
    rep_model: str,
    include: tuple[Path, ...],
    defines: tuple[str, ...],
    table: str | None,
    syntax: Syntax | None,
    system_map: Path | None,
    config: Path | None,
    ignore_annotations: bool,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
    **reports: str | bool | None,
) -> ExitCode:
    """Prove the routines of sources, objects, modules or linked kernels that have exception-table entries.

    Each obligation is proved for all lengths up to --len-max, all alignments of both buffers and a
    fault anywhere. A refutation has been executed before it is reported.

    Exit codes: 0 all proved, 1 something refuted, 2 wrong input or usage,
    3 something unknown, 4 a fault of mcverify itself.
    """
    if not files and kernel is None:
        raise click.UsageError("Missing argument '[FILE.S|FILE.o]...', or --kernel DIR.")
    limit = max_rw_count() if len_max is None else parse_size(len_max, "--len-max")
    budget = None if timeout is None else parse_seconds(timeout, "--timeout")
    outputs = Outputs.of(reports)
    for source in files or (config,):
        outputs.check(source=source)
        if save_disagreement is not None:
            check_writable(save_disagreement, "--save-disagreement", source=source)
    if proof is not None:
        from mcverify.bundle.write import refuse_unwritable

        refuse_unwritable(proof)
    if second_solver is not None:
        need_solvers(second_solver)
    _refuse_unknown(callers)
    quieten_libraries()
    from mcverify.crew import usable_cpus
    from mcverify.proof.prove import ProveOptions

    options = ProveOptions(
        routines=routines,
        contract=contract,
        faults=faults,
        trap=trap,
        fault_model=fault_model,
        len_max=limit,
        timeout=budget,
        rep_model=rep_model,
        include=include,
        defines=defines,
        all_routines=all_routines,
        system_map=system_map,
        kernel=kernel,
        config=config,
        ignore_annotations=ignore_annotations,
        record=proof is not None,
        second_solver=second_solver,
        callers=callers,
        resumable=resumable,
        table=table,
        syntax=syntax,
        jobs=jobs or usable_cpus(),
    )
    results = _prove(files, options, save_disagreement)
    if proof is not None:
        _write_proofs(proof, results, several=len(files) != 1)
    code = exit_code(results)
    invocation = Invocation(without_outputs(click.get_current_context().obj), code)
    outcome = Outcome(results, options, invocation)
    outputs.write(outcome)
    with indifferent_to_readers():
        if not outputs.has_stdout:
            _show(results, quiet, verbose, as_table=len(files) != 1 or all_routines)
        outputs.annotate(outcome)
    return code


def exit_code(results: Sequence[RoutineResult]) -> ExitCode:
    """The exit code of a run with these results: refuted before unknown before proved.

    Raises InputError if there is no result: nothing was there to be proved.
    """
    from mcverify.proof.result import Verdict

    if not results:
        raise InputError("no routine has an exception-table entry", hint="nothing to prove")
    verdicts = {result.verdict for result in results}
    verdicts |= {caller.verdict for result in results for caller in result.callers}
    verdicts |= {result.resume.verdict for result in results if result.resume is not None}
    if Verdict.REFUTED in verdicts:
        return ExitCode.REFUTED
    return ExitCode.UNKNOWN if Verdict.UNKNOWN in verdicts else ExitCode.PROVED


def max_rw_count() -> int:
    """The kernel's MAX_RW_COUNT in bytes: the largest length, unless one is given."""
    return X86_64.limits.max_rw_count


def _prove(
    files: Sequence[Path], options: ProveOptions, save_disagreement: str | None
) -> Sequence[RoutineResult]:
    from mcverify.cli.progress import status_line
    from mcverify.proof.prove import prove_files

    study = partial(_studied, replace(options, jobs=1))
    with status_line() as progress:
        try:
            if not files:
                assert options.kernel is not None
                from mcverify.proof.tree import prove_tree

                return prove_tree(options.kernel, options, progress, study)
            return prove_files(files, options, progress, study)
        except Disagreement as error:
            if save_disagreement is None:
                raise
            write_whole(save_disagreement, json.dumps(error.states, indent=2) + "\n")
            raise Disagreement(str(error), error.states, save_disagreement) from error


def _studied(
    options: ProveOptions, image: Image, result: RoutineResult, deadline: Deadline, progress: Progress
) -> RoutineResult:
    """What `mcverify.witness.study` makes of a result, in whatever process."""
    from mcverify.witness.study import study

    studied = study(image, result, options, deadline, progress)
    if options.callers:
        from mcverify.callers.judge import with_callers

        studied = with_callers(image, studied, options, deadline, progress)
    if options.resumable:
        from mcverify.resume.judge import with_resumption

        studied = with_resumption(image, studied, options, deadline, progress)
    return studied


def _refuse_unknown(callers: Sequence[str]) -> None:
    """Raise InputError where a caller has no model, before anything is proved."""
    if callers:
        from mcverify.callers.model import find

        for name in callers:
            find(name)


def _write_proofs(folder: Path, results: Sequence[RoutineResult], *, several: bool) -> None:
    """Write down what was proved; nothing where nothing was."""
    from mcverify.bundle.write import proved_of, write_bundles

    proved = proved_of(results)
    if not proved:
        click.echo(f"mcverify: no proof is written to {folder}: nothing was proved", err=True)
        return
    write_bundles(folder, proved, several=several)


def _show(results: Sequence[RoutineResult], quiet: bool, verbose: bool, *, as_table: bool) -> None:
    from mcverify.report.table import print_table
    from mcverify.report.terminal import print_lines, print_results

    if quiet:
        print_lines(results)
    elif as_table and not verbose:
        print_table(results)
    else:
        print_results(results, verbose=verbose)

"""`mcverify review`: what a revision of a patch changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcverify.cli.options import (
    config_option,
    define_option,
    fault_model_option,
    ignore_annotations_option,
    include_option,
    no_run_option,
    on_option,
    syntax_option,
    table_option,
    unconfined_option,
)
from mcverify.cli.output import STDOUT, check_writable, write_all
from mcverify.cli.outputs import without_outputs
from mcverify.cli.sizes import parse_seconds, parse_size
from mcverify.cli.streams import indifferent_to_readers
from mcverify.errors import ExitCode, InputError
from mcverify.interrupt import INTERRUPTED
from mcverify.quiet import quieten_libraries

if TYPE_CHECKING:
    from mcverify.image.syntax import Syntax
    from mcverify.review.gather import Gathered
    from mcverify.review.result import Review
    from mcverify.review.review import ReviewOptions


@click.command(short_help="Compare revisions of a patch.")
@click.argument("inputs", metavar="[FILE.S|FILE.o|PATCH|MBOX|-]...", nargs=-1)
@click.option(
    "--git",
    "git_range",
    metavar="OLD..NEW",
    help="The commits of a range of the current repository; arguments behind -- limit the paths.",
)
@click.option(
    "--base",
    metavar="DIR|COMMIT",
    help="What a patch applies to: a folder, or a commit. [default: HEAD of the current repository]",
)
@click.option(
    "--routine",
    "routines",
    multiple=True,
    metavar="NAME",
    help="Review this routine; may be repeated. [default: all with a table entry]",
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
    help="Which faults may happen. [default: as the contract says]",
)
@fault_model_option
@click.option("--len-max", metavar="N", help="The largest length in bytes. [default: 0x7ffff000]")
@click.option("--timeout", metavar="S", help="End after S seconds; what is not decided by then is unknown.")
@include_option
@define_option
@table_option
@syntax_option
@config_option
@ignore_annotations_option
@unconfined_option
@on_option
@no_run_option
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["broken", "refuted", "unknown"]),
    help="What makes the exit code other than 0; may be repeated."
    " [default: all: what got worse, what is refuted or unknown in the newest revision]",
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="A range or a patch that changes no routine with table entries is no wrong input: exit code 0.",
)
@click.option(
    "--accept-contract",
    is_flag=True,
    help="A revision may have another contract than the one before: take it as it is. [default: it is held to"
    " the old one, and that counts as worse]",
)
@click.option("--no-differences", is_flag=True, help="Compare the verdicts only, not the behaviour.")
@click.option("--no-cache", is_flag=True, help="Prove everything again, and keep nothing.")
@click.option("--json", "json", metavar="OUT", help="Write the review as JSON to OUT ('-': standard output).")
@click.option("--html", "html", metavar="OUT", help="Write it as one HTML page, revisions side by side.")
@click.option(
    "--sarif",
    "sarif",
    metavar="OUT",
    help="Write what is refuted or unknown in the newest revision as SARIF.",
)
@click.option(
    "--mail", "mail", metavar="OUT", help="Write a reply to the patch, of a page at most, as plain text."
)
@click.option("-q", "--quiet", is_flag=True, help="One line for each step of each routine.")
def review(
    inputs: tuple[str, ...],
    git_range: str | None,
    base: str | None,
    routines: tuple[str, ...],
    contract: str | None,
    faults: str | None,
    trap: str | None,
    fault_model: str | None,
    len_max: str | None,
    timeout: str | None,
    include: tuple[Path, ...],
    defines: tuple[str, ...],
    table: str | None,
    syntax: Syntax | None,
    config: Path | None,
    ignore_annotations: bool,
    fail_on: tuple[str, ...],
    allow_empty: bool,
    accept_contract: bool,
    no_differences: bool,
    no_cache: bool,
    quiet: bool,
    **reports: str | None,
) -> ExitCode:
    """Say what each revision of a routine returns at each exit, what got better or worse since the last one,
    and on which inputs the two behave differently.

    Revisions are files, oldest first; or one patch or mbox, applied in memory patch by patch; or several of
    those, one revision each; or the commits of a range. Nothing in a work tree or repository is touched.

    Exit codes: 0 nothing got worse, 1 something got worse or is refuted in the newest revision,
    2 wrong input or usage, 3 something is unknown in the newest, 4 a fault of mcverify itself.
    """
    from mcverify.cli.prove import max_rw_count

    limit = max_rw_count() if len_max is None else parse_size(len_max, "--len-max")
    budget = None if timeout is None else parse_seconds(timeout, "--timeout")
    if config is not None:
        from mcverify.image.kernel_tree import read_config

        read_config(config)  # whatever is wrong with it is said before anything else is done
    targets = [(name, target) for name, target in reports.items() if target is not None]
    _check_targets(targets, inputs)
    from mcverify.review.gather import NothingToReview, gathered

    try:
        found = gathered(inputs, git_range, base)
    except NothingToReview as nothing:
        if not allow_empty:
            raise
        click.echo(f"mcverify: {nothing}", err=True)
        return ExitCode.PROVED
    quieten_libraries()
    from mcverify.proof.options import ProveOptions
    from mcverify.review.review import ReviewOptions, exit_code

    proofs = ProveOptions(
        routines=routines,
        contract=contract,
        faults=faults,
        trap=trap,
        fault_model=fault_model,
        len_max=limit,
        timeout=budget,
        include=include,
        defines=defines,
        config=config,
        ignore_annotations=ignore_annotations,
        table=table,
        syntax=syntax,
    )
    result = _review(
        found,
        ReviewOptions(proofs, differences=not no_differences, accept_contract=accept_contract),
        cached=not no_cache,
    )
    code = INTERRUPTED if result.interrupted else int(exit_code(result, fail_on))
    arguments = without_outputs(click.get_current_context().obj)
    texts = [(name, target, _text(name, result, code, arguments)) for name, target in targets]
    write_all([(target, text) for _, target, text in texts if text is not None])
    for name, target, text in texts:
        if text is None:
            click.echo(f"mcverify: --{name} {target} is not written: there is nothing to say", err=True)
    with indifferent_to_readers():
        if not any(target == STDOUT for _, target in targets):
            _show(result, quiet)
    if result.interrupted:
        raise KeyboardInterrupt
    return ExitCode(code)


def _check_targets(targets: Sequence[tuple[str, str]], inputs: Sequence[str]) -> None:
    """Raise InputError where a report cannot be written, or would overwrite what is not ours."""
    seen: dict[Path | str, str] = {}
    for name, target in targets:
        key: Path | str = target if target == STDOUT else Path(target).resolve()
        if key in seen:
            raise InputError(f"--{seen[key]} and --{name} name the same place", where=target)
        seen[key] = name
        for source in inputs or ("",):
            check_writable(
                target,
                f"--{name}",
                source=Path(source) if source not in ("", STDOUT) else None,
                is_ours=_is_ours(name),
            )


def _is_ours(name: str) -> Callable[[str], bool]:
    from importlib import import_module

    return lambda text: bool(import_module(f"mcverify.report.review_{name}").is_ours(text))


def _text(name: str, result: Review, code: int, arguments: tuple[str, ...]) -> str | None:
    from importlib import import_module

    make: Callable[..., str | None]
    make = getattr(import_module(f"mcverify.report.review_{name}"), f"to_{name}")
    return make(result, code, arguments) if name == "sarif" else make(result, code)


def _review(found: Gathered, options: ReviewOptions, *, cached: bool) -> Review:
    from mcverify.cli.progress import status_line
    from mcverify.review.cache import Cache
    from mcverify.review.review import review as reviewed

    cache = Cache.of_user() if cached else Cache(None)
    with status_line() as progress:
        return reviewed(found.revisions, options, cache, progress, found.notes)


def _show(result: Review, quiet: bool) -> None:
    from mcverify.report.review_terminal import print_lines, print_review

    (print_lines if quiet else print_review)(result)

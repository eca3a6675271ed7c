"""`mcverify scan`: what the exception tables of files are about, without a proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcverify.cli.options import (
    config_option,
    define_option,
    include_option,
    syntax_option,
    table_option,
    unconfined_option,
)
from mcverify.cli.output import STDOUT, check_writable, input_sentence, write_whole
from mcverify.cli.streams import indifferent_to_readers
from mcverify.errors import ExitCode, InputError
from mcverify.report.mark import is_document

if TYPE_CHECKING:
    from mcverify.image.syntax import Syntax


@click.command(short_help="List what a file's exception table is about, without a proof.")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--json",
    "json_target",
    metavar="OUT",
    help="Write the result as JSON to OUT ('-': standard output, without the tables).",
)
@include_option
@define_option
@table_option
@syntax_option
@config_option
@unconfined_option
@click.option(
    "--system-map",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the symbols of a linked kernel that has none of its own from its System.map.",
)
@click.option("-q", "--quiet", is_flag=True, help="The counts alone, not the functions.")
def scan(
    files: tuple[Path, ...],
    json_target: str | None,
    include: tuple[Path, ...],
    defines: tuple[str, ...],
    table: str | None,
    syntax: Syntax | None,
    config: Path | None,
    system_map: Path | None,
    quiet: bool,
) -> ExitCode:
    """List every function with exception-table entries: whether a contract is known, by which handlers faults
    are answered, whether they happen at loads or stores, which alternatives lie in it.

    FILEs are sources, objects, modules or linked kernels. Each entry of a table is counted, and once. Nothing
    is proved. A file that cannot be read is told, and the others are listed.

    Exit codes: 0 all files were read, 2 one could not be, or the usage is wrong,
    4 a fault of mcverify itself.
    """
    if json_target is not None:
        for file in files:
            check_writable(
                json_target, "--json", source=file, is_ours=lambda text: is_document(text, "scans")
            )
    from mcverify.contract import layouts_allowed
    from mcverify.image.load import load
    from mcverify.proof.scan import Scan
    from mcverify.proof.scan import scan as scanned
    from mcverify.report.scan import print_scan, to_json

    allowed = layouts_allowed(table, None)
    found: list[Scan] = []
    failed: list[tuple[str, InputError]] = []
    with indifferent_to_readers():
        for file in files:
            try:
                image = load(
                    file,
                    include=include,
                    defines=defines,
                    config=config,
                    system_map=system_map,
                    table=allowed,
                    syntax=syntax,
                )
                found.append(scanned(image))
            except InputError as error:
                failed.append((str(file), error))
                continue
            if json_target != STDOUT:
                print_scan(found[-1], quiet=quiet)
    if json_target is not None:
        write_whole(json_target, to_json(found, failed))
    if not failed:
        return ExitCode.PROVED
    *others, (_, last) = failed
    for _, one in others:
        click.echo(f"mcverify: {input_sentence(one)}", err=True)
    raise last

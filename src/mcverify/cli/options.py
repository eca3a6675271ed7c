"""Options that several commands have, each said once."""

from __future__ import annotations

from pathlib import Path

import click

include_option = click.option(
    "-I",
    "include",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Look for headers here too; may be repeated.",
)

define_option = click.option(
    "-D",
    "defines",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Define a macro before a source is assembled; CONFIG_X=n takes an assumed CONFIG away.",
)

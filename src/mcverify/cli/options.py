"""Options that several commands have, each said once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mcverify.errors import InputError
from mcverify.permit import permit
from mcverify.runner_choice import choose

_Command = TypeVar("_Command", bound=Callable[..., Any])

include_option = click.option(
    "-I",
    "include",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Look for headers here too; may be repeated.",
)

config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the CONFIGs from this .config. [default: that of the kernel's tree, else some are assumed]",
)

fault_model_option = click.option(
    "--fault-model",
    type=click.Choice(["persistent", "transient"]),
    help="Whether a bad address stays bad while the routine runs, or each access faults or not by itself, as"
    " another thread that unmaps and maps pages can make it. [default: as the contract says; mostly O1, O2,"
    " O7, O8 and termination are asked under transient faults, and the rest where faults stay]",
)

define_option = click.option(
    "-D",
    "defines",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Define a macro before a source is assembled; CONFIG_X=n takes an assumed CONFIG away.",
)

ignore_annotations_option = click.option(
    "--ignore-annotations",
    is_flag=True,
    help="Believe no comment in a source that says what its routines promise, or which accesses may fault.",
)

unconfined_option = click.option(
    "--unconfined",
    is_flag=True,
    expose_value=False,
    callback=lambda context, option, given: permit() if given else None,
    help="Assemble sources even where nothing (Landlock, bubblewrap) keeps them from reading any file.",
)


table_option = click.option(
    "--table",
    metavar="NAME",
    help="Read the exception table as this layout, or as one of this system: linux, xen, akaros, ..."
    " (docs/inputs.md). [default: that of the contract's file, else the one that fits]",
)

syntax_option = click.option(
    "--syntax",
    type=click.Choice(["att", "intel"]),
    help="The syntax of a source. [default: AT&T; Intel where a source without a % before a register is"
    " refused in AT&T's]",
)

on_option = click.option(
    "--on",
    type=click.Choice(["cpu", "emulator"]),
    expose_value=False,
    callback=lambda context, option, given: choose(given) if given else None,
    help="Run on this machine's CPU, confined, and in the emulator what that cannot show; or in the emulator"
    " alone, which is slower and tries less. [default: the CPU if it can]",
)

no_run_option = click.option(
    "--no-run",
    is_flag=True,
    expose_value=False,
    callback=lambda context, option, given: choose("nowhere") if given else None,
    help="Run nothing of the routine: prove it, or leave it unknown. Loops need runs to be proved.",
)


def jobs_option(what: str) -> Callable[[_Command], _Command]:
    """The option for how many things are done at a time; `what` is that, as a sentence."""
    help_ = f"{what} [default: one per CPU]"
    return click.option("-j", "--jobs", metavar="N", type=click.IntRange(min=1), help=help_)


def need_solvers(*names: str) -> None:
    """Raise InputError unless these packages of the extra `check` are there."""
    for name in names:
        try:
            __import__(name)
        except ImportError as error:
            raise InputError(
                f"{name} is not installed ({error})", hint="pip install mcverify[check] brings it"
            ) from error

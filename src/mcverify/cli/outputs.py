"""The reports that a command writes besides its table: one option for each format, several at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcverify.cli.output import STDOUT, check_writable, reason, write_all
from mcverify.cli.streams import write_commands
from mcverify.errors import InputError

if TYPE_CHECKING:
    from mcverify.proof.options import ProveOptions
    from mcverify.proof.result import RoutineResult
    from mcverify.report.invocation import Invocation

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub names the file that takes a step's summary."""

_SHOWN = ("--github", "-q", "--quiet", "-v", "--verbose")
"""Options that change what is shown, not what is found."""

_JOBS = re.compile(r"-j\d+")

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is to report."""

    results: Sequence[RoutineResult]
    options: ProveOptions
    invocation: Invocation


@dataclass(frozen=True, slots=True)
class Format:
    """A format of reports, written by `mcverify.report.NAME` and asked for with `--NAME OUT`. `text` gives
    the report, None where there is nothing to be said."""

    name: str
    help: str
    text: Callable[[Outcome], str | None]

    @property
    def option(self) -> str:
        """The option on the command line."""
        return f"--{self.name}"

    def is_ours(self, text: str) -> bool:
        """Whether `text`, or the document that begins with it, is such a report."""
        return bool(import_module(f"mcverify.report.{self.name}").is_ours(text))


@dataclass(frozen=True, slots=True)
class Outputs:
    """The reports that a user asked for: formats with their targets, and whether GitHub is to be told."""

    targets: tuple[tuple[Format, str], ...]
    github: bool

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Outputs:
        """From the values of the options that :func:`output_options` adds."""
        chosen = ((format_, values[format_.name]) for format_ in FORMATS)
        return cls(tuple((f, target) for f, target in chosen if target is not None), bool(values["github"]))

    @property
    def has_stdout(self) -> bool:
        """Whether a report goes to standard output, in place of the table."""
        return any(target == STDOUT for _, target in self.targets)

    def check(self, source: Path | None) -> None:
        """Raise InputError if any of them cannot be written, or would overwrite what is not ours."""
        self._check_apart()
        for format_, target in self.targets:
            check_writable(target, format_.option, source=source, is_ours=format_.is_ours)
        if self.github and (summary := os.environ.get(SUMMARY)):
            check_writable(summary, SUMMARY)

    def write(self, outcome: Outcome) -> None:
        """Write all files, and the reports for standard output. Raises InputError if a file cannot be
        written."""
        texts = [(format_, target, format_.text(outcome)) for format_, target in self.targets]
        write_all([(target, text) for _, target, text in texts if text is not None])
        for format_, target, text in texts:
            if text is None:
                click.echo(f"mcverify: {_unwritten(format_, target)}", err=True)
        if self.github and (path := os.environ.get(SUMMARY)):
            from mcverify.report.github import to_summary

            _append(path, to_summary(outcome.results))

    def annotate(self, outcome: Outcome) -> None:
        """Print the annotations for GitHub, if they were asked for."""
        if self.github:
            from mcverify.report.github import to_annotations

            write_commands(to_annotations(outcome.results))

    def _check_apart(self) -> None:
        """Refuse two reports in one place."""
        named = [(format_.option, target) for format_, target in self.targets]
        if self.github:
            named.append(("--github", STDOUT))
        for (option, target), (other, second) in combinations(named, 2):
            if target == second == STDOUT:
                raise InputError(
                    f"{option} and {other} both write to standard output", hint="give one the name of a file"
                )
            if STDOUT not in (target, second) and _is_same(Path(target), Path(second)):
                raise InputError(
                    f"{option} and {other} name the same file", where=second, hint="give each its own"
                )


def output_options(command: _Command) -> _Command:
    """Add an option for each format, and `--github`, to a command; :meth:`Outputs.of` takes their values."""
    command = click.option(
        "--github",
        is_flag=True,
        help=f"Print annotations for a GitHub job, and add to its summary if ${SUMMARY} names it.",
    )(command)
    for format_ in reversed(FORMATS):
        command = click.option(format_.option, format_.name, metavar="OUT", help=format_.help)(command)
    return command


def without_outputs(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments of a command line that are not about what is shown or written of the result."""
    options = {"--save-disagreement", "-j", "--jobs", *(format_.option for format_ in FORMATS)}
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return (*kept, argument, *rest)
        name, equals, _ = argument.partition("=")
        if name in options:
            if not equals:
                next(rest, None)
        elif argument not in _SHOWN and not _JOBS.fullmatch(argument):
            kept.append(argument)
    return tuple(kept)


def _is_same(first: Path, second: Path) -> bool:
    """Whether two targets are one file; a device may take several reports."""
    if first.exists() and second.exists():
        return first.is_file() and first.samefile(second)
    return first.resolve() == second.resolve()


def _unwritten(format_: Format, target: str) -> str:
    earlier = target != STDOUT and Path(target).is_file() and Path(target).stat().st_size > 0
    stays = f"; {target} stays as an earlier run left it" if earlier else ""
    return f"{format_.option}: nothing was refuted, so there is nothing to write{stays}"


def _append(path: str, text: str) -> None:
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"the summary cannot be written: {reason(error)}", where=path) from error


# -- the formats: each report is imported when it is asked for ----------------------------------------------


def _json(outcome: Outcome) -> str:
    from mcverify.report.json import to_json

    return to_json(outcome.results, outcome.options)


def _sarif(outcome: Outcome) -> str:
    from mcverify.report.sarif import to_sarif

    return to_sarif(outcome.results, outcome.invocation)


def _ktap(outcome: Outcome) -> str:
    from mcverify.report.ktap import to_ktap

    return to_ktap(outcome.results)


def _junit(outcome: Outcome) -> str:
    from mcverify.report.junit import to_junit

    return to_junit(outcome.results)


def _html(outcome: Outcome) -> str:
    from mcverify.report.html import to_html

    return to_html(outcome.results, outcome.invocation.command)


def _mail(outcome: Outcome) -> str | None:
    from mcverify.report.mail import to_mail

    return to_mail(outcome.results, outcome.invocation)


FORMATS = (
    Format(
        "json",
        "Write the result as JSON to OUT ('-', here and below: standard output, without the table).",
        _json,
    ),
    Format("sarif", "Write what is refuted or unknown as SARIF 2.1.0 to OUT.", _sarif),
    Format("ktap", "Write each obligation at each exit as a KTAP test to OUT.", _ktap),
    Format("junit", "Write the same as JUnit XML to OUT.", _junit),
    Format("html", "Draw the result and every counterexample on one HTML page, written to OUT.", _html),
    Format("mail", "Write what is refuted as plain text to OUT, to answer a patch with.", _mail),
)

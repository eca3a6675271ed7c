"""The `mcverify` command group, and how every way of ending becomes an exit code."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from mcverify import __version__
from mcverify.cli.check import check
from mcverify.cli.output import input_sentence, reason
from mcverify.cli.prove import prove
from mcverify.cli.replay import replay
from mcverify.cli.review import review
from mcverify.cli.scan import scan
from mcverify.cli.silicon import silicon
from mcverify.cli.streams import silence_stdout
from mcverify.cli.sweep import sweep
from mcverify.deadline import OutOfTime
from mcverify.errors import Disagreement, ElsewhereError, ExitCode, InputError, LostProcess, in_words
from mcverify.interrupt import INTERRUPTED

_ROOM = 1 << 20

BROKEN_PIPE = 141
"""Exit code when the reader of our output went away: 128 + SIGPIPE."""

EXIT_CODES = """\b
Exit codes:
  0  everything was proved
  1  something was refuted, by a run that was executed
  2  the input or the command is wrong
  3  something is unknown: neither proved nor refuted
  4  a fault of mcverify itself
"""


@click.group(
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Prove exception-table fixups of memcpy-like kernel routines right.

    For every length, every alignment of both buffers and every place of a fault: the count of
    bytes left is exact, the data is right, nothing is touched that should not be.
    """


cli.add_command(check)
cli.add_command(prove)
cli.add_command(replay)
cli.add_command(review)
cli.add_command(scan)
cli.add_command(silicon)
cli.add_command(sweep)


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments` and return the process's exit code. Never raises."""
    try:
        code = cli.main(
            args=list(arguments), prog_name="mcverify", standalone_mode=False, obj=tuple(arguments)
        )
        return int(code or ExitCode.PROVED)
    except click.exceptions.NoArgsIsHelpError as error:
        with suppress(OSError):
            click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        return _say(_usage_sentence(error), ExitCode.USAGE)
    except InputError as error:
        return _say(input_sentence(error), ExitCode.USAGE)
    except Disagreement as error:
        return _say(_disagreement_sentence(error), ExitCode.INTERNAL)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        silence_stdout()
        return BROKEN_PIPE
    except (OutOfTime, LostProcess) as error:
        return _say(f"error: {error}: nothing is decided", ExitCode.UNKNOWN)
    except MemoryError:
        return _say("error: there is not enough memory (a limit of this shell or container?)", ExitCode.USAGE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.ENOMEM):
            return _internal(error)
        return _say(f"error: {_no_room(error)}: {reason(error)}", ExitCode.USAGE)
    except Exception as error:
        return _internal(error)


def _say(sentence: str, code: int) -> int:
    """Say it on standard error, as far as that can be written to: the exit code stays what it is."""
    with suppress(OSError):
        click.echo(f"mcverify: {sentence}", err=True)
    return code


def _no_room(error: OSError) -> str:
    """What could not be written: a temporary file, if that is where there is no room, or else the output."""
    folder = tempfile.gettempdir()
    of_ours = str(error.filename or "").startswith(folder)
    if of_ours or shutil.disk_usage(folder).free < _ROOM:
        return f"a temporary file cannot be written in {folder}"
    silence_stdout()
    return "the output cannot be written"


def _usage_sentence(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "mcverify"
    return f"error: {error.format_message().rstrip('.')} (see `{command} --help`)"


def _disagreement_sentence(error: Disagreement) -> str:
    states = f"both sides are in {error.kept}" if error.kept else "--save-disagreement FILE keeps both sides"
    return f"internal error: {error}; please report it with the file ({states})"


def _internal(error: Exception) -> int:
    if os.environ.get("MCVERIFY_TRACEBACK") == "1":
        if isinstance(error, ElsewhereError):
            click.echo(error.traceback, err=True, nl=False)
        traceback.print_exc()
    return _say(
        f"internal error: {in_words(error)}; please report it with the file and the traceback"
        " (MCVERIFY_TRACEBACK=1)",
        ExitCode.INTERNAL,
    )

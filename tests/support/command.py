"""The command line in this process, also for fixtures that outlive a test."""

from __future__ import annotations

import io
import logging
import subprocess
import warnings
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from mcverify.cli import run


def in_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What `mcverify ARGUMENTS` says, as if it were a process on one CPU."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(out),
            redirect_stderr(err),
            patch("mcverify.crew.usable_cpus", return_value=1),
        ):
            code = run(words)
    finally:
        logging.disable(logging.NOTSET)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

"""`mcverify` and `python -m mcverify`."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

_INTERRUPTED, _UNWRITTEN = 130, 2


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from mcverify.interrupt import leave_on_interrupt

        leave_on_interrupt()
        from mcverify.cli.streams import mend_streams

        mend_streams()
        from mcverify.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command line itself is read in
        code = _said("interrupted", _INTERRUPTED)
    except MemoryError:
        code = _said("error: there is not enough memory to begin", 2)
    except Exception as error:  # Python would end with 1, which means that something was refuted
        code = _said(f"internal error: {type(error).__name__}: {error}", 4)
    code = _flushed(code)
    gc.freeze()  # or Python looks through all of angr's and z3's objects for garbage as it ends
    sys.exit(code)


def _flushed(code: int) -> int:
    """Write what is left to be written; `code`, or another exit code where that cannot be done.

    Python's own last flush would end with 1 or 120, of which the one means something else.
    """
    for stream, failed in ((sys.stdout, _UNWRITTEN), (sys.stderr, code)):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if code == 0 and not isinstance(error, BrokenPipeError):
                code = failed
    return code


def _said(sentence: str, code: int) -> int:
    with suppress(OSError, ValueError):
        print(f"mcverify: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()

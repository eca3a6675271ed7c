"""`mcverify` and `python -m mcverify`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from mcverify.cli.main import run
    from mcverify.cli.streams import mend_streams
    from mcverify.interrupt import leave_on_interrupt

    mend_streams()
    leave_on_interrupt()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

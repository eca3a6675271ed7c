"""`mcverify` and `python -m mcverify`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from mcverify.interrupt import INTERRUPTED, leave_on_interrupt

    leave_on_interrupt()
    try:
        from mcverify.cli.streams import mend_streams

        mend_streams()
        from mcverify.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command line itself is read in
        print("mcverify: interrupted", file=sys.stderr)
        code = INTERRUPTED
    gc.freeze()  # or Python looks through all of angr's and z3's objects for garbage as it ends
    sys.exit(code)


if __name__ == "__main__":
    main()

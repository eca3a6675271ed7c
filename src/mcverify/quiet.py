"""What libraries say for themselves, and no user wants to read."""

from __future__ import annotations

import logging
import os
import warnings


def quieten_libraries() -> None:
    """Keep log lines and warnings of angr and its friends off the screen, unless one looks for a fault."""
    if os.environ.get("MCVERIFY_TRACEBACK") != "1":
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")

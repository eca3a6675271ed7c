"""What the operator allows although it is not safe with a stranger's files."""

from __future__ import annotations

import os

PERMIT = "MCVERIFY_UNCONFINED"
"""The variable by which the operator says that sources may be assembled without confinement."""


def permit() -> None:
    """Allow it in this process and in those that it starts."""
    os.environ[PERMIT] = "1"


def is_permitted() -> bool:
    """Whether it is allowed."""
    return os.environ.get(PERMIT) == "1"

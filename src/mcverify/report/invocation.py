"""How mcverify was called, for reports that tell how to see the same again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invocation:
    """The command line without the program and without the options that name reports, and the exit code."""

    arguments: tuple[str, ...]
    exit_code: int

    @property
    def command(self) -> str:
        """The command as one would type it."""
        return shlex.join(["mcverify", *self.arguments])

    @property
    def again(self) -> tuple[str, str]:
        """Two commands: one that writes the witnesses, and one that runs them again."""
        command, *rest = self.arguments
        return shlex.join(
            ["mcverify", command, "--json", "witness.json", *rest]
        ), "mcverify replay witness.json"

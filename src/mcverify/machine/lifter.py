"""The door to the lifter of an image's architecture."""

from __future__ import annotations

from typing import Protocol, cast

from mcverify.image.image import Image
from mcverify.machine.instruction import Instruction


class Lifts(Protocol):
    """Lifts the instructions of one image; `seconds` were spent on it."""

    seconds: float

    def instruction(self, address: int) -> Instruction:
        """The instruction at `address`.

        Raises :class:`Refused` for what is not understood: bytes that do not decode, an instruction without a
        model, one that touches state which is not modelled.
        """


def lifter_of(image: Image) -> Lifts:
    """A lifter of the image's instructions: `Lifter` in the module `lift` of the architecture's folder."""
    return cast("Lifts", image.architecture.code("lift").Lifter(image))

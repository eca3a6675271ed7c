"""Names of exits, the same for a path and for a run."""

from __future__ import annotations

from mcverify.image.image import Image
from mcverify.paths.segment import Ending, Segment
from mcverify.proof.result import EVERYWHERE, SUCCESS

AFTER_FAULT = "after a fault"
"""Exit id of a return that a fault came before, by way of a loop that did not fault again."""

OF_NO_EXIT = ("O1", "O7", "O8")
"""Obligations that a run breaks everywhere where it breaks them anywhere."""


def exit_of_segment(image: Image, segment: Segment) -> str:
    """The id of the exit at which `segment` ends: by the fixup of its last fault."""
    if segment.target is not Ending.RETURN:
        return place(image, segment.at)
    if segment.faults:
        last = segment.faults[-1]
        if last.fixup is not None and image.entry_at(last.access.at) is None:
            return place(image, last.fixup)  # of a handler that was set (`paths.window`)
        return exit_of_fault(image, last.access.at)
    return AFTER_FAULT if segment.faulted else SUCCESS


def exit_of_fault(image: Image, instruction: int) -> str:
    """The id of the exit that a fault on `instruction` leads to: the fixup's label, or the
    instruction's own where the table has no entry for it."""
    entry = image.entry_at(instruction)
    return place(image, entry.fixup if entry else instruction)


def place(image: Image, address: int) -> str:
    """A label, or where there is none the source line or offset."""
    return image.label_at(address) or image.where(address)


__all__ = [
    "AFTER_FAULT",
    "EVERYWHERE",
    "OF_NO_EXIT",
    "SUCCESS",
    "exit_of_fault",
    "exit_of_segment",
    "place",
]

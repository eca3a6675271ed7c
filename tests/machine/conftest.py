"""Instructions, assembled and lifted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mcverify.arch.x86_64.lift import Lifter
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.machine.instruction import Instruction, Refused

Lift = Callable[[str], list[Instruction]]


def assembled(folder: Path, text: str) -> Image:
    """The image of a routine with the instructions of `text` and a ret."""
    path = folder / "routine.S"
    head = "#include <linux/linkage.h>\n"
    path.write_text(f"{head}SYM_FUNC_START(routine)\n{text}\n ret\nSYM_FUNC_END(routine)\n")
    return load(path)


@pytest.fixture
def lift(tmp_path: Path) -> Lift:
    """Lifts the instructions of a text, one after the other, without the ret behind them."""

    def lifted(text: str) -> list[Instruction]:
        image = assembled(tmp_path, text)
        routine, lifter = image.functions[0], Lifter(image)
        address, found = routine.address, []
        while address < routine.address + routine.size:
            found.append(lifter.instruction(address))
            address += found[-1].size
        return found[:-1]

    return lifted


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[str], Refused]:
    """Why the first instruction of a text is refused."""

    def refused(text: str) -> Refused:
        image = assembled(tmp_path, text)
        with pytest.raises(Refused) as caught:
            Lifter(image).instruction(image.functions[0].address)
        return caught.value

    return refused

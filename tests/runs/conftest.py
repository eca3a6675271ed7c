"""Routines to run, and the runners to run them on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mcverify.contract import Contract, load_contract
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.runs import cpu
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner

ASM = Path(__file__).resolve().parents[2] / "asm"

Routine = tuple[Image, int, Contract]
Build = Callable[..., Routine]


@cache
def fixture_routine(name: str) -> Routine:
    """The routine of asm/NAME.S with the contract that the file names."""
    image = load(ASM / f"{name}.S")
    contract = next(a.value for a in image.annotations if a.key == "contract")
    return image, image.functions[0].address, load_contract(contract.split()[0])


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Assembles the body of a routine, with table entries `{insn label: fixup label}`."""

    def make(body: str, *, entries: dict[str, str] | None = None, contract: str = "bytes_left") -> Routine:
        table = "".join(f"_ASM_EXTABLE({insn}, {fixup})\n" for insn, fixup in (entries or {}).items())
        path = tmp_path / "routine.S"
        head = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"
        path.write_text(f"{head}SYM_FUNC_START(routine)\n{body}\n{table}SYM_FUNC_END(routine)\n")
        image = load(path)
        return image, image.functions[0].address, load_contract(contract)

    return make


@pytest.fixture(params=["cpu", "emulator"])
def runner_class(request: pytest.FixtureRequest) -> type[CpuRunner] | type[EmulatorRunner]:
    if request.param == "emulator":
        return EmulatorRunner
    if cpu.available() is not None:
        pytest.skip(f"skipped: {cpu.available()}")
    return CpuRunner


@pytest.fixture
def needs_cpu() -> None:
    if cpu.available() is not None:
        pytest.skip(f"skipped: {cpu.available()}")

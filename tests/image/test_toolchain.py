"""Which compiler is taken, and what is said where there is none; where the models are."""

from __future__ import annotations

import importlib.util
import shutil
import sys

import pytest

from mcverify.errors import InputError
from mcverify.models import models_dir, read_toml
from mcverify.toolchain import find_compiler, is_zig


@pytest.fixture
def machine(monkeypatch):
    """Say which programs and packages the machine has."""

    def has(*programs: str, zig: bool = False) -> None:
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in programs else None)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: object() if zig and name == "ziglang" else None
        )

    return has


def test_gcc_comes_before_clang_before_zig(machine):
    machine("gcc", "clang", zig=True)
    assert find_compiler() == ("gcc",)
    machine("clang", zig=True)
    assert find_compiler() == ("clang",)
    machine(zig=True)
    assert find_compiler() == (sys.executable, "-m", "ziglang", "cc")


def test_the_environment_comes_first_and_may_hold_options(machine, monkeypatch):
    machine("gcc", "mycc")
    monkeypatch.setenv("CC", "mycc -B '/a b'")
    assert find_compiler() == ("mycc", "-B", "/a b")


def test_an_empty_variable_counts_as_none(machine, monkeypatch):
    machine("gcc")
    monkeypatch.setenv("CC", "")
    assert find_compiler() == ("gcc",)


def test_a_variable_that_names_no_program_is_refused(machine, monkeypatch):
    machine("gcc")
    monkeypatch.setenv("CC", "mycc")
    with pytest.raises(InputError, match="variable CC, 'mycc', is not there .correct CC or unset it"):
        find_compiler()


def test_a_variable_that_is_no_command_is_refused(machine, monkeypatch):
    machine("gcc")
    monkeypatch.setenv("CC", "gcc '")
    with pytest.raises(InputError, match="variable CC is no command"):
        find_compiler()


def test_no_compiler_at_all_is_said_with_what_to_install(machine):
    machine()
    with pytest.raises(
        InputError, match=r"no C compiler .*apt install gcc, or pip install 'mcverify\[zig\]'"
    ):
        find_compiler()


def test_only_zig_is_zig():
    assert is_zig(("python", "-m", "ziglang", "cc"))
    assert is_zig(("zig", "cc"))
    assert not is_zig(("gcc",))
    assert not is_zig(("cc",))


def test_the_models_are_found_and_read():
    assert (models_dir() / "x86_64/extable.toml").is_file()
    assert read_toml("x86_64/cpu.toml")["traps"]["machine_check"] == 18


def test_a_missing_model_is_our_own_fault():
    with pytest.raises(FileNotFoundError):
        read_toml("nonsense.toml")

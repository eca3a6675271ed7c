"""The command as a process: what it imports, how it ends."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import until_gone

from mcverify.scratch import scratch_folder

FAKE = str(Path(__file__).parents[1] / "support" / "fake_engine.py")
HEAVY = ("angr", "claripy", "z3", "unicorn", "flint", "pyvex", "rich.table", "elftools", "capstone")


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["prove", "--help"], ["--version"], ["prove"], ["prove", "x.S", "--len-max", "x"]),
        *(["sweep", "--help"], ["sweep"], ["sweep", "x.S", "--timeout", "x"]),
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    code = (
        "import sys; from mcverify.cli import run; code = run(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules], code)"
    )
    out, _ = start("-c", code, *arguments).communicate(timeout=60)
    assert out.splitlines()[-1].split("] ")[0] == "["


def test_the_imports_that_are_watched_would_be_seen():
    out, _ = start("-c", "import sys, z3; print('z3' in sys.modules)").communicate(timeout=60)
    assert out == "True\n"


def test_help_states_the_exit_codes_and_options():
    out, _ = start("-m", "mcverify", "--help").communicate(timeout=60)
    for code, meaning in enumerate(["proved", "refuted", "wrong", "unknown", "fault of mcverify"]):
        assert any(line.startswith(f"    {code}  ") and meaning in line for line in out.splitlines())
    out, _ = start("-m", "mcverify", "prove", "--help").communicate(timeout=60)
    for option in "--routine --contract --faults --len-max --json --timeout --rep-model -I".split():
        assert f"  {option} " in out


def test_version():
    from mcverify import __version__

    out, _ = start("-m", "mcverify", "--version").communicate(timeout=60)
    assert out == f"mcverify {__version__}\n"


@pytest.mark.parametrize("engine", ["waiting", "solving"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_its_children(engine, number, tmp_path):
    process = start(FAKE, engine, "prove", "a.S", "--json", str(tmp_path / "out.json"))
    child = int(process.stdout.readline())
    time.sleep(0.5)  # well into the query
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip() == "mcverify: interrupted"
    until_gone(child)
    assert os.listdir(tmp_path) == []


def test_an_interrupt_while_it_starts_is_one():
    code = """
import os, signal, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "mcverify.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
sys.meta_path.insert(0, Slow())
from mcverify.__main__ import main
main()
"""
    process = start("-c", code)
    assert process.communicate(timeout=60) == ("", "mcverify: interrupted\n")
    assert process.returncode == 130


def test_an_interrupt_while_a_scratch_folder_is_removed_leaves_nothing(tmp_path, monkeypatch):
    removed = []

    def interrupted(folder, **options):
        removed.append(folder)
        if len(removed) == 1:
            raise KeyboardInterrupt
        rmtree(folder, **options)

    rmtree = shutil.rmtree
    monkeypatch.setattr("mcverify.scratch.shutil.rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), scratch_folder(folder=tmp_path) as made:
        (made / "header.h").touch()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_changes_nothing_about_the_exit_code():
    process = start(FAKE, "many", "prove", "a.S")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""


def test_there_is_no_progress_in_a_pipe():
    out, err = start(FAKE, "one", "prove", "a.S").communicate(timeout=60)
    assert "PROVED" in out
    assert "\x1b" not in out
    assert err == ""


def test_progress_is_shown_on_a_terminal():
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "12"}
    process = subprocess.Popen(
        [sys.executable, FAKE, "one", "prove", "a.S"], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert b"\x1b[?25h" in seen, "the cursor is there again"
    assert b"starting" in seen or "a step t\u2026".encode() in seen
    assert b"that" not in seen, "it is one line"


LOST = """
import os, signal, time
from mcverify.interrupt import leave_on_interrupt

def work():
    until = time.monotonic() + 5
    while time.monotonic() < until:
        pass

class Slow:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        work()

leave_on_interrupt()
try:
    Slow()
    work()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_in_a_destructor_is_not_lost():
    """Python ignores what a destructor raises, and prints a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")

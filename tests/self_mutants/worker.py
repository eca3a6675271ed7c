"""Runs tests of changed code, each time in a fork of a process that has the libraries loaded already.

A line of JSON with a folder and tests comes in, a line of JSON with the first test that failed, and the CPU
seconds of each, goes out.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_CPU_SECONDS = int(os.environ.get("SELF_MUTANTS_CPU_SECONDS", "600"))
"""A run of tests that needs more has noticed: the mutant does not come to an end."""

_LIBRARIES = "angr bitwuzla capstone cvc5 hypothesis msgspec networkx pytest unicorn".split()

_NO_TESTS_RAN = (2, 4)
"""Exit codes of pytest: interrupted, and a wrong call, which is what a module that does not load ends as."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of tests: the first that failed, or what else was noticed ("": nothing), the CPU seconds of
    all together and of each that passed."""

    noticed: str
    cpu_seconds: float
    each: Mapping[str, float] = field(default_factory=dict)


class Worker:
    """A process that runs tests, and has mcverify's libraries but not mcverify loaded. `cpu_seconds` are what
    the tests took."""

    def __init__(self, root: Path) -> None:
        tests = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": tests, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "self_mutants.worker"],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cpu_seconds = 0.0

    def run(self, source: Path, tests: Sequence[str]) -> Ran:
        """Run `tests` with the package in the folder `source`, until one fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(source), *tests]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended with exit code {self._process.wait()}")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        ran = Ran(**found)
        self.cpu_seconds += ran.cpu_seconds
        return ran

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


class _Watch:
    """A plugin of pytest: the id of the first test that fails, or of the file that cannot be read, and the
    CPU seconds of each test."""

    def __init__(self) -> None:
        self.failed = ""
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        start = time.process_time()
        done = yield
        self.seconds[item.nodeid] = round(time.process_time() - start, 3)
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._keep(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._keep(report)

    def _keep(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def _answer(source: str, tests: Sequence[str]) -> dict[str, Any]:
    """Of the tests, run in a fork."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        child = os.fork()
        if child == 0:
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
                os.setsid()
                json.dump(_run(source, tests), file)
                file.flush()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return {"noticed": f"no end within {_CPU_SECONDS} CPU seconds"}
        file.seek(0)
        text = file.read()
        return json.loads(text) if text else {"error": "the tests left no answer"}


def _run(source: str, tests: Sequence[str]) -> dict[str, Any]:
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = os.pathsep.join([source, os.environ["PYTHONPATH"]])
    watch = _Watch()
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], plugins=[watch])
    if watch.failed or code == 0:
        return {"noticed": watch.failed, "each": watch.seconds}
    if code in _NO_TESTS_RAN and "ImportError while loading conftest" in said.getvalue():
        return {"noticed": "the module does not load"}
    return {"error": f"pytest ends with exit code {code}: {said.getvalue()[-800:]}"}


def main() -> None:
    """Answer until the input ends."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        source, *tests = json.loads(line)
        before = _children_seconds()
        answer = _answer(source, tests)
        print(json.dumps({**answer, "cpu_seconds": _children_seconds() - before}), flush=True)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

"""Fixtures for all tests."""

from __future__ import annotations

import shutil
import signal
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from support.memo import Memo
from support.once import Once, folder_of_run
from support.quick import chosen, without_any

KERNEL_61 = Path("/usr/src/linux-source-6.1.tar.xz")
COPY_MC = "arch/x86/lib/copy_mc_64.S"

TESTS = Path(__file__).parent
ABOUT_RUNS = ("runs", "security", "silicon", "crew")
"""Folders whose tests are about runs and processes themselves: what they ask is run each time."""

memo = Memo()


def pytest_configure() -> None:
    """Ctrl-C is no matter of who started the tests: a shell's background jobs ignore it, and what they start
    does too, so that a test of it would wait in vain."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="run some tests of every room (make test-quick)")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        kept = list(chosen(items))
        if missing := without_any(items, kept):
            raise pytest.UsageError(f"--quick leaves nothing of {', '.join(missing)}")
        left_out = set(items).difference(kept)
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Elsewhere the harness is asked once for each job (docs/testing.md)."""
    memo.is_on = item.path.relative_to(TESTS).parts[0] not in ABOUT_RUNS
    return (yield)


@pytest.fixture(autouse=True, scope="session")
def _runs_are_asked_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    memo.install(Once(folder_of_run(tmp_path_factory, "runs-asked")))
    yield
    memo.remove()


@pytest.fixture(autouse=True)
def _one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process starts no others unless it is told to: each of them would load angr anew."""
    if memo.is_on:
        monkeypatch.setattr("mcverify.crew.usable_cpus", lambda: 1)


@pytest.fixture(scope="session")
def kernel_source_61(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel's own copy_mc_64.S of 6.1, alone in a folder, from Debian's linux-source-6.1.

    It is never part of this repository. The archive is one compressed stream: to find the file takes
    some seconds, so the copy is kept beside pytest's temporary folders until the archive changes.
    """
    if not KERNEL_61.exists():
        pytest.skip("skipped: needs linux-source-6.1")
    folder = tmp_path_factory.mktemp("kernel")
    shutil.copy(_extracted(tmp_path_factory.getbasetemp()), folder / Path(COPY_MC).name)
    return folder / Path(COPY_MC).name


def _extracted(base: Path) -> Path:
    """The file out of the archive; extracted once for all workers and runs of the same user."""
    cache = _user_folder(base) / f"copy_mc_64-6.1-{KERNEL_61.stat().st_mtime_ns}.S"
    if not cache.exists():
        text = _member(f"linux-source-6.1/{COPY_MC}")
        assert b"copy_mc_fragile" in text, f"{KERNEL_61} holds an unexpected {COPY_MC}"
        temporary = cache.with_name(f"{cache.name}.{base.name}")
        temporary.write_bytes(text)
        temporary.replace(cache)
    return cache


def _member(name: str) -> bytes:
    with tarfile.open(KERNEL_61, "r|xz") as archive:
        for member in archive:
            if member.name == name:
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise AssertionError(f"{KERNEL_61} holds no {name}")


def _user_folder(base: Path) -> Path:
    """The `pytest-of-USER` folder above pytest's numbered temporary folder, that of a worker or not."""
    return next((p for p in base.parents if p.name.startswith("pytest-of-")), base)

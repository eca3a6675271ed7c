"""`make self-mutants`: change the modules on which soundness rests; a test must notice each change.

Each mutant of a module is run against the tests that watch over it, those first that noticed others of the
module. What no test notices has survived: `survivors.toml` explains it, or the exit code is 1. With `--keep`
a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

import click
from rich.console import Console
from rich.table import Table

from self_mutants.kept import ROOT, Kept
from self_mutants.operators import Mutant, mutants

SOURCE = ROOT / "src"
PROOFS = (
    "tests/proof/test_one_each.py",
    "tests/proof/test_blocks.py",
    "tests/hostile",
    "tests/proof/test_asm.py",
)
LOGIC = ("tests/logic", *PROOFS)
MODULES: dict[str, tuple[str, ...]] = {
    "image/extable.py": (
        "tests/image/test_layouts.py",
        "tests/image/test_load.py",
        "tests/proof/test_layouts.py",
    ),
    "logic/assumptions.py": LOGIC,
    "logic/ghost.py": LOGIC,
    "logic/standpoint.py": LOGIC,
    "machine/handlers.py": ("tests/proof/test_layouts.py", *PROOFS),
    "machine/rep.py": ("tests/machine/test_rep.py", *PROOFS),
    "paths/faults.py": ("tests/paths", *PROOFS),
    "proof/discharge.py": PROOFS,
    "proof/obligations.py": PROOFS,
    "proof/termination.py": PROOFS,
}
"""The modules that are changed, and the tests that must notice, the quick ones first."""

SURVIVORS = Path(__file__).with_name("survivors.toml")
_CPU_SECONDS = 600
"""A run of tests that needs more has noticed: the mutant does not come to an end."""

_KILLERS = 8
"""So many tests that have killed before are tried first."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


class Module:
    """One module under change, in folders of its own."""

    def __init__(self, name: str, folders: SimpleQueue[Path], kept: Kept) -> None:
        self.name = name
        self._folders = folders
        self._kept = kept
        self._killers: list[str] = []

    def fate(self, mutant: Mutant) -> str:
        """Which test noticed; "" if none did."""
        known = self._kept.killer(mutant)
        if known:
            self._remember(known)
            return known
        folder = self._folders.get()
        try:
            target = folder / "src/mcverify" / self.name
            target.write_text(mutant.text, encoding="utf-8")
            found = self._noticed(folder)
            shutil.copy(SOURCE / "mcverify" / self.name, target)
            self._kept.add(self.name, mutant, found)
            return found
        finally:
            self._folders.put(folder)

    def _noticed(self, folder: Path) -> str:
        for tests in (list(self._killers[:_KILLERS]), MODULES[self.name]):
            found = _failing(folder, tests) if tests else ""
            if found:
                self._remember(found)
                return found
        return ""

    def _remember(self, killer: str) -> None:
        if killer in self._killers:
            self._killers.remove(killer)
        if "::" in killer:
            self._killers.insert(0, killer)


def _failing(folder: Path, tests: Sequence[str]) -> str:
    """The first of the tests that fails with the code of `folder`; "" if none does."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "self_mutants.first_failure"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    failure = folder / "failure"
    failure.unlink(missing_ok=True)
    environment = os.environ | {
        "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{ROOT / 'tests'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SELF_MUTANTS_FAILURE": str(failure),
    }
    limited = ["prlimit", f"--cpu={_CPU_SECONDS}", *command]
    done = subprocess.run(limited, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"no end within {_CPU_SECONDS} CPU seconds"
    if failure.exists():
        return failure.read_text(encoding="utf-8")
    if done.returncode == 0:
        return ""
    # Without a test that failed, what is read before any test must have: the module itself does not load.
    if "ImportError while loading conftest" in done.stderr:
        return "the module does not load"
    raise RuntimeError(
        f"pytest ends with exit code {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
    )


@click.command()
@click.argument("modules", nargs=-1, metavar="[logic/ghost.py]...")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="So many mutants at a time.")
@click.option("--every", default=1, show_default=True, help="Only every Nth mutant.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write each finding to this file, and do not ask again what it knows to be noticed.",
)
def main(modules: tuple[str, ...], jobs: int, every: int, keep: Path | None) -> None:
    """Change the modules on which soundness rests, and see that a test notices each change."""
    unknown = [name for name in modules if name not in MODULES]
    if unknown:
        raise click.UsageError(f"no such module: {unknown[0]}; there are {', '.join(MODULES)}")
    kept = Kept(keep)
    explained = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    table = Table("module", "mutants", "noticed", "explained", "survived", "CPU minutes")
    survived = []
    with tempfile.TemporaryDirectory(prefix="self-mutants-") as base:
        folders: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            folder = Path(base) / str(number)
            shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
            (folder / "models").symlink_to(ROOT / "models")
            folders.put(folder)
        for name in modules or MODULES:
            start = _cpu_seconds()
            fates = _fates(name, folders, kept, jobs, every)
            left = [mutant for mutant, found in fates if not found]
            known = [m for m in left if m.name in explained.get(name, {})]
            survived += [(name, m) for m in left if m not in known]
            counts = len(fates), len(fates) - len(left), len(known), len(left) - len(known)
            table.add_row(name, *map(str, counts), f"{(_cpu_seconds() - start) / 60:.1f}")
    console.print(table)
    for name, mutant in survived:
        console.print(f"survived: {name}:{mutant.line}: {mutant.name}", markup=False, soft_wrap=True)
    sys.exit(1 if survived else 0)


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _fates(
    name: str, folders: SimpleQueue[Path], kept: Kept, jobs: int, every: int
) -> list[tuple[Mutant, str]]:
    found = list(mutants((SOURCE / "mcverify" / name).read_text(encoding="utf-8")))[::every]
    module = Module(name, folders, kept)
    fates: dict[str, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(module.fate, mutant): mutant for mutant in found}
        begun = time.monotonic()
        for done in as_completed(futures):
            mutant = futures[done]
            fates[mutant.name] = done.result()
            console.print(
                f"{name} {len(fates)}/{len(found)} {time.monotonic() - begun:.0f} s:"
                f" {mutant.name}: {fates[mutant.name] or 'NOT NOTICED'}",
                markup=False,
                soft_wrap=True,
            )
    return [(mutant, fates[mutant.name]) for mutant in found]


if __name__ == "__main__":
    main()

"""`make self-mutants`: change the modules on which soundness rests; a test must notice each change.

Each mutant of a module is run against the tests that watch over it: those first that noticed others, then the
quick ones. What no test notices has survived: `survivors.toml` explains it, or the exit code is 1. With
`--keep` a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import click
from rich.console import Console
from rich.table import Table

from self_mutants.kept import ROOT, Kept
from self_mutants.operators import Mutant, mutants
from self_mutants.worker import Worker

SOURCE = ROOT / "src"
BLIND = (
    "tests/proof/test_blind.py",
    "tests/hostile/test_hostile.py::test_what_is_broken_is_not_proved_without_runs",
)
"""Proofs alone, so that no run refutes what a mutant would prove."""

MODULES: dict[str, tuple[str, ...]] = {
    "image/extable.py": (
        "tests/image/test_layouts.py",
        "tests/image/test_load.py",
        "tests/proof/test_layouts.py",
    ),
    "logic/assumptions.py": ("tests/logic", *BLIND),
    "logic/ghost.py": ("tests/logic", "tests/proof/test_rep_model.py", *BLIND),
    "logic/standpoint.py": ("tests/logic", *BLIND),
    "arch/x86_64/handlers.py": ("tests/machine/test_handlers.py", "tests/proof/test_layouts.py", *BLIND),
    "machine/rep.py": ("tests/machine/test_rep.py", *BLIND),
    "paths/faults.py": ("tests/paths/test_faults.py", "tests/proof/test_traps.py", *BLIND),
    "proof/discharge.py": ("tests/proof/test_discharge.py", *BLIND),
    "proof/obligations.py": ("tests/proof/test_obligations.py", *BLIND),
    "proof/termination.py": ("tests/proof/test_termination.py", *BLIND),
}
"""The modules that are changed, and the tests that must notice, the quick ones first."""

SURVIVORS = Path(__file__).with_name("survivors.toml")
_KILLERS = 8
"""So many tests that have killed before are tried first."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


@dataclass(frozen=True)
class Place:
    """Where one mutant at a time is tried: a copy of the package, and a process that tests it."""

    source: Path
    worker: Worker


class Module:
    """One module under change, and the `tests` that must notice, the quick ones first. `killers` are those
    that have noticed others, of whatever module, the last one first."""

    def __init__(
        self, name: str, tests: Sequence[str], places: SimpleQueue[Place], kept: Kept, killers: list[str]
    ) -> None:
        self.name = name
        self._tests = tests
        self._places = places
        self._kept = kept
        self._killers = killers

    def fate(self, mutant: Mutant) -> str:
        """Which test noticed; "" if none did."""
        known = self._kept.killer(mutant)
        if known:
            self._remember(known)
            return known
        place = self._places.get()
        try:
            target = place.source / "mcverify" / self.name
            target.write_text(mutant.text, encoding="utf-8")
            found = place.worker.run(place.source, self._in_order()).noticed
            shutil.copy(SOURCE / "mcverify" / self.name, target)
            self._kept.add(self.name, mutant, found)
            self._remember(found)
            return found
        finally:
            self._places.put(place)

    def _in_order(self) -> list[str]:
        first = [test for test in self._killers if test in self._tests][:_KILLERS]
        return [*first, *(test for test in self._tests if test not in first)]

    def _remember(self, killer: str) -> None:
        if killer in self._killers:
            self._killers.remove(killer)
        if "::" in killer:
            self._killers.insert(0, killer)


def _seconds_of_tests(place: Place, kept: Kept, asked: Sequence[str]) -> Mapping[str, float]:
    """The tests that watch over the modules, all of which must pass as long as nothing is changed, with the
    CPU seconds of each, the least first."""
    found: dict[str, float] = {}
    for tests in asked:
        known = kept.seconds(tests)
        if known is None:
            console.print(f"without a change: {tests}", markup=False, soft_wrap=True)
            ran = place.worker.run(place.source, [tests])
            if ran.noticed:
                raise click.ClickException(f"without any change {ran.noticed} fails")
            known = ran.each
            kept.add_seconds(tests, known)
        found |= known
    return dict(sorted(found.items(), key=lambda item: item[1]))


@click.command()
@click.argument("modules", nargs=-1, metavar="[logic/ghost.py]...")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="So many mutants at a time.")
@click.option("--every", default=1, show_default=True, help="Only every Nth mutant.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write each finding to this file, and do not ask again what it knows to be noticed.",
)
@click.option(
    "--seconds", default=60.0, show_default=True, help="Of the proofs only those that take at most so long."
)
@click.option("--unexplained", is_flag=True, help="Leave out the mutants that survivors.toml explains.")
def main(
    modules: tuple[str, ...], jobs: int, every: int, keep: Path | None, seconds: float, unexplained: bool
) -> None:
    """Change the modules on which soundness rests, and see that a test notices each change."""
    unknown = [name for name in modules if name not in MODULES]
    if unknown:
        raise click.UsageError(f"no such module: {unknown[0]}; there are {', '.join(MODULES)}")
    kept = Kept(keep)
    explained = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    table = Table("module", "mutants", "noticed", "explained", "survived", "CPU minutes")
    survived = []
    killers = kept.killers()
    with tempfile.TemporaryDirectory(prefix="self-mutants-") as base:
        places = [_place(Path(base) / str(number)) for number in range(jobs)]
        free: SimpleQueue[Place] = SimpleQueue()
        for place in places:
            free.put(place)
        chosen_modules = modules or tuple(MODULES)
        asked = tuple(dict.fromkeys(test for name in chosen_modules for test in MODULES[name]))
        known_seconds = _seconds_of_tests(places[0], kept, asked)
        quick = [t for t, s in known_seconds.items() if s <= seconds or not t.startswith(BLIND)]
        for name in chosen_modules:
            tests = [test for test in quick if test.startswith(MODULES[name])]
            start = sum(place.worker.cpu_seconds for place in places)
            found = mutants((SOURCE / "mcverify" / name).read_text(encoding="utf-8"))
            chosen = [m for m in found if not (unexplained and m.name in explained.get(name, {}))]
            fates = _fates(Module(name, tests, free, kept, killers), chosen[::every], jobs)
            left = [mutant for mutant, found in fates if not found]
            known = [m for m in left if m.name in explained.get(name, {})]
            survived += [(name, m) for m in left if m not in known]
            counts = len(fates), len(fates) - len(left), len(known), len(left) - len(known)
            spent = sum(place.worker.cpu_seconds for place in places) - start
            table.add_row(name, *map(str, counts), f"{spent / 60:.1f}")
        for place in places:
            place.worker.close()
    console.print(table)
    for name, mutant in survived:
        console.print(f"survived: {name}:{mutant.line}: {mutant.name}", markup=False, soft_wrap=True)
    sys.exit(1 if survived else 0)


def _place(folder: Path) -> Place:
    shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models").symlink_to(ROOT / "models")
    return Place(folder / "src", Worker(ROOT))


def _fates(module: Module, chosen: Sequence[Mutant], jobs: int) -> list[tuple[Mutant, str]]:
    fates: dict[str, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(module.fate, mutant): mutant for mutant in chosen}
        begun = time.monotonic()
        for done in as_completed(futures):
            mutant = futures[done]
            fates[mutant.name] = done.result()
            console.print(
                f"{module.name} {len(fates)}/{len(chosen)} {time.monotonic() - begun:.0f} s:"
                f" {mutant.name}: {fates[mutant.name] or 'NOT NOTICED'}",
                markup=False,
                soft_wrap=True,
            )
    return [(mutant, fates[mutant.name]) for mutant in chosen]


if __name__ == "__main__":
    main()

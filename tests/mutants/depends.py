"""What a module's findings depend on: its own source, the sources of all that it imports, and their data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
_FOLDERS = {"mcverify": ROOT / "src", "mutants": ROOT / "tests", "asm_corpus": ROOT / "tests"}
LOADER = "mcverify.arch.architecture"
_DATA = ("models/**/*.toml", "requirements.lock")


@cache
def digest(module: str) -> bytes:
    """A hash of the files on which findings of `module` depend."""
    found = hashlib.sha256()
    for path in sorted(files(module)):
        found.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.digest()


def files(module: str) -> set[Path]:
    """The sources of a module and of all that it imports, at once or when it runs, with the data in their
    folders, the models and the versions of libraries."""
    names = {module, *_graph().find_upstream_modules(module)}
    sources = {_source(name) for name in names | _by_name(names)}
    beside = {path for folder in {s.parent for s in sources} for path in _data_in(folder)}
    return sources | beside | {path for pattern in _DATA for path in ROOT.glob(pattern)}


def _by_name(names: Set[str]) -> set[str]:
    """What an architecture imports by its name (`Architecture.code`): the modules of its folder that need no
    room but those which are among `names`."""
    if LOADER not in names:
        return set()
    rooms = {_room(name) for name in names}
    return {
        name
        for name in _graph().find_descendants("mcverify.arch")
        if {_room(other) for other in _graph().find_upstream_modules(name)} <= rooms
    }


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*_FOLDERS, cache_dir=None)


def _source(module: str) -> Path:
    package, _, _ = module.partition(".")
    path = _FOLDERS[package] / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _data_in(folder: Path) -> Iterator[Path]:
    """Files that are no Python, in the folder and in those below it that are no packages; what makes the
    folder a package."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from (p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc")
        elif path.is_file() and (path.suffix not in (".py", ".pyc") or path.name == "__init__.py"):
            yield path

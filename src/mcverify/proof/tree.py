"""The copy routines of a kernel's source tree: those of every assembly file in arch/x86/lib."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from mcverify.contract import contract_for
from mcverify.crew import Progress
from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.foreign import read_text, regular_files
from mcverify.image.config import Config
from mcverify.image.image import Image
from mcverify.image.kernel_tree import KernelTree, is_for_32_bits, sources
from mcverify.image.source import Source
from mcverify.proof.entries import no_copy_routine
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import Job, Study, jobs_of, options_for, proved
from mcverify.proof.result import Domain, RoutineResult, Verdict
from mcverify.proof.select import tasks

_TABLE = re.compile(r"_ASM_EXTABLE|__ex_table|\bEX_TYPE_")


@dataclass
class _File:
    """What becomes of one file: jobs, or results and notes without a proof."""

    path: Path
    jobs: Sequence[Job] = ()
    results: list[RoutineResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Walk:
    """What has been found in the files so far."""

    options: ProveOptions
    deadline: Deadline
    files: list[_File] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


def prove_tree(
    folder: Path, options: ProveOptions, progress: Progress, study: Study | None = None
) -> list[RoutineResult]:
    """The results for the routines of a kernel's tree that have exception-table entries or a contract.

    A file with such routines that cannot be read gives an unknown result for each; what else is not looked
    at, and what is no copy routine, is a note of the last result. Raises InputError where there is no such
    tree or routine, and for a configuration or a definition that is none.
    """
    deadline = Deadline(options.timeout)
    tree = KernelTree.at(folder)
    with Config.of_tree(tree, options.defines, options.include, options.config):
        pass  # what is wrong with these is no matter of one file
    walk = _Walk(replace(options, kernel=tree.root), deadline)
    for path in sources(tree):
        file = _File(path)
        walk.files.append(file)
        if is_for_32_bits(path):
            file.notes.append(f"{path.name} is for kernels of 32 bits")
        else:
            progress(f"reading {path.name}")
            _plan(file, walk)
    _refuse_nothing(tree, walk)
    plans = [file.jobs for file in walk.files]
    for file, found in zip(walk.files, proved(plans, walk.options, deadline, progress, study), strict=True):
        if isinstance(found, InputError):
            _unread(file, walk, found)
        else:
            file.results += found
    *before, last = [result for file in walk.files for result in file.results]
    notes = (*(note for file in walk.files for note in file.notes), *_in_c(tree))
    return [*before, replace(last, notes=(*last.notes, *notes))]


def _plan(file: _File, walk: _Walk) -> None:
    """Read a file, and find out what is to be proved of it."""
    start = time.monotonic()
    try:
        image = walk.options.image(file.path, walk.deadline)
    except InputError as error:
        _unread(file, walk, error)
        return
    walk.names |= {s.name for s in image.functions}
    chosen = _of_this(image, walk.options)
    if chosen is None:
        return
    try:
        chosen = _that_copy(image, chosen, file)
        if chosen is None:
            return
        phases = {"assemble": time.monotonic() - start}
        file.jobs = jobs_of(image, chosen, phases, about=f"{file.path.name}: ")
    except InputError as error:
        _unread(file, walk, error)


def _of_this(image: Image, options: ProveOptions) -> ProveOptions | None:
    """The options for the routines of one file; None if it has none that were asked for."""
    if options.routines:
        return options_for(image, options)
    of_use = bool(image.entries) or any(contract_for(s.name) is not None for s in image.functions)
    return options if of_use else None


def _that_copy(image: Image, options: ProveOptions, file: _File) -> ProveOptions | None:
    """The options for those routines of a file that copy, the others being noted; None if none does. One that
    is asked for by name, or is given a contract, is taken as it is."""
    if options.routines or options.contract is not None:
        return options
    chosen = tasks(image, options)
    others = {
        task.name: said
        for task in chosen
        if task.contract is None and (said := no_copy_routine(image, task.name, task.entry, task.end))
    }
    file.notes += others.values()
    if not others:
        return options
    rest = tuple(task.name for task in chosen if task.name not in others)
    return replace(options, routines=rest) if rest else None


def _unread(file: _File, walk: _Walk, error: InputError) -> None:
    """A result for each routine of a file that cannot be read; a note where it is not about copying."""
    path = file.path
    source = Source(str(path), _text(path))
    walk.names |= set(source.routines)
    asked = [n for n in source.routines if not walk.options.routines or n in walk.options.routines]
    known = [name for name in asked if contract_for(name) is not None]
    if not known and not (_TABLE.search(source.code) and asked):
        file.notes.append(f"{path.name}, which does not mention an exception table, was not read: {error}")
        return
    file.results += [_unknown(name, path, walk.options, str(error)) for name in known or asked]


def _text(path: Path) -> str:
    """The text of a file, "" where that cannot be read."""
    try:
        return read_text(path)
    except OSError:
        return ""


def _unknown(name: str, path: Path, options: ProveOptions, why: str) -> RoutineResult:
    return RoutineResult(
        name, str(path), contract_for(name), Verdict.UNKNOWN, Domain(0, options.len_max),
        (), (), (), None, (), (why,), {}, 0.0,
    )  # fmt: skip


def _in_c(tree: KernelTree) -> Iterator[str]:
    """Sentences on files in C that have table entries: their routines are not proved from the source."""
    for path in regular_files(tree.library, (".c",)):
        if is_for_32_bits(path):
            continue
        if _TABLE.search(_text(path)) is not None:
            yield f"{path.name} has exception-table entries in C: build it, and prove {path.stem}.o"


def _refuse_nothing(tree: KernelTree, walk: _Walk) -> None:
    for name in walk.options.routines:
        if name not in walk.names:
            near = get_close_matches(name, walk.names, n=3)
            raise InputError(
                f"there is no routine {name!r} in {tree.library}",
                hint=f"did you mean {' or '.join(near)}?" if near else None,
            )
    if not any(file.jobs or file.results for file in walk.files):
        raise InputError("no routine has an exception table or a contract", where=str(tree.library))

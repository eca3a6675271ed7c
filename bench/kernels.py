"""`make kernels`: docs/kernels.md, what is proved of the copy routines of the kernels that Debian packages.

The trees come out of /usr/src/linux-source-*.tar.xz, or lie unpacked in a folder (--trees), one for each
version; a linked kernel lies in /usr/lib/debug/boot, or in --images. Each routine with table entries is
proved with the headers of its tree, under its contract, for page faults and for machine checks apart; where
the count of whole blocks after a machine check is refuted, under the contract that allows it as well. The
page ends with a comparison of linked code with its source.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mcverify.contract import contract_for
from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.image.callees import ASSUMED
from mcverify.image.image import Image
from mcverify.image.recovery import recovers
from mcverify.proof.prove import ProveOptions, jobs_of, proved
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.select import Task, tasks
from mcverify.runs.code import effects, reachable
from mcverify.runs.operands import directions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "kernels.md"
VERSIONS = ("5.10", "6.1", "6.12", "7.3")
LINKED = "7.3 vmlinux"
"""The kernel that Debian built and linked of the sources of `LINKED_FROM`."""
LINKED_FROM = "7.3"
KERNELS = (*VERSIONS, LINKED)
DEBUG = Path("/usr/lib/debug/boot")
LIBRARY = "arch/x86/lib"
FILES = (
    "clear_page_64.S", "copy_mc_64.S", "copy_user_64.S", "copy_user_uncached_64.S", "csum-copy_64.S",
    "getuser.S", "putuser.S",
)  # fmt: skip
"""Those of arch/x86/lib with entries in an exception table for user or poisoned memory."""
_NEEDED = ("arch/x86/", "include/", "scripts/", "Kbuild", "Kconfig", "Makefile")
"""What of a tree its assembly files are assembled with."""
_ROUNDED = {"uaccess": "uaccess_rounded", "nocache": "nocache_rounded"}
"""The same contract where the count after a machine check may be that of whole blocks."""
_ROUNDING = frozenset(("O4", "O5"))
"""What such a count breaks."""
_HEAD = (
    "kernel", "routine", "contract", "may fault", "if faults stay", "recovers", "verdict", "lengths", "slack",
)  # fmt: skip
_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Job:
    """One routine to be proved."""

    file: Path
    routine: str
    contract: str | None
    faults: str
    trap: str


def archive(version: str) -> Path:
    """Debian's archive of the sources of that version."""
    return Path(f"/usr/src/linux-source-{version}.tar.xz")


def extract(version: str, folder: Path) -> Path:
    """The tree of that version, put into `folder`, as far as it is needed; a minute."""
    top = f"linux-source-{version}/"
    with tarfile.open(archive(version), "r|xz") as members:
        for member in members:
            if member.name.removeprefix(top).startswith(_NEEDED):
                members.extract(member, folder, filter="data")
    return folder / top


def files(tree: Path) -> list[Path]:
    """The files of `FILES` that a tree has, and whose routines have entries or a contract."""
    found = [tree / LIBRARY / name for name in FILES]
    return [path for path in found if path.exists() and _has_jobs(path)]


def _has_jobs(path: Path) -> bool:
    """Whether something of a file is to be proved; 5.10's clear_page_64.S has no entries."""
    read = image(path)
    return bool(read.entries) or any(contract_for(symbol.name) is not None for symbol in read.functions)


def vmlinux(images: Path = DEBUG) -> Path | None:
    """Debian's linked kernel with symbols, None where its package is not installed."""
    return next(iter(sorted(images.glob(f"vmlinux-{LINKED_FROM}*"))), None)


def inputs(kernel: str, folder: Path, trees: Path | None, images: Path) -> list[Path]:
    """The files in which the routines of one of `KERNELS` are; those of an archive are put into `folder`."""
    if kernel == LINKED:
        linked = vmlinux(images)
        return [linked] if linked else []
    return files(extract(kernel, folder) if trees is None else trees / kernel)


def missing(kernel: str, trees: Path | None = None, images: Path = DEBUG) -> str | None:
    """What has to be installed for the rows of one of `KERNELS`; None if nothing has to."""
    if kernel == LINKED:
        return None if vmlinux(images) else f"{images}/vmlinux-{LINKED_FROM}* (linux-image-*-cloud-amd64-dbg)"
    needed = archive(kernel) if trees is None else trees / kernel
    return None if needed.exists() else str(needed)


@functools.lru_cache(maxsize=1)
def image(file: Path) -> Image:
    """The image of a file. That of a linked kernel takes seconds: one process reads it once."""
    return ProveOptions().image(file)


def jobs(file: Path) -> Iterator[Job]:
    """What is to be proved of the routines of a file."""
    for task in tasks(image(file), ProveOptions()):
        for faults in _sides(task):
            yield Job(file, task.name, None, faults, "pf")
        if task.contract is not None and task.contract.src is not None:
            yield Job(file, task.name, None, "loads", "mc")


def _sides(task: Task) -> tuple[str, ...]:
    """Which accesses may fault: those of the contract; a copy_mc routine writes to users' memory as well."""
    if task.contract is not None and task.contract.name == "bytes_left":
        return "loads", "stores"
    return (task.faults,)


def rows(job: Job) -> list[tuple[str, ...]]:
    """The rows of the table for one job, without the kernel."""
    results = _proved(job)
    found = _merged(job, results)
    contract = results[0][0].contract
    rounded = _ROUNDED.get(contract.name) if contract is not None else None
    refuted = {o.id for r, _ in results for o in r.obligations if o.verdict is Verdict.REFUTED}
    if job.trap == "mc" and rounded and refuted and refuted <= _ROUNDING:
        job = Job(job.file, job.routine, rounded, job.faults, job.trap)
        found += _merged(job, _proved(job))
    return found


def _proved(job: Job) -> Sequence[tuple[RoutineResult, Image]]:
    """The results of the variants, each with its image."""
    options = ProveOptions(routines=(job.routine,), contract=job.contract, faults=job.faults, trap=job.trap)
    plan = jobs_of(image(job.file), options, {})
    (results,) = proved([plan], options, Deadline(_SECONDS), lambda _: None, lambda _, result, *__: result)
    assert not isinstance(results, InputError)
    return [(result, each.variant.image) for result, each in zip(results, plan, strict=True)]


def _merged(job: Job, results: Sequence[tuple[RoutineResult, Image]]) -> list[tuple[str, ...]]:
    """One row for all variants of a routine where they agree."""
    made: dict[tuple[str, ...], list[str]] = {}
    for result, its_image in results:
        contract = result.contract.name if result.contract is not None else "none"
        row = (
            contract,
            _may_fault(job),
            _if_faults_stay(result),
            _recovers(job, result, its_image),
            _verdict(result),
            _domain(result),
            _slack(result),
        )
        made.setdefault(row, []).append(result.variant)
    return [
        (f"`{job.routine}`" + (f" [{'; '.join(variants)}]" if len(made) > 1 else ""), *row)
        for row, variants in made.items()
    ]


def _if_faults_stay(result: RoutineResult) -> str:
    """What was proved only for bad addresses that stay bad."""
    if result.verdict is not Verdict.PROVED:
        return "-"
    return ", ".join(result.resting) or "none"


def _recovers(job: Job, result: RoutineResult, its_image: Image) -> str:
    """At how many of the loads with an entry the kernel recovers from a machine check."""
    if job.faults == "stores" or result.contract is None:
        return "-"
    found = []
    for address, instruction in reachable(its_image, result.entry).items():
        entry = its_image.entry_at(address)
        kinds = directions(effects(its_image, address)) or ()
        is_load = not all(kinds) and not instruction.mnemonic.startswith("prefetch")
        if entry is not None and entry.handler.name != ASSUMED and is_load:
            found.append(recovers(its_image, entry, from_user=result.contract.reads_user))
    if not found:
        return "-"
    return {0: "none", len(found): "all"}.get(sum(found), f"{sum(found)} of {len(found)}")


def _may_fault(job: Job) -> str:
    which = {"pf": "page faults", "mc": "machine checks"}[job.trap]
    sides = {"loads": "loads", "stores": "stores", "both": "loads, stores"}[job.faults]
    return f"{sides}: {which}"


def _verdict(result: RoutineResult) -> str:
    if result.verdict is Verdict.PROVED:
        return "proved"
    broken = dict.fromkeys(o.id for o in result.obligations if o.verdict is Verdict.REFUTED)
    open_ = dict.fromkeys(o.id for o in result.obligations if o.verdict is Verdict.UNKNOWN)
    parts = [f"refuted: {', '.join(broken)}"] if broken else []
    if open_ or result.verdict is Verdict.UNKNOWN:
        parts.append(f"unknown: {', '.join(open_) or 'all'}")
    return "; ".join(parts)


def _domain(result: RoutineResult) -> str:
    domain = result.domain
    if domain.len_min == domain.len_max:
        return str(domain.len_min)
    until = f"{domain.len_min} to {domain.len_max:#x}"
    return until if domain.breaks_at is None else f"{until}, breaks at {domain.breaks_at:#x}"


def _slack(result: RoutineResult) -> str:
    return "-" if result.slack is None else str(result.slack)


def page(table: Sequence[tuple[str, ...]]) -> str:
    """docs/kernels.md, with these rows."""
    lines = [_line(_HEAD), "|" + "---|" * len(_HEAD), *map(_line, table)]
    return _TEXT + "\n".join(lines) + "\n\n" + _COMPARED + "\n".join(comparison(table)) + "\n"


def comparison(table: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines that say where the rows of the linked kernel are not those of its sources."""
    source = [row[1:] for row in table if row[0] == LINKED_FROM]
    linked = [row[1:] for row in table if row[0] == LINKED]
    same = sum(row in source for row in linked)
    lines = [
        f"Of {len(source)} rows from source and {len(linked)} from the linked code, {same} are the same."
    ]
    only = [(LINKED_FROM, row) for row in source if row not in linked]
    only += [(LINKED, row) for row in linked if row not in source]
    if only:
        lines += ["Only in one of them:", "", _line(_HEAD), "|" + "---|" * len(_HEAD)]
        lines += [
            _line((kernel, *row)) for kernel, row in sorted(only, key=lambda r: _place((r[0], *r[1]))[1:])
        ]
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rows_of(text: str) -> list[tuple[str, ...]]:
    """The rows of a page's first table."""
    first = text.partition(_COMPARED)[0]
    table = [
        tuple(c.strip() for c in line.strip("|").split("|"))
        for line in first.splitlines()
        if line[:2] == "| "
    ]
    return table[1:]


_TEXT = """# The copy routines of Linux 5.10, 6.1, 6.12 and 7.3

Made by `make kernels`, from arch/x86/lib of Debian's linux-source-5.10 to 7.3; each
file is assembled with the headers of its tree, which no configuration was made for:
the CONFIGs are those that `prove` assumes and prints. *7.3 vmlinux* is the kernel
that Debian links of the latter (linux-image-cloud-amd64-dbg): its code is proved as
it is linked, relocated and patched at boot. Do not edit it.

Each row is one proof, for all lengths in its column, all alignments of both buffers
and a fault anywhere. The combinations of CPU features that select different code
are proofs of their own; they share a row where they agree. The contracts are those
of [contracts.md](contracts.md), the obligations those of
[obligations.md](obligations.md). Of a refutation a run that shows it was executed.
*Slack* is how many bytes before the first bad one are at most left uncopied.
Machine checks strike loads alone.

*If faults stay* names what was proved only for bad addresses that stay bad; all else
holds with each access faulting or not by itself. *Recovers* says at which of the loads
with an entry the kernel comes back from a machine check (`models/x86_64/machine_check.toml`);
where machine checks are asked about, O1 is refuted at any other.

- The user copies of 5.10 return 0 after a machine check, as if all had been copied
  (their shared tail; 3376136300a0 in 5.17 ends that).
- Those of 6.1 answer a machine check with a count of whole blocks
  instead: part of a block may be stored behind the claim (O4), or no
  progress reported where there was some (O5). `uaccess_rounded` and
  `nocache_rounded` are the same contracts where that is allowed.
- `copy_mc_fragile` goes on in C after a fault on a store: what that routine does is
  assumed (`models/x86_64/callees.toml`) from source. The vmlinux holds it: there it is
  proved with the rest.
- Of `csum_partial_copy_generic` it is not asked which sum is returned, of
  `__get_user_N` and `__put_user_N` not that an address of the kernel is refused.

"""

_COMPARED = f"""## The linked code of {LINKED_FROM} against its source

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", action="append", choices=KERNELS, help="only this one's rows anew")
    parser.add_argument("--routine", action="append", help="only rows of this routine anew")
    parser.add_argument("--trees", type=Path, help="a folder of unpacked trees [default: Debian's archives]")
    parser.add_argument("--images", type=Path, default=DEBUG, help="where the linked kernel lies")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes [default: all CPUs]")
    arguments = parser.parse_args()
    asked = arguments.kernel or KERNELS
    absent = [what for kernel in asked if (what := missing(kernel, arguments.trees, arguments.images))]
    if absent:
        print(f"{absent[0]} is missing: install its package", file=sys.stderr)
        return 2
    known = rows_of(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(arguments.jobs) as pool:
        for kernel in asked:
            folder = Path(scratch, kernel)
            folder.mkdir()
            wanted = [
                job
                for file in inputs(kernel, folder, arguments.trees, arguments.images)
                for job in jobs(file)
            ]
            if arguments.routine:
                wanted = [job for job in wanted if job.routine in arguments.routine]
            for job, found in zip(wanted, pool.map(rows, wanted), strict=True):
                print(kernel, job.routine, job.faults, job.trap, [row[5] for row in found], flush=True)
                known = replaced(known, kernel, job, found)
                PAGE.write_text(page(known), encoding="utf-8")
    return 0


def replaced(
    known: Sequence[tuple[str, ...]], kernel: str, job: Job, found: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """The rows `known` with those `found` for a job in place of the ones that it had."""
    old = [row for row in known if is_of(row, kernel, job)]
    rest = [row for row in known if row not in old]
    return sorted([*rest, *((kernel, *row) for row in found)], key=_place)


def is_of(row: tuple[str, ...], kernel: str, job: Job) -> bool:
    """Whether a row is about that job of that kernel."""
    named = row[1].partition(" ")[0] == f"`{job.routine}`"
    return row[0] == kernel and named and row[3] == _may_fault(job)


def _place(row: tuple[str, ...]) -> tuple[object, ...]:
    return (
        KERNELS.index(row[0]),
        row[1].lstrip("`_").replace("nocheck_", ""),
        row[1],
        row[3].endswith("checks"),
        row[3],
        len(row[2]),
    )


if __name__ == "__main__":
    sys.exit(main())

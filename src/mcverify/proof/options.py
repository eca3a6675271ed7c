"""What a user can ask of a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify.contract import Contract, layouts_allowed
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.image.syntax import Syntax
from mcverify.layouts import Layout


@dataclass(frozen=True, slots=True)
class Held:
    """What a routine was held to in an earlier revision: its contract, and the `faults` of a comment there,
    None without one."""

    contract: Contract
    faults: str | None


@dataclass(frozen=True, slots=True)
class ProveOptions:
    """Options of `mcverify prove`. Empty `routines` means all, of a whole kernel or a module those with a
    contract unless `all_routines`; `contract`, `faults`, `trap` and `fault_model` None mean what the file, or
    the routine's name, says; `len_max` is in bytes, `timeout` in seconds for the whole run; `kernel` is the
    tree whose headers a source is assembled with (None: that in which it lies, if any), `config` a .config in
    place of the tree's own; `record`: what is proved is written down (`RoutineResult.proof`);
    `readable` are folders of which a source may read besides its own and its tree's; with
    `ignore_annotations` no comment in a source says what its routines promise; `second_solver` names another
    solver that must prove what Z3 proves; `callers` are names or files of the callers that are asked
    about, `resumable`: whether routines can be resumed; `table` names the layout of exception tables, or a
    system (None: as the contract's file says, else any that is known), `syntax` that of a source ("att",
    "intel", None: what it shows); so many `jobs` are done at a time; `known` are routines that an earlier
    revision had: they are looked at whatever the file says of them."""

    routines: tuple[str, ...] = ()
    contract: str | None = None
    faults: str | None = None
    trap: str | None = None
    fault_model: str | None = None
    len_max: int = 0x7FFFF000
    timeout: float | None = None
    rep_model: str = "ordered"
    include: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    all_routines: bool = False
    system_map: Path | None = None
    kernel: Path | None = None
    config: Path | None = None
    record: bool = False
    second_solver: str | None = None
    jobs: int = 1
    readable: tuple[Path, ...] = ()
    ignore_annotations: bool = False
    callers: tuple[str, ...] = ()
    resumable: bool = False
    table: str | None = None
    syntax: Syntax | None = None
    held: Mapping[str, Held] = field(default_factory=dict)
    known: frozenset[str] = frozenset()

    def image(self, path: Path, deadline: Deadline | None = None) -> Image:
        """The image of a file, read as these options say. Raises InputError where it cannot be read."""
        found = load(
            path,
            include=self.include,
            defines=self.defines,
            system_map=self.system_map,
            kernel=self.kernel,
            config=self.config,
            readable=self.readable,
            deadline=deadline,
            table=self.layouts,
            syntax=self.syntax,
        )
        return replace(found, annotations=()) if self.ignore_annotations else found

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts of which an exception table may be, none for all that are known. Raises InputError for
        a name that is unknown, or a contract's file that cannot be read."""
        return layouts_allowed(self.table, self.contract)

    is_thorough: bool = True

"""What a user can ask of a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.load import load


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
    about; so many `jobs` are done at a time."""

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
    held: Mapping[str, Held] = field(default_factory=dict)

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
        )
        return replace(found, annotations=()) if self.ignore_annotations else found

    is_thorough: bool = True

"""What a user can ask of a proof."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProveOptions:
    """Options of `mcverify prove`. Empty `routines` means all, of a whole kernel or a module those with a
    contract unless `all_routines`; `contract`, `faults` and `trap` None mean what
    the file, or the routine's name, says; `len_max` is in bytes, `timeout` in seconds for the whole run."""

    routines: tuple[str, ...] = ()
    contract: str | None = None
    faults: str | None = None
    trap: str | None = None
    len_max: int = 0x7FFFF000
    timeout: float | None = None
    rep_model: str = "ordered"
    include: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    all_routines: bool = False
    system_map: Path | None = None

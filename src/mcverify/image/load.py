"""The way into this room: a file the user named -> an image."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.foreign import SOURCE_BYTES, opened, read_text, refuse_unseen
from mcverify.image import alternatives, asm_offsets, confined, elf, features
from mcverify.image.assemble import assembled, included, preprocessed
from mcverify.image.callees import with_callees
from mcverify.image.config import Config
from mcverify.image.elf import MAX_LINE_BYTES, line_bytes
from mcverify.image.extable import SECTION_NAMES, Table, kernels_of_layout, read_tables
from mcverify.image.features import Naming
from mcverify.image.image import Image, Symbol, TableEntry
from mcverify.image.kallsyms import read_kallsyms
from mcverify.image.kernel_tree import KernelTree
from mcverify.image.lines import PLACES, read_lines
from mcverify.image.packed import unpacked
from mcverify.image.relocate import LaidOut, lay_out
from mcverify.image.rewritten import rewritten, with_constants
from mcverify.image.source import Era, Source
from mcverify.image.syntax import Syntax, is_register, may_be_intel
from mcverify.image.system_map import read_system_map
from mcverify.layouts import Layout

_SOURCE_SUFFIXES = (".S", ".s")
_HINTS = {
    ".c": "mcverify reads machine code: compile it first, for instance gcc -O2 -g -fno-pic -c FILE.c",
    ".h": "give the .S file that includes it",
    ".a": "take the object out of the archive first: ar x FILE.a",
}
_LARGEST_PIPED = 256 << 20
_ARCHIVE = b"!<arch>"
_WHAT_WE_READ = "give an assembly source (.S, .s) or an ELF file (.o, .ko, vmlinux)"
_FOLDER = f"{_WHAT_WE_READ}; `mcverify prove --kernel` takes a kernel's tree"
_READING = "reading"
"""The phase in which a limit of time may be reached here."""
_NO_MAP = "--system-map is for a linked kernel, not for {}"
# Names that are macros by every convention of the kernel, never functions.
_MACRO_NAME = re.compile(r"_*[A-Z][A-Z0-9_]{2,}")
_HANDLER_PREFIX = "MCVERIFY_TYPE_OF_"  # shim/include/mcverify/extable.h
_ALTINSTR = "MCVERIFY_ALTINSTR"  # shim/include/mcverify/alternative.h
_EXTABLE = "MCVERIFY_EXTABLE"  # shim/include/mcverify/extable.h
_BY_HAND = 31  # the kernels whose sources list alternatives by hand
# Sections that list code which the kernel rewrites as it runs: static branches and calls, paravirtual calls.
_REPATCHED = ("__jump_table", ".static_call_sites", ".parainstructions")
_HANDLER_OFFSET = 8  # of the third word of an entry: models/x86_64/extable.toml
_NEWEST = "type"


def load(
    path: Path,
    *,
    include: Sequence[Path] = (),
    defines: Sequence[str] = (),
    system_map: Path | None = None,
    kernel: Path | None = None,
    config: Path | None = None,
    readable: Sequence[Path] = (),
    deadline: Deadline | None = None,
    table: Sequence[Layout] = (),
    syntax: Syntax | None = None,
) -> Image:
    """The image of an assembly source or an ELF file, which may be packed (vmlinuz, .ko.xz).

    `include` are folders of headers searched before mcverify's stand-ins, `defines` are
    preprocessor definitions ``NAME`` or ``NAME=VALUE`` (``CONFIG_X=n`` takes an assumed
    CONFIG away). `kernel` is the tree of a kernel whose own headers are used (by default the one in which the
    source lies, if any), `config` a .config in place of the tree's. `readable` are folders of which the
    source may read besides its own, its tree's and those of headers, `syntax` that in which it is written
    (None: as it shows). These six only matter for a source.
    `system_map` has the symbols of a linked kernel, `table` the layouts of which its exception table may be
    (empty: all that are known). Raises OutOfTime at the `deadline`, and
    InputError, located in the file, for whatever cannot be read. A file without an exception table gives
    `entries == ()`.
    """
    refuse_unseen(path)
    with _opened(path) as file:
        digest = _digest(file)
        content = unpacked(file, str(path))
        if _head(content) == elf.MAGIC:
            image = _image_of_elf(path, content, system_map=system_map, table=table, deadline=deadline)
            image = replace(image, packed=content is not file)
        elif path.suffix in _SOURCE_SUFFIXES:
            if system_map is not None:
                raise InputError(_NO_MAP.format("a source"), where=str(path))
            content.seek(0)
            tree = _tree_of(path, kernel)
            text = content.read(SOURCE_BYTES + 1)
            if len(text) > SOURCE_BYTES:
                raise InputError(f"a source has at most {SOURCE_BYTES >> 20} MiB", where=str(path))
            build = _Build(
                path,
                tuple(defines),
                tuple(include),
                tree,
                config,
                tuple(readable),
                deadline,
                tuple(table),
                syntax,
            )
            image = build.image(text)
            # CONFIGs have notes of their own; another macro, or header, chooses code just as well.
            options = [f"-D {d}" for d in defines if not d.startswith("CONFIG_")]
            options += [f"-I {folder}" for folder in include]
            options += [f"--syntax {syntax}"] if syntax is not None else []
            image = replace(image, notes=(*image.notes, *(f"assembled with {o}" for o in options)))
        else:
            raise _not_ours(path, _head(content, len(_ARCHIVE)))
    return with_callees(replace(_with_kernels(image), sha256=digest))


def _with_kernels(image: Image) -> Image:
    """The image; where nothing else tells for which kernels it is, those of its exception table's layout."""
    kernels = kernels_of_layout(image.layout)
    # The stand-in macros write the newest layout for want of a better one.
    by_default = image.path.suffix in _SOURCE_SUFFIXES and image.layout == _NEWEST
    if image.kernels or not kernels or by_default:
        return image
    return replace(image, kernels=kernels, kernels_by="so its exception table is laid out")


def included_by(path: Path, readable: Sequence[Path] = ()) -> list[Path]:
    """The files of a kernel's tree that an assembly source in it includes, by their paths in the tree;
    `readable` as for `load`. Raises InputError where it cannot be read."""
    tree = _tree_of(path, None)
    if tree is None:
        return []
    source = Source(str(path), read_text(path))
    with Config.of_tree(tree, (), (), None) as own:
        found = included(path, own, _own_defines(source, own), (tree.root, *readable))
    inside = (Path(os.path.normpath(name)) for name in found)
    return [name.relative_to(tree.root) for name in inside if name.is_relative_to(tree.root)]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, not empty, in which one can go back and forth."""
    try:
        with opened(path) as file:
            seekable = file if file.seekable() else io.BytesIO(_piped(file, path))
            if not seekable.read(1):
                raise InputError("the file is empty", where=str(path), hint=_WHAT_WE_READ)
            yield seekable
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("it is a folder", where=str(path), hint=_FOLDER) from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(path)) from error


def _piped(file: BinaryIO, path: Path) -> bytes:
    """What comes out of a pipe that the operator's shell has opened."""
    content = file.read(_LARGEST_PIPED + 1)
    if len(content) > _LARGEST_PIPED:
        raise InputError(f"more than {_LARGEST_PIPED >> 20} MiB come out of it", where=str(path))
    return content


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while part := file.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _head(file: BinaryIO, size: int = len(elf.MAGIC)) -> bytes:
    file.seek(0)
    return file.read(size)


def _not_ours(path: Path, head: bytes) -> InputError:
    if path.suffix in (".o", ".ko"):
        return InputError("it is no ELF file, whatever its name says", where=str(path), hint=_WHAT_WE_READ)
    hint = ".a" if head == _ARCHIVE else path.suffix
    return InputError(
        "it is neither assembly nor an ELF file", where=str(path), hint=_HINTS.get(hint, _WHAT_WE_READ)
    )


def _tree_of(path: Path, kernel: Path | None) -> KernelTree | None:
    """The kernel tree whose headers a source is assembled with, None for a lone file."""
    if kernel is not None:
        return KernelTree.at(kernel)
    tree = KernelTree.around(path.parent)
    if tree is not None:
        tree.refuse_foreign(path)
    return tree


@dataclass(frozen=True)
class _Build:
    """How the source at `path` is made an object: as `load` was asked, with the `tree` in which it lies."""

    path: Path
    defines: tuple[str, ...]
    include: tuple[Path, ...]
    tree: KernelTree | None
    config: Path | None
    readable: tuple[Path, ...]
    deadline: Deadline | None = None
    table: tuple[Layout, ...] = ()
    syntax: Syntax | None = None

    def image(self, content: bytes) -> Image:
        """The image: with the headers of its kernel's tree if it has one and they serve, else with the
        stand-ins and, in a tree, a note that says so."""
        source = Source(str(self.path), content.decode("utf-8", "replace"))
        tree = self.tree
        if tree is None:
            return self._assembled(source, Config.of(self.defines, self.include, self.config))
        with Config.of_tree(tree, self.defines, self.include, self.config) as own:
            try:
                return self._assembled(source, own)
            except InputError as error:
                refused = self._with_missing(error, source, own)
        stand_ins = Config.of(self.defines, self.include, self.config or tree.config)
        try:
            image = self._assembled(source, stand_ins)
        except InputError:
            raise refused from None
        note = (
            f"mcverify's stand-in headers were taken, for with those of {tree.root} it is refused: {refused}"
        )
        return replace(image, notes=(note, *image.notes))

    def _with_missing(self, error: InputError, source: Source, config: Config) -> InputError:
        """The error of a source in a tree, with the numbers of a kernel's build that it lacks."""
        assert self.tree is not None
        try:
            text = preprocessed(self.path, config, _own_defines(source, config), self._trees)
        except InputError:
            return error
        missing = sorted(set(re.findall(r"\w+", text)) & asm_offsets.names(self.tree.root))
        if not missing:
            return error
        needs = f"it needs {', '.join(missing)}, which a build works out of {asm_offsets.SOURCE}"
        return InputError(f"{error.message}; {needs}", where=error.where, hint=error.hint)

    @property
    def _trees(self) -> tuple[Path, ...]:
        """The folders of which the source may read."""
        return (*([self.tree.root] if self.tree is not None else []), *self.readable)

    def _assembled(self, source: Source, config: Config) -> Image:
        """The image, in the syntax that was given, or that the source shows."""
        if self.syntax is not None:
            return self._in_syntax(source, config.in_intel_syntax() if self.syntax == "intel" else config)
        try:
            image = self._in_syntax(source, config)
            refused = self._registers_as_symbols(image)
            if refused is None or not may_be_intel(source.code):
                return image
        except InputError as error:
            if not may_be_intel(source.code):
                raise
            refused = error
        try:
            image = self._in_syntax(source, config.in_intel_syntax())
        except InputError:
            raise refused from None
        note = f"it is read in Intel syntax, since in AT&T's it is refused: {refused}"
        return replace(image, notes=(note, *image.notes))

    def _registers_as_symbols(self, image: Image) -> InputError | None:
        """What is wrong with a source that assembles, but means registers where the assembler takes symbols:
        `push rax` is good AT&T syntax."""
        name = next((name for name in image.externals.values() if is_register(name)), None)
        if name is None:
            return None
        return InputError(f"it uses a symbol {name}, which it does not define", where=str(self.path))

    def _in_syntax(self, source: Source, config: Config) -> Image:
        annotations = source.annotations
        with (
            assembled(self.path, config, _own_defines(source, config), self._trees, self.deadline) as target,
            target.open("rb") as file,
        ):
            naming = _naming_of(source, config)
            image = _image_of_elf(self.path, file, refuse_macros=True, naming=naming, table=self.table)
        unconfined = confined.note()
        notes = (
            *source.missing_routines({s.name for s in image.symbols}),
            *source.ends_of_nothing({s.name for s in image.symbols}),
            *_tree_notes(config),
            *(config.note(name) for name in source.configs),
            *_stand_in_notes(source, config),
            *([unconfined] if unconfined is not None else []),
        )
        kernels, shown = _kernels_of(source, config)
        return replace(
            image,
            annotations=annotations,
            notes=(*image.notes, *notes),
            kernels=kernels,
            kernels_by=shown,
        )


def _kernels_of(source: Source, config: Config) -> tuple[str, str]:
    """The kernels that a source is for, and what tells it; empty where nothing does."""
    if config.tree is not None:
        return config.tree.version, "the tree in which it lies says so"
    era = source.era
    return (era.kernels, f"{' and '.join(era.shown)} in its text say so") if era is not None else ("", "")


def _tree_notes(config: Config) -> list[str]:
    if config.tree is None:
        return []
    where = (
        f"configuration {config.origin}" if config.origin else "without a configuration: CONFIGs are assumed"
    )
    return [f"headers of the kernel {config.tree.version} in {config.tree.root}, {where}"]


def _own_defines(source: Source, config: Config) -> list[str]:
    """What the stand-ins must know of the source."""
    own = [f"MCVERIFY_OWN_{name}" for name in source.own_macros]
    by_hand = source.lists_alternatives and _ALTINSTR not in config.defines
    era = _era(source, config)
    return [
        *own,
        *([f"{_ALTINSTR}={_BY_HAND}"] if by_hand else []),
        *([f"{_EXTABLE}={era.layout}"] if era is not None else []),
    ]


def _era(source: Source, config: Config) -> Era | None:
    """The kernels for which the stand-ins write their exception table, if the source shows them."""
    return None if config.tree is not None or _EXTABLE in config.defines else source.era


def _stand_in_notes(source: Source, config: Config) -> list[str]:
    if config.tree is not None:
        return []
    unless = ", unless a folder given with -I has one" if config.folders else ""
    era = _era(source, config)
    shown = " and ".join(era.shown) if era is not None else ""
    about = (
        [f"the stand-in macros write the exception table of {era.kernels}, since it uses {shown}"]
        if era
        else []
    )
    return about + [f"{use} is mcverify's stand-in, not the kernel's own{unless}" for use in source.stand_ins]


def _naming_of(source: Source, config: Config) -> Naming:
    """What features are called by the headers that the source was assembled with."""
    return features.of_version(config.tree.version) if config.tree else features.of_stand_ins(source.code)


def _image_of_elf(
    path: Path,
    file: BinaryIO,
    *,
    refuse_macros: bool = False,
    system_map: Path | None = None,
    naming: Naming | None = None,
    table: Sequence[Layout] = (),
    deadline: Deadline | None = None,
) -> Image:
    """The image of an ELF file; `table` and `deadline` as for `load`; `naming` is what the alternatives'
    features are called, None for what the file's own version says, or all kernels of its table's layout."""
    where = str(path)
    until = deadline or Deadline(None)
    raw = elf.parse(file, where)
    until.check(_READING)
    laid_out = lay_out(raw, where, _shifts(table))
    until.check(_READING)
    symbols = _symbols(raw, laid_out, system_map, where)
    until.check(_READING)
    image = Image(
        path=path,
        architecture=raw.architecture,
        sections=laid_out.sections,
        symbols=symbols,
        entries=(),
        lines=read_lines(raw, laid_out, where),
        externals=laid_out.externals,
        layout="",
        relocated=laid_out.in_code(),
        constants=laid_out.constants(),
        repatched=laid_out.named_by(_REPATCHED),
        code_words=laid_out.code_words,
        word_references=laid_out.word_references,
        code_references=laid_out.code_references,
        built=not raw.relocatable or raw.is_module,
        linked=not raw.relocatable,
    )
    if not image.built:
        file.seek(0)
        image = replace(image, object_code=file.read())
    if refuse_macros:
        _refuse_macros(image, laid_out)
    until.check(_READING)
    read = read_tables(image, _ex_tables(image, laid_out, table), table)
    until.check(_READING)
    entries = read.entries
    notes = (
        *([read.shown] if read.shown else []),
        *_line_notes(image, line_bytes(raw)),
        *_order_notes(entries if image.linked else ()),
        *_symbol_notes(laid_out, image, system_map),
    )
    image = replace(
        image,
        layout=read.layout,
        entries=entries,
        notes=notes,
        table=read.shown,
        table_bytes=read.table_bytes,
        entry_bytes=read.entry_bytes,
    )
    tables = _tables(laid_out, (alternatives.SECTION_NAME,))
    version = _own_version(image)
    if version is not None:
        image = replace(image, kernels=version, kernels_by="it says so of itself")
    naming = naming or (features.of_version(version) if version is not None else None)
    found = alternatives.read_alternatives(image, tables, laid_out.is_relocated, naming)
    image = replace(image, alternatives=found)
    if image.linked:
        image = replace(image, repatched=rewritten(image))
    return with_constants(image)


def _own_version(image: Image) -> str | None:
    """The version of the kernel that a linked file is, or a module is for; None for an object."""
    said = (features.version_of(s.data) for s in image.sections if image.built and not s.executable)
    return next(filter(None, said), None)


def _symbols(raw: elf.RawElf, laid_out: LaidOut, system_map: Path | None, where: str) -> tuple[Symbol, ...]:
    """The symbols of the file itself, else those of the System.map that was given, or of its own kallsyms."""
    if system_map is None:
        return laid_out.symbols if raw.relocatable else laid_out.symbols or read_kallsyms(laid_out.sections)
    if raw.relocatable:
        raise InputError(_NO_MAP.format("an object"), where=where)
    given = read_system_map(system_map, laid_out.sections)
    return laid_out.symbols or given


def _refuse_macros(image: Image, laid_out: LaidOut) -> None:
    """Refuse names that no header defines: they assemble silently, as addresses to be linked later."""
    for name, address in laid_out.used_as_number().items():
        if name.startswith(_HANDLER_PREFIX):
            handler = name.removeprefix(_HANDLER_PREFIX)
            insn = laid_out.beside(address, -_HANDLER_OFFSET)
            where = image.where(address if insn is None else insn)
            raise InputError(f"the exception-table handler {handler} is unknown", where=where)
        if _MACRO_NAME.fullmatch(name):
            raise InputError(
                f"it uses {name} as a number, but no header defines it",
                where=image.where(address),
                hint="give it with -D NAME=VALUE, or the folder of the header that defines it with -I DIR",
            )


def _shifts(given: Sequence[Layout]) -> dict[str, Callable[[int], int]]:
    """The sections that are tables of places in code, for `relocate.lay_out`."""
    names = {name for layout in given for name in layout.sections} if given else set(SECTION_NAMES)
    only = given[0].shift if len(given) == 1 else _no_shift
    return {**dict.fromkeys(names, only), alternatives.SECTION_NAME: _no_shift}


def _no_shift(_: int) -> int:
    return 0


def _ex_tables(image: Image, laid_out: LaidOut, given: Sequence[Layout]) -> list[Table]:
    """The exception tables of a file: sections, or what lies between two symbols."""
    between = [layout for layout in given if layout.start]
    if between:
        return [_between(image, laid_out, layout) for layout in between]
    names = {name for layout in given for name in layout.sections} if given else SECTION_NAMES
    return _tables(laid_out, names)


def _between(image: Image, laid_out: LaidOut, layout: Layout) -> Table:
    """The table from one symbol to another. Raises InputError where these are not in one section."""
    ends = [image.address_of(name) for name in (layout.start, layout.end)]
    for name, address in zip((layout.start, layout.end), ends, strict=True):
        if address is None:
            message = f"the exception table lies at {name}, which the file does not define"
            raise InputError(message, where=str(image.path))
    first, end = ends
    assert first is not None
    assert end is not None
    section = next((s for s in laid_out.sections if s.address <= first < s.end), None)
    if section is None or not first < end <= section.end:
        raise InputError(
            f"from {layout.start} to {layout.end} there is no table in one section", where=str(image.path)
        )
    start = first - section.address
    data = section.data[start : end - section.address]
    inside = {
        offset - start: relocation
        for offset, relocation in laid_out.relocated.get(section.address, {}).items()
        if start <= offset < start + len(data)
    }
    return Table(replace(section, address=first, data=data), inside)


def _tables(laid_out: LaidOut, names: Collection[str]) -> list[Table]:
    return [
        Table(section, laid_out.relocated.get(section.address, {}))
        for section in laid_out.sections
        if section.name in names
    ]


def _symbol_notes(laid_out: LaidOut, image: Image, system_map: Path | None) -> list[str]:
    if laid_out.symbols or not image.symbols:
        return []
    return [
        f"its symbols are those of {system_map or 'its own kallsyms'}, which say where functions begin alone"
    ]


def _order_notes(entries: Sequence[TableEntry]) -> list[str]:
    """A remark on a linked kernel's table that is not sorted; those of objects and modules never are."""
    if all(one.insn <= next_.insn for one, next_ in pairwise(entries)):
        return []
    return ["the exception table is not sorted: the kernel finds its entries only if it sorts them at boot"]


def _line_notes(image: Image, line_bytes: int) -> tuple[str, ...]:
    if image.lines:
        return ()
    if line_bytes > MAX_LINE_BYTES:
        why = f"the line information of {line_bytes} bytes is too large to be read"
    else:
        why = "there is no line information"
    return (f"{why}: {PLACES if image.built else PLACES.replace('symbol', 'section')}",)

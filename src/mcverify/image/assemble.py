"""Assembly source -> ELF object, with the user's compiler and our stand-in headers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcverify.deadline import Deadline
from mcverify.errors import InputError
from mcverify.foreign import read_text
from mcverify.image.compiler_names import HERE, SHIM, absolute, as_named
from mcverify.image.confined import Reach, refuse_unconfined, run
from mcverify.image.source import line_with
from mcverify.scratch import scratch_folder
from mcverify.toolchain import find_compiler, is_zig

if TYPE_CHECKING:
    from mcverify.image.config import Config


@contextmanager
def assembled(
    path: Path,
    config: Config,
    defines: Sequence[str] = (),
    trees: Sequence[Path] = (),
    deadline: Deadline | None = None,
) -> Iterator[Path]:
    """Give the object of the source `path`, which exists as long as the context.

    `defines` are definitions for the stand-ins, beside those of `config`. The source may read what lies in
    its folder, in the `trees` and in the folders of `config`. Nothing is written beside the user's file.
    Raises InputError with the assembler's first complaint, and where the source takes in a file from
    elsewhere.
    """
    with scratch_folder() as folder:
        target = folder / "routine.o"
        _run(path, target, _Asked(config, tuple(defines), tuple(trees), deadline), "-c")
        yield target


def included(
    path: Path, config: Config, defines: Sequence[str] = (), trees: Sequence[Path] = ()
) -> list[Path]:
    """The files that the source `path` includes with these definitions, as the compiler names them.

    Raises InputError as `assembled` does.
    """
    with scratch_folder() as folder:
        target = folder / "rule"
        _run(path, target, _Asked(config, tuple(defines), tuple(trees)), "-M")
        return [Path(as_named(name)) for name in _prerequisites(target)][1:]


def preprocessed(path: Path, config: Config, defines: Sequence[str] = (), trees: Sequence[Path] = ()) -> str:
    """What the preprocessor makes of the source `path`. Raises InputError as `assembled` does."""
    with scratch_folder() as folder:
        target = folder / "text"
        _run(path, target, _Asked(config, tuple(defines), tuple(trees)), "-E")
        return target.read_text(errors="replace")


def c_constant(declarations: str, expression: str) -> int:
    """The value of a constant expression of C after declarations. Raises InputError if it has none."""
    function = f'void tell(void) {{ __asm__(".ascii \\"is %c0 it\\"" : : "i"({expression})); }}\n'
    with scratch_folder() as folder:
        source, target = folder / "constant.c", folder / "constant.s"
        source.write_text(declarations + function, encoding="utf-8")
        _run(source, target, _Asked(None, (), ()), "-S")
        value = re.search(r"is [$]?(\d+) it", target.read_text(errors="replace"))
    if value is None:
        raise InputError(f"the compiler does not tell the value of {expression}")
    return int(value[1])


@dataclass(frozen=True)
class _Asked:
    """How a source is to be assembled: with which configuration (None for C of our own) and definitions, and
    the folders of which it may read besides its own."""

    config: Config | None
    defines: tuple[str, ...]
    trees: tuple[Path, ...]
    deadline: Deadline | None = None

    def arguments(self) -> list[str]:
        given = self.config.arguments() if self.config is not None else []
        return [*given, *(f"-D{define}" for define in self.defines)]

    def reach(self, path: Path, scratch: Path) -> Reach:
        """Raises InputError where the source, or a folder of headers in its tree, is a link out of it."""
        trees = tuple(tree.resolve() for tree in (*(self.trees or (path.parent,)), path.parent))
        source = path.resolve()
        if not any(source.is_relative_to(tree) for tree in trees):
            raise InputError(
                "it is a link that leads out of its folder",
                where=str(path),
                hint=f"give the file itself: {source}",
            )
        whole = [SHIM]
        for folder in self.config.folders if self.config is not None else ():
            named, found = Path(os.path.normpath(folder.absolute())), folder.resolve()
            within = [tree for tree in trees if named.is_relative_to(tree)]
            if within and not any(found.is_relative_to(tree) for tree in trees):
                raise InputError(
                    "the folder of headers is a link that leads out of the source's tree",
                    where=str(folder),
                    hint=f"give the folder itself with -I {found}",
                )
            if not within:
                whole.append(found)
        return Reach(tuple(dict.fromkeys(trees)), tuple(whole), (source,), scratch.resolve())


def _run(path: Path, target: Path, asked: _Asked, what: str) -> None:
    """Have the source made into `target`. Raises InputError where that fails."""
    compiler = _compiler()
    refuse_unconfined(str(path))
    reach = asked.reach(path, target.parent)
    made = (target.with_name("included.d"), target.with_name("taken.d"))
    lists = _lists(compiler, path, *made) if what == "-c" else []
    rules = (target,) if what == "-M" else made
    command = [*compiler, *_language(path, asked), *lists, what, absolute(path), "-o", str(target)]
    try:
        done = run(command, reach, asked.deadline)
    except InputError as error:
        raise InputError(error.message, where=str(path), hint=error.hint) from error
    read = [name for rule in rules for name in _prerequisites(rule)]
    output = done.stderr or done.stdout
    for name in dict.fromkeys([*read, *(m["file"] for m in _LOCATED.finditer(output))]):
        if Path(name).exists() and not reach.holds(Path(name)):
            raise _outside(name, _place(path, name, [n for n in read if reach.holds(Path(n))]))
    if done.returncode != 0 or not target.exists():
        raise _complaint(path, command[0], output)


def _compiler() -> list[str]:
    compiler = find_compiler()
    if is_zig(compiler):
        return [*compiler, "-target", "x86_64-linux-gnu"]
    if _is_clang(compiler):
        return [*compiler, "--target=x86_64-linux-gnu"]
    return [*compiler, "-m64"]


def _is_clang(compiler: Sequence[str]) -> bool:
    """Whether it is clang, by its name or that of the program to which the name leads."""
    program = shutil.which(compiler[0]) or compiler[0]
    return any("clang" in Path(name).name for name in (compiler[0], os.path.realpath(program)))


def _language(path: Path, asked: _Asked) -> list[str]:
    """Options; ``-g`` for lines, ``-Wa,-L`` keeps .L labels as symbols."""
    if path.suffix == ".c":
        return []
    common = ["-g", "-Wa,-L"]
    if path.suffix == ".s":
        return ["-x", "assembler", *common]
    # gcc's own __ASSEMBLER__ is not what the kernel's headers ask for.
    return [
        *("-x", "assembler-with-cpp", *common, "-nostdinc", "-D__KERNEL__", "-D__ASSEMBLY__"),
        *(f"-I{absolute(path.parent)}", *asked.arguments()),
    ]


def _lists(compiler: Sequence[str], path: Path, cpp: Path, assembler: Path) -> list[str]:
    """Options to have what the preprocessor takes in written to `cpp`, and the assembler to `assembler`;
    clang has no list of what its own assembler takes."""
    found = [] if path.suffix == ".s" else ["-MD", "-MF", str(cpp)]
    if is_zig(tuple(compiler)) or _is_clang(compiler):
        return found
    return [*found, f"-Wa,--MD,{assembler}"]


def _prerequisites(rule: Path) -> list[str]:
    """The files that a rule for make names behind its target, none where it was not written."""
    if not rule.exists():
        return []
    text = rule.read_text(errors="surrogateescape").replace("\\\n", " ")
    names = re.findall(r"(?:\\.|[^\s\\])+", text.partition(": ")[2])
    return [re.sub(r"\\(.)", r"\1", name).replace("$$", "$") for name in names]


# -- files from elsewhere ------------------------------------------------------------------------------------

_TAKES = re.compile(r"(?:include(?:_next)?|incbin)\b")
_DENIED = re.compile(r"(?P<file>[^\s:]+): Permission denied")
_UNOPENED = re.compile(r"can't open (?P<file>.+) for reading: (?P<why>.*)")


def _outside(name: str, where: str) -> InputError:
    return InputError(
        f"it takes in {as_named(name)}, which lies outside the source's tree",
        where=where,
        hint="give the folder that holds it with -I DIR, if the source may read it",
    )


def _place(path: Path, name: str, others: Sequence[str] = ()) -> str:
    """The first line, of the source `path` and of the `others`, that takes in a file by the last part of
    `name`; the source itself where none is found."""
    last = Path(name).name
    for file in dict.fromkeys([str(path), *map(as_named, others)]):
        with suppress(OSError):
            lines = read_text(Path(file)).splitlines()
            for number, line in enumerate(lines, 1):
                if last in line and _TAKES.search(line):
                    return f"{file}:{number}"
    return str(path)


# -- complaints ----------------------------------------------------------------------------------------------

_LONGEST_LINE = 1000
_SPENT = re.compile(
    r"File size limit exceeded|File too large|CPU time limit exceeded|memory exhausted|out of memory|Killed"
    r"|[Cc]annot allocate|std::bad_alloc|LLVM ERROR: .*memory",
)
_LOCATED = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)?\s*(?:fatal )?error:\s*(?P<text>.*)$", re.I | re.M
)
_UNLOCATED = re.compile(r"^(?P<file>[^:\n]*): (?:fatal )?error:\s*(?P<text>.*)$", re.I | re.M)
_SYMBOL = re.compile(r"[`'](?P<quoted>[\w.$]+)'|expression for (?P<sized>[\w.$]+)")
_LOCAL = re.compile(r'local label `"(\d+)" \(instance number (\d+) ')
_STAND_IN_SIZE = ".Lmcverify_size_"  # shim/include/mcverify/linkage.h
_NOTE = re.compile(r"^(?P<file>[^<:\n][^:\n]*):(?P<line>\d+):(?:\d+:)? note: while in macro", re.M)
_MISSING_HEADER = re.compile(r"'?(?P<header>[^\s':]+)'?(?:: No such file or directory| file not found)")
_UNKNOWN_WORD = re.compile(
    r"no such instruction|invalid character '\(' in mnemonic|unknown pseudo-op"  # gas
    r"|invalid instruction mnemonic|unknown directive|unexpected token at start of statement"  # clang
)


def _complaint(path: Path, compiler: str, output: str) -> InputError:
    """The assembler's first error as ours: file:line, its words, and what to do."""
    output = "\n".join(line[:_LONGEST_LINE] for line in output.replace(HERE, "").splitlines())
    match = _LOCATED.search(output)
    if spent := _SPENT.search(output):
        where = f"{match['file']}:{match['line']}" if match else str(path)
        raise InputError(
            f"assembling it takes more memory, time or room on the disk than a source may have: {spent[0]}",
            where=where,
        )
    if match is None:
        return _unlocated(path, compiler, output)
    where = f"{match['file']}:{match['line']}"
    if match["file"].startswith("<"):  # clang names the macro's body, then the place that uses it
        note = _NOTE.search(output, match.end())
        where = f"{note['file']}:{note['line']}" if note else str(path)
    return _explain(match["text"].strip(), where, path)


def _unlocated(path: Path, compiler: str, output: str) -> InputError:
    """An error without a line: about the file as a whole, or about a symbol, which tells the line."""
    match = _UNLOCATED.search(output)
    if match is None:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return InputError(
            f"{compiler} could not assemble it: {' '.join(lines[:3]) or 'no message'}", where=str(path)
        )
    text = match["text"].strip()
    if local := _LOCAL.search(text):
        line = line_with(path, f"{local[1]}{'b' if local[2] == '0' else 'f'}")
        return InputError(f"it does not assemble: {text}", where=f"{path}:{line}" if line else str(path))
    symbols = (m["quoted"] or m["sized"] for m in _SYMBOL.finditer(text))
    numbers = (line_with(path, symbol.removeprefix(_STAND_IN_SIZE)) for symbol in symbols)
    line = next(filter(None, numbers), None)
    return InputError(f"it does not assemble: {text}", where=f"{path}:{line}" if line else str(path))


def _explain(text: str, where: str, path: Path) -> InputError:
    if unopened := _UNOPENED.search(text):  # the assembler tells its place in a file of the compiler's own
        where, text = _place(path, unopened["file"]), f"{unopened['file']}: {unopened['why']}"
    if denied := _DENIED.search(text):
        return _outside(denied["file"], where)
    if header := _MISSING_HEADER.search(text):
        return InputError(
            f"the header {header['header']} is neither among mcverify's stand-ins nor in a folder given",
            where=where,
            hint="give the folder that holds it with -I DIR, for instance arch/x86/include of a kernel tree",
        )
    if _UNKNOWN_WORD.search(text):
        word = _first_word(path, where)
        behind = f", in {word}" if word and word not in text else ""
        return InputError(
            f"the assembler knows no such instruction or macro: {text}{behind}",
            where=where,
            hint="if it is a macro, include the header that defines it and give its folder with -I DIR",
        )
    return InputError(f"it does not assemble: {text}", where=where)


def _first_word(path: Path, where: str) -> str:
    """The first word, behind the labels, of the source's line `where`; "" where it cannot be told."""
    file, _, number = where.rpartition(":")
    if file != str(path) or not number.isdigit():
        return ""
    lines = read_text(path).splitlines()
    line = lines[int(number) - 1] if 0 < int(number) <= len(lines) else ""
    match = re.match(r"\s*(?:[\w.$]+:\s*)*(?P<word>[.\w]+)", line)
    return match["word"] if match else ""

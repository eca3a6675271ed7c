"""Assembly source -> ELF object, with the user's compiler and our stand-in headers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcverify.errors import InputError
from mcverify.image.config import Config
from mcverify.scratch import scratch_folder
from mcverify.toolchain import find_compiler, is_zig

_TIMEOUT_SECONDS = 300  # zig builds its own cache at its first run


@contextmanager
def assembled(path: Path, config: Config, defines: Sequence[str] = ()) -> Iterator[Path]:
    """Give the object of the source `path`, which exists as long as the context.

    `defines` are definitions for the stand-ins, beside those of `config`. Nothing is written beside the
    user's file. Raises InputError with the assembler's first complaint.
    """
    with scratch_folder() as folder:
        target = folder / "routine.o"
        _run(path, target, [*config.arguments(), *(f"-D{define}" for define in defines)])
        yield target


def included(path: Path, config: Config, defines: Sequence[str] = ()) -> list[Path]:
    """The files that the source `path` includes with these definitions, as the compiler names them.

    Raises InputError with its first complaint.
    """
    with scratch_folder() as folder:
        target = folder / "rule"
        _run(path, target, [*config.arguments(), *(f"-D{define}" for define in defines)], "-M")
        _, _, names = target.read_text(errors="surrogateescape").replace("\\\n", " ").partition(": ")
    return [Path(re.sub(r"\\(.)", r"\1", name)) for name in re.findall(r"(?:\\.|[^\s\\])+", names)][1:]


def preprocessed(path: Path, config: Config, defines: Sequence[str] = ()) -> str:
    """What the preprocessor makes of the source `path`. Raises InputError with its first complaint."""
    with scratch_folder() as folder:
        target = folder / "text"
        _run(path, target, [*config.arguments(), *(f"-D{define}" for define in defines)], "-E")
        return target.read_text(errors="replace")


def c_constant(declarations: str, expression: str) -> int:
    """The value of a constant expression of C after declarations. Raises InputError if it has none."""
    function = f'void tell(void) {{ __asm__(".ascii \\"is %c0 it\\"" : : "i"({expression})); }}\n'
    with scratch_folder() as folder:
        source, target = folder / "constant.c", folder / "constant.s"
        source.write_text(declarations + function, encoding="utf-8")
        _run(source, target, [], "-S")
        value = re.search(r"is [$]?(\d+) it", target.read_text(errors="replace"))
    if value is None:
        raise InputError(f"the compiler does not tell the value of {expression}")
    return int(value[1])


def _run(path: Path, target: Path, arguments: Sequence[str], what: str = "-c") -> None:
    command = [*_compiler(), *_language(path, arguments), what, _as_file(path), "-o", str(target)]
    try:
        done = subprocess.run(
            command,
            env=_environment(target.parent),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{command[0]} did not end within {_TIMEOUT_SECONDS} seconds"
        raise InputError(message, where=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot run {command[0]}: {error.strerror}", where=str(path)) from error
    if done.returncode != 0 or not target.exists():
        raise _complaint(path, command[0], done.stderr or done.stdout)


def _compiler() -> list[str]:
    compiler = find_compiler()
    if is_zig(compiler):
        return [*compiler, "-target", "x86_64-linux-gnu"]
    if "clang" in Path(compiler[0]).name:
        return [*compiler, "--target=x86_64-linux-gnu"]
    return [*compiler, "-m64"]


def _language(path: Path, arguments: Sequence[str]) -> list[str]:
    """Options; ``-g`` for lines, ``-Wa,-L`` keeps .L labels as symbols."""
    if path.suffix == ".c":
        return []
    common = ["-g", "-Wa,-L"]
    if path.suffix == ".s":
        return ["-x", "assembler", *common]
    # gcc's own __ASSEMBLER__ is not what the kernel's headers ask for.
    return [
        *("-x", "assembler-with-cpp", *common, "-nostdinc", "-D__KERNEL__", "-D__ASSEMBLY__"),
        *(f"-I{path.parent}", *arguments),
    ]


def _as_file(path: Path) -> str:
    """The path as the user gave it, except that a leading dash must not read as an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def _environment(folder: Path) -> dict[str, str]:
    """Untranslated messages, the compiler's own temporary files where they are removed, and a name of the
    working folder that is the same everywhere: it stands in the debug information, so in a proof bundle."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "PWD": "/proc/self/cwd",
        "TMPDIR": str(folder),
        "ZIG_LOCAL_CACHE_DIR": str(folder / "zig"),
    }


_LOCATED = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)?\s*(?:fatal )?error:\s*(?P<text>.*)$", re.I | re.M
)
_UNLOCATED = re.compile(r"^(?P<file>[^:\n]*): (?:fatal )?error:\s*(?P<text>.*)$", re.I | re.M)
_SYMBOL = re.compile(r"[`'](?P<quoted>[\w.$]+)'|expression for (?P<sized>[\w.$]+)")
_STAND_IN_SIZE = ".Lmcverify_size_"  # shim/include/mcverify/linkage.h
_NOTE = re.compile(r"^(?P<file>[^<:\n][^:\n]*):(?P<line>\d+):(?:\d+:)? note: while in macro", re.M)
_MISSING_HEADER = re.compile(r"'?(?P<header>[^\s':]+)'?(?:: No such file or directory| file not found)")
_UNKNOWN_WORD = re.compile(
    r"no such instruction|invalid character '\(' in mnemonic|unknown pseudo-op"  # gas
    r"|invalid instruction mnemonic|unknown directive|unexpected token at start of statement"  # clang
)


def _complaint(path: Path, compiler: str, output: str) -> InputError:
    """The assembler's first error as ours: file:line, its words, and what to do."""
    match = _LOCATED.search(output)
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
    symbols = (m["quoted"] or m["sized"] for m in _SYMBOL.finditer(text))
    numbers = (_line_with(path, symbol.removeprefix(_STAND_IN_SIZE)) for symbol in symbols)
    line = next(filter(None, numbers), None)
    return InputError(
        f"it does not assemble: {text}", where=f"{_as_file(path)}:{line}" if line else str(path)
    )


def _line_with(path: Path, symbol: str) -> int | None:
    """The number of the source's first line with this symbol."""
    word = re.compile(rf"(?<![\w.$]){re.escape(symbol)}(?![\w$])")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if word.search(line)), None)


def _explain(text: str, where: str, path: Path) -> InputError:
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
    if file != _as_file(path) or not number.isdigit():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    line = lines[int(number) - 1] if 0 < int(number) <= len(lines) else ""
    match = re.match(r"\s*(?:[\w.$]+:\s*)*(?P<word>[.\w]+)", line)
    return match["word"] if match else ""

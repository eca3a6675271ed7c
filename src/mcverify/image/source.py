"""What the source says besides its instructions: comments addressed to us, routines, CONFIGs."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.foreign import read_text
from mcverify.image.image import Annotation, SourceLine
from mcverify.shown import printable

_DIRECTIVES = "if|ifdef|ifndef|elif|else|endif|include|define|undef|error|warning|pragma|line"
_COMMENTS = rf"""
    (?P<block> /\*.*?(?:\*/|\Z) )
  | (?P<line> //[^\n]* )
  | (?P<directive> ^[ \t]*\#[ \t]*(?:{_DIRECTIVES})\b )
  | (?P<hash> \#[^\n]* )
"""
_STRING = r"""(?P<string> "(?:\\.|[^"\\\n])*+" ) | (?P<open> " )"""
_TOKEN = re.compile(f"{_STRING} | {_COMMENTS}", re.X | re.S | re.M)
_UNQUOTED = re.compile(_COMMENTS, re.X | re.S | re.M)
_TAG = re.compile(r"[\s*/#]*(?P<tag>mcverify|expect):(?P<rest>.*)")
_START = r"ENTRY|KPROBE_ENTRY|WEAK|SYM_(?:TYPED_)?FUNC_START\w*|SYM_CODE_START\w*"
_END = r"END|ENDPROC|KPROBE_END|SYM_FUNC_END\w*|SYM_CODE_END|SYM_END"
_LABEL = r"[ \t]*([\w.$]+)[ \t]*"
_ROUTINE = re.compile(rf"^[ \t]*(?:(?:{_START})[ \t]*\({_LABEL}\)|\.type{_LABEL},[ \t]*[@%]function\b)", re.M)
_ENDED = re.compile(rf"^[ \t]*(?P<word>{_END})[ \t]*\({_LABEL}[,)]", re.M)
_CONDITION = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b[ \t]*([^\n]*)", re.M)
_CONFIG = re.compile(r"\bCONFIG_\w+")
_OWN_MACRO = re.compile(r"^[ \t]*\.macro[ \t]+([A-Za-z_]\w*)", re.M)

_BY_HAND = re.compile(r"^[ \t]*altinstruction_entry\b", re.M)

_WORD = re.compile(r"[A-Za-z_]\w*")
_EXTABLE = "MCVERIFY_EXTABLE"

# Macros whose instructions are ours where the kernel has its own (shim/include/mcverify/stand_ins.h).
_STAND_INS = ("ALIGN_DESTINATION", "RUNTIME_CONST_PTR", "GET_THREAD_INFO")


@dataclass(frozen=True)
class Era:
    """Kernels (eras.toml): `layout` is what the stand-ins call the layout of their exception table,
    `shown` the words of the source that show them."""

    layout: int
    kernels: str
    shown: tuple[str, ...]


_MOST_CONDITIONS, _LONGEST_CONDITION = 8, 200


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition of the preprocessor, within another."""

    text: str
    outer: _Condition | None


@dataclass(frozen=True)
class Source:
    """The text of one assembly source; `file` as the user named it."""

    file: str
    text: str

    @cached_property
    def annotations(self) -> tuple[Annotation, ...]:
        """Comments ``mcverify: KEY VALUE`` and ``expect: VALUE``, in order.

        The tag must begin the comment or a line of it. Raises InputError for a tag that
        says nothing.
        """
        return tuple(a for line, text in self._comment_lines() for a in self._annotation(line, text))

    @cached_property
    def own_macros(self) -> tuple[str, ...]:
        """Names of the assembler macros that the source defines."""
        return tuple(dict.fromkeys(_OWN_MACRO.findall(self.code)))

    @cached_property
    def lists_alternatives(self) -> bool:
        """Whether it fills .altinstructions by hand, as sources up to 4.0 do."""
        return _BY_HAND.search(self.code) is not None

    @cached_property
    def era(self) -> Era | None:
        """The kernels of which the text shows that it is for them; None for the newest, or where it chooses
        the layout of its table by itself."""
        words = set(_WORD.findall(self.code))
        if _EXTABLE in words:
            return None
        for mark in X86_64.model("eras.toml")["mark"]:
            required, one, none = (mark.get(key, []) for key in ("all", "any", "none"))
            shown = [*required, *[word for word in one if word in words][:1]]
            if words.issuperset(shown) and (not one or len(shown) > len(required)) and words.isdisjoint(none):
                return Era(mark["layout"], mark["kernels"], tuple(shown))
        return None

    def missing_routines(self, present: Container[str]) -> tuple[str, ...]:
        """One sentence for each routine that the source begins but `present` lacks."""
        return tuple(
            f"routine {name} ({self.file}:{line}) is not in the object{self._condition_note(line)}"
            for name, line in self.routines.items()
            if name not in present
        )

    def ends_of_nothing(self, present: Container[str]) -> tuple[str, ...]:
        """One sentence for each END(NAME) whose name is neither in `present` nor begun by the source."""
        return tuple(
            f"{end['word']}({end[2]}) ({self.file}:{self._line(end.start())}) ends nothing: no such label"
            for end in _ENDED.finditer(self.code)
            if end[2] not in present and end[2] not in self.routines
        )

    @cached_property
    def configs(self) -> tuple[str, ...]:
        """The CONFIG symbols that the source mentions."""
        return tuple(dict.fromkeys(_CONFIG.findall(self.code)))

    @cached_property
    def stand_ins(self) -> tuple[str, ...]:
        """Macros with instructions that the source takes from a header, each with its first use."""
        return tuple(
            f"{name} ({self.file}:{self._line(use.end())})"
            for name in _STAND_INS
            if (use := re.search(rf"^[^#\n]*\b{name}\b", self.code, re.M)) and not self._defines(name)
        )

    # -- comments

    def _comment_lines(self) -> Iterator[tuple[int, str]]:
        for token in _tokens(self.text):
            if token.lastgroup in ("block", "line", "hash"):
                first = self._line(token.start())
                yield from enumerate(token.group().splitlines(), first)

    def _annotation(self, line: int, text: str) -> Iterator[Annotation]:
        match = _TAG.match(text)
        if match is None:
            return
        where = SourceLine(self.file, line)
        rest = match["rest"].strip().removesuffix("*/").strip()
        if not rest:
            raise InputError(
                f"the comment {match['tag']}: says nothing",
                where=str(where),
                hint="write `mcverify: KEY VALUE` or `expect: VALUE`",
            )
        if match["tag"] == "expect":
            yield Annotation("expect", printable(rest), where)
        else:
            key, _, value = rest.partition(" ")
            yield Annotation(printable(key), printable(value.strip()), where)

    # -- code

    @cached_property
    def code(self) -> str:
        """The text with comments blanked out; places and line numbers stay."""
        parts: list[str] = []
        at = 0
        for token in _tokens(self.text):
            parts += (self.text[at : token.start()], _blank_comment(token))
            at = token.end()
        return "".join([*parts, self.text[at:]])

    def _line(self, position: int) -> int:
        return bisect_left(self._ends, position) + 1

    @cached_property
    def _ends(self) -> list[int]:
        """Where its lines end."""
        return [match.start() for match in re.finditer("\n", self.text)]

    @cached_property
    def routines(self) -> dict[str, int]:
        """The routines that the source begins, whatever conditions they stand under, with their lines."""
        found: dict[str, int] = {}
        for match in _ROUTINE.finditer(self.code):
            name = match.group(1) or match.group(2)
            found.setdefault(name, self._line(match.start()))
        return found

    def _condition_note(self, line: int) -> str:
        conditions = self._conditions_at(line)
        return f": it stands under {' and '.join(conditions)}" if conditions else ""

    def _conditions_at(self, line: int) -> list[str]:
        """The preprocessor conditions around a line, outermost first; of many the innermost ones."""
        lines, nodes = self._nesting
        index = bisect_left(lines, line) - 1
        node = nodes[index] if index >= 0 else None
        found: list[str] = []
        while node is not None and len(found) < _MOST_CONDITIONS:
            found.append(node.text)
            node = node.outer
        return found[::-1]

    @cached_property
    def _nesting(self) -> tuple[list[int], list[_Condition | None]]:
        """The lines of the preprocessor's conditions, and what is the innermost one behind each."""
        lines: list[int] = []
        nodes: list[_Condition | None] = []
        node: _Condition | None = None
        for match in _CONDITION.finditer(self.code):
            word, rest = match.group(1), match.group(2).strip()
            if word == "endif":
                node = node.outer if node else None
            elif word in ("else", "elif"):
                before, outer = (node.text, node.outer) if node else ("#if", None)
                node = _Condition(f"{f'#{word} {rest}'.strip()} of {before}"[:_LONGEST_CONDITION], outer)
            else:
                node = _Condition(f"#{word} {rest}"[:_LONGEST_CONDITION], node)
            lines.append(self._line(match.start()))
            nodes.append(node)
        return lines, nodes

    def _defines(self, name: str) -> bool:
        return name in self.own_macros or bool(re.search(rf"#[ \t]*define[ \t]+{name}\b", self.code))


def line_with(path: Path, symbol: str) -> int | None:
    """The number of the first line of the source `path` that has this symbol; None if none has."""
    word = re.compile(rf"(?<![\w.$]){re.escape(symbol)}(?![\w$])")
    lines = read_text(path).splitlines()
    return next((number for number, line in enumerate(lines, 1) if word.search(line)), None)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Strings, comments and directives, in order, in a time that grows with the length of the text.

    Behind a quote that nothing closes in its line there is no string in the rest of that line: what would
    close one would have closed it.
    """
    at, unquoted_to = 0, 0
    while True:
        if at < unquoted_to:
            token = _UNQUOTED.search(text, at, unquoted_to)
            if token is None:
                at = unquoted_to
                continue
            token = _UNQUOTED.match(text, token.start())  # a comment may end in another line
            assert token is not None
        else:
            token = _TOKEN.search(text, at)
            if token is None:
                return
        at = token.end()
        if token.lastgroup == "open":
            end = text.find("\n", at)
            unquoted_to = len(text) if end < 0 else end
        else:
            yield token


def _blank_comment(token: re.Match[str]) -> str:
    if token.lastgroup in ("string", "directive"):
        return token.group()
    return re.sub(r"[^\n]", " ", token.group())

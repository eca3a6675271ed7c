"""Text that a stranger may have written, made fit to be shown."""

from __future__ import annotations

# Letters and marks by Unicode that one does not see (DerivedCoreProperties.txt, Default_Ignorable_Code_Point,
# and the empty Braille cell).
_UNSEEN = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0))
) | {chr(n) for n in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))}
_SURROGATES = range(0xD800, 0xE000)


def printable(text: str, keep: str = "") -> str:
    """The text with escapes for what is no visible character: controls, line ends, zero-width and
    bidirectional ones. Those of `keep` stay, and bytes that are no UTF-8, which are escaped where they are
    written."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or _is_seen(c) else _escape(c) for c in text)


def printable_text(text: str) -> str:
    """The same for a text of several lines: tabs and line ends stay."""
    return printable(text, "\n\t")


def _is_seen(character: str) -> bool:
    seen = character.isprintable() and character not in _UNSEEN
    return seen or ord(character) in _SURROGATES


def _escape(character: str) -> str:
    return "\\x0d" if character == "\r" else character.encode("unicode_escape").decode("ascii")

"""kallsyms: the symbols that a linked kernel carries in its own data, for its own messages.

Source: scripts/kallsyms.c, write_src(), of 6.1 and 6.12. The tables have no names in a stripped file: they
are found by what is in them, and what they say twice is compared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mcverify.image.image import Section, Symbol
from mcverify.image.system_map import symbols_of
from mcverify.shown import printable

_TOKENS = 256
_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
"""Digits occur in names, and so each stands for itself, at the place of its character."""
_FIRST_DIGIT = ord("0")
_GROUP = 256
"""Names between two markers."""
_MOST = 1 << 22


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What each byte of a compressed name stands for; both tables lie at [`start`, `end`) of the data."""

    words: tuple[bytes, ...]
    start: int
    end: int


def read_kallsyms(sections: Iterable[Section]) -> tuple[Symbol, ...]:
    """The symbols in a linked kernel's own tables, of 4.6 on; none where there are no such tables."""
    known = sorted(sections, key=lambda s: s.address)
    text = next((s.address for s in known if s.executable), None)
    if text is None:
        return ()
    for section in known:
        if section.executable:
            continue
        for tokens in _tokens(section.data):
            for names, count, offsets in _places(section.data, tokens, text):
                rows = _rows(section.data, tokens, names, count, offsets, text)
                if rows is not None:
                    return symbols_of(rows, known)
    return ()


def _tokens(data: bytes) -> Iterator[_Tokens]:
    """The tables of tokens, and of where they begin, that may be in the data."""
    at = data.find(b"\0" + _DIGITS)
    while at >= 0:
        digit = at + 1
        end = digit
        for _ in range(_TOKENS - _FIRST_DIGIT):
            end = data.find(b"\0", end) + 1
            if not end:
                return
        index = _aligned(end)
        if index + 2 * _TOKENS <= len(data):
            starts = struct.unpack_from(f"<{_TOKENS}H", data, index)
            start = digit - starts[_FIRST_DIGIT]
            if start >= 0:
                words = tuple(data[start + s : data.find(b"\0", start + s)] for s in starts)
                if b"\0".join(words) + b"\0" == data[start:end]:
                    yield _Tokens(words, start, index + 2 * _TOKENS)
        at = data.find(b"\0" + _DIGITS, at + 1)


def _places(data: bytes, tokens: _Tokens, text: int) -> Iterator[tuple[int, int, int]]:
    """Where the names and the offsets may begin, and how many there may be.

    Next to the offsets lies the address from which they count, where the code begins.
    """
    base = text.to_bytes(8, "little")
    at = data.find(base)
    while at >= 0:
        if at % 8 == 0 and at < tokens.start and at + 16 <= len(data):  # to 6.3: offsets, base, count, names
            (count,) = struct.unpack_from("<I", data, at + 8)
            if 0 < count <= _MOST and at >= _aligned(4 * count):
                yield at + 16, count, at - _aligned(4 * count)
        elif at % 8 == 0 and at >= _aligned(tokens.end):  # 6.4 on: count, names, tokens, offsets, base
            size = (at - _aligned(tokens.end)) // 4
            for count in (size, size - 1):
                yield from ((names, count, _aligned(tokens.end)) for names in _counted(data, tokens, count))
        at = data.find(base, at + 1)


def _counted(data: bytes, tokens: _Tokens, count: int) -> Iterator[int]:
    """Where names may begin: behind their number."""
    if not 0 < count <= _MOST:
        return
    number = count.to_bytes(8, "little")  # filled up to a multiple of 8
    at = data.find(number, 0, tokens.start)
    while at >= 0:
        if at % 8 == 0:
            yield at + 8
        at = data.find(number, at + 1, tokens.start)


def _rows(
    data: bytes, tokens: _Tokens, names: int, count: int, offsets: int, base: int
) -> list[tuple[int, str, str]] | None:
    """Address, letter and name of each symbol; None where the markers behind the names say otherwise."""
    found: list[bytes] = []
    markers: list[int] = []
    at = names
    for number in range(count):
        if number % _GROUP == 0:
            markers.append(at - names)
        if at + 2 > len(data):
            return None
        length, at = data[at], at + 1
        if length & 0x80:
            length, at = length & 0x7F | data[at] << 7, at + 1
        word = b"".join(tokens.words[code] for code in data[at : at + length])
        if len(word) < 2:
            return None
        found.append(word)
        at += length
    at = _aligned(at)
    if data[at : at + 4 * len(markers)] != struct.pack(f"<{len(markers)}I", *markers):
        return None
    if offsets + 4 * count > len(data):
        return None
    numbers = struct.unpack_from(f"<{count}i", data, offsets)
    # With absolute values (CONFIG_KALLSYMS_ABSOLUTE_PERCPU) those of code and data are below zero.
    signed = sum(number < 0 for number in numbers) > count // 2
    addresses = (_address(number, base, signed=signed) for number in numbers)
    words = (printable(word.decode("latin-1")) for word in found)
    return [(address, word[0], word[1:]) for address, word in zip(addresses, words, strict=True)]


def _address(number: int, base: int, *, signed: bool) -> int:
    if not signed:
        return base + (number & 0xFFFFFFFF)
    return number if number >= 0 else base - 1 - number


def _aligned(at: int) -> int:
    return -(-at // 8) * 8

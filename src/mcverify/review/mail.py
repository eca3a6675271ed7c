"""Patches out of what was mailed: an mbox, one mail, or a bare patch."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message

from mcverify.errors import InputError
from mcverify.shown import printable

MOST = 200
"""Mails of one series."""

_LARGEST = 16 << 20
"""Bytes of an input with mails."""
_HEADER_LENGTH = 998
"""Characters of a header that are looked at: a line of a mail has no more (RFC 5322, section 2.1.1)."""

_TIME = re.compile(rb"\d\d:\d\d")
_HEADER = re.compile(
    rb"\A(?:From|Subject|Date|To|Return-Path|Received|Delivered-To|Message-ID|X-[\w-]+):", re.I
)
_FIELD = re.compile(rb"[\w-]{1,100}:")
_PATCH = re.compile(r"^(?:diff --git |diff -\S+ |Index: |--- \S[^\n]*\n\+\+\+ )", re.MULTILINE)
_NUMBER = re.compile(r"\[[^\]]*?\b(?P<number>\d+)/(?P<total>\d+)[^\]]*\]")
_TAGS = re.compile(r"^(?:\s*\[[^\]]*\])+\s*")
_SIGNATURE = re.compile(r"^-- $", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch as text; every character stands for one byte, so that nothing is lost. `other` is the same in
    UTF-8 where the mail was of another encoding. `number` and `total` are those of its subject, 0 without;
    `heading` is the subject with all of its tags."""

    subject: str
    text: str
    other: str
    number: int = 0
    total: int = 0
    author: str = ""
    message_id: str = ""
    heading: str = ""


def patches(name: str, content: bytes) -> list[Patch]:
    """The patches of an input, in the order of their numbers. Raises InputError where there is none, or too
    many mails."""
    where = "standard input" if name == "-" else name
    if len(content) > _LARGEST:
        raise InputError(f"patches and mails have at most {_LARGEST >> 20} MiB", where=where)
    mails = _split(content)
    if mails is None:
        text = content.decode("latin-1")
        if _PATCH.search(text) is None:
            raise InputError(
                "it holds no patch", where=where, hint="neither diff --git nor --- and +++ lines"
            )
        return [Patch("", _body(text), _body(text))]
    if len(mails) > MOST:
        raise InputError(
            f"it holds {len(mails)} mails, more than the {MOST} of one series",
            where=where,
            hint="pick the series first, for instance with b4 am",
        )
    found = [patch for mail in mails if (patch := _patch(mail, where)) is not None]
    if not found:
        what = "the mail holds" if len(mails) == 1 else f"none of its {len(mails)} mails holds"
        raise InputError(f"{what} {'no' if len(mails) == 1 else 'a'} patch", where=where)
    return sorted(found, key=lambda p: p.number) if all(p.number for p in found) else found


def _split(content: bytes) -> list[bytes] | None:
    """The mails of an mbox, or one mail; None for what is no mail."""
    content = content.replace(b"\r\n", b"\n").lstrip(b"\n")
    starts = list(_separators(content)) if content.startswith(b"From ") else []
    if starts:
        ends = [start for start, _ in starts[1:]] + [len(content)]
        return [content[begin:end] for (_, begin), end in zip(starts, ends, strict=True)]
    return [content] if _HEADER.match(content) else None


def _separators(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each `From ` line of an mbox begins, and the mail behind it: at the beginning or behind an empty
    line, with a time in it, and headers follow."""
    at = 0
    while at < len(content):
        end = content.find(b"\n", at) + 1 or len(content)
        is_one = content.startswith(b"From ", at) and content[max(0, at - 2) : at] in (b"", b"\n\n")
        if is_one and _TIME.search(content, at, end) and _FIELD.match(content, end):
            yield at, end
        at = content.find(b"\nFrom ", end - 1) + 1 or len(content)


def _patch(raw: bytes, where: str) -> Patch | None:
    try:
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        texts = list(_texts(message))
    except RecursionError:
        raise InputError("a mail in it has parts within parts, too deep to be read", where=where) from None
    for text, other in texts:
        if _PATCH.search(text) is not None:
            subject = _header(message, "Subject")
            numbered = _NUMBER.search(subject)
            return Patch(
                _TAGS.sub("", subject),
                _body(text),
                _body(other),
                int(numbered["number"]) if numbered else 0,
                int(numbered["total"]) if numbered else 0,
                _header(message, "From"),
                _header(message, "Message-ID"),
                subject,
            )
    return None


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    """The texts of a mail, its body first, byte for character; each also as UTF-8."""
    for part in message.walk():
        try:
            if part.is_multipart() or part.get_content_maintype() not in ("text", "application"):
                continue
            payload, charset = part.get_payload(decode=True), part.get_content_charset()
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError):  # damaged headers
            continue
        if isinstance(payload, bytes):
            plain = payload.replace(b"\r\n", b"\n")
            yield plain.decode("latin-1"), _as_utf8(plain, charset).decode("latin-1")


def _as_utf8(text: bytes, charset: str | None) -> bytes:
    try:
        return text.decode(charset or "utf-8").encode("utf-8")
    except (LookupError, ValueError, TypeError):
        return text


def _header(message: Message, name: str) -> str:
    """A header in one line, fit to be shown; "" without one, or one that nobody understands."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    text = raw[:_HEADER_LENGTH].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        parts = decode_header(text) if "=?" in text else [(text, None)]
        words = "".join(_decoded(part, charset) for part, charset in parts)
    except (ValueError, LookupError, TypeError, AssertionError):
        words = text
    return printable(" ".join(words.split()))


def _decoded(part: bytes | str, charset: str | None) -> str:
    if isinstance(part, str):
        return part
    try:
        return part.decode(charset or "utf-8", "replace")
    except LookupError:
        return part.decode("utf-8", "replace")


def _body(text: str) -> str:
    """The patch from its first line to the signature."""
    text = text.replace("\r\n", "\n")
    first = _PATCH.search(text)
    body = text[first.start() :] if first is not None else text
    ends = list(_SIGNATURE.finditer(body))
    return body[: ends[-1].start()] if ends else body

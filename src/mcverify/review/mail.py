"""Patches out of what was mailed: an mbox, one mail, or a bare patch."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage, Message

from mcverify.errors import InputError
from mcverify.shown import printable

MOST = 200
"""Mails of one series."""

_SEPARATOR = re.compile(rb"^From \S+.*\d\d:\d\d(?::\d\d)?.*\n", re.MULTILINE)
_HEADER = re.compile(
    rb"\A(?:From|Subject|Date|To|Return-Path|Received|Delivered-To|Message-ID|X-[\w-]+):", re.I
)
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
    found = [patch for mail in mails if (patch := _patch(mail)) is not None]
    if not found:
        what = "the mail holds" if len(mails) == 1 else f"none of its {len(mails)} mails holds"
        raise InputError(f"{what} {'no' if len(mails) == 1 else 'a'} patch", where=where)
    return sorted(found, key=lambda p: p.number) if all(p.number for p in found) else found


def _split(content: bytes) -> list[bytes] | None:
    """The mails of an mbox, or one mail; None for what is no mail."""
    content = content.replace(b"\r\n", b"\n").lstrip(b"\n")
    if content.startswith(b"From ") and _SEPARATOR.match(content):
        starts = [m for m in _SEPARATOR.finditer(content) if _begins_mail(content, m)]
        ends = [m.start() for m in starts[1:]] + [len(content)]
        return [content[m.end() : end] for m, end in zip(starts, ends, strict=True)]
    return [content] if _HEADER.match(content) else None


def _begins_mail(content: bytes, line: re.Match[bytes]) -> bool:
    """Whether a `From ` line stands at the beginning or behind an empty line, and headers follow it."""
    before = content[max(0, line.start() - 2) : line.start()]
    return before in (b"", b"\n\n") and re.match(rb"[\w-]+:", content[line.end() :]) is not None


def _patch(raw: bytes) -> Patch | None:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for text, other in _texts(message):
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


def _texts(message: Message | EmailMessage) -> Iterator[tuple[str, str]]:
    """The texts of a mail, its body first, byte for character; each also as UTF-8."""
    for part in message.walk():
        if part.is_multipart() or part.get_content_maintype() not in ("text", "application"):
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            plain = payload.replace(b"\r\n", b"\n")
            yield plain.decode("latin-1"), _as_utf8(plain, part.get_content_charset()).decode("latin-1")


def _as_utf8(text: bytes, charset: str | None) -> bytes:
    try:
        return text.decode(charset or "utf-8").encode("utf-8")
    except (LookupError, UnicodeError):
        return text


def _header(message: Message | EmailMessage, name: str) -> str:
    try:
        value = str(message.get(name) or "")
    except (ValueError, LookupError, IndexError, AttributeError):  # a header that no parser understands
        value = ""
    return printable(" ".join(value.split()).encode("utf-8", "replace").decode("utf-8"))


def _body(text: str) -> str:
    """The patch from its first line to the signature."""
    text = text.replace("\r\n", "\n")
    first = _PATCH.search(text)
    body = text[first.start() :] if first is not None else text
    ends = list(_SIGNATURE.finditer(body))
    return body[: ends[-1].start()] if ends else body

"""Patches out of mails of every kind."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from mcverify.errors import InputError
from mcverify.review.mail import patches
from review.support import PATCH


def _mail(subject: str, body: str = PATCH, *, charset: str = "utf-8", cte: str = "8bit") -> bytes:
    message = EmailMessage()
    message["From"] = "A. Author <author@example.org>"
    message["Subject"] = subject
    message["Message-ID"] = "<1@example.org>"
    message.set_content(
        f"What it is about.\n\n---\n a.S | 2 +-\n\n{body}-- \n2.39.2\n", charset=charset, cte=cte
    )
    return message.as_bytes()


def _mbox(*mails: bytes) -> bytes:
    return b"\n".join(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n" + mail for mail in mails)


@pytest.mark.parametrize("cte", ["8bit", "quoted-printable", "base64"])
def test_a_mail_is_decoded_whatever_it_was_encoded_in(cte: str) -> None:
    (found,) = patches("m", _mail("[PATCH] one", cte=cte))
    assert found.text.rstrip("\n") == PATCH.rstrip("\n")
    assert (found.subject, found.message_id) == ("one", "<1@example.org>")


def test_the_patches_of_a_series_come_in_the_order_of_their_numbers_and_letters_are_left_out() -> None:
    series = _mbox(
        _mail("[PATCH v3 2/2] second"),
        _mail("[PATCH v3 0/2] cover", "just words\n"),
        _mail("[PATCH v3 1/2] first"),
    )
    found = patches("m", series)
    assert [(p.number, p.subject) for p in found] == [(1, "first"), (2, "second")]
    assert [p.heading for p in found] == ["[PATCH v3 1/2] first", "[PATCH v3 2/2] second"]


def test_line_ends_of_the_transport_do_not_count() -> None:
    (found,) = patches("m", _mail("[PATCH] one").replace(b"\n", b"\r\n"))
    assert "\r" not in found.text


def test_bytes_of_another_encoding_are_kept_and_offered_as_utf_8_too() -> None:
    latin = _mail("[PATCH] one", PATCH.replace("about", "für"), charset="iso-8859-1", cte="quoted-printable")
    (found,) = patches("m", latin)
    assert b"f\xfcr" in found.text.encode("latin-1")
    assert "für".encode() in found.other.encode("latin-1")


def test_a_from_line_within_a_mail_begins_no_new_one() -> None:
    body = f"From here on it is new\n\n{PATCH}"
    assert len(patches("m", _mbox(_mail("[PATCH] one", body)))) == 1


def test_a_bare_patch_needs_no_mail() -> None:
    assert [p.subject for p in patches("-", PATCH.encode())] == [""]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_mail("[PATCH] one", "no patch in here\n"), "the mail holds no patch"),
        (_mbox(*[_mail("hello", "words\n")] * 3), "none of its 3 mails holds a patch"),
        (_mbox(*[_mail("hello", "words\n")] * 500), "it holds 500 mails, more than the 200 of one series"),
        (b"just words\n", "it holds no patch"),
    ],
)
def test_what_holds_no_patch_is_refused_in_a_sentence(content: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        patches("series.mbox", content)
    assert caught.value.where == "series.mbox"
    assert words in caught.value.message

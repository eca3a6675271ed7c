"""Patches applied in memory, and what is said of those that do not apply."""

from __future__ import annotations

import pytest

from mcverify.errors import InputError
from mcverify.review.apply import applied, changes
from review.support import NEW, OLD, PATCH


def _apply(patch: str, old: str | None) -> bytes | None:
    (change,) = changes(patch, "p")
    return applied(change, None if old is None else old.encode(), "p")


def test_a_hunk_is_applied_where_its_lines_are() -> None:
    assert _apply(PATCH, OLD) == NEW.encode()
    assert _apply(PATCH, "a line\nanother\n" + OLD) == b"a line\nanother\n" + NEW.encode()


def test_line_ends_of_the_file_do_not_count() -> None:
    assert _apply(PATCH, OLD.replace("\n", "\r\n")) == NEW.encode()


def test_hunks_keep_their_order() -> None:
    twice = PATCH + "@@ -8 +8 @@\n-seven\n+7\n"
    assert _apply(twice, OLD) == NEW.replace("seven", "7").encode()


def test_a_new_file_needs_nothing() -> None:
    head = "diff --git a/a.S b/a.S\nnew file mode 100644\n--- /dev/null\n+++ b/a.S\n"
    patch = f"{head}@@ -0,0 +1,2 @@\n+one\n+two\n"
    assert _apply(patch, None) == b"one\ntwo\n"
    with pytest.raises(InputError, match="creates a.S, which is there already"):
        _apply(patch, "something\n")


def test_a_rename_without_changes_keeps_the_content() -> None:
    patch = "diff --git a/a.S b/b.S\nsimilarity index 100%\nrename from a.S\nrename to b.S\n"
    (change,) = changes(patch, "p")
    assert (change.old, change.new) == ("a.S", "b.S")
    assert applied(change, b"one\n", "p") == b"one\n"


def test_a_deleted_file_is_gone() -> None:
    patch = (
        "diff --git a/a.S b/a.S\ndeleted file mode 100644\n--- a/a.S\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"
    )
    assert _apply(patch, "one\n") is None


def test_hunk_and_line_are_named_where_a_patch_does_not_apply() -> None:
    with pytest.raises(InputError) as caught:
        _apply(PATCH, OLD.replace("four", "vier"))
    assert caught.value.message == (
        "hunk 1 of x/a.S does not apply: at line 5 it expects 'four', and there is 'vier'"
    )


def test_a_patch_that_is_applied_already_is_recognized() -> None:
    with pytest.raises(InputError) as caught:
        _apply(PATCH, NEW)
    assert caught.value.hint is not None
    assert "there already" in caught.value.hint


def test_a_damaged_patch_is_refused() -> None:
    with pytest.raises(InputError, match="the patch is damaged"):
        changes(PATCH.rsplit("\n", 3)[0], "p")


def test_binary_patches_are_recognized() -> None:
    (change,) = changes("diff --git a/a.S b/a.S\nindex 1..2\nBinary files a/a.S and b/a.S differ\n", "p")
    assert change.is_binary

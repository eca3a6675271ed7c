"""Models of callers as files: what is shipped is read, what is wrong is an InputError that says where."""

from pathlib import Path

import pytest

from mcverify.callers.model import claims, find, names
from mcverify.errors import InputError
from mcverify.models import models_dir

WRITE = (models_dir() / "callers/write.toml").read_text()


def test_all_shipped_models_are_read():
    assert names() == ("dax-read", "read", "write")
    assert [loop.kernels for loop in find("write").loops] == ["6.1", "6.12, and iomap to 7.3", "7.2 to 7.3"]
    assert [claim.id for claim in claims()] == ["W1", "W2", "W3", "W4"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("status == 0", "statu == 0", "when speaks of statu, which has no value there"),
        ('faults = "loads"', 'faults = "most"', "faults is 'most'"),
        ('copy = "bytes"', 'copi = "bytes"', "a step has a key 'copi' that is not known"),
        ('copy = "bytes", at = "written"', 'copy = "bytes"', "a copy does not say at which byte"),
        ("set = { status", "set = { page", "a step sets page, which is not the loop's to set"),
        ('written = "0", ', 'wrote = "0", ', "no variable written"),
        ("[[versions]]", "[[version]]", "a key 'version' that is not known"),
        ('name = "write"', "name = 3", "name is not a text"),
        (
            'measure = ["n - written"',
            'measure = ["n < written"',
            "the measure is a condition and not a number",
        ),
        ('name = "write"', "name = ", "it is no TOML"),
        ('{ choose = "ok"', '{ when = "bytes == 0", choose = "ok"', "a choice or a copy has a when"),
        (
            'choose = "fails", where = "0 <= fails and fails <= 1"',
            'choose = "written", where = "0 <= written and written <= 1"',
            "the choice of written has the name of something else",
        ),
        ("{ set = { status", '{ when = "bytes == 0", set = { status', "status is first set under a when"),
        ('status = "0 if', 'status = "k if', "set status speaks of k, which has no value there"),
    ],
)
def test_a_wrong_model_is_refused(tmp_path, before, after, said):
    assert before in WRITE
    path = tmp_path / "own.toml"
    path.write_text(WRITE.replace(before, after))
    with pytest.raises(InputError, match=said) as caught:
        find(str(path))
    assert caught.value.where == str(path)


def test_there_is_no_such_caller():
    with pytest.raises(InputError, match="there is no caller 'writ'"):
        find("writ")
    with pytest.raises(InputError, match="it cannot be read: No such file"):
        find(str(Path("/nonexistent/own.toml")))

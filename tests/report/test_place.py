"""Places: read from results, and as those see them who have the same work tree elsewhere."""

import pytest

from mcverify.report.place import Place, Shared, at_front, parse, shared, source_line


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("asm/a.S:12", Place("asm/a.S", 12)),
        ("a:b.S:7", Place("a:b.S", 7)),
        ("a.S:12, a.S:14", Place("a.S", 12)),
        ("a.o: .text+0x40", Place("a.o", offset=".text+0x40")),
        ("", None),
        (".Lfix", None),
        ("*", None),
    ],
)
def test_where_of_a_result(where, place):
    assert parse(where) == place
    if place is not None:
        assert parse(str(place)) == place


def test_a_place_is_split_off_a_sentence_if_its_file_is_known():
    assert at_front("a.S:5: no such thing", ["a.S"]) == (Place("a.S", 5), "no such thing")
    assert at_front("a.o: .text+0x5: odd: x", ["a.o"]) == (Place("a.o", offset=".text+0x5"), "odd: x")
    assert at_front("b.S:5: no such thing", ["a.S"]) is None
    assert at_front("a.S: a sentence on the file", ["a.S"]) is None


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A work tree with a folder, in which we are, and a file outside of it."""
    (tmp_path / "tree/.git").mkdir(parents=True)
    (tmp_path / "tree/lib").mkdir()
    (tmp_path / "tree/lib/a.S").write_text("one\ntwo\n")
    (tmp_path / "tree/top.S").write_text("")
    (tmp_path / "outside.S").write_text("")
    monkeypatch.chdir(tmp_path / "tree/lib")
    return tmp_path


def test_a_path_is_told_from_the_root_of_the_work_tree(tree):
    assert shared("a.S") == Shared("lib/a.S", is_relative=True)
    assert shared("./../lib/a.S") == Shared("lib/a.S", is_relative=True)
    assert shared(str(tree / "tree/top.S")) == Shared("top.S", is_relative=True)


def test_a_path_outside_is_absolute(tree):
    found = shared("../../outside.S")
    assert found == Shared(str(tree / "outside.S"), is_relative=False)
    assert found.uri.startswith("file:///")


def test_the_files_own_work_tree_counts_where_we_are_in_none(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert shared("tree/lib/a.S") == Shared("lib/a.S", is_relative=True)


def test_without_a_work_tree_it_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.S").write_text("")
    if any((parent / ".git").exists() for parent in tmp_path.parents):
        pytest.skip("pytest's folders lie in a work tree")
    assert shared("a.S") == Shared("a.S", is_relative=True)


def test_a_linked_tree_has_a_file_for_its_git_folder(tree):
    (tree / "tree/.git").rename(tree / "tree/was")
    (tree / "tree/.git").write_text("gitdir: elsewhere\n")
    assert shared("a.S").path == "lib/a.S"


def test_a_relative_path_of_debug_information_stays(tree):
    assert shared("arch/x86/lib/copy.S") == Shared("arch/x86/lib/copy.S", is_relative=True)


def test_lines_of_the_source(tree):
    assert source_line(Place("a.S", 2), "a.S") == "two"
    assert source_line(Place("a.S", 9), "a.S") is None
    assert source_line(Place("a.S"), "a.S") is None
    assert source_line(Place("gone.S", 1), "a.S") is None

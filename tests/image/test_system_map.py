"""The symbols of a linked kernel that was stripped, from its System.map."""

from __future__ import annotations

import subprocess

import pytest

from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks

TEXT = """
	.globl copy_mc_fragile
	.type copy_mc_fragile, @function
copy_mc_fragile:
1:	movb	(%rsi), %al
2:	ret
	.size copy_mc_fragile, .-copy_mc_fragile
	.globl later
	.type later, @function
later:	ret
	.size later, .-later
	.section __ex_table, "a"
	.long	1b - ., 2b - ., 1
"""


@pytest.fixture
def stripped(make_object):
    path = make_object(TEXT, name="vmlinux", link=True)
    image = load(path)
    symbols = {s.name: s.address for s in image.functions}
    table = next(s.address for s in image.sections if s.name == "__ex_table")
    subprocess.run(["strip", str(path)], check=True)
    lines = [f"{address:016x} T {name}\n" for name, address in symbols.items()]
    lines.append(f"{table:016x} R __start___ex_table\n")
    system_map = path.with_name("System.map")
    system_map.write_text("".join(lines))
    return path, system_map


def test_the_routines_are_found_again(stripped):
    path, system_map = stripped
    image = load(path, system_map=system_map)
    (task,) = tasks(image, ProveOptions())
    assert (task.name, task.end - task.entry) == ("copy_mc_fragile", 3)


def test_without_it_the_sentence_says_how_to_give_it(stripped):
    for options in (ProveOptions(), ProveOptions(routines=("copy_mc_fragile",))):
        with pytest.raises(InputError, match="it has no symbols.*--system-map FILE"):
            tasks(load(stripped[0]), options)


def test_the_map_of_another_kernel_is_refused(stripped):
    path, system_map = stripped
    system_map.write_text(system_map.read_text().replace("R __start", "R __start").replace("0", "1", 1))
    system_map.write_text(system_map.read_text() + "ffffffff81000000 R __start___ex_table\n")
    with pytest.raises(InputError, match="belongs to another kernel: __start___ex_table is at"):
        load(path, system_map=system_map)


def test_a_map_that_is_of_no_use_is_told(make_object, tmp_path):
    missing = tmp_path / "System.map"
    with pytest.raises(InputError, match="System.map: it cannot be read"):
        load(make_object(TEXT, name="vmlinux", link=True), system_map=missing)
    source = tmp_path / "a.S"
    source.write_text(TEXT)
    for path, what in ((make_object(TEXT), "an object"), (source, "a source")):
        with pytest.raises(InputError, match=f"--system-map is for a linked kernel, not for {what}"):
            load(path, system_map=missing)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is no System.map: it has no symbols"),
        ("hello\n", r"System\.map:1: it is no line of a System\.map"),
        (
            "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n",
            r":1: it is no line of a System\.map",
        ),
    ],
)
def test_what_is_no_map_is_refused(stripped, text, message):
    path, system_map = stripped
    system_map.write_text(text)
    with pytest.raises(InputError, match=message):
        load(path, system_map=system_map)


def test_a_map_that_is_not_there_is_refused(stripped):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load(stripped[0], system_map=stripped[1].with_name("nothing"))


def test_an_object_needs_none(make_object, tmp_path):
    with pytest.raises(InputError, match="for a linked kernel, not for an object"):
        load(make_object("ret\n"), system_map=tmp_path / "System.map")

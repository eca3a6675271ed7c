"""Local routines of one name, from files that were linked together."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.toolchain import find_compiler

_ROUTINE = "\t.type copy, @function\ncopy: ret\n\t.size copy, . - copy\n"


def test_each_of_two_routines_of_one_name_is_proved(tmp_path: Path) -> None:
    sources = [tmp_path / "one.s", tmp_path / "other.s"]
    for source in sources:
        source.write_text(_ROUTINE)
    both = tmp_path / "both.o"
    subprocess.run([*find_compiler(), "-r", "-nostdlib", *map(str, sources), "-o", str(both)], check=True)
    image = load(both)
    found = tasks(image, ProveOptions(routines=("copy",), contract="bytes_left"))
    assert sorted(t.entry for t in found) == sorted(s.address for s in image.symbols if s.name == "copy")
    assert len({t.entry for t in found}) == 2

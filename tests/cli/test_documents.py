"""What README.md and docs/outputs.md show is what mcverify prints today."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from asm_corpus.expectations import ROOT

from mcverify.runs.native import unavailable

WRONG = "asm/rep_movsq_wrong_words.S"
README = (ROOT / "README.md").read_text()
OUTPUTS = (ROOT / "docs/outputs.md").read_text()

needs_cpu = pytest.mark.skipif(
    shutil.which("gcc") is None or unavailable() is not None, reason="skipped: needs gcc, and a CPU to run on"
)


def blocks(text: str) -> list[str]:
    """The indented blocks of a document, without their indentation."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip("\n") for block in found]


def sample(text: str, first: str) -> str:
    """The block that begins with a line."""
    return next(block for block in blocks(text) if block.partition("\n")[0] == first)


def section(heading: str) -> str:
    """What docs/outputs.md shows under a heading."""
    return blocks(OUTPUTS.split(f"\n## {heading}\n")[1].split("\n## ")[0])[0]


def timeless(text: str) -> str:
    """Without what each run takes another time for."""
    text = re.sub(r"^  time  .*\n(?: {14}.*\n)*", "", text + "\n", flags=re.MULTILINE)
    return text.strip("\n").expandtabs(8)


def is_shown(shown: str, whole: str) -> bool:
    """Whether the lines of a sample are those of a text; `...` stands for any."""
    parts = re.split(r"(?:^|\n)[ #]*\.\.\.(?=\n|$)", timeless(shown))
    return re.search(".*?".join(map(re.escape, parts)), timeless(whole), re.DOTALL) is not None


def holds(shown: Any, whole: Any) -> bool:
    """Whether a value is part of another; a text that ends in `...` begins it."""
    if isinstance(shown, dict):
        return all(key in whole and holds(value, whole[key]) for key, value in shown.items())
    if isinstance(shown, list):
        return len(shown) == len(whole) and all(map(holds, shown, whole))
    if isinstance(shown, str) and shown.endswith("..."):
        return bool(whole.startswith(shown[:-3]))
    return bool(shown == whole)


def case_attributes(case: Element) -> list[dict[str, str]]:
    """Those of a test case of JUnit and what lies in it, but for the time."""
    return [{k: v for k, v in each.attrib.items() if k != "time"} for each in case.iter()]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")


@needs_cpu
@pytest.mark.usefixtures("there")
def test_the_proof_of_the_readme(mcverify: Callable[..., Any]) -> None:
    command = "mcverify prove asm/memcpy_64.S"
    shown = sample(README, f"$ {command}").partition("\n")[2]
    assert timeless(shown) == timeless(mcverify(*command.split()[1:]).out)


@needs_cpu
@pytest.mark.usefixtures("there")
@pytest.mark.slow
def test_the_refutation_of_the_readme_and_its_reports(mcverify: Callable[..., Any], tmp_path: Path) -> None:
    formats = ("json", "sarif", "ktap", "junit", "mail")
    wanted = [word for name in formats for word in (f"--{name}", tmp_path / name)]
    ran = mcverify("prove", WRONG, *wanted)
    shown = sample(README, f"$ mcverify prove {WRONG}").partition("\n")[2]
    assert timeless(shown) == timeless(ran.out)
    written = {name: (tmp_path / name).read_text() for name in formats}
    assert is_shown(section("KTAP"), written["ktap"])
    assert is_shown(section("Mail"), written["mail"])
    assert not is_shown(section("Mail").replace("len 8", "len 9"), written["mail"])
    result = json.loads(written["sarif"])["runs"][0]["results"][0]
    assert holds(json.loads(f"{{{section('SARIF')}}}"), result)
    cases = [case_attributes(case) for case in fromstring(written["junit"]).iter("testcase")]
    assert case_attributes(fromstring(section("JUnit"))) in cases
    assert mcverify("replay", tmp_path / "json", "--emit-c", tmp_path / "repro.c").code == 1
    first, *said = sample(README, "$ gcc -O2 repro.c -o repro.out && ./repro.out").split("\n")
    done = subprocess.run(["sh", "-c", first[2:]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert is_shown("\n".join(said), done.stdout)


def commands(text: str) -> Iterator[str]:
    """The lines of blocks that call mcverify, without their remarks."""
    for line in (line for block in blocks(text) for line in block.split("\n")):
        if match := re.match(r"(?:\$ )?(?:\S*/)?mcverify ([a-z]+ .*?)(?:\s+#.*|\s+\|\|.*)?$", line):
            yield match[1]


def test_the_options_of_the_documents_are_there(mcverify: Callable[..., Any]) -> None:
    names = (
        "README.md",
        *(f"docs/{name}.md" for name in ("bundle", "inputs", "outputs", "review", "silicon")),
    )
    found = [command for name in names for command in commands((ROOT / name).read_text())]
    assert len(found) > 30
    for command in found:
        name, *words = command.split()
        known = mcverify(name, "--help").out
        for option in (word for word in words if re.match(r"--?[a-z]", word)):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", known), command

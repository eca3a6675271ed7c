"""The lock is complete, has hashes, and says nothing of where packages come from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ["requirements.lock", "requirements-build.lock"]
PIN = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def locked(name):
    pins = {}
    for package, version, _ in PIN.findall((ROOT / name).read_text()):
        pins.setdefault(package, []).append(version)
    return pins


def wanted(*groups):
    for group in groups:
        for item in PROJECT["dependency-groups"][group]:
            yield from wanted(item["include-group"]) if isinstance(item, dict) else [Requirement(item)]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(name):
    assert PIN.sub("", (ROOT / name).read_text()) == ""


@pytest.mark.parametrize(
    ("name", "requirements"),
    [
        ("requirements.lock", [*map(Requirement, PROJECT["project"]["dependencies"]), *wanted("dev")]),
        (
            "requirements-build.lock",
            [*wanted("build"), *map(Requirement, PROJECT["build-system"]["requires"])],
        ),
    ],
)
def test_the_lock_satisfies_the_project(name, requirements):
    pins = locked(name)
    for requirement in requirements:
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} is not in {name}: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_both_locks_agree():
    """Otherwise the second installation would replace what the first one brought."""
    everything = locked("requirements.lock")
    for package, versions in locked("requirements-build.lock").items():
        assert everything[package] == versions

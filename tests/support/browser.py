"""Chromium without a window, for tests of what it makes of a page."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Page:
    """What the browser made of a page: its elements, and what it said on the console."""

    dom: str
    console: tuple[str, ...]


def needs_browser() -> str:
    """The browser's path; without one the test is skipped."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("skipped: needs chromium")
    return found


def browse(page: Path, profile: Path, *options: str) -> Page:
    """Open the file `page` with command-line `options`, in a profile folder of its own."""
    command = [needs_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
        *options,
    ]
    ran = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    console = tuple(line for line in ran.stderr.splitlines() if ":CONSOLE" in line)
    return Page(ran.stdout, console)

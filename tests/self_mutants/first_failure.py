"""A pytest plugin: the id of the first test that fails goes to the file that SELF_MUTANTS_FAILURE names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def pytest_runtest_logreport(report: Any) -> None:
    _keep(report)


def pytest_collectreport(report: Any) -> None:
    _keep(report)


def _keep(report: Any) -> None:
    path = Path(os.environ["SELF_MUTANTS_FAILURE"])
    if report.failed and not path.exists():
        path.write_text(report.nodeid, encoding="utf-8")

"""How our JSON documents begin: what tells them from any other file, and one kind from the other."""

from __future__ import annotations

import re


def is_document(text: str, key: str) -> bool:
    """Whether `text` begins like a document of ours whose third key is `key`: "options" for a proof,
    "replays" or "sweeps"."""
    return re.match(rf'\{{\s*"schema": \d+,\s*"mcverify": "[^"]*",\s*"{key}": ', text) is not None

"""What the tests of a review share."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PAIRS = HERE / "pairs"
SERIES = HERE / "memcpy_trap.mbox"

OLD = "/* about */\none\ntwo\nthree\nfour\nfive\nsix\nseven\n"
NEW = "/* about */\none\ntwo\nthree\n4\nfive\nsix\nseven\n"
PATCH = """\
diff --git a/x/a.S b/x/a.S
index 1111111..2222222 100644
--- a/x/a.S
+++ b/x/a.S
@@ -2,6 +2,6 @@ about
 one
 two
 three
-four
+4
 five
 six
"""


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder`, as a user of its own."""
    identity = [
        "-c",
        "user.name=A. Author",
        "-c",
        "user.email=author@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def history(folder: Path) -> Path:
    """A repository that holds the series as commits behind an empty one."""
    git(folder, "init", "-q", "-b", "main", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "before")
    git(folder, "am", "-q", str(SERIES))
    return folder


def patch_between(old: bytes, new: bytes, path: str) -> bytes:
    """The patch, as git would write it, that makes `new` of `old`."""
    lines = difflib.diff_bytes(
        difflib.unified_diff,
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        f"a/{path}".encode(),
        f"b/{path}".encode(),
    )
    return f"diff --git a/{path} b/{path}\n".encode() + b"".join(lines)

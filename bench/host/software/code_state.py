"""The code that runs: its commit, and the changes since."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""Folder of the running code: a checkout or an installation."""

PARTS = ("bench", "matrix", "reports", "pyproject.toml")
"""Paths of a checkout that belong to the harness: a changed or untracked file in them makes a commit dirty, a matrix
file of the user next to them does not.
"""

UNKNOWN = "unknown"
"""Digest of changes that were made, but cannot be read where the code runs."""


@dataclass(frozen=True)
class CodeState:
    """A commit and the changes since.

    Attributes:
        commit: None if the code was installed without its checkout.
        diff: digest of the uncommitted changes, empty without any; None without a commit.

    """

    commit: str | None
    diff: str | None

    @property
    def dirty(self) -> bool | None:
        """True if there are uncommitted changes; None without a commit."""
        return None if self.diff is None else bool(self.diff)

    def text(self, root: Path = ROOT) -> str:
        """Return the state in the format of `XFFL_BENCH_COMMIT`, or "" without a commit.

        The format is the commit, `clean` or the digest of the changes, and the folder of the code as ranks see it.
        """
        return f"{self.commit} {self.diff or 'clean'} {root}" if self.commit else ""


def code_state() -> CodeState:
    """Return the state of the running code.

    The launcher passes it to ranks in XFFL_BENCH_COMMIT, so that git runs once per sweep and not once per run. The
    variable counts only if it names the folder of this code. An image has `dirty` in place of a digest.
    """
    match os.environ.get("XFFL_BENCH_COMMIT", "").split(" ", maxsplit=2):
        case [commit, diff, root] if Path(root).resolve() == ROOT:
            return CodeState(commit, {"clean": "", "dirty": UNKNOWN}.get(diff, diff))
    return state_of(ROOT)


def state_of(root: Path) -> CodeState:
    """Return the state of a checkout; without a commit if `root` is none or git cannot read it."""
    if not (root / ".git").exists():
        return CodeState(None, None)
    try:
        commit = _git(root, "rev-parse", "HEAD").decode().strip()
        return CodeState(commit, _diff(root) if _git(root, "status", "--porcelain", "--", *PARTS) else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout that git trusts
        return CodeState(None, None)


def _diff(root: Path) -> str:
    """Return 12 hexadecimal digits over the changes of tracked files and the content of untracked ones."""
    digest = hashlib.sha256(_git(root, "diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD", "--", *PARTS))
    untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *PARTS).decode().split("\0")
    for name in filter(None, untracked):
        content = (root / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, check=True).stdout

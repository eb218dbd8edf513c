"""The folder that an image is built in: the definition, and the files that git tracks of what goes in."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.errors import InputError

PARTS = ("bench", "matrix", "reports", "pyproject.toml", "README.md", "containers")
"""What goes in; README.md because pyproject.toml names it."""

DEFINITION = "bench.def"
LOCKS = ("containers/lock.txt", "containers/lock-xffl.txt")


@dataclass(frozen=True)
class Checkout:
    """The checkout of xffl-bench that an image is made from.

    Attributes:
        commit: with ` dirty` behind it where files that go in differ from it.
        files: that git tracks, relative to the root.

    """

    root: Path
    commit: str
    files: tuple[Path, ...]

    @property
    def version(self) -> str:
        """Of xffl-bench."""
        return str(self._project()["version"])

    @property
    def xffl_commit(self) -> str:
        """The commit of the xFFL library that pyproject.toml names."""
        for requirement in self._project()["optional-dependencies"]["xffl"]:
            if found := re.fullmatch(r"xffl @ git\+\S+@([0-9a-f]{40})", requirement):
                return found[1]
        raise InputError(f"{self.root / 'pyproject.toml'}: the extra 'xffl' should name one commit of xFFL")

    @property
    def lock_digest(self) -> str:
        """SHA-256 over the lock files."""
        return hashlib.sha256(b"".join((self.root / name).read_bytes() for name in LOCKS)).hexdigest()

    def _project(self) -> dict[str, Any]:
        with (self.root / "pyproject.toml").open("rb") as file:
            project: dict[str, Any] = tomllib.load(file)["project"]
        return project


def find_checkout(root: Path) -> Checkout:
    """The checkout at a folder.

    Raises:
        InputError: it is none, or git cannot be asked.

    """
    if not (root / ".git").exists() or not (root / "containers" / DEFINITION).is_file():
        raise InputError(
            f"{root} is no checkout of xffl-bench: images are made from one: clone the repository, "
            "and install it from there with `pip install --editable .`"
        )
    listed = _git(root, "ls-files", "-z", "--", *PARTS).split("\0")
    files = tuple(path for name in sorted(listed) if name and (root / (path := Path(name))).is_file())
    dirty = " dirty" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", *PARTS) else ""
    return Checkout(root, _git(root, "rev-parse", "HEAD").strip() + dirty, files)


def lay_out(checkout: Checkout, folder: Path) -> None:
    """Copy what goes in to a folder that must not exist, with modes that any user can read."""
    folder.mkdir(parents=True)
    for file in checkout.files:
        target = folder / "source" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout.root / file, target)
        target.chmod(0o644)
    (folder / "source" / "containers" / DEFINITION).rename(folder / DEFINITION)


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"git cannot be started ({error.strerror}): it tells what goes into an image") from error
    if done.returncode != 0:
        raise InputError(f"{root}: git {words[0]} failed: {done.stderr.strip()}")
    return done.stdout

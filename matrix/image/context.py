"""The build context of an image: the definition file and the tracked files of the checkout that go in."""

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
"""What goes into the image; README.md because pyproject.toml refers to it."""

DEFINITION = "bench.def"
XFFL = "containers/xffl.txt"
LOCKS = ("containers/lock.txt", "containers/lock-xffl.txt")


@dataclass(frozen=True)
class Checkout:
    """The checkout of xffl-bench that an image is built from.

    Attributes:
        commit: followed by ` dirty` if files that go in differ from it.
        files: tracked files, relative to the root.

    """

    root: Path
    commit: str
    files: tuple[Path, ...]

    @property
    def version(self) -> str:
        """The version of xffl-bench."""
        return str(self._project()["version"])

    @property
    def xffl_commit(self) -> str:
        """The commit of the xFFL library, as its requirements file pins it."""
        file = self.root / XFFL
        found = re.search(r"^xffl @ git\+\S+@([0-9a-f]{40})$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if found is None:
            raise InputError(f"{file}: should pin one commit of xFFL")
        return found[1]

    @property
    def lock_digest(self) -> str:
        """The SHA-256 of the lock files."""
        return hashlib.sha256(b"".join((self.root / name).read_bytes() for name in LOCKS)).hexdigest()

    def _project(self) -> dict[str, Any]:
        with (self.root / "pyproject.toml").open("rb") as file:
            project: dict[str, Any] = tomllib.load(file)["project"]
        return project


def find_checkout(root: Path) -> Checkout:
    """Return the checkout in a folder.

    Raises:
        InputError: the folder is not a checkout, or git failed.

    """
    if not (root / ".git").exists() or not (root / "containers" / DEFINITION).is_file():
        raise InputError(
            f"{root} is not a checkout of xffl-bench, which images are built from: clone the repository and install "
            "it with `pip install --editable .`"
        )
    listed = _git(root, "ls-files", "-z", "--", *PARTS).split("\0")
    files = tuple(path for name in sorted(listed) if name and (root / (path := Path(name))).is_file())
    dirty = " dirty" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", *PARTS) else ""
    return Checkout(root, _git(root, "rev-parse", "HEAD").strip() + dirty, files)


def lay_out(checkout: Checkout, folder: Path) -> None:
    """Copy the files that go in to a new folder, readable for all users."""
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
        raise InputError(f"git cannot be started ({error.strerror}): it lists the files of an image") from error
    if done.returncode != 0:
        raise InputError(f"{root}: git {words[0]} failed: {done.stderr.strip()}")
    return done.stdout

"""Real images for tests: a base made of Debian's packages, and what a build needs to know of pip on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.needs import missing

ROOT = Path(__file__).parents[2]
INSTALL = "make cluster-test installs it, as root on Debian"


def apptainer() -> str:
    """The program, or the end of the test."""
    found = shutil.which("apptainer")
    if found is None:
        missing("apptainer", INSTALL)
    return found


def debian(folder: Path) -> Path:
    """A root file system with Python and pip, and nothing else that an image needs."""
    if shutil.which("mmdebstrap") is None or os.geteuid() != 0:
        missing("mmdebstrap, called as root,", INSTALL)
    # Unpacked and not configured: that is quicker by minutes where a disk is busy, and enough for a base.
    packages = ["--include=?essential", "--include=python3,python3-pip,libstdc++6,ca-certificates"]
    done = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=extract", *packages, "bookworm", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Pip:
    """How this machine's pip finds packages, for a build: variables, and what these name."""

    def __init__(self) -> None:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
        ).stdout
        self.variables: dict[str, str] = {}
        for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):  # which count most
            key, _, value = line.partition("=")
            name = "PIP_" + key.rpartition(".")[2].upper().replace("-", "_")
            self.variables[name] = shlex.split(value)[0]
        self.paths = sorted({path for value in self.variables.values() for path in _paths(value)})

    def binds(self, base: Path) -> list[str]:
        """Words for a build that has a folder as its base, where targets are made."""
        words = []
        for path in self.paths:
            target = base / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.touch()
            words += ["--bind", f"{path}:{path}"]
        return words


def _paths(value: str) -> list[Path]:
    """Files and folders in a setting: an index of packages may lie below what an address names."""
    found = []
    for word in value.split():
        path = Path(urlsplit(word).path if word.startswith("file:") else word)
        if path.is_absolute() and path.exists():
            found.append(path.parent if word.startswith("file:") else path)
    return found

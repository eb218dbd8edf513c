"""What `xffl exec` has to be told of a machine, and whether it can take it.

It writes paths and hosts into commands for two shells without quoting them, so whatever holds a character that a shell
would read is refused before anything starts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.run import Run
from matrix.config.xffl_settings import XfflSettings
from matrix.errors import InputError


@dataclass(frozen=True)
class Site:
    """The settings, with everything found that they leave open.

    Attributes:
        command: the program `xffl`.
        venv: the virtual environment of the ranks.
        ssh: the ssh client that the runner would call, first in PATH.

    """

    settings: XfflSettings
    command: Path
    venv: Path
    ssh: Path

    @property
    def python(self) -> Path:
        """The interpreter of the ranks."""
        return self.venv / "bin" / "python"

    @property
    def network(self) -> dict[str, str]:
        """Variables that name the network interface."""
        interface = self.settings.interface or ("lo" if self.settings.is_loopback else None)
        return {f"{library}_SOCKET_IFNAME": interface for library in ("GLOO", "NCCL")} if interface else {}


def find_site(settings: XfflSettings) -> Site:
    """Find what the settings leave open.

    Raises:
        InputError: something is not there.

    """
    asked = settings.command or "xffl"
    beside = Path(sys.executable).parent / "xffl"
    found = str(beside) if settings.command is None and beside.exists() else shutil.which(asked)
    if found is None:
        raise InputError(
            f"xffl.command: there is no program {asked}: install xFFL into the environment of xffl-bench, or give the "
            "program's path in the system file"
        )
    venv = Path(settings.venv or sys.prefix)
    if not (venv / "bin" / "activate").exists():
        raise InputError(
            f"xffl.venv: {venv} is no virtual environment (it has no bin/activate, which `xffl exec` sources): give "
            "one in the system file"
        )
    if settings.facility is not None and not Path(settings.facility).is_file():
        raise InputError(f"xffl.facility: {settings.facility} is not there: give the path of a script, or leave it out")
    ssh = shutil.which("ssh")
    if ssh is None:
        raise InputError("`xffl exec` starts ranks over ssh, and no program ssh is in PATH: install OpenSSH's client")
    return Site(settings, Path(found).absolute(), venv.absolute(), Path(ssh).absolute())


_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def check_paths(site: Site, results: Path, runs: Sequence[Run]) -> None:
    """Hold all that `xffl exec` writes into a command against what a shell would read in it.

    Raises:
        InputError: a path or a host cannot be passed on.

    """
    named = {
        "the results folder": results.absolute(),
        "xffl.venv": site.venv,
        "the folder of the package xffl": _package(site.command),
    }
    for name, path in named.items():
        if path is not None and not _PLAIN.fullmatch(str(path)):
            raise InputError(
                f"{name}: {str(path)!r} has a blank or another character that a shell reads, and `xffl exec` does not "
                "quote paths: choose one of letters, digits and any of . _ + - @ % = : , /"
            )
    most = max((run.nodes for run in runs), default=0)
    for host in site.settings.hosts_of(most):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]*", host):
            raise InputError(
                f"xffl.hosts: {host!r} is no host's name: `xffl exec` gives it to a shell without quotes, so it should "
                "be letters, digits and any of . _ - : @"
            )


def _package(command: Path) -> Path | None:
    """Folder of the package that the command belongs to, None where its interpreter does not lie beside it."""
    python = command.resolve().parent / "python"
    if not python.exists():
        return None
    program = "import importlib.util as u; s = u.find_spec('xffl'); print(s.submodule_search_locations[0] if s else '')"
    asked = subprocess.run(
        [python, "-P", "-c", program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    found = asked.stdout.strip()
    return Path(found) if found else None

"""Find what `xffl exec` needs on a machine, and check paths and host names.

`xffl exec` writes paths and hosts unquoted into commands for two shells, so names with characters special to a shell
are refused before anything starts.
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
from matrix.config.settings.xffl import XfflSettings
from matrix.errors import InputError


@dataclass(frozen=True)
class Site:
    """The settings, with defaults resolved on this machine.

    Attributes:
        command: the program `xffl`.
        venv: the virtual environment of the ranks.
        ssh: the first ssh client in PATH.

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
        """Variables that select the network interface."""
        interface = self.settings.interface or ("lo" if self.settings.is_loopback else None)
        return {f"{library}_SOCKET_IFNAME": interface for library in ("GLOO", "NCCL")} if interface else {}


def find_site(settings: XfflSettings) -> Site:
    """Resolve the defaults of the settings.

    Raises:
        InputError: a program, environment or script does not exist.

    """
    program = settings.command or "xffl"
    beside = Path(sys.executable).parent / "xffl"
    found = str(beside) if settings.command is None and beside.exists() else shutil.which(program)
    if found is None:
        raise InputError(
            f"xffl.command: program {program} not found: install xFFL in the environment of xffl-bench, or give the "
            "program's path in the system file"
        )
    venv = Path(settings.venv or sys.prefix)
    if not (venv / "bin" / "activate").exists():
        raise InputError(
            f"xffl.venv: {venv} is not a virtual environment (it has no bin/activate, which `xffl exec` sources): give "
            "one in the system file"
        )
    if settings.facility is not None and not Path(settings.facility).is_file():
        raise InputError(f"xffl.facility: {settings.facility} does not exist: give the path of a script, or remove it")
    ssh = shutil.which("ssh")
    if ssh is None:
        raise InputError("`xffl exec` starts ranks over ssh, which is not in PATH: install the OpenSSH client")
    return Site(settings, Path(found).absolute(), venv.absolute(), Path(ssh).absolute())


_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def check_paths(site: Site, results: Path, runs: Sequence[Run]) -> None:
    """Check that everything `xffl exec` writes into a shell command is free of special characters.

    Raises:
        InputError: a path or host has such a character.

    """
    named = {
        "the results folder": results.absolute(),
        "xffl.venv": site.venv,
        "the folder of the package xffl": _package(site.command),
    }
    for name, path in named.items():
        if path is not None and not _PLAIN.fullmatch(str(path)):
            raise InputError(
                f"{name}: {str(path)!r} has a blank or another special character of a shell, and `xffl exec` does not "
                "quote paths: choose one of letters, digits and any of . _ + - @ % = : , /"
            )
    most = max((run.nodes for run in runs), default=0)
    for host in site.settings.hosts_of(most):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]*", host):
            raise InputError(
                f"xffl.hosts: {host!r} is not a valid host name: `xffl exec` passes it to a shell unquoted, so it "
                "should be letters, digits and any of . _ - : @"
            )


def _package(command: Path) -> Path | None:
    """Return the folder of the package that the command belongs to, or None without an interpreter next to it."""
    python = command.resolve().parent / "python"
    if not python.exists():
        return None
    program = "import importlib.util as u; s = u.find_spec('xffl'); print(s.submodule_search_locations[0] if s else '')"
    done = subprocess.run(
        [python, "-P", "-c", program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    found = done.stdout.strip()
    return Path(found) if found else None

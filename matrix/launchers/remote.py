"""Processes on other hosts: ended, and asked for their stacks, over the same ssh that started them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from matrix.host.calls import call, complaint
from matrix.host.processes import STUCK

LIMIT = 40.0
"""Seconds for one command on one host; connecting may take ten, and ending processes ten."""


UNATTENDED = ("-oBatchMode=yes", "-oConnectTimeout=10", "-oStrictHostKeyChecking=no")
"""Options of an ssh that nobody answers: `xffl exec` itself gives the last one alone."""


def module_call(python: Path, module: str, words: Sequence[str] = ()) -> str:
    """A module of ours as a command for another host's shell, found where this process finds its own; what lies in the
    home folder there cannot take its place.
    """
    path = os.environ.get("PYTHONPATH")
    variables = [f"PYTHONPATH={os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))}"] if path else []
    return shlex.join(["env", *variables, str(python), "-P", "-m", module, *words])


class Hosts:
    """Calls `matrix.host.processes` on hosts, all of them at once."""

    def __init__(self, ssh: Path, options: Sequence[str], python: Path) -> None:
        self._ssh = [str(ssh), *options, *UNATTENDED]
        self._python = python

    def end(self, hosts: Sequence[str], owner: str, *, spare_owner: str | None = None) -> dict[str, str]:
        """End an owner's processes (see `matrix.host.processes.owned`); returns what went wrong, by host."""
        spare = ["--spare-owner", spare_owner] if spare_owner else []
        return self._on_all(hosts, ["end", *spare, owner])

    def ask_for_stacks(self, hosts: Sequence[str], owner: str) -> None:
        """Have an owner's ranks print where they are into their logs, where that can be asked for."""
        self._on_all(hosts, ["stacks", owner])

    def _on_all(self, hosts: Sequence[str], words: list[str]) -> dict[str, str]:
        each = list(dict.fromkeys(hosts))
        if not each:
            return {}
        with ThreadPoolExecutor(max_workers=min(32, len(each))) as pool:
            said = pool.map(lambda host: self._call(host, words), each)
            return {host: wrong for host, wrong in zip(each, said, strict=True) if wrong}

    def _call(self, host: str, words: list[str]) -> str:
        """What went wrong, in one line."""
        command = module_call(self._python, "matrix.host.processes", words)
        try:
            done = call(  # a Ctrl-C in the terminal must not end the ending
                [*self._ssh, host, command], limit=LIMIT, own_session=True
            )
        except subprocess.TimeoutExpired:
            return f"no answer in {LIMIT:g} s"
        except OSError as error:
            return f"{self._ssh[0]}: {error.strerror}"
        if done.returncode == STUCK and done.stdout.strip():
            return done.stdout.strip().splitlines()[-1]
        return "" if done.returncode == 0 else complaint(done)

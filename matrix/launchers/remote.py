"""End processes on other hosts, or request their stacks, over the same ssh that started them."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from matrix.host.calls import call, complaint
from matrix.host.processes import STUCK
from matrix.host.search_path import search_path

LIMIT = 40.0
"""Time limit in seconds of a command on a host; connecting may take ten, and ending processes ten."""

UNATTENDED = ("-oBatchMode=yes", "-oConnectTimeout=10", "-oStrictHostKeyChecking=no")
"""Options for non-interactive ssh; `xffl exec` itself sets only the last one."""


def module_call(python: Path, module: str, words: Sequence[str] = ()) -> str:
    """Return a shell command that runs one of our modules on another host, with this process's module search path.

    With -P, files in the home folder there cannot shadow it.
    """
    path = search_path()
    variables = [f"PYTHONPATH={path}"] if path else []
    return shlex.join(["env", *variables, str(python), "-P", "-m", module, *words])


class Hosts:
    """Runs `matrix.host.processes` on several hosts in parallel."""

    def __init__(self, ssh: Path, options: Sequence[str], python: Path) -> None:
        self._ssh = [str(ssh), *options, *UNATTENDED]
        self._python = python

    def end(self, hosts: Sequence[str], owner: str, *, spare_owner: str | None = None) -> dict[str, str]:
        """End an owner's processes (see `matrix.host.processes.owned`); return errors by host."""
        spare = ["--spare-owner", spare_owner] if spare_owner else []
        return self._on_all(hosts, ["end", *spare, owner])

    def ask_for_stacks(self, hosts: Sequence[str], owner: str) -> None:
        """Make an owner's ranks print their stacks into their logs, on hosts that can be reached."""
        self._on_all(hosts, ["stacks", owner])

    def _on_all(self, hosts: Sequence[str], words: list[str]) -> dict[str, str]:
        each = list(dict.fromkeys(hosts))
        if not each:
            return {}
        with ThreadPoolExecutor(max_workers=min(32, len(each))) as pool:
            said = pool.map(lambda host: self._call(host, words), each)
            return {host: wrong for host, wrong in zip(each, said, strict=True) if wrong}

    def _call(self, host: str, words: list[str]) -> str:
        """Return the error in one line, or ""."""
        command = module_call(self._python, "matrix.host.processes", words)
        try:
            done = call(  # a Ctrl-C in the terminal must not interrupt the cleanup
                [*self._ssh, host, command], limit=LIMIT, own_session=True
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {LIMIT:g} s"
        except OSError as error:
            return f"{self._ssh[0]}: {error.strerror}"
        if done.returncode == STUCK and done.stdout.strip():
            return done.stdout.strip().splitlines()[-1]
        return "" if done.returncode == 0 else complaint(done)

"""Write the scripts that `xffl exec` needs for a run, in the run's folder.

runs/<id>/training.py, config.py   what a rank executes
runs/<id>/facility.sh              what every node's shell sources first
runs/<id>/launch.sh                the complete command, to repeat the run by hand
runs/<id>/ssh/ssh                  ssh with the system file's options, which records its exit status
attempts/<n>/facility.owner-*.sh   owner and port of an attempt
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.contract.run import Run
from bench.contract.storage.atomic import write_whole
from bench.contract.storage.files import AttemptFolder, RunFolder
from bench.host.software.provenance import allowed_environment, is_secret
from matrix.host.processes import facility_name
from matrix.host.search_path import search_path
from matrix.host.template import filled
from matrix.host.variables import environment
from matrix.image.image import Image
from matrix.launchers.xffl_site import Site

TEMPLATES = Path(__file__).parent / "templates"

_PASSED_ON = re.compile(r"(HF|TRANSFORMERS|WANDB)_\w+|XDG_CACHE_HOME")


@dataclass(frozen=True)
class Scripts:
    """The scripts of one attempt at a run."""

    run: Run
    folder: RunFolder
    attempt: AttemptFolder
    site: Site
    image: Image | None = None

    @property
    def _place(self) -> Path:
        return self.folder.path.absolute()

    @property
    def ssh_folder(self) -> Path:
        """The folder that must be first in PATH of `xffl exec`."""
        return self._place / "ssh"

    def facility(self, owner: str) -> Path:
        """Return the path of the attempt's facility script."""
        return self.attempt.path.absolute() / facility_name(owner)

    def command(self, facility: Path) -> list[str]:
        """Return the command of `xffl exec`; -n comes last because it takes all following arguments."""
        return [
            *(str(self.site.command), "exec", str(self._place / "training.py"), str(self._place / "config.py")),
            *("-f", str(facility), "-v", str(self.site.venv), "-ws", str(self.run.world)),
            *("-n", *self.site.settings.hosts_of(self.run.nodes)),
        ]

    def by_hand(self) -> list[str]:
        """Return the command that repeats the run outside a sweep."""
        return self.command(self._place / "facility.sh")

    def write(self, owner: str, port: int, more: Mapping[str, str]) -> None:
        """Write all scripts; `more` are variables of the attempt's ranks in addition to the run's.

        Raises:
            OSError: a script could not be written.

        """
        settings, place = self.site.settings, self._place
        exported = environment(self.run.system, {})
        exported = {**passed_on(os.environ), **self.site.network, **exported}
        source = (
            f"source {shlex.quote(settings.facility)}" if settings.facility else "# No site script (xffl.facility)."
        )
        prefix = self.image.write_entry(self.run, self.folder, self.site.python) if self.image else []
        facility = self.facility(owner)
        call = " \\\n    ".join(_lines(self.by_hand()))
        call = f'export PATH={shlex.quote(str(self.ssh_folder))}:"$PATH"\n{call}'
        ssh = shlex.join([str(self.site.ssh), *settings.ssh_options])
        self._write(self.ssh_folder / "ssh", "ssh", ssh=ssh, executable=True)
        self._write(place / "training.py", "training.py")
        self._write(place / "config.py", "config.py")
        self._write(
            place / "facility.sh",
            "facility.sh",
            id=self.run.id,
            site=source,
            folder=shlex.quote(str(Path.cwd())),
            by_hand=str(place / "by-hand"),
            exports=_exports(exported),
            prefix=f"{shlex.join(prefix)} " if prefix else "",
            threads=str(self.run.system.threads_per_rank),
        )
        self._write(
            place / "launch.sh", "launch.sh", id=self.run.id, run=shlex.quote(str(place)), command=call, executable=True
        )
        self._write(
            facility,
            "attempt.sh",
            id=self.run.id,
            number=str(self.attempt.number),
            attempt=shlex.quote(str(self.attempt.path.absolute())),
            exports=_exports(more),
            port=str(port),
            facility=shlex.quote(str(place / "facility.sh")),
        )

    def _write(self, path: Path, template: str, *, executable: bool = False, **values: str) -> None:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, filled((TEMPLATES / f"{template}.in").read_text(encoding="utf-8"), values), durable=False)
        if executable:
            path.chmod(0o755)


def passed_on(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the runner's variables that ranks need and ssh does not forward, without secrets.

    These are the variables that a result records, and those that locate caches, W&B and packages. They are written to
    a file, hence no secrets.
    """
    found = {name: value for name, value in variables.items() if _PASSED_ON.fullmatch(name) and not is_secret(name)}
    modules = {"PYTHONPATH": path} if (path := search_path(variables)) else {}
    return dict(sorted((allowed_environment(variables) | found | modules).items()))


def _exports(variables: Mapping[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def _lines(command: list[str]) -> list[str]:
    """Split a command into lines for a shell script: one path, or one option with its values, per line."""
    lines: list[list[str]] = [[]]
    for word in command:
        if word.startswith(("-", "/")) and lines[-1] and (word[0] == "-" or not lines[-1][0].startswith("-")):
            lines.append([])
        lines[-1].append(word)
    return [shlex.join(line) for line in lines]

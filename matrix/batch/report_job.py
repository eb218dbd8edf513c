"""The report as a job of its own, after all others: nobody has to wait on a login node, where processes are ended."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.contract.files import write_whole
from matrix.config.system import SystemFile
from matrix.host.template import filled
from matrix.schedulers.slurm import commands
from matrix.schedulers.slurm.script import asked_for, site, variables
from matrix.store.jobs import keep_report
from matrix.store.sweep_folder import SweepFolder

TEMPLATE = Path(__file__).parent / "report.sh.in"
MINUTES = 15


def submit_report(folder: SweepFolder, system: SystemFile, ids: Sequence[str], console: Console) -> None:
    """Submit it.

    Raises:
        SlurmError: it was refused.

    """
    script = folder.path.absolute() / "report.sh"
    write_report_script(script, folder, system, ids)
    job = commands.submit(script)
    keep_report(folder, job)
    console.print(f"job {job} writes the report after them", highlight=False)


def write_report_script(script: Path, folder: SweepFolder, system: SystemFile, ids: Sequence[str]) -> None:
    """Write the script for sbatch."""
    settings, place = system.slurm, folder.path.absolute()
    options = [
        f"--job-name=xffl-bench.{folder.path.name}.report",
        "--nodes=1",
        "--ntasks=1",
        f"--time={MINUTES}",
        *([f"--dependency=afterany:{':'.join(ids)}"] if ids else []),
        f"--output={shlex.quote(str(place / 'report-%j.log'))}",
        *asked_for(settings),
    ]
    text = filled(
        TEMPLATE.read_text(encoding="utf-8"),
        {
            "options": "\n".join(f"#SBATCH {option}" for option in options),
            "site": site(settings),
            "variables": variables(),
            "folder": shlex.quote(str(Path.cwd())),
            "command": shlex.join([sys.executable, "-P", "-m", "matrix", "report", str(place)]),
        },
    )
    write_whole(script, text)

"""The scripts of jobs. People read them too, and may submit them by hand."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from bench.contract.storage.atomic import write_whole
from matrix.config.settings.batch import BatchSettings
from matrix.config.system import SystemFile
from matrix.host.search_path import search_path
from matrix.host.template import filled
from matrix.schedulers.base import JobRequest
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.jobs import JobFolder, JobOrder
from reports.data.words import counted

JOB = Path(__file__).parent / "job.sh.in"
REPORT = Path(__file__).parent / "report.sh.in"
REPORT_MINUTES = 15


def write_script(folder: JobFolder, order: JobOrder) -> None:
    """Write `job.sh`: the scheduler's options, the site's environment and the job's command."""
    place = folder.path.absolute()
    scheduler = batch_scheduler_of(order.system)
    request = JobRequest(order.name, order.nodes, order.minutes, place / "%j.log")
    values = {
        "options": "\n".join(scheduler.header(request, order.system)),
        "sweep": folder.sweep.path.name,
        "runs": counted(len(order.runs), "run"),
        "nodes": counted(order.nodes, "node"),
        "submit": scheduler.submits_by,
        "site": _site(order.system.batch),
        "variables": _code() + "\n".join(scheduler.variables()),
        "folder": shlex.quote(str(Path.cwd())),
        "python": shlex.quote(sys.executable),
        "job": shlex.quote(str(place)),
    }
    write_whole(folder.script, filled(JOB.read_text(encoding="utf-8"), values))
    folder.script.chmod(0o755)


def write_report_script(script: Path, sweep: Path, system: SystemFile, after: list[str]) -> None:
    """Write the script of the job that reports a sweep once the jobs `after` have ended."""
    name = f"xffl-bench.{sweep.name}.report"
    request = JobRequest(name, None, REPORT_MINUTES, sweep / "report-%j.log", after)
    values = {
        "options": "\n".join(batch_scheduler_of(system).header(request, system)),
        "site": _site(system.batch),
        "variables": _code(),
        "folder": shlex.quote(str(Path.cwd())),
        "command": shlex.join([sys.executable, "-P", "-m", "matrix", "report", str(sweep)]),
    }
    write_whole(script, filled(REPORT.read_text(encoding="utf-8"), values))


def _site(settings: BatchSettings) -> str:
    """Return the shell lines that set up the site's environment."""
    loading = [f"module load {shlex.quote(module)}" for module in settings.modules]
    return "\n".join([*loading, *settings.setup]) or "# no modules, no setup"


def _code() -> str:
    """Return the line that exports PYTHONPATH with absolute paths, "" if it is not set."""
    path = search_path()
    return f"export PYTHONPATH={shlex.quote(path)}\n" if path else ""

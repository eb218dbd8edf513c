"""The report as a last batch job, so that no process has to wait on the login node, where sites end processes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from matrix.batch.script import write_report_script
from matrix.config.system import SystemFile
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.jobs import keep_report
from matrix.store.sweep_folder import SweepFolder


def submit_report(folder: SweepFolder, system: SystemFile, ids: Sequence[str], console: Console) -> None:
    """Submit the job that writes the report after the jobs `ids`.

    Raises:
        SchedulerError: the job was refused.

    """
    place = folder.path.absolute()
    script = place / "report.sh"
    write_report_script(script, place, system, list(ids))
    job = batch_scheduler_of(system).submit(script)
    keep_report(folder, job)
    console.print(f"job {job} writes the report after these jobs", highlight=False)

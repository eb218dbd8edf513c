"""The jobs of a sweep, as files: what each was to do, and what became of it.

jobs/<n>/job.json         the runs, wholly resolved, and the system
jobs/<n>/job.sh           what sbatch gets; it can be submitted by hand
jobs/<n>/submitted.json   the job's id
jobs/<n>/<id>.log         what its own process printed
jobs/<n>/runners/         who ran it: a requeued job has several
jobs/<n>/preflight.json   what its nodes and their network could do
jobs/<n>/ended.json       its end
report.json               the id of the job that writes the report
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from pydantic import PositiveInt

from bench.contract.base import Document
from bench.contract.files import write_document
from bench.contract.result import JobEnd
from bench.contract.run import Run
from matrix.config.system import SystemFile
from matrix.store.sweep_folder import SweepFolder, SweepRecord, read_document, timestamp


class JobOrder(Document):
    """What a job is to do; all that its own process needs to know."""

    number: PositiveInt
    name: str
    nodes: PositiveInt
    minutes: PositiveInt
    runs: list[Run]
    system: SystemFile
    retry_failed: bool
    created: str


class Submitted(Document):
    """A job in Slurm's hands."""

    id: str
    since: str


class JobFolder:
    """`jobs/<n>` of a sweep."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.order_file = path / "job.json"
        self.script = path / "job.sh"
        self.runners = path / "runners"
        self.preflight = path / "preflight.json"
        self._submitted = path / "submitted.json"
        self._ended = path / "ended.json"

    @property
    def sweep(self) -> SweepFolder:
        """The sweep that it belongs to."""
        return SweepFolder(self.path.parent.parent)

    @property
    def number(self) -> int:
        """1 for the first job of the sweep."""
        return int(self.path.name)

    def order(self) -> JobOrder:
        """Raises InputError: it cannot be read."""
        return read_document(self.order_file, JobOrder)

    @property
    def submitted(self) -> Submitted | None:
        """None where Slurm never got it, as far as is known here."""
        return read_document(self._submitted, Submitted) if self._submitted.exists() else None

    def keep(self, order: JobOrder) -> None:
        """Keep the order."""
        write_document(self.order_file, order)

    def submitted_as(self, job: str) -> Submitted:
        """Keep the id."""
        submitted = Submitted(id=job, since=timestamp())
        write_document(self._submitted, submitted)
        return submitted

    @property
    def end(self) -> JobEnd | None:
        """None while it may go on."""
        return read_document(self._ended, JobEnd) if self._ended.exists() else None

    def ended(self, end: JobEnd) -> None:
        """Keep the end."""
        write_document(self._ended, end)

    def printed(self, job: str) -> str:
        """What the job's own process has printed, and Slurm's daemon beside it."""
        log = self.path / f"{job}.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def owner(self, record: SweepRecord) -> str:
        """What the owners of its processes begin with: not the sweep's, whose other jobs may be on the same host."""
        return hashlib.sha256(f"{self.sweep.owner(record)}:{self.number}".encode()).hexdigest()[:16] + "/"


def job_folders(sweep: SweepFolder) -> list[JobFolder]:
    """All jobs of a sweep, the first first."""
    folder = sweep.path / "jobs"
    if not folder.exists():
        return []
    found = [JobFolder(path) for path in sorted(folder.iterdir()) if re.fullmatch(r"\d{4,}", path.name)]
    return [job for job in found if job.order_file.exists()]  # else whoever made it died before it was one


def report_job(sweep: SweepFolder) -> str | None:
    """Id of the last job that was to write the report."""
    file = sweep.path / "report.json"
    return read_document(file, Submitted).id if file.exists() else None


def keep_report(sweep: SweepFolder, job: str) -> None:
    """Keep that id."""
    write_document(sweep.path / "report.json", Submitted(id=job, since=timestamp()))


def next_number(sweep: SweepFolder) -> int:
    """Of the next job."""
    return max((folder.number for folder in job_folders(sweep)), default=0) + 1


def new_job(sweep: SweepFolder) -> JobFolder:
    """The folder of the next job."""
    folder = JobFolder(sweep.path / "jobs" / f"{next_number(sweep):04d}")
    shutil.rmtree(folder.path, ignore_errors=True)  # of one that never became a job
    folder.path.mkdir(parents=True)
    return folder


def live_jobs(sweep: SweepFolder) -> dict[str, JobFolder]:
    """Jobs that Slurm got and whose end nobody has noted, by id."""
    open_jobs = ((job, job.submitted) for job in job_folders(sweep) if job.end is None)
    return {submitted.id: job for job, submitted in open_jobs if submitted is not None}

"""The batch jobs of a sweep, as files: what each was to do, and what became of it.

jobs/<n>/job.json         the runs, fully resolved, and the system
jobs/<n>/job.sh           what the scheduler gets; it can be submitted by hand
jobs/<n>/submitted.json   the job's id
jobs/<n>/<id>.log         what its own process printed
jobs/<n>/runners/         who ran it: a requeued job has several
jobs/<n>/starts/          where in the log each start of the job begins
jobs/<n>/preflight.json   what its nodes and their network could do
jobs/<n>/ended.json       its end
report.json               the id of the job that writes the report
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from bench.contract.base import Document
from bench.contract.files import write_document
from bench.contract.result import JobEnd
from bench.contract.run import Run
from matrix.config.system import SystemFile
from matrix.store.sweep_folder import SweepFolder, SweepRecord, read_document, timestamp


class JobOrder(Document):
    """What a job is to do: everything that its own process needs to know."""

    number: PositiveInt
    name: str
    nodes: PositiveInt
    minutes: PositiveInt
    runs: list[Run]
    system: SystemFile
    retry_failed: bool
    created: str


class Submitted(Document):
    """A job that the scheduler has."""

    id: str
    since: str


class JobStart(Document):
    """A start of a job's own process: the first one, or a later one if the scheduler started the job again."""

    job: str
    log_bytes: NonNegativeInt = Field(description="length of the job's log when the process started")


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
        self._starts = path / "starts"

    @property
    def sweep(self) -> SweepFolder:
        """Return the sweep that it belongs to."""
        return SweepFolder(self.path.parent.parent)

    @property
    def number(self) -> int:
        """Return 1 for the first job of the sweep."""
        return int(self.path.name)

    def order(self) -> JobOrder:
        """Raises InputError: it cannot be read."""
        return read_document(self.order_file, JobOrder)

    @property
    def submitted(self) -> Submitted | None:
        """Return the id, None if the scheduler never got the job as far as is known here."""
        return read_document(self._submitted, Submitted) if self._submitted.exists() else None

    def keep(self, order: JobOrder) -> None:
        """Write the order."""
        write_document(self.order_file, order)

    def submitted_as(self, job: str) -> Submitted:
        """Write the id."""
        submitted = Submitted(id=job, since=timestamp())
        write_document(self._submitted, submitted)
        return submitted

    @property
    def end(self) -> JobEnd | None:
        """Return the job's end, None while it may still run."""
        return read_document(self._ended, JobEnd) if self._ended.exists() else None

    def ended(self, end: JobEnd) -> None:
        """Write the end."""
        write_document(self._ended, end)

    def log(self, job: str) -> Path:
        """Return the file that the job's own process and the scheduler's daemon print to."""
        return self.path / f"{job}.log"

    def started(self, job: str, number: int) -> None:
        """Record that the job's process starts, as runner `number`: its log so far belongs to earlier starts."""
        log = self.log(job)
        start = JobStart(job=job, log_bytes=log.stat().st_size if log.exists() else 0)
        self._starts.mkdir(exist_ok=True)
        write_document(self._starts / f"{number:06d}.json", start)

    def printed(self, job: str, *, before_last_start: bool = False) -> str:
        """Return what was printed since the job's last start, or between the start before that one and it."""
        log = self.log(job)
        if not log.exists():
            return ""
        content = log.read_bytes()
        files = sorted(self._starts.glob("[0-9]*.json")) if self._starts.exists() else []
        starts = [start.log_bytes for file in files if (start := read_document(file, JobStart)).job == job]
        edges = [0, *starts, len(content)]
        part = content[edges[-3] : edges[-2]] if before_last_start and starts else content[edges[-2] :]
        return part.decode("utf-8", errors="replace")

    def owner(self, record: SweepRecord) -> str:
        """Return the prefix of its processes' owners: not the sweep's, whose other jobs may be on the same host."""
        return hashlib.sha256(f"{self.sweep.owner(record)}:{self.number}".encode()).hexdigest()[:16] + "/"


def job_folders(sweep: SweepFolder) -> list[JobFolder]:
    """Return all jobs of a sweep, oldest first."""
    folder = sweep.path / "jobs"
    if not folder.exists():
        return []
    found = [JobFolder(path) for path in sorted(folder.iterdir()) if re.fullmatch(r"\d{4,}", path.name)]
    return [job for job in found if job.order_file.exists()]  # else whoever made it died before it was one


def report_job(sweep: SweepFolder) -> str | None:
    """Return the id of the last job that was to write the report."""
    file = sweep.path / "report.json"
    return read_document(file, Submitted).id if file.exists() else None


def keep_report(sweep: SweepFolder, job: str) -> None:
    """Record that id."""
    write_document(sweep.path / "report.json", Submitted(id=job, since=timestamp()))


def next_number(sweep: SweepFolder) -> int:
    """Return the number of the next job."""
    return max((folder.number for folder in job_folders(sweep)), default=0) + 1


def new_job(sweep: SweepFolder) -> JobFolder:
    """Make the folder of the next job."""
    folder = JobFolder(sweep.path / "jobs" / f"{next_number(sweep):04d}")
    shutil.rmtree(folder.path, ignore_errors=True)  # of one that never became a job
    folder.path.mkdir(parents=True)
    return folder


def live_jobs(sweep: SweepFolder) -> dict[str, JobFolder]:
    """Return the jobs by id that the scheduler got and whose end nobody has recorded."""
    open_jobs = ((job, job.submitted) for job in job_folders(sweep) if job.end is None)
    return {submitted.id: job for job, submitted in open_jobs if submitted is not None}

"""The batch jobs of a sweep, as files.

jobs/<n>/job.json         the runs, fully resolved, and the system
jobs/<n>/job.sh           the script that is submitted, possibly by hand
jobs/<n>/submitted.json   the job's id
jobs/<n>/<id>.log         output of the job's process
jobs/<n>/runners/         its runners; a requeued job has several
jobs/<n>/starts/          offset in the log of each start of the job
jobs/<n>/preflight.json   measured performance of its nodes and their network
jobs/<n>/ended.json       how it ended
report.json               the id of the job that writes the report
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from bench.contract.base import Document
from bench.contract.results.result import JobEnd
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from matrix.config.system import SystemFile
from matrix.store.sweep_folder import SweepFolder, read_document
from matrix.store.sweep_record import SweepRecord, timestamp


class JobOrder(Document):
    """The runs and settings of a job, complete for the job's process."""

    number: PositiveInt
    name: str
    nodes: PositiveInt
    minutes: PositiveInt
    runs: list[Run]
    system: SystemFile
    retry_failed: bool
    created: str


class Submitted(Document):
    """Submission of a job: the scheduler's id and the time."""

    id: str
    since: str


class JobStart(Document):
    """A start of the job's process: the first, or a later one after a requeue."""

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
        """Sweep of the job."""
        return SweepFolder(self.path.parent.parent)

    @property
    def number(self) -> int:
        """Number of the job, from 1."""
        return int(self.path.name)

    def order(self) -> JobOrder:
        """Return the order.

        Raises:
            InputError: it cannot be read.

        """
        return read_document(self.order_file, JobOrder)

    @property
    def submitted(self) -> Submitted | None:
        """Submission of the job, None if none is recorded."""
        return read_document(self._submitted, Submitted) if self._submitted.exists() else None

    def keep(self, order: JobOrder) -> None:
        """Write the order."""
        write_document(self.order_file, order)

    def submitted_as(self, job: str) -> Submitted:
        """Record the id and return the submission."""
        submitted = Submitted(id=job, since=timestamp())
        write_document(self._submitted, submitted)
        return submitted

    @property
    def end(self) -> JobEnd | None:
        """End of the job, None while it may still run."""
        return read_document(self._ended, JobEnd) if self._ended.exists() else None

    @property
    def closed(self) -> str:
        """Sentence that the job has ended, empty before: its runs may be in another job then."""
        end = self.end
        return f"{self.path}: this job has already ended ({end.state}: {end.said})" if end is not None else ""

    def ended(self, end: JobEnd) -> None:
        """Record how the job ended."""
        write_document(self._ended, end)

    def log(self, job: str) -> Path:
        """Return the path of the log of the job's process and the scheduler's daemon."""
        return self.path / f"{number_of(job)}.log"

    def started(self, job: str, number: int) -> None:
        """Record a start of the job's process as runner `number`; the log so far belongs to earlier starts."""
        log = self.log(job)
        start = JobStart(job=job, log_bytes=log.stat().st_size if log.exists() else 0)
        self._starts.mkdir(exist_ok=True)
        write_document(self._starts / f"{number:06d}.json", start)

    def printed(self, job: str, *, before_last_start: bool = False) -> str:
        """Return the output since the job's last start, or that of the start before it."""
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
        """Return the owner prefix of the job's processes; other jobs of the sweep may be on the same host."""
        return hashlib.sha256(f"{self.sweep.owner(record)}:{self.number}".encode()).hexdigest()[:16] + "/"


def number_of(job: str) -> str:
    """Return the number in a job's id, which has `;cluster` behind it for a job of another cluster of Slurm."""
    return job.partition(";")[0]


def job_folders(sweep: SweepFolder) -> list[JobFolder]:
    """Return all jobs of a sweep, oldest first."""
    folder = sweep.path / "jobs"
    if not folder.exists():
        return []
    found = [JobFolder(path) for path in sorted(folder.iterdir()) if re.fullmatch(r"\d{4,}", path.name)]
    return [job for job in found if job.order_file.exists()]  # else its creator died before writing the order


def report_job(sweep: SweepFolder) -> str | None:
    """Return the id of the last report job, None without one."""
    file = sweep.path / "report.json"
    return read_document(file, Submitted).id if file.exists() else None


def keep_report(sweep: SweepFolder, job: str) -> None:
    """Record the id of the report job."""
    write_document(sweep.path / "report.json", Submitted(id=job, since=timestamp()))


def next_number(sweep: SweepFolder) -> int:
    """Return the number of the next job."""
    return max((folder.number for folder in job_folders(sweep)), default=0) + 1


def new_job(sweep: SweepFolder) -> JobFolder:
    """Create the folder of the next job."""
    folder = JobFolder(sweep.path / "jobs" / f"{next_number(sweep):04d}")
    shutil.rmtree(folder.path, ignore_errors=True)  # left by a creator that died before writing the order
    folder.path.mkdir(parents=True)
    return folder


def live_jobs(sweep: SweepFolder) -> dict[str, JobFolder]:
    """Return the submitted jobs without a recorded end, by id."""
    open_jobs = ((job, job.submitted) for job in job_folders(sweep) if job.end is None)
    return {submitted.id: job for job, submitted in open_jobs if submitted is not None}

"""The active jobs of a sweep: finding, following and closing them."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field

from rich.console import Console

from bench.contract.results.result import Result
from matrix.batch.closing import close
from matrix.config.settings.batch import BatchSettings
from matrix.schedulers.base import JobStatus, Scheduler
from matrix.schedulers.states import PENDING, meaning
from matrix.store.claim import Claim
from matrix.store.jobs import JobFolder, JobOrder, Submitted

SURE = 2
"""Consecutive polls that must find a job ended: a requeued job looks ended for a moment."""

LATE = 60.0
"""Seconds until a job's last files are visible here: network file systems cache directory listings."""


@dataclass
class LiveJob:
    """A submitted job whose end is not recorded; `overdue` is why it was cancelled, empty if it was not."""

    folder: JobFolder
    order: JobOrder
    submitted: Submitted
    said: str = ""
    overdue: str = ""
    looks: int = 0
    ended_since: float = 0.0
    pending_since: float = field(default_factory=time.monotonic)


class LiveJobs:
    """All active jobs of a sweep, by number."""

    def __init__(self, scheduler: Scheduler, settings: BatchSettings, block: str, console: Console) -> None:
        self._scheduler = scheduler
        self._settings = settings
        self._block = block
        self._console = console
        self._live: dict[int, LiveJob] = {}
        self._unsure: list[tuple[JobFolder, JobOrder]] = []

    def __len__(self) -> int:
        """Return the number of jobs that are or may be in the scheduler."""
        return len(self._live) + len(self._unsure)

    @property
    def ids(self) -> list[str]:
        """Ids of the jobs in the scheduler."""
        return [live.submitted.id for live in self._live.values()]

    @property
    def run_ids(self) -> set[str]:
        """Ids of the runs in these jobs."""
        orders = [*(live.order for live in self._live.values()), *(order for _, order in self._unsure)]
        return {run.id for order in orders for run in order.runs}

    def find(self, folder: JobFolder) -> None:
        """Follow a job that an earlier call submitted; remove one that was never submitted.

        Raises:
            SchedulerError: the scheduler does not answer.

        """
        order = folder.order()
        submitted = folder.submitted or self._adopted(folder, order)
        if submitted is None:
            shutil.rmtree(folder.path)
        else:
            self._live[folder.number] = LiveJob(folder, order, submitted)

    def follow(self, folder: JobFolder, order: JobOrder, submitted: Submitted, what: str) -> None:
        """Follow a submitted job."""
        live = self._live[folder.number] = LiveJob(folder, order, submitted)
        self.say(live, what)

    def unsure(self, folder: JobFolder, order: JobOrder) -> None:
        """Remember a job for which the scheduler did not confirm the submission."""
        self._unsure.append((folder, order))

    def find_unsure(self) -> list[JobOrder]:
        """Look for unconfirmed jobs by name; follow those found and return their orders, remove the others."""
        found = []
        while self._unsure:
            folder, order = self._unsure[0]
            submitted = self._adopted(folder, order)
            del self._unsure[0]
            if submitted is None:
                shutil.rmtree(folder.path)
            else:
                self.follow(folder, order, submitted, "was submitted after all")
                found.append(order)
        return found

    def look(self, claim: Claim) -> list[tuple[LiveJob, list[Result]]]:
        """Poll all jobs once; return those that have ended, with the results written for their unfinished runs.

        Raises:
            LostClaimError: another runner has taken the sweep, whose claim this is.
            SchedulerError: the scheduler does not answer.

        """
        seen = self._scheduler.look(self.ids)
        over = []
        for number, live in list(self._live.items()):
            found = seen.get(live.submitted.id) or JobStatus("GONE", "", 0.0, "")
            results: list[Result] = []
            if live.folder.end is None:  # else its own process has recorded its end
                if not self._has_ended(live, found):
                    continue
                job = live.submitted.id
                results = close(live.folder, live.order, job, found, self._scheduler, claim, live.overdue)
            elif live.folder.end.state != "COMPLETED":
                self._scheduler.cancel([live.submitted.id])  # the scheduler might requeue it for the lost node
            del self._live[number]
            over.append((live, results))
        return over

    def say(self, live: LiveJob, what: str) -> None:
        """Print a job's status if it has changed."""
        if what != live.said:
            live.said = what
            line = f"job {live.submitted.id} ({live.folder.path.name}) {what}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def _has_ended(self, live: LiveJob, found: JobStatus) -> bool:
        if meaning(found.state) is None:
            live.looks, live.ended_since = 0, 0.0
            self._waits(live, found)
            return False
        live.looks += 1
        live.ended_since = live.ended_since or time.monotonic()
        # A completed job's process has recorded its end; the file may not be visible here yet.
        return live.looks >= SURE and (found.state != "COMPLETED" or time.monotonic() - live.ended_since >= LATE)

    def _waits(self, live: LiveJob, found: JobStatus) -> None:
        """Print a changed status of a job that has not ended; cancel a job that has waited too long."""
        if found.state != PENDING:
            live.pending_since = time.monotonic()
            self.say(live, f"{found.state} on {found.nodes}" if found.nodes else found.state)
            return
        never = (
            "; it will not start by itself (xffl-bench cancel ends it)"
            if self._scheduler.will_not_start(found.reason)
            else ""
        )
        self.say(live, f"PENDING ({found.reason}){never}")
        hours = self._settings.queue_hours
        if hours is not None and time.monotonic() - live.pending_since > 3600 * hours:
            live.overdue = f"has not started within {self._block}.queue_hours = {hours:g}"
            self.say(live, f"{live.overdue}: cancelled")
            self._scheduler.cancel([live.submitted.id])

    def _adopted(self, folder: JobFolder, order: JobOrder) -> Submitted | None:
        """Find a job whose id was not recorded: submitted by hand, or by a runner that died before recording it."""
        ids = self._scheduler.named(order.name)
        return folder.submitted_as(ids[-1]) if ids else None

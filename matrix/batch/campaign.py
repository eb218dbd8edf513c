"""A sweep as jobs, from a login node: packed, submitted, followed, and what they left undone submitted again.

All it knows is in the sweep's folder and in the scheduler: whoever starts it again finds its jobs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Sequence

from rich.console import Console

from bench.contract.result import Result
from matrix.batch.live_jobs import SURE, LiveJobs
from matrix.batch.packing import JobPack, pack
from matrix.batch.script import write_script
from matrix.batch.wanted import Wanted
from matrix.errors import InputError
from matrix.planning.order import by_nodes
from matrix.planning.prepare import PreparedSweep
from matrix.runner.progress import SweepDisplay
from matrix.runner.runner import Summary
from matrix.schedulers.base import NoAnswerError, SchedulerError
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.claim import Claim
from matrix.store.estimate import Expected
from matrix.store.jobs import JobFolder, JobOrder, job_folders, new_job
from matrix.store.sweep_folder import SweepFolder, SweepRecord, timestamp

MOMENT = 2.0
"""Seconds between two looks that must both find a job ended, at least."""


class Campaign:
    """One call of `run`, under a claim on the sweep."""

    def __init__(
        self,
        prepared: PreparedSweep,
        folder: SweepFolder,
        record: SweepRecord,
        claim: Claim,
        console: Console,
        *,
        max_runs: int | None,
        retry_failed: bool,
    ) -> None:
        self._system = prepared.system
        self._settings = prepared.system.batch
        self._scheduler = batch_scheduler_of(prepared.system)
        self._runs = by_nodes(prepared.selected_runs)
        self._folder = folder
        self._record = record
        self._claim = claim
        self._console = console
        self._retry_failed = retry_failed
        self._jobs = LiveJobs(self._scheduler, self._settings, prepared.system.scheduler, console)
        self._wanted = Wanted(folder, self._runs, self._settings, prepared.system.scheduler, max_runs, retry_failed)
        self._closed = False
        self._seen: dict[str, Result | None] = {}

    def find(self) -> None:
        """Find the jobs that earlier calls submitted; what they had prepared and not submitted is thrown away.

        Raises:
            SchedulerError: the scheduler does not answer.

        """
        for folder in job_folders(self._folder):
            if folder.end is not None:
                self._wanted.ended_before(folder)
            else:
                self._jobs.find(folder)
        self._seen = {run.id: self._folder.result(run.id) for run in self._runs}

    def packs(self) -> list[JobPack]:
        """Return what has to be submitted now.

        Raises:
            InputError: a run does not fit into a job.

        """
        expected = Expected(self._folder.result, self._runs)
        wanted = self._wanted.runs(busy=self._jobs.run_ids)
        return pack(wanted, expected.seconds, self._settings, self._system.scheduler)

    def write(self, packs: Sequence[JobPack]) -> list[JobFolder]:
        """Prepare jobs without submitting them."""
        return [self._prepare(each) for each in packs]

    def submit(self, packs: Sequence[JobPack]) -> None:
        """Submit as many as may be in the queue.

        Raises:
            InputError: the scheduler refuses a job.
            NoAnswerError: it is not known whether it has the last one; the next look finds out.
            LostClaimError: another runner has taken the sweep.

        """
        room = len(packs) if self._settings.max_jobs is None else max(0, self._settings.max_jobs - len(self._jobs))
        for each in packs[:room]:
            self._claim.check()
            folder = self._prepare(each)
            order = folder.order()
            try:
                submitted = folder.submitted_as(self._scheduler.submit(folder.script))
            except NoAnswerError:
                self._jobs.unsure(folder, order)
                raise
            except SchedulerError as error:
                shutil.rmtree(folder.path)
                raise InputError(
                    f"{self._scheduler.submits_by} refused a job of {each.nodes} nodes: {error}"
                ) from error
            self._wanted.taken(order)
            self._jobs.follow(folder, order, submitted, f"submitted: {_size(each)}")

    def follow(self, display: SweepDisplay) -> None:
        """Wait until no job is left, submitting what jobs left undone.

        Raises:
            InputError: the scheduler refuses a job.
            LostClaimError: another runner has taken the sweep.
            KeyboardInterrupt: the jobs go on.

        """
        trouble = ""
        while True:
            self._claim.check()
            try:
                for order in self._jobs.find_unsure():
                    self._wanted.taken(order)
                self._look(display)
                self.submit(self.packs())
                trouble = ""
            except SchedulerError as error:
                if str(error) != trouble:
                    self._console.print(
                        f"{self._scheduler.title} does not answer ({error}); asking again", highlight=False
                    )
                trouble = str(error)
            self._show(display)
            if not self._jobs:
                return
            time.sleep(self._settings.poll_seconds)

    def catch_up(self, display: SweepDisplay) -> None:
        """Take note of jobs that have ended.

        Raises:
            SchedulerError: the scheduler does not answer.

        """
        for run in self._runs:
            if (result := self._seen[run.id]) is not None and self._wanted.is_kept(run, result):
                display.kept(result)
        for look in range(SURE if len(self._jobs) else 0):
            time.sleep(MOMENT if look else 0)
            self._look(display)
        self._wanted.begin()

    @property
    def news(self) -> bool:
        """True if there is more for a report than before, or will be."""
        return bool(len(self._jobs)) or self._closed

    @property
    def live_ids(self) -> list[str]:
        """Ids of the jobs that the scheduler has."""
        return self._jobs.ids

    def summary(self) -> Summary:
        """Return what has become of the runs."""
        return self._wanted.summary()

    def _prepare(self, each: JobPack) -> JobFolder:
        folder = new_job(self._folder)
        owner = folder.owner(self._record).removesuffix("/")
        order = JobOrder(
            number=folder.number,
            name=f"xffl-bench.{self._folder.path.name}.{folder.number}-{owner[:8]}",
            nodes=each.nodes,
            minutes=each.minutes,
            runs=list(each.runs),
            system=self._system,
            retry_failed=self._retry_failed,
            created=timestamp(),
        )
        folder.keep(order)
        write_script(folder, order)
        return folder

    def _look(self, display: SweepDisplay) -> None:
        """Record jobs that have ended, and print what became of runs that they did not finish."""
        for live, results in self._jobs.look():
            self._closed = True
            self._wanted.ended(live.folder)
            self._show(display, but={result.run for result in results})
            for result in results:
                display.ended(result)
            if (end := live.folder.end) is not None:
                self._jobs.say(live, f"{end.state}: {end.said}; {end.node_hours:.3f} node-hours")

    def _show(self, display: SweepDisplay, but: Collection[str] = ()) -> None:
        """Show results that have come since the last look, `but` for those that are shown elsewhere."""
        for run in self._runs:
            result, before = self._folder.result(run.id), self._seen.get(run.id)
            if result is not None and result != before and run.id not in but:
                display.ended(result)
            self._seen[run.id] = result


def _size(each: JobPack) -> str:
    return (
        f"{each.nodes} nodes, {len(each.runs)} runs, at most {each.minutes} minutes, {each.node_hours:.2f} node-hours"
    )

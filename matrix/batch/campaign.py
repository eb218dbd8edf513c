"""A sweep in batch jobs, driven from a login node: pack, submit, follow, and resubmit unfinished runs.

All state is in the sweep's folder and in the scheduler, so the next call finds the jobs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Sequence

from rich.console import Console

from bench.contract.results.result import Result
from matrix.batch.cost import Cost, cost_of
from matrix.batch.live_jobs import SURE, LiveJobs
from matrix.batch.packing import JobPack
from matrix.batch.script import write_script
from matrix.batch.wanted import Wanted
from matrix.errors import InputError, NoAnswerError, SchedulerError
from matrix.planning.combinations.order import in_allocations
from matrix.planning.prepare import PreparedSweep
from matrix.runner.progress import SweepDisplay
from matrix.runner.runner import Summary
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.ahead import searching
from matrix.store.claim import Claim
from matrix.store.estimate import Expected
from matrix.store.jobs import JobFolder, JobOrder, job_folders, new_job
from matrix.store.sweep_folder import SweepFolder
from matrix.store.sweep_record import SweepRecord, timestamp
from reports.data.words import counted

MOMENT = 2.0
"""Minimum seconds between two polls that must both find a job ended."""


class Campaign:
    """One call of `run` that holds the claim on the sweep."""

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
        self._runs = in_allocations(prepared.selected_runs, nested=self._settings.nested)
        self._repeats = prepared.planned.plan.repeats
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
        """Find the jobs that earlier calls submitted, and remove those that were prepared but not submitted.

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
        """Return the jobs to submit now.

        Raises:
            InputError: a run does not fit in a job.

        """
        return self.cost().packs

    def cost(self) -> Cost:
        """Return the jobs to submit now, and what they may cost.

        Raises:
            InputError: a run does not fit in a job.

        """
        expected = Expected(self._folder.result, self._runs)
        wanted = self._wanted.runs(busy=self._jobs.run_ids)
        return cost_of(wanted, self._repeats, expected.seconds, self._system, searching(self._folder))

    def write(self, packs: Sequence[JobPack]) -> list[JobFolder]:
        """Write jobs without submitting them."""
        return [self._prepare(each) for each in packs]

    def submit(self, packs: Sequence[JobPack]) -> None:
        """Submit jobs, up to the limit of jobs in the queue.

        Raises:
            InputError: the scheduler refuses a job.
            NoAnswerError: it is unknown whether the scheduler has the last job; the next poll finds out.
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
                    f"{self._scheduler.submits_by} refused a job of {counted(each.nodes, 'node')}: {error}"
                ) from error
            self._wanted.taken(order)
            self._jobs.follow(folder, order, submitted, f"submitted: {_size(each)}")

    def follow(self, display: SweepDisplay) -> None:
        """Wait until no job is left, resubmitting unfinished runs.

        Raises:
            InputError: the scheduler refuses a job.
            LostClaimError: another runner has taken the sweep.
            KeyboardInterrupt: interrupted; the jobs continue.

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
        """Close the jobs that have ended.

        Raises:
            SchedulerError: the scheduler does not answer.

        """
        found = ((run, self._seen[run.id]) for run in self._runs)
        kept = [result for run, result in found if result is not None and self._wanted.is_kept(run, result)]
        display.begins(len(self._runs) - len(kept), self._folder.path)
        for result in kept:
            display.kept(result)
        for look in range(SURE if self._jobs else 0):
            time.sleep(MOMENT if look else 0)
            self._look(display)
        self._wanted.begin()

    @property
    def news(self) -> bool:
        """True if there are new results for a report, or will be."""
        return bool(self._jobs) or self._closed

    @property
    def live_ids(self) -> list[str]:
        """Ids of the jobs in the scheduler."""
        return self._jobs.ids

    def summary(self) -> Summary:
        """Return the outcomes of the runs."""
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
        """Close the jobs that have ended, and print the outcomes of their unfinished runs."""
        for live, results in self._jobs.look(self._claim):
            self._closed = True
            self._wanted.ended(live.folder)
            self._show(display, but={result.run for result in results})
            for result in results:
                display.ended(result)
            if (end := live.folder.end) is not None:
                self._jobs.say(live, f"{end.state}: {end.said}; {end.node_hours:.3f} node-hours")

    def _show(self, display: SweepDisplay, but: Collection[str] = ()) -> None:
        """Show the results since the last poll, except those of the run ids `but`, which are shown elsewhere."""
        for run in self._runs:
            result, before = self._folder.result(run.id), self._seen.get(run.id)
            if result is not None and result != before and run.id not in but:
                display.ended(result)
            self._seen[run.id] = result


def _size(each: JobPack) -> str:
    return (
        f"{counted(each.nodes, 'node')}, {counted(len(each.runs), 'run')}, at most {counted(each.minutes, 'minute')}, "
        f"{each.node_hours:.2f} node-hours"
    )

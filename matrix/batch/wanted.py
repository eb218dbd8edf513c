"""Selection of the runs that still need a job, and the reasons why others are left."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.run import Run
from matrix.config.settings.batch import BatchSettings
from matrix.runner.runner import Summary
from matrix.schedulers.states import ENDS
from matrix.store.jobs import JobFolder, JobOrder
from matrix.store.sweep_folder import SweepFolder
from reports.data.words import counted


class Wanted:
    """The runs of one call, and the jobs of this call that tried them.

    Args:
        block: block of the system file that the settings are in, for messages.

    """

    def __init__(
        self,
        folder: SweepFolder,
        runs: Sequence[Run],
        settings: BatchSettings,
        block: str,
        max_runs: int | None,
        retry_failed: bool,
    ) -> None:
        self._folder = folder
        self._runs = runs
        self._settings = settings
        self._block = block
        self._max_runs = max_runs
        self._retry_failed = retry_failed
        self._ended: dict[int, JobFolder] = {}
        self._before: set[int] = set()
        self._taken: set[str] = set()
        self._left: dict[str, str] = {}

    def ended_before(self, job: JobFolder) -> None:
        """Note a job that ended before this call; it does not count as a failed try of its runs."""
        self._before.add(job.number)

    def ended(self, job: JobFolder) -> None:
        """Note a job that has ended."""
        self._ended[job.number] = job

    def begin(self) -> None:
        """Start counting: jobs that have ended so far do not count as failed tries."""
        self._before |= set(self._ended)

    def taken(self, order: JobOrder) -> None:
        """Note the runs of a job that this call submitted."""
        self._taken |= {run.id for run in order.runs}

    def runs(self, busy: Collection[str]) -> list[Run]:
        """Return the runs that need a job now; `busy` are the ids of runs in active jobs."""
        self._left = {}
        wanted = []
        for run in self._runs:
            result = self._folder.result(run.id)
            if run.id in busy or (result is not None and self.is_kept(run, result)):
                continue
            if reason := self._why_left(run):
                self._left[run.id] = reason
                continue
            wanted.append(run)
        if self._max_runs is not None:
            new = [run.id for run in wanted if run.id not in self._taken]
            chosen = {*self._taken, *new[: max(0, self._max_runs - len(self._taken))]}
            wanted = [run for run in wanted if run.id in chosen]
        return wanted

    def is_kept(self, run: Run, result: Result) -> bool:
        """Return True if a run with this result is not repeated."""
        return result.outcome.is_final and (
            not self._retry_failed or run.id in self._taken or result.outcome is Outcome.COMPLETED
        )

    def summary(self) -> Summary:
        """Return the outcomes of the runs."""
        summary = Summary(left=dict(self._left))
        for run in self._runs:
            if run.id in self._taken:  # also one that no job of this call came to
                summary.started.append(run.id)
            result = self._folder.result(run.id)
            if result is not None:
                summary.outcomes[run.id] = result.outcome
        return summary

    def _why_left(self, run: Run) -> str:
        """Return why a run is not resubmitted, "" if it is; only jobs that ended during this call count."""
        tried = []
        for number, folder in self._ended.items():
            end = folder.end
            if number in self._before or end is None or all(each.id != run.id for each in folder.order().runs):
                continue
            if not ENDS[end.state].again:
                return f"job {end.id} was cancelled"
            tried.append(end)
        if len(tried) > self._settings.retries:
            ends = ", ".join(f"{end.id} {end.state}" for end in tried)
            jobs, limit = counted(len(tried), "job"), f"{self._block}.retries is {self._settings.retries}"
            return f"{jobs} did not finish it ({ends}), {limit}"
        return ""

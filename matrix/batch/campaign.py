"""A sweep as jobs, from a login node: packed, submitted, followed, and what they left undone submitted again.

All it knows lies in the sweep's folder and in Slurm: whoever starts it again finds its jobs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from bench.contract.outcomes import Outcome
from bench.contract.result import Result
from bench.contract.run import Run
from matrix.batch.closing import close
from matrix.batch.packing import Pack, pack
from matrix.errors import InputError
from matrix.planning.order import by_nodes
from matrix.planning.prepare import PreparedSweep
from matrix.runner.progress import SweepDisplay
from matrix.runner.runner import Summary
from matrix.schedulers.slurm import commands
from matrix.schedulers.slurm.commands import NoAnswerError, Seen, SlurmError
from matrix.schedulers.slurm.script import write_script
from matrix.schedulers.slurm.states import ENDS, meaning, will_not_start
from matrix.store.claim import Claim
from matrix.store.estimate import Expected
from matrix.store.jobs import JobFolder, JobOrder, Submitted, job_folders, new_job
from matrix.store.sweep_folder import SweepFolder, SweepRecord, timestamp

SURE = 2
"""Looks in a row that must find a job ended: one that Slurm starts again has ended for a moment."""

MOMENT = 2.0
"""Seconds between two such looks, at least."""

LATE = 60.0
"""Seconds until a job's last files are seen here; network file systems keep what they know of a folder for so long."""


@dataclass
class _Live:
    """A job that may still do something."""

    folder: JobFolder
    order: JobOrder
    submitted: Submitted
    said: str = ""
    looks: int = 0
    ended_since: float = 0.0
    pending_since: float = field(default_factory=time.monotonic)


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
        self._settings = prepared.system.slurm
        self._runs = by_nodes(prepared.selected_runs)
        self._folder = folder
        self._record = record
        self._claim = claim
        self._console = console
        self._max_runs = max_runs
        self._retry_failed = retry_failed
        self._live: dict[int, _Live] = {}
        self._unsure: list[tuple[JobFolder, JobOrder]] = []
        self._ended: dict[int, JobFolder] = {}
        self._before: set[int] = set()
        self._taken: set[str] = set()
        self._left: dict[str, str] = {}
        self._closed = False
        self._seen: dict[str, Result | None] = {}

    def find(self) -> None:
        """Find the jobs that earlier calls submitted; what they had prepared and not submitted is thrown away.

        Raises:
            SlurmError: Slurm does not answer.

        """
        for folder in job_folders(self._folder):
            order = folder.order()
            if folder.end is None:
                submitted = folder.submitted or self._adopted(folder, order)
                if submitted is None:
                    shutil.rmtree(folder.path)
                    continue
                self._live[folder.number] = _Live(folder, order, submitted)
            else:
                self._ended[folder.number] = folder
        self._seen = {run.id: self._folder.result(run.id) for run in self._runs}
        self._before = set(self._ended)

    def packs(self) -> list[Pack]:
        """What has to be submitted now.

        Raises:
            InputError: a run does not fit into a job.

        """
        expected = Expected(self._folder.result, self._runs)
        return pack(self._wanted(), expected.seconds, self._settings)

    def write(self, packs: Sequence[Pack]) -> list[JobFolder]:
        """Prepare jobs without submitting them."""
        return [self._prepare(each) for each in packs]

    def submit(self, packs: Sequence[Pack]) -> None:
        """Submit as many as may be in the queue.

        Raises:
            InputError: sbatch refuses a job.
            NoAnswerError: it is not known whether Slurm has the last one; the next look finds out.
            LostClaimError: another runner has taken the sweep.

        """
        room = len(packs) if self._settings.max_jobs is None else max(0, self._settings.max_jobs - len(self._live))
        for each in packs[:room]:
            self._claim.check()
            folder = self._prepare(each)
            order = folder.order()
            try:
                submitted = folder.submitted_as(commands.submit(folder.script))
            except NoAnswerError:
                self._unsure.append((folder, order))
                raise
            except SlurmError as error:
                shutil.rmtree(folder.path)
                raise InputError(f"sbatch refused a job of {each.nodes} nodes: {error}") from error
            self._say(self._follows(folder, order, submitted), f"submitted: {_size(each)}")

    def follow(self, display: SweepDisplay) -> None:
        """Wait until no job is left, submitting what jobs left undone.

        Raises:
            InputError: sbatch refuses a job.
            LostClaimError: another runner has taken the sweep.
            KeyboardInterrupt: the jobs go on.

        """
        trouble = ""
        while True:
            self._claim.check()
            try:
                self._find_unsure()
                self._look(display)
                self.submit(self.packs())
                trouble = ""
            except SlurmError as error:
                if str(error) != trouble:
                    self._console.print(f"Slurm does not answer ({error}); asking again", highlight=False)
                trouble = str(error)
            self._show(display)
            if not self._live and not self._unsure:
                return
            time.sleep(self._settings.poll_seconds)

    def catch_up(self, display: SweepDisplay) -> None:
        """Take note of jobs that have ended.

        Raises:
            SlurmError: Slurm does not answer.

        """
        for run in self._runs:
            if (result := self._seen[run.id]) is not None and self._is_kept(run, result):
                display.kept(result)
        for look in range(SURE if self._live else 0):
            time.sleep(MOMENT if look else 0)
            self._look(display)
        self._before = set(self._ended)

    @property
    def news(self) -> bool:
        """Whether there is more for a report than before, or will be."""
        return bool(self._live) or self._closed

    @property
    def live_ids(self) -> list[str]:
        """Ids of the jobs in Slurm's hands."""
        return [live.submitted.id for live in self._live.values()]

    def summary(self) -> Summary:
        """What has become of the runs."""
        summary = Summary(left=dict(self._left))
        for run in self._runs:
            result = self._folder.result(run.id)
            if result is not None:
                summary.outcomes[run.id] = result.outcome
                if run.id in self._taken:
                    summary.started.append(run.id)
        return summary

    def _adopted(self, folder: JobFolder, order: JobOrder) -> Submitted | None:
        """A job that Slurm got although its id was not kept: by hand, or from a runner that died right there."""
        ids = commands.named(order.name)
        return folder.submitted_as(ids[-1]) if ids else None

    def _find_unsure(self) -> None:
        """Jobs of which sbatch did not say whether they were taken: by now they are in the queue, or never will be."""
        while self._unsure:
            folder, order = self._unsure[0]
            submitted = self._adopted(folder, order)
            del self._unsure[0]
            if submitted is None:
                shutil.rmtree(folder.path)
            else:
                self._say(self._follows(folder, order, submitted), "was taken after all")

    def _follows(self, folder: JobFolder, order: JobOrder, submitted: Submitted) -> _Live:
        live = self._live[folder.number] = _Live(folder, order, submitted)
        self._taken |= {run.id for run in order.runs}
        return live

    def _prepare(self, each: Pack) -> JobFolder:
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

    def _wanted(self) -> list[Run]:
        busy = {run.id for live in self._live.values() for run in live.order.runs}
        self._left = {}
        wanted = []
        for run in self._runs:
            result = self._folder.result(run.id)
            if run.id in busy or (result is not None and self._is_kept(run, result)):
                continue
            if reason := self._why_left(run):
                self._left[run.id] = reason
                continue
            wanted.append(run)
        if self._max_runs is not None:
            old = [run for run in wanted if run.id in self._taken]
            new = [run for run in wanted if run.id not in self._taken]
            wanted = by_nodes(old + new[: max(0, self._max_runs - len(self._taken))])
        return wanted

    def _is_kept(self, run: Run, result: Result) -> bool:
        return result.outcome.is_final and (
            not self._retry_failed or run.id in self._taken or result.outcome is Outcome.COMPLETED
        )

    def _why_left(self, run: Run) -> str:
        """Why a run is not submitted again, empty where it is: by what has ended in this call."""
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
            return f"{len(tried)} jobs did not finish it ({ends}), slurm.retries is {self._settings.retries}"
        return ""

    def _look(self, display: SweepDisplay) -> None:
        seen = commands.look(self.live_ids)
        for live in list(self._live.values()):
            found = seen.get(live.submitted.id) or Seen("GONE", "", 0.0, "")
            results: list[Result] = []
            if live.folder.end is None:  # else its own process has said that it came to its end
                if meaning(found.state) is None:
                    live.looks, live.ended_since = 0, 0.0
                    self._waits(live, found)
                    continue
                live.looks += 1
                live.ended_since = live.ended_since or time.monotonic()
                if live.looks < SURE or (found.state == "COMPLETED" and time.monotonic() - live.ended_since < LATE):
                    continue  # its own process would have said so: that has only not come through yet
                results = close(live.folder, live.order, live.submitted.id, found)
            elif live.folder.end.state != "COMPLETED":
                commands.cancel([live.submitted.id])  # it has lost a node, for which Slurm might start it again
            self._over(live, results, display)

    def _over(self, live: _Live, results: list[Result], display: SweepDisplay) -> None:
        """A job has ended: say so, with what became of runs that it did not finish."""
        number = live.folder.number
        self._closed = True
        del self._live[number]
        self._ended[number] = live.folder
        self._show(display, but={result.run for result in results})
        for result in results:
            display.ended(result)
        if (end := live.folder.end) is not None:
            self._say(live, f"{end.state}: {end.said}; {end.node_hours:.3f} node-hours")

    def _waits(self, live: _Live, found: Seen) -> None:
        """A job that has not ended: say what is new, and cancel one that has waited too long."""
        if found.state != "PENDING":
            live.pending_since = time.monotonic()
            self._say(live, f"{found.state} on {found.nodes}" if found.nodes else found.state)
            return
        never = "; it will not start by itself" if will_not_start(found.reason) else ""
        self._say(live, f"PENDING ({found.reason}){never}")
        hours = self._settings.queue_hours
        if hours is not None and time.monotonic() - live.pending_since > 3600 * hours:
            self._say(live, f"has not started within slurm.queue_hours = {hours:g}: cancelled")
            commands.cancel([live.submitted.id])

    def _show(self, display: SweepDisplay, but: Collection[str] = ()) -> None:
        """Results that have come since the last look, `but` for those that are shown elsewhere."""
        for run in self._runs:
            result, before = self._folder.result(run.id), self._seen.get(run.id)
            if result is not None and result != before and run.id not in but:
                display.ended(result)
            self._seen[run.id] = result

    def _say(self, live: _Live, what: str) -> None:
        if what != live.said:
            live.said = what
            self._console.print(f"job {live.submitted.id} ({live.folder.path.name}) {what}", highlight=False)


def _size(each: Pack) -> str:
    return (
        f"{each.nodes} nodes, {len(each.runs)} runs, at most {each.minutes} minutes, {each.node_hours:.2f} node-hours"
    )

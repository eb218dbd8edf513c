"""Run a sweep: one run after the other, each with exactly one outcome whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.contract.results.outcomes import Outcome
from bench.contract.results.preflight import Preflight
from bench.contract.results.result import Allocation, Result
from bench.contract.run import Run
from matrix.launchers.base import Launcher
from matrix.runner.attempts import Attempts, Watching
from matrix.runner.search import Searches
from matrix.store.claim import Claim
from matrix.store.judge import Verdict
from matrix.store.sweep_folder import SweepFolder
from matrix.xffl.probe import refusal


class Observer(Watching, Protocol):
    """Receives the progress of a sweep, to show it."""

    def begins(self, left: int, folder: Path) -> None:
        """Handle the start: how many runs have no result that is kept, and the folder of the sweep."""

    def ended(self, result: Result) -> None:
        """Handle the outcome of a run."""

    def kept(self, result: Result) -> None:
        """Handle a run that already has a result."""

    def searched(self, sentence: str) -> None:
        """Handle news of the search for a batch size."""


@dataclass
class Summary:
    """The outcomes of the selected runs after a call, new and kept."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Runs that could no longer start, with the reason."""

    def all_completed(self, *, only_started: bool) -> bool:
        """Return True if every run completed; with `only_started`, every run that this call started."""
        considered = self.started if only_started else [*self.outcomes, *self.left]
        return all(self.outcomes.get(run_id) is Outcome.COMPLETED for run_id in considered)


def always(run: Run) -> str:
    """Let every run start."""
    return ""


class SweepRunner:
    """Runs the unfinished runs of a sweep. The caller holds the claim on the sweep, or on the job with these runs.

    Args:
        sweep: folder of the sweep.
        launcher: starts the runs.
        claim: checked before each run, during it, and before anything is written for it.
        observer: receives progress.
        allocation: the scheduler's allocation that this runner is in.
        hindrance: returns why a run must not start now, or "".
        preflight: speed of the devices, nodes and links before the runs, which those of a run are compared with.

    """

    def __init__(
        self,
        sweep: SweepFolder,
        launcher: Launcher,
        claim: Claim,
        observer: Observer,
        *,
        allocation: Allocation | None = None,
        hindrance: Callable[[Run], str] = always,
        preflight: Preflight | None = None,
    ) -> None:
        self._sweep = sweep
        self._observer = observer
        self._allocation = allocation
        self._hindrance = hindrance
        self._out_of_memory: list[Run] = []
        self._attempts = Attempts(launcher, claim, observer, allocation=allocation, preflight=preflight)
        self._searches = Searches(sweep, self._attempts, claim, observer.searched, hindrance)

    def run_all(self, runs: Sequence[Run], *, max_runs: int | None, retry_failed: bool) -> Summary:
        """Run what has no final result yet, at most `max_runs` runs.

        Raises:
            KeyboardInterrupt: after the active run was ended and its outcome written.
            StuckError: a run's processes could not be killed; its outcome was written.
            LostHostError: a host of the allocation no longer responds; the active run is `interrupted`.
            LostClaimError: another runner has taken the sweep; the active run was ended, and nothing is written.
            OSError: a result could not be written; the active run was ended.

        """
        summary = Summary()
        found = {run.id: self._sweep.result(run.id) for run in runs}
        if not retry_failed:
            self._out_of_memory += [run for run in runs if _is_out_of_memory(found[run.id])]
        kept = {
            run_id: result
            for run_id, result in found.items()
            if result is not None and self._is_kept(result, retry_failed=retry_failed)
        }
        self._observer.begins(len(runs) - len(kept), self._sweep.path)
        for run in runs:
            if (result := kept.get(run.id)) is not None:
                self._observer.kept(result)
            elif max_runs is not None and len(summary.started) >= max_runs:
                continue
            elif reason := refusal(run):
                result = self._without(run, Verdict(Outcome.INVALID, reason))
            elif smaller := self._smaller_out_of_memory(run):
                reason = f"{smaller.id} ran out of memory with batch size {smaller.batch_size}"
                result = self._without(run, Verdict(Outcome.OOM_INFERRED, reason))
            elif reason := self._hindrance(run):
                summary.left[run.id] = reason
                continue
            else:
                sought = self._searches.sought(run, retry_failed=retry_failed)
                # A search takes its time, and another runner's has been waited for.
                if reason := sought.left or self._hindrance(run):
                    summary.left[run.id] = reason
                    continue
                summary.started.append(run.id)
                if sought.failure is not None:
                    result = self._without(sought.run, sought.failure)
                else:
                    result = self._attempts.make(sought.run, self._sweep.run(run.id), self._observer.ended)
            summary.outcomes[run.id] = result.outcome
            if _is_out_of_memory(result):
                self._out_of_memory.append(run)
        return summary

    def _is_kept(self, result: Result, *, retry_failed: bool) -> bool:
        """Return True if a result is final; a restarted job also keeps its own earlier failures."""
        job = self._allocation and self._allocation.job
        before = job is not None and result.allocation is not None and result.allocation.job == job
        return result.outcome is Outcome.COMPLETED or (result.outcome.is_final and (before or not retry_failed))

    def _without(self, run: Run, verdict: Verdict) -> Result:
        """Write the outcome of a run that is not started."""
        result = self._attempts.without(run, self._sweep.run(run.id), verdict)
        self._observer.ended(result)
        return result

    def _smaller_out_of_memory(self, run: Run) -> Run | None:
        return next((tried for tried in self._out_of_memory if _needs_less(tried, run)), None)


def _needs_less(tried: Run, run: Run) -> bool:
    """Return True if `tried` is the same combination with a smaller batch."""
    alike = {"batch_size": 0, "repeat": 0, "purpose": "measure", "id": "", "labels": {}}
    return tried.batch_size < run.batch_size and tried.model_copy(update=alike) == run.model_copy(update=alike)


def _is_out_of_memory(result: Result | None) -> bool:
    """Return True if a run ran out of memory in training; in saving, after the window, the batch does not matter."""
    return result is not None and result.outcome is Outcome.OOM and result.measured is None

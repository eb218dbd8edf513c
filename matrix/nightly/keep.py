"""What is pruned of earlier nights: first what is bulky, then whole nights."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.results.outcomes import Outcome
from bench.contract.storage.files import RunFolder
from matrix.errors import InputError
from matrix.nightly.nightly_file import Keep
from matrix.nightly.record import RecordedNight
from matrix.store.claim import holder
from matrix.store.jobs import live_jobs
from matrix.store.sweep_folder import SweepFolder
from reports.data.words import counted


@dataclass(frozen=True)
class Pruned:
    """A folder that is deleted, with the reason."""

    path: Path
    reason: str


def prunable(nights: Sequence[RecordedNight], keep: Keep, golden_from: str) -> list[Pruned]:
    """Return what is deleted of nights that are ordered by date, the newest last.

    The newest night, the last good one, accepted ones and the one that golden values are from stay. They lose what is
    bulky like any other; but logs of runs that did not complete stay with their night.

    Args:
        nights: all nights with a record.
        keep: how many are kept.
        golden_from: folder that golden values were accepted from, empty without any.

    """
    good = [night for night in nights if night.record.is_good]
    kept = {night.folder for night in [*nights[-keep.nights :], *good[-1:], *nights[-1:]]}
    kept |= {night.folder for night in nights if night.record.accepted or str(night.folder.absolute()) == golden_from}
    bulky = max(1, min(keep.bulky, keep.nights))
    with_bulk = {night.folder for night in nights[-bulky:]}
    found: list[Pruned] = []
    for night in nights:
        if night.folder in with_bulk or _is_active(night.folder):
            continue
        if night.folder not in kept:
            found.append(Pruned(night.folder, f"older than {counted(keep.nights, 'night')}"))
        else:
            found += [Pruned(path, f"bulky, older than {counted(bulky, 'night')}") for path in _bulk(night.folder)]
    return found


def prune(pruned: Sequence[Pruned]) -> None:
    """Delete folders, and the folder of a date that is then empty.

    Raises:
        OSError: a folder cannot be deleted.

    """
    for each in pruned:
        shutil.rmtree(each.path)
        with contextlib.suppress(OSError):  # not empty: another sweep's night
            each.path.parent.rmdir()


def _bulk(night: Path) -> Iterator[Path]:
    """Yield the folders of a night that take space and that no report reads."""
    sweep = SweepFolder(night)
    for run in sorted((*night.glob("runs/*"), *night.glob("trials/*"))):
        folder = RunFolder(run)
        result = sweep.result(run.name) if run.parent.name == "runs" else sweep.trial_result(run.name)
        completed = result is not None and result.outcome is Outcome.COMPLETED
        for attempt in folder.attempts():
            every = (attempt.checkpoint, attempt.model, attempt.traces, attempt.wandb)
            yield from (path for path in (*every, *([attempt.logs] if completed else ())) if path.is_dir())


def _is_active(night: Path) -> bool:
    """Return True if a runner or a job may still write to a night."""
    folder = SweepFolder(night)
    try:
        return holder(folder.runners) is not None or bool(live_jobs(folder))
    except InputError:  # a file that a newer xffl-bench wrote, or a damaged one: leave the night alone
        return True

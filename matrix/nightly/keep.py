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
from matrix.nightly.record import NIGHT_FILE, RecordedNight
from matrix.store.claim import holder
from matrix.store.jobs import live_jobs
from matrix.store.sweep_folder import SweepFolder
from reports.data.words import counted


@dataclass(frozen=True)
class Pruned:
    """A folder that is deleted, with its night's date and the reason."""

    night: str
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
    golden = Path(golden_from).resolve() if golden_from else None  # other paths may lead to the same folder
    kept |= {night.folder for night in nights if night.record.accepted or night.folder.resolve() == golden}
    bulky = min(keep.bulky, keep.nights)
    with_bulk = {night.folder for night in nights[-bulky:]}
    found: list[Pruned] = []
    for night in nights:
        if night.folder in with_bulk or _is_active(night.folder):
            continue
        if night.folder not in kept:
            found.append(Pruned(night.name, night.folder, f"older than {counted(keep.nights, 'night')}"))
        else:
            reason = f"bulky, older than {counted(bulky, 'night')}"
            found += [Pruned(night.name, path, reason) for path in _bulk(night.folder)]
    return found


def prune(pruned: Sequence[Pruned]) -> list[str]:
    """Delete folders, and the folder of a date that is then empty; return what could not be deleted."""
    problems: list[str] = []
    for each in pruned:
        try:
            _delete(each.path)
        except OSError as error:
            problems.append(f"{error.filename or each.path}: cannot be deleted: {error.strerror}")
            continue
        with contextlib.suppress(OSError):  # not empty: another sweep's night
            each.path.parent.rmdir()
    return problems


def _delete(folder: Path) -> None:
    """Delete a folder, its record last: without one, nobody would delete what is left."""
    for path in folder.iterdir():
        if path.name == NIGHT_FILE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(folder)


def _bulk(night: Path) -> Iterator[Path]:
    """Yield the folders of a night that take space and that no report reads."""
    sweep = SweepFolder(night)
    own = night.resolve()
    for run in sorted((*night.glob("runs/*"), *night.glob("trials/*"))):
        folder = RunFolder(run)
        result = sweep.result(run.name) if run.parent.name == "runs" else sweep.trial_result(run.name)
        completed = result is not None and result.outcome is Outcome.COMPLETED
        for attempt in folder.attempts():
            every = (attempt.checkpoint, attempt.model, attempt.traces, attempt.wandb)
            for path in (*every, *([attempt.logs] if completed else ())):
                if path.is_dir() and path.resolve() == own / path.relative_to(night):  # a link may lead elsewhere
                    yield path


def _is_active(night: Path) -> bool:
    """Return True if a runner or a job may still write to a night."""
    folder = SweepFolder(night)
    try:
        return holder(folder.runners) is not None or bool(live_jobs(folder))
    except InputError:  # a file that a newer xffl-bench wrote, or a damaged one: leave the night alone
        return True

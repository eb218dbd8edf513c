"""The folder of a sweep: its inputs, its plan and its runs.

`results/<sweep>/` contains sweep.json (fixed when the sweep first starts), matrix.yaml and system.yaml (copies),
plan.json, runners/ (which processes ran it, and when) and runs/<id>/. With `regime: max-batch` also trials/<id>/, which
are runs that show whether a batch size fits, and searches/<name>/ (which processes tried batch sizes).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bench.contract.base import Document
from bench.contract.plan import Plan
from bench.contract.results.result import Heartbeat, Result
from bench.contract.run import Run
from bench.contract.storage import documents
from bench.contract.storage.atomic import write_whole
from bench.contract.storage.files import RunFolder, write_document
from matrix.errors import InputError
from matrix.store.sweep_record import SweepRecord


class SweepFolder:
    """`results/<sweep>` and its content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_file = path / "sweep.json"
        self.plan_file = path / "plan.json"
        self.runners = path / "runners"

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run, which may not exist yet."""
        return RunFolder(self.path.joinpath("runs", run_id))

    def started(self) -> set[str]:
        """Return the ids of all runs that have a folder, by one look: asking for each takes long in a large sweep."""
        return _entries(self.path / "runs")

    def trial(self, trial_id: str) -> RunFolder:
        """Return the folder of a trial of a batch size, which may not exist yet."""
        return RunFolder(self.path.joinpath("trials", trial_id))

    def search(self, name: str) -> Path:
        """Return the folder of those who search for a batch size."""
        return self.path.joinpath("searches", name)

    def started_trials(self) -> set[str]:
        """Return the ids of all trials that have a folder."""
        return _entries(self.path / "trials")

    def record(self) -> SweepRecord | None:
        """Return what the sweep was started with, or None if it was not started.

        Raises:
            InputError: the record cannot be read.

        """
        if not self.record_file.exists():
            return None
        return read_document(self.record_file, SweepRecord)

    def plan(self) -> Plan:
        """Return the plan of the sweep.

        Raises:
            InputError: there is no plan, or it cannot be read.

        """
        if not self.plan_file.exists():
            raise InputError(f"{self.path}: not the folder of a sweep (it has no plan.json)")
        return read_document(self.plan_file, Plan)

    def owner(self, record: SweepRecord) -> str:
        """Return the prefix of the owners of this sweep's processes; a copy of the folder has a different one."""
        here = hashlib.sha256(f"{record.uuid}:{self.path.resolve()}".encode()).hexdigest()[:16]
        return f"{here}/"

    def begin(self, record: SweepRecord, plan: Plan, *, accept_changes: bool) -> SweepRecord:
        """Record a sweep that starts, or check that a resumed one is unchanged; return the record in force.

        Raises:
            InputError: matrix, system or software differ from what the sweep was started with, or a newer xffl-bench
                wrote what this one would replace.

        """
        frozen = self.record()
        self._refuse_newer(plan)
        changes = frozen.changes(record) if frozen else []
        if changes and not accept_changes:
            listed = "; ".join(changes)
            anew = "" if self.started() else "; nothing has run, so you may delete the folder unless jobs are queued"
            raise InputError(
                f"{self.path}: this sweep was started with different inputs ({listed}): give it another name, "
                f"or resume it with --accept-changes{anew}"
            )
        if frozen is None or changes:
            if frozen:
                record = record.model_copy(update={"uuid": frozen.uuid, "created": frozen.created})
            set_there = f"# set on the command line: {json.dumps(record.assignments)}\n" if record.assignments else ""
            write_whole(self.path / "matrix.yaml", set_there + record.matrix)
            write_whole(self.path / "system.yaml", set_there + record.system)
            write_document(self.plan_file, plan)
            write_document(self.record_file, record)  # last: its presence means the sweep is complete
            return record
        return frozen

    def _refuse_newer(self, plan: Plan) -> None:
        """Raises InputError: a newer xffl-bench wrote the sweep's plan, or a run or result of this one."""
        kinds: list[tuple[Path, type[BaseModel]]] = [(self.plan_file, Plan)]
        for folder in map(self.run, filter(self.started().__contains__, plan.order)):
            kinds += [(folder.result, Result), (folder.run, Run)]
        try:
            for file, kind in kinds:
                documents.check_version(file, kind)
        except documents.NewerVersionError as error:
            raise InputError(str(error)) from error

    def result(self, run_id: str) -> Result | None:
        """A run's result, None where it has none that can be read (then it runs again; `report` names the damage).

        Raises:
            InputError: a newer xffl-bench wrote it.

        """
        return _result(self.run(run_id))

    def trial_result(self, trial_id: str) -> Result | None:
        """The same for a trial."""
        return _result(self.trial(trial_id))

    def heartbeat(self, run_id: str, after: int = -1) -> Heartbeat | None:
        """Return the last heartbeat of a run's newest attempt, if that comes after attempt number `after`."""
        attempts = self.run(run_id).attempts()
        return attempts[-1].last_heartbeat() if attempts and attempts[-1].number > after else None

    def requested_run(self, run_id: str) -> Run:
        """Return the run as requested.

        Raises:
            InputError: run.json cannot be read.

        """
        return read_document(self.run(run_id).run, Run)


def _entries(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return set()


def _result(folder: RunFolder) -> Result | None:
    try:
        return read_own(folder.result, Result)
    except (FileNotFoundError, ValidationError):
        return None


DocumentT = TypeVar("DocumentT", bound=Document)


def read_own(file: Path, kind: type[DocumentT]) -> DocumentT:
    """A document of a sweep's folder that the caller can do without.

    Raises:
        InputError: a newer xffl-bench wrote it.
        OSError: the file cannot be read.
        ValidationError: it is damaged.

    """
    try:
        return documents.read_document(file, kind)
    except documents.NewerVersionError as error:
        raise InputError(str(error)) from error


def read_document(file: Path, kind: type[DocumentT]) -> DocumentT:
    """Read a document of a sweep's folder.

    Raises:
        InputError: the document cannot be read.

    """
    try:
        return read_own(file, kind)
    except ValidationError as error:
        raise InputError(
            f"{file}: cannot be read ({type(error).__name__}): it was damaged after it was written"
        ) from error

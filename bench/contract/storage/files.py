"""Paths of the files of a run. Files are written under a temporary name, then renamed."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from bench.contract.results.result import Heartbeat
from bench.contract.storage.atomic import write_new, write_whole

SOURCE_FILE = "source.json"
"""File of a data set that records its origin (vocabulary, sequence length, entropy rate)."""


def write_document(path: Path, document: BaseModel, *, durable: bool = True) -> None:
    """Write a document as indented JSON."""
    write_whole(path, _json(document), durable=durable)


def write_new_document(path: Path, document: BaseModel) -> bool:
    """Write a document as indented JSON unless the file exists; return True if this call made it."""
    return write_new(path, _json(document))


def _json(document: BaseModel) -> str:
    return document.model_dump_json(indent=2) + "\n"


class AttemptFolder:
    """`runs/<id>/attempts/<n>`: the files of one attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = path / "start.json"
        self.measured = path / "measured.json"
        self.steps = path / "steps.parquet"
        self.heartbeat = path / "heartbeat.json"
        self.ends = path / "ends"
        self.logs = path / "logs"
        self.wandb = path / "wandb"
        self.tracking_run = path / "wandb.run.json"
        self.tracking_ready = path / "wandb.ready"
        self.model = path / "model"
        self.checkpoint = path / "checkpoint"
        self.traces = path / "traces"

    @property
    def number(self) -> int:
        """Number of the attempt, from 0."""
        return int(self.path.name)

    def create(self, *, new: bool = False) -> None:
        """Create the folder with its subfolders; raise FileExistsError if it exists and should be `new`."""
        self.path.mkdir(parents=True, exist_ok=not new)
        self.ends.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)

    def last_heartbeat(self) -> Heartbeat | None:
        """Return the latest heartbeat, None if there is no readable one, as with the keys of another version."""
        try:
            return Heartbeat.model_validate_json(self.heartbeat.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # also one that a shared file system has lost for the moment
            return None

    def rank_end(self, rank: int) -> Path:
        """Return the path of a rank's end document (`RankEnd`)."""
        return self.ends / f"rank{rank:05d}.json"

    def rank_log(self, rank: int) -> Path:
        """Return the path of a rank's output."""
        return self.logs / f"rank{rank:05d}.log"

    def trace(self, rank: int) -> Path:
        """Return the path of a rank's trace of a few steps."""
        return self.traces / f"rank{rank:05d}.json.gz"

    def node_log(self, node: int) -> Path:
        """Return the path of the output of a node's agent."""
        return self.logs / f"node{node:04d}.log"

    def node_status(self, node: int) -> Path:
        """Return the path of the exit status of the process that started a node's ranks."""
        return self.ends / f"node{node:04d}.status"


class RunFolder:
    """`runs/<id>`: the run, its attempts and its result."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run(self) -> Path:
        """The run as requested (`Run`)."""
        return self.path / "run.json"

    @property
    def result(self) -> Path:
        """The judged result (`Result`)."""
        return self.path / "result.json"

    @property
    def steps(self) -> Path:
        """The steps of the attempt that was judged."""
        return self.path / "steps.parquet"

    def attempt(self, number: int) -> AttemptFolder:
        """Return the folder of an attempt."""
        return AttemptFolder(self.path / "attempts" / str(number))

    def attempts(self) -> list[AttemptFolder]:
        """Return the attempts so far, oldest first."""
        found = (self.path / "attempts").glob("[0-9]*")
        return sorted((AttemptFolder(path) for path in found), key=lambda attempt: attempt.number)

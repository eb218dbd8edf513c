"""Where the files of a run lie. Files appear whole or not at all: written beside, then renamed."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from bench.contract.atomic import write_whole
from bench.contract.result import Heartbeat

SOURCE_FILE = "source.json"
"""Beside a data set: where it comes from (vocabulary, sequence length, entropy rate)."""


def write_document(path: Path, document: BaseModel, *, durable: bool = True) -> None:
    """Write a document as JSON for people and programs."""
    write_whole(path, document.model_dump_json(indent=2) + "\n", durable=durable)


class AttemptFolder:
    """`runs/<id>/attempts/<n>`: all that one try at a run leaves behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.measured = path / "measured.json"
        self.steps = path / "steps.parquet"
        self.heartbeat = path / "heartbeat.json"
        self.ends = path / "ends"
        self.logs = path / "logs"
        self.wandb = path / "wandb"
        self.model = path / "model"
        self.checkpoint = path / "checkpoint"

    @property
    def number(self) -> int:
        """0 for the first try."""
        return int(self.path.name)

    def create(self) -> None:
        """Make the folders below."""
        self.ends.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)

    def last_heartbeat(self) -> Heartbeat | None:
        """The newest sign of life, None where there is none that can be read."""
        try:
            return Heartbeat.model_validate_json(self.heartbeat.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def rank_end(self, rank: int) -> Path:
        """The rank's own account of its end."""
        return self.ends / f"rank{rank:05d}.json"

    def rank_log(self, rank: int) -> Path:
        """What the rank printed."""
        return self.logs / f"rank{rank:05d}.log"

    def node_log(self, node: int) -> Path:
        """What the node's agent printed."""
        return self.logs / f"node{node:04d}.log"

    def node_status(self, node: int) -> Path:
        """The exit status of what started the node's ranks."""
        return self.ends / f"node{node:04d}.status"


class RunFolder:
    """`runs/<id>`: the run asked for, its attempts and, in the end, its result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path / "run.json"
        self.result = path / "result.json"
        self.steps = path / "steps.parquet"

    def attempt(self, number: int) -> AttemptFolder:
        """The folder of one try."""
        return AttemptFolder(self.path / "attempts" / str(number))

    def attempts(self) -> list[AttemptFolder]:
        """Tries so far, the first first."""
        found = (self.path / "attempts").glob("[0-9]*")
        return sorted((AttemptFolder(path) for path in found), key=lambda attempt: attempt.number)

"""One object in place of many equal ones: the runs of a large sweep have settings and software in common."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from bench.contract.results.result import Result
from bench.contract.run import Run

Part = TypeVar("Part", bound=BaseModel)


class Shared:
    """Replaces the parts of documents that many have in common: they take most of the memory, 20 KB a run."""

    def __init__(self) -> None:
        self._parts: dict[tuple[type[BaseModel], str], BaseModel] = {}

    def run(self, run: Run) -> Run:
        """Return an equal run with shared parts."""
        parts = ("shape", "layout", "training", "wandb", "system", "limits")
        return run.model_copy(update={name: self._one(getattr(run, name)) for name in parts})

    def result(self, result: Result) -> Result:
        """Return an equal result with shared parts."""
        if result.measured is None:
            return result
        provenance = self._one(result.measured.provenance)
        return result.model_copy(update={"measured": result.measured.model_copy(update={"provenance": provenance})})

    def _one(self, part: Part) -> Part:
        found = self._parts.setdefault((type(part), part.model_dump_json()), part)
        assert isinstance(found, type(part)), "the key has the type"
        return found

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
        self._latest: dict[type[BaseModel], BaseModel] = {}
        self._keys: dict[frozenset[str], set[str]] = {}

    def run(self, run: Run) -> Run:
        """Return an equal run with shared parts."""
        parts = ("shape", "layout", "training", "wandb", "system", "limits")
        return self._with_keys(run.model_copy(update={name: self._one(getattr(run, name)) for name in parts}))

    def result(self, result: Result) -> Result:
        """Return an equal result with shared parts."""
        if result.measured is None:
            return self._with_keys(result)
        provenance = self._one(result.measured.provenance)
        measured = self._with_keys(result.measured.model_copy(update={"provenance": provenance}))
        for part in vars(measured).values():
            if isinstance(part, BaseModel):
                self._with_keys(part)
        return self._with_keys(result.model_copy(update={"measured": measured}))

    def _with_keys(self, document: Part) -> Part:
        """Let documents share what pydantic notes of each: the keys that its file had, 7 KB a run in all."""
        keys = document.model_fields_set
        object.__setattr__(document, "__pydantic_fields_set__", self._keys.setdefault(frozenset(keys), keys))
        return document

    def _one(self, part: Part) -> Part:
        latest = self._latest.get(type(part))
        if isinstance(latest, type(part)) and latest == part:  # as that of most runs is, which is soon seen
            return latest
        found = self._parts.setdefault((type(part), part.model_dump_json()), part)
        assert isinstance(found, type(part)), "the key has the type"
        self._latest[type(part)] = found
        return found

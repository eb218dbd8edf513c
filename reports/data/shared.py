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
        self._latest: dict[type[BaseModel], tuple[BaseModel, BaseModel]] = {}
        """The part of this type that came last, and what stands for it."""
        self._keys: dict[frozenset[str], set[str]] = {}

    def run(self, run: Run) -> Run:
        """Give a run that nothing else has yet shared parts, and return it."""
        own = vars(run)
        own.update(
            {name: self._one(own[name]) for name in ("shape", "layout", "training", "wandb", "system", "limits")}
        )
        return self._with_keys(run)

    def result(self, result: Result) -> Result:
        """Give a result that nothing else has yet shared parts, and return it."""
        if result.measured is not None:
            own = vars(result.measured)
            own["provenance"] = self._one(own["provenance"])
            for part in (result.measured, *own.values()):
                if isinstance(part, BaseModel):
                    self._with_keys(part)
        return self._with_keys(result)

    def _with_keys(self, document: Part) -> Part:
        """Let documents share what pydantic notes of each: the keys that its file had, 7 KB a run in all."""
        keys = document.model_fields_set
        object.__setattr__(document, "__pydantic_fields_set__", self._keys.setdefault(frozenset(keys), keys))
        return document

    def _one(self, part: Part) -> Part:
        given, found = self._latest.get(type(part), (None, None))
        # It is the same one in documents that shared it in another process, and equal to that of most runs.
        if part is not given and part != found:
            found = self._parts.setdefault((type(part), part.model_dump_json()), part)
        assert isinstance(found, type(part)), "the keys have the type"
        self._latest[type(part)] = part, found
        return found

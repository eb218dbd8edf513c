"""Nights made by hand: sweeps of a few combinations with noise, and changes that are planted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.results.result import Result
from bench.contract.storage.files import write_document
from tests.support.documents import START, SweepDocuments

COMBINATIONS = (("fsdp", 1), ("fsdp", 2), ("hsdp", 2), ("federated", 2))
NOISE = 0.01


class Nights:
    """Writes nights, each of the same combinations and a day after the one before it."""

    def __init__(self, root: Path, *, repeats: int = 5, seed: int = 1) -> None:
        self.root = root
        self.repeats = repeats
        self.random = np.random.default_rng(seed)
        self.count = 0

    def write(self, name: str = "", *, slower: Mapping[str, float] | None = None, **changes: Any) -> Path:
        """Write the next night; its folder. `slower` divides the speed of a strategy."""
        path = self.root / (name or f"night{self.count:02d}") / "nightly"
        made = SweepDocuments(path, repeats=self.repeats)
        for strategy, nodes in COMBINATIONS:
            level = 1000.0 * nodes / (slower or {}).get(strategy, 1.0)
            speeds = level * np.exp(self.random.normal(0, NOISE, self.repeats))
            made.run(strategy, nodes, speeds=list(map(float, speeds)), **changes)
        made.write()
        self._shift(made)
        self.count += 1
        return path

    def _shift(self, made: SweepDocuments) -> None:
        """Move the starts of all runs to this night: repeats are a minute apart."""
        night = START + timedelta(days=self.count)
        for place, run in enumerate(run for cell in made.cells for run in cell.runs):
            file = made.folder(run).result
            result = Result.model_validate_json(file.read_text())
            started = (night + timedelta(minutes=place)).isoformat(timespec="seconds")
            write_document(file, result.model_copy(update={"started": started}))

"""Types of the fixtures that read and plan the text of a matrix file, and data to plan with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from matrix.config.sweep import MatrixFile
from matrix.planning.plan import PlannedSweep

LoadText = Callable[[str], MatrixFile]


class PlanText(Protocol):
    """Plans the text of a matrix file on a system of so many nodes of so many ranks."""

    def __call__(self, text: str, nodes: int = 2, ranks_per_node: int = 4) -> PlannedSweep: ...


def describe_data(folder: Path) -> None:
    """Write what planning reads of a data set, without samples."""
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        features = {"input_ids": {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"}}
        (folder / split / "dataset_info.json").write_text(json.dumps({"features": features}), encoding="utf-8")
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "val"]}', encoding="utf-8")

"""The folder that `datasets.load_from_disk` reads, around Arrow files that are there already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets


def features_of(sequence_length: int) -> datasets.Features:
    """One column: `sequence_length` + 1 tokens, so that `sequence_length` of them have a successor to predict."""
    return datasets.Features({"input_ids": datasets.List(datasets.Value("int32"), length=sequence_length + 1)})


def shard_path(folder: Path, split: str, number: int, shards: int) -> Path:
    """The name that `save_to_disk` gives."""
    return folder / split / f"data-{number:05d}-of-{shards:05d}.arrow"


def complete(folder: Path, shards: dict[str, list[Path]], features: datasets.Features, fingerprint: str) -> None:
    """Write what describes the Arrow files of every split.

    The descriptions are those that `save_to_disk` writes for an empty data set, with our files put in, so that they
    are right for the version of `datasets` that is installed.
    """
    template = folder.with_name("template")
    shutil.rmtree(template, ignore_errors=True)
    empty = datasets.Dataset.from_dict({"input_ids": []}, features=features)
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        datasets.DatasetDict(dict.fromkeys(shards, empty)).save_to_disk(str(template))
    finally:
        if not bars:
            datasets.enable_progress_bars()
    for split, paths in shards.items():
        state = json.loads((template / split / "state.json").read_text(encoding="utf-8"))
        state["_data_files"] = [{"filename": path.name} for path in paths]
        state["_fingerprint"] = f"{fingerprint}-{split}"
        (folder / split / "state.json").write_text(json.dumps(state, indent=2, sort_keys=True), encoding="utf-8")
        (template / split / "dataset_info.json").replace(folder / split / "dataset_info.json")
    (template / "dataset_dict.json").replace(folder / "dataset_dict.json")
    shutil.rmtree(template)

"""The folder layout of `datasets.load_from_disk`, around existing Arrow files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets


def features_of(sequence_length: int) -> datasets.Features:
    """Return the features: one column of `sequence_length` + 1 tokens, the last of which is a label only."""
    return datasets.Features({"input_ids": datasets.List(datasets.Value("int32"), length=sequence_length + 1)})


def shard_path(folder: Path, split: str, number: int, shards: int) -> Path:
    """Return the path of an Arrow file, named as by `save_to_disk`."""
    return folder / split / f"data-{number:05d}-of-{shards:05d}.arrow"


def complete(folder: Path, shards: dict[str, list[Path]], features: datasets.Features, fingerprint: str) -> None:
    """Write the metadata of every split's Arrow files.

    The metadata is that of an empty data set written by `save_to_disk`, with our files filled in, so that it matches
    the installed version of `datasets`.
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

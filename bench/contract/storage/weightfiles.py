"""The safetensors files of a model's weights. Imports no torch, because planning looks for them too."""

from __future__ import annotations

import json
from pathlib import Path

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """Return `model.safetensors`, or the shards listed in `model.safetensors.index.json`, sorted by name.

    Raises:
        FileNotFoundError: neither exists, or a shard is missing.
        ValueError: the index does not map tensors to files.

    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise FileNotFoundError(f"{folder}: contains neither {SINGLE} nor {INDEX}: weights should be safetensors")
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index}: weight_map: should give the file of every tensor") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: {', '.join(missing)} is missing, but listed in {INDEX}")
    return [folder / name for name in names]

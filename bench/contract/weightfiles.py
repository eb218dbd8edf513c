"""Which safetensors files of a folder hold a model's weights. Imports no torch: planning looks for them too."""

from __future__ import annotations

import json
from pathlib import Path

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """`model.safetensors`, or the shards that `model.safetensors.index.json` names, in the order of their names.

    Raises:
        FileNotFoundError: neither is there, or a shard is not.
        ValueError: the index does not say in which file a tensor is.

    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise FileNotFoundError(f"{folder}: holds neither {SINGLE} nor {INDEX}: weights should be safetensors")
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index}: weight_map: should give the file of every tensor") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: {', '.join(missing)} should be there, {INDEX} names it")
    return [folder / name for name in names]

"""The safetensors files of a model's weights. Imports no torch, because planning looks for them too."""

from __future__ import annotations

import json
from pathlib import Path

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


LONGEST_HEADER = 100_000_000
"""Largest header in bytes that the safetensors library accepts."""


def read_header(file: Path) -> bytes:
    """Return the header of a safetensors file (JSON), once the file is found to be whole.

    A file starts with the length of the header (8 bytes, little-endian); the tensors follow without gaps, as their
    `data_offsets` say (github.com/huggingface/safetensors, README, "Format").

    Raises:
        ValueError: it is something else, or was cut short.

    """
    with file.open("rb") as content:
        begin = content.read(8)
        length = int.from_bytes(begin, "little")
        header = content.read(min(length, LONGEST_HEADER))
    if begin == b"version ":
        raise ValueError(f"{file}: is a Git LFS pointer: fetch the file itself with `git lfs pull`")
    try:
        described = json.loads(header)
        tensors = [value for name, value in described.items() if name != "__metadata__"]
        end = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: not a safetensors file: copy or download it again") from error
    if (size := file.stat().st_size) != end:
        raise ValueError(f"{file}: has {size:,} bytes, but its header describes {end:,}: copy or download it again")
    return header


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

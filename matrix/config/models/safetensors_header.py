"""The header of a safetensors file, by which planning tells whether the file is whole."""

from __future__ import annotations

import json
from pathlib import Path

from matrix.config import lfs

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
        length = int.from_bytes(content.read(8), "little")
        header = content.read(min(length, LONGEST_HEADER))
    try:
        described = json.loads(header)
        tensors = [value for name, value in described.items() if name != "__metadata__"]
        end = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        why = lfs.FETCH if lfs.is_pointer(file) else "not a safetensors file: copy or download it again"
        raise ValueError(f"{file}: {why}") from error
    if (size := file.stat().st_size) != end:
        raise ValueError(f"{file}: has {size:,} bytes, but its header describes {end:,}: copy or download it again")
    return header

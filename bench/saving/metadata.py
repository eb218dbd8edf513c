"""Reading a checkpoint's `.metadata`, a pickle, without running code that it names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

from bench.contract.resume import CheckpointError

_DCP = "torch.distributed.checkpoint"
_KNOWN = frozenset(
    {
        *((f"{_DCP}.metadata", name) for name in ("Metadata", "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING")),
        *((f"{_DCP}.metadata", f"{name}StorageMetadata") for name in ("Tensor", "Chunk")),
        (f"{_DCP}.metadata", "TensorProperties"),
        (f"{_DCP}.filesystem", "_StorageInfo"),
        ("torch", "Size"),
        ("torch.serialization", "_get_layout"),
        ("pathlib", "PosixPath"),
        ("pathlib._local", "PosixPath"),  # Python 3.13
    }
)
"""What torch 2.8 to 2.13 write for tensors, besides dtypes. BytesStorageMetadata is left out: torch's planner would
unpickle the bytes without restriction, and our checkpoints have none.
"""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _KNOWN or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise CheckpointError(
            f"{self._path}: refers to {f'{module}.{name}'!r}, which no checkpoint of tensors does: name a folder "
            "written by training.save_checkpoint"
        )


class TensorReader(FileSystemReader):
    """Reads a checkpoint of tensors. Its metadata are read at once, since torch's `load` hides the error of a reader.

    Raises:
        CheckpointError: the metadata name something that such a checkpoint does not contain, or are damaged.

    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._metadata = _read(folder / ".metadata")
        self._metadata.storage_meta = self._metadata.storage_meta or StorageMeta()
        self._metadata.storage_meta.load_id = self.load_id

    def read_metadata(self, *_: object, **__: object) -> Metadata:
        """Return the checkpoint's metadata."""
        return self._metadata


def _read(path: Path) -> Metadata:
    try:
        with path.open("rb") as file:
            found = _Unpickler(file, path).load()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}): name another checkpoint") from error
    if not isinstance(found, Metadata):
        raise CheckpointError(
            f"{path}: should be the metadata of a checkpoint, not {type(found).__name__}: name a folder written by "
            "training.save_checkpoint"
        )
    return found

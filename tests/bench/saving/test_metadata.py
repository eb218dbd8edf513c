"""A checkpoint is data: what its index names is not run."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata, StorageMeta
from torch.distributed.checkpoint.state_dict_saver import save

from bench.contract.resume import CheckpointError
from bench.saving.metadata import TensorReader
from tests.bench.saving.test_saving_checkpoint import Layout, half, refusal, second, trained
from tests.support.ranks import Ranks


class Calls:
    """What a pickle of it calls."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def named(module: str, name: str) -> bytes:
    """A pickle that refers to a name and does no more."""
    return pickle.PROTO + b"\x04" + b"".join(
        pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode() for text in (module, name)
    ) + pickle.STACK_GLOBAL + pickle.STOP  # fmt: skip


def refused(folder: Path, content: bytes) -> str:
    (folder / ".metadata").write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        TensorReader(folder)
    return str(error.value)


def sentence(folder: Path, name: str) -> str:
    return (
        f"{folder / '.metadata'}: refers to {name!r}, which no checkpoint of tensors does: name a folder written by "
        "training.save_checkpoint"
    )


def test_nothing_that_it_names_is_called(tmp_path: Path) -> None:
    there = tmp_path / "it-ran"
    content = pickle.dumps(Metadata({}, planner_data=Calls(os.system, f"touch {there}")))
    assert refused(tmp_path, content) == sentence(tmp_path, "posix.system")
    assert not there.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch", "serialization.load"),
        ("torch.distributed.checkpoint.metadata", "os.system"),
        ("torch.serialization", "load"),
        ("pathlib", "PosixPath.unlink"),
        ("numpy", "dtype"),
    ],
)
def test_other_names_are_refused(tmp_path: Path, module: str, name: str) -> None:
    assert refused(tmp_path, named(module, name)) == sentence(tmp_path, f"{module}.{name}")


def test_bytes_are_refused_since_torch_would_unpickle_them(tmp_path: Path) -> None:
    name = "torch.distributed.checkpoint.metadata.BytesStorageMetadata"
    assert refused(tmp_path, pickle.dumps(Metadata({"a": BytesStorageMetadata()}))) == sentence(tmp_path, name)


def test_something_else_is_refused(tmp_path: Path) -> None:
    assert ".metadata: should be the metadata of a checkpoint, not dict" in refused(tmp_path, pickle.dumps({}))
    assert refused(tmp_path, b"\x80").endswith(".metadata cannot be read (UnpicklingError): name another checkpoint")


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_tensors_of_every_type_are_read(tmp_path: Path) -> None:
    types = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool]
    tensors = {str(dtype): torch.ones(2, 3, dtype=dtype) for dtype in types} | {"scalar": torch.tensor(1.0)}
    save(tensors, checkpoint_id=tmp_path, no_dist=True)
    assert same(tmp_path)


def same(folder: Path) -> bool:
    """Whether the reader finds what torch's finds."""
    ours, theirs = TensorReader(folder).read_metadata(), FileSystemReader(folder).read_metadata()
    assert ours.storage_meta is not None
    assert ours.storage_meta.load_id is not None
    assert ours.state_dict_metadata
    return replace(ours, storage_meta=StorageMeta()) == replace(theirs, storage_meta=StorageMeta())


@pytest.mark.parametrize(("layout", "changes"), [((1, 1, 2), {"precision": "bf16"}), ((2, 1, 1), {"optimizer": "sgd"})])
def test_own_checkpoints_are_resumed_and_crafted_ones_refused_by_every_rank(
    ranks: Ranks, data: Path, tmp_path: Path, layout: Layout, changes: dict[str, Any]
) -> None:
    ranks(2, trained, half(data, layout, **changes), tmp_path)
    folder, there = tmp_path / "checkpoint", tmp_path / "it-ran"
    assert same(folder)
    run = second(data, layout, tmp_path, **changes)
    assert ranks(2, refusal, run) == ["", ""]
    (folder / ".metadata").write_bytes(pickle.dumps(Calls(os.system, f"touch {there}")))
    assert ranks(2, refusal, run) == [sentence(folder, "posix.system")] * 2
    assert not there.exists()

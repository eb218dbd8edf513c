"""Export of the trained model in Hugging Face's format, for `from_pretrained`; gathered tensor by tensor.

Weights have the type in which the training stores them: with bf16-mixed these are the fp32 masters.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from bench.contract.run import Run
from bench.contract.storage.atomic import write_whole
from bench.models.state import unwrapped

TOKENIZER = "tokenizer"
"""Folder beside a data set's splits that contains its tokenizer."""

FILE_BYTES = 4 * 10**9  # rank 0 holds one file's worth and one whole tensor in host memory


@torch.no_grad()
def write_model(
    run: Run, folder: Path, model: nn.Module, rank: int, alive: Callable[[], None], file_bytes: int = FILE_BYTES
) -> None:
    """Write configuration, weights and the data set's tokenizer, if it has one, into an empty folder.

    Collective over the world. After the last averaging all groups have the same model, so rank 0's shard group writes
    it and the other ranks return at once.

    Raises:
        OSError: a file cannot be written.

    """
    if rank >= run.layout.shard:
        return
    library = unwrapped(model)
    files = _WeightFiles(folder, file_bytes)
    for name, parameter in library.named_parameters():
        alive()
        whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
        if rank == 0:
            # The library stacks experts in memory, but stores them separately under the published names.
            for published, tensor in revert_weight_conversion(library, {name: whole.detach().cpu()}).items():
                files.add(published, tensor)
        del whole
    if rank == 0:
        files.finish()
        tokenizer = Path(run.data) / TOKENIZER
        if tokenizer.is_dir():
            shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
        _write_configuration(library, folder)


def _write_configuration(library: PreTrainedModel, folder: Path) -> None:
    config = copy.deepcopy(library.config)
    config.architectures = [type(library).__name__.removeprefix("FSDP")]  # FSDP2 creates a subclass with this prefix
    config.dtype = str(library.dtype).removeprefix("torch.")
    config.use_cache = True  # off in training only
    config.save_pretrained(folder)


class _WeightFiles:
    """Writer of safetensors files of about `limit` bytes, each written when it is full, and of their index."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._pending: dict[str, torch.Tensor] = {}
        self._pending_bytes = 0
        self._bytes = 0
        self._names: list[list[str]] = []

    def add(self, name: str, tensor: torch.Tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        if self._pending and self._pending_bytes + size > self._limit:
            self._write()
        self._pending[name] = tensor.contiguous()
        self._pending_bytes += size

    def finish(self) -> None:
        """Write the remaining tensors and the index, and rename the files, now that their number is known."""
        self._write()
        count = len(self._names)
        names = [f"model-{place:05d}-of-{count:05d}.safetensors" for place in range(1, count + 1)]
        if count == 1:
            names = ["model.safetensors"]
        for place, name in enumerate(names):
            self._part(place).rename(self._folder / name)
        if count > 1:
            weight_map = {tensor: name for name, of_file in zip(names, self._names, strict=True) for tensor in of_file}
            index = {"metadata": {"total_size": self._bytes}, "weight_map": weight_map}
            write_whole(self._folder / "model.safetensors.index.json", json.dumps(index, indent=2) + "\n")

    def _part(self, place: int) -> Path:
        return self._folder / f"{place}.part"

    def _write(self) -> None:
        path = self._part(len(self._names))
        save_file(self._pending, path, metadata={"format": "pt"})
        path.chmod(0o644)  # the library makes it readable for its owner only, unlike the other files
        with path.open("rb") as file:
            os.fsync(file.fileno())
        self._names.append(list(self._pending))
        self._bytes += self._pending_bytes
        self._pending, self._pending_bytes = {}, 0

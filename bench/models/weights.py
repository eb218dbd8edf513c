"""Parameter values from a folder of safetensors: every rank reads only its part, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from bench.contract.storage.weightfiles import weight_files
from bench.models.region import Region, inside, overlap, whole

_FLOATS = ("F64", "F32", "F16", "BF16")
_NO_PARAMETER = ".rotary_emb.inv_freq"  # a buffer in early conversions of Llama, determined by the shape
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_SHOWN = 5


@dataclass(frozen=True)
class _Stored:
    """A tensor in a file."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class _Piece:
    """A stored tensor and its region in a parameter; for stacked experts, it may be one expert's matrix."""

    name: str
    place: Region
    is_expert: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The stored tensor's shape."""
        sizes = tuple(len(indices) for indices in self.place)
        return sizes[1:] if self.is_expert else sizes


class Checkpoint:
    """The weights in a folder, as `bench.models.initialise.Values`.

    Files are memory-mapped, and only the wanted part of a tensor is read, one tensor at a time. Mixtral's experts may
    be stacked (`mlp.experts.gate_up_proj`, `down_proj`: transformers 5 in memory) or separate
    (`block_sparse_moe.experts.N.w1`, `w2`, `w3`: as published, and as written by `save_pretrained`). A tied head may be
    stored beside the embedding, with the same values.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, torch.Size]) -> None:
        """Check a folder against a model's parameters (names and shapes; a tied one by its first name).

        Raises:
            FileNotFoundError: safetensors files are missing.
            ValueError: a tensor is missing, unknown to the model, of the wrong shape or not floating-point.

        """
        self._stored = _contents(weight_files(folder))
        self._pieces = {name: list(_pieces(name, shape, self._stored)) for name, shape in parameters.items()}
        faults = list(self._faults())
        if faults:
            more = f" (and {len(faults) - _SHOWN} more)" if len(faults) > _SHOWN else ""
            raise ValueError(f"{folder}: the weights are not this model's: {'; '.join(faults[:_SHOWN])}{more}")

    def _faults(self) -> Iterator[str]:
        wanted = {piece.name: piece for pieces in self._pieces.values() for piece in pieces}
        for name, piece in wanted.items():
            stored = self._stored.get(name)
            if stored is None:
                yield f"{name} is missing"
            elif stored.shape != piece.shape:
                yield f"{name} has shape {list(stored.shape)} but should have {list(piece.shape)}"
            elif stored.dtype not in _FLOATS:
                yield f"{name} has type {stored.dtype} but should have one of {', '.join(_FLOATS)}"
        for name in self._stored:
            if name not in wanted and not name.endswith(_NO_PARAMETER) and not self._is_tied_head(name):
                yield f"{name} is not a parameter of the model"

    def _is_tied_head(self, name: str) -> bool:
        """Return True if a tensor duplicates the embedding: the model has a tied head, and the shapes agree."""
        embedding = self._stored.get(_EMBEDDING)
        is_tied = name == _HEAD and _EMBEDDING in self._pieces and _HEAD not in self._pieces
        return is_tied and embedding is not None and self._stored[name].shape == embedding.shape

    def within(self, name: str, shape: torch.Size, wanted: Region) -> Iterator[tuple[Region, torch.Tensor]]:
        """Yield tensors of the stored type on the CPU, memory-mapped until they are copied, each with its region.

        Raises:
            ValueError: the files also contain a tied head, with other values than the embedding's.

        """
        for piece in self._pieces[name]:
            part = overlap(piece.place, wanted)
            if part is None:
                continue
            index = inside(part, piece.place)
            with safe_open(self._stored[piece.name].file, framework="pt") as file:
                value = file.get_slice(piece.name)[index[1:] if piece.is_expert else index]
            if piece.name == _EMBEDDING and _HEAD in self._stored and self._is_tied_head(_HEAD):
                self._compare_head(value, index)
            yield part, value.unsqueeze(0) if piece.is_expert else value

    def _compare_head(self, embedding: torch.Tensor, index: tuple[slice, ...]) -> None:
        with safe_open(self._stored[_HEAD].file, framework="pt") as file:
            head = file.get_slice(_HEAD)[index]
        if not torch.equal(head.to(embedding.dtype), embedding):
            raise ValueError(
                f"{self._stored[_HEAD].file}: {_HEAD} differs from {_EMBEDDING}, but the model's config.json ties "
                "them: set tie_word_embeddings to false there, or give weights that agree"
            )


def _contents(files: list[Path]) -> dict[str, _Stored]:
    """Return the tensors of the files, by name.

    Raises:
        ValueError: a file is not a complete safetensors file.

    """
    stored = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    view = file.get_slice(name)
                    stored[name] = _Stored(path, tuple(view.get_shape()), view.get_dtype())
        except SafetensorError as error:
            raise ValueError(f"{path}: not a complete safetensors file: {error}") from error
    return stored


def _pieces(name: str, shape: torch.Size, stored: Mapping[str, _Stored]) -> Iterator[_Piece]:
    """Yield the stored tensors of which a parameter consists."""
    layer, _, part = name.partition(".mlp.")
    published = f"{layer}.block_sparse_moe"
    if name not in stored and f"{published}.gate.weight" in stored:
        if part.startswith("experts."):
            yield from _experts(f"{published}.experts", shape, gate_and_up=part == "experts.gate_up_proj")
            return
        name = f"{published}.{part}" if part else name
    yield _Piece(name, whole(shape))


def _experts(stem: str, shape: torch.Size, *, gate_and_up: bool) -> Iterator[_Piece]:
    """Yield each expert's matrices: w1 (gate) above w3 (up), or w2 (down) alone."""
    experts, rows, columns = shape
    halves = {"w1": range(rows // 2), "w3": range(rows // 2, rows)} if gate_and_up else {"w2": range(rows)}
    for expert in range(experts):
        for matrix, place in halves.items():
            yield _Piece(f"{stem}.{expert}.{matrix}.weight", (range(expert, expert + 1), place, range(columns)), True)

"""Boxes within a tensor: the part of a parameter on this rank, in a file, or in a block."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.distributed.tensor import DTensor, Shard

Region = tuple[range, ...]
"""A range of indices for every dimension."""


def whole(shape: Sequence[int]) -> Region:
    """Return the region of an entire tensor."""
    return tuple(range(size) for size in shape)


def overlap(left: Region, right: Region) -> Region | None:
    """Return the intersection of two regions; None if it is empty."""
    common = tuple(range(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(left, right, strict=True))
    return common if all(len(indices) for indices in common) else None


def inside(region: Region, outer: Region) -> tuple[slice, ...]:
    """Return the region as an index into a tensor that holds `outer`."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(region, outer, strict=True))


def local_part(parameter: torch.Tensor) -> tuple[Region, torch.Tensor]:
    """Return the region of a (possibly sharded) parameter on this rank, and the tensor that holds it.

    Raises:
        RuntimeError: the parameter is not sharded in equal chunks, as by FSDP2.

    """
    if not isinstance(parameter, DTensor):
        return whole(parameter.shape), parameter
    region, local, mesh = list(whole(parameter.shape)), parameter.to_local(), parameter.device_mesh
    for axis, placement in enumerate(parameter.placements):
        if isinstance(placement, Shard):
            size = parameter.shape[placement.dim]
            chunk = -(-size // mesh.size(axis))  # the last ranks have less, or nothing
            start = mesh.get_local_rank(axis) * chunk
            region[placement.dim] = range(min(start, size), min(start + chunk, size))
    if tuple(map(len, region)) != tuple(local.shape):
        raise RuntimeError(f"a shard of {parameter.placements} should be {region}, but has shape {local.shape}")
    return tuple(region), local

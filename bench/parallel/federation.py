"""Federated averaging: every rank averages its shards with the ranks of all groups that have the same shard index.

The sum is over all F x R holders of a shard, including the replicas within a group: that keeps the replicas
bit-identical, which one all-reduce per replica would not guarantee.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist

BUCKET_ELEMENTS = 16 * 1024 * 1024  # 64 MiB in fp32: large enough for bandwidth, small compared with a model


def balance(sizes: Sequence[int], bins: int) -> list[list[int]]:
    """Distribute indices over `bins` lists of nearly equal total size: largest first, always to the lightest list.

    Deterministic, so that all ranks agree. Indices within a list are in ascending order.
    """
    loads = [0] * bins
    dealt: list[list[int]] = [[] for _ in range(bins)]
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        lightest = loads.index(min(loads))
        dealt[lightest].append(index)
        loads[lightest] += sizes[index]
    return [sorted(indices) for indices in dealt]


class _Bucket:
    """Slices of parameters that are reduced in one all-reduce."""

    def __init__(self, slices: list[torch.Tensor]) -> None:
        self.slices = slices
        self.elements = sum(piece.numel() for piece in slices)

    def pack(self, buffer: torch.Tensor) -> torch.Tensor:
        packed = buffer[: self.elements]
        for piece, part in zip(self.slices, self._parts(packed), strict=True):
            part.copy_(piece)
        return packed

    def unpack(self, packed: torch.Tensor) -> None:
        for piece, part in zip(self.slices, self._parts(packed), strict=True):
            piece.copy_(part)

    def _parts(self, packed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.split(packed, [piece.numel() for piece in self.slices])


def _fill(tensors: Sequence[torch.Tensor], limit: int) -> list[_Bucket]:
    """Cut flat tensors into buckets of at most `limit` elements."""
    buckets: list[_Bucket] = []
    current: list[torch.Tensor] = []
    room = limit
    for tensor in tensors:
        rest = tensor.view(-1)
        while rest.numel():
            piece, rest = rest[:room], rest[room:]
            current.append(piece)
            room -= piece.numel()
            if room == 0:
                buckets.append(_Bucket(current))
                current, room = [], limit
    if current:
        buckets.append(_Bucket(current))
    return buckets


class FederatedAverage:
    """Averaging of the rank's parameters over the federation, in fp32 whatever their type, on several communicators.

    Communicator i reduces the i-th part of the parameters, balanced by bytes. The all-reduces of different
    communicators run concurrently (on a GPU, NCCL gives every communicator its own stream).
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        holders: Sequence[dist.ProcessGroup],
        bucket_elements: int = BUCKET_ELEMENTS,
    ) -> None:
        self.parameters = list(parameters)
        self._holders = list(holders)
        sizes = [tensor.numel() * tensor.element_size() for tensor in parameters]
        self._lanes = [
            _fill([parameters[index] for index in indices], bucket_elements)
            for indices in balance(sizes, len(self._holders))
        ]
        device = parameters[0].device
        self._buffers = [
            torch.empty(max((bucket.elements for bucket in lane), default=0), dtype=torch.float32, device=device)
            for lane in self._lanes
        ]

        for buffer, group in zip(self._buffers, self._holders, strict=True):
            # The first collective of a communicator connects it: do that now, not inside a timed step.
            dist.all_reduce(torch.zeros(1, device=device), group=group)
            buffer.zero_()

    @property
    def buffer_bytes(self) -> int:
        """Memory of the averaging's buffers, in bytes."""
        return sum(buffer.numel() * buffer.element_size() for buffer in self._buffers)

    @torch.no_grad()
    def __call__(self) -> None:
        """Replace every parameter by its mean over all holders. Collective over the ranks of the federation."""
        for turn in range(max(map(len, self._lanes))):
            under_way = [self._launch(lane, turn) for lane in range(len(self._lanes)) if turn < len(self._lanes[lane])]
            for bucket, packed, work, members in under_way:
                work.wait()
                bucket.unpack(packed.div_(members))

    def _launch(self, lane: int, turn: int) -> tuple[_Bucket, torch.Tensor, dist.Work, int]:
        bucket, group = self._lanes[lane][turn], self._holders[lane]
        packed = bucket.pack(self._buffers[lane])
        work = dist.all_reduce(packed, op=dist.ReduceOp.SUM, group=group, async_op=True)
        if work is None:
            raise RuntimeError("this rank is not a member of its own federation")
        return bucket, packed, work, group.size()

"""Strategies as three numbers: federation F, replicate R, shard S, with F x R x S = world size.

Resolves a strategy's name and settings to these numbers, or gives the reason why that is impossible.
Imports no torch, so that planning a sweep on a login node takes milliseconds.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, WithJsonSchema, model_validator

StrategyName = Literal["fsdp", "hsdp", "federated", "federated-hsdp", "ddp"]

_NODES = re.compile(r"(?:(\d+) nodes?|node)")
_NODES_IN_SCHEMA = {"type": "string", "pattern": r"^(?:0*[1-9][0-9]* nodes?|node)$"}


class ImpossibleError(ValueError):
    """A combination cannot exist; the message is the reason."""


def _check_size(value: object) -> object:
    if isinstance(value, str):
        match = _NODES.fullmatch(value)
        if not match or match[1] == "0":
            raise ValueError(f"{value!r} is not a group size: write a number of ranks, 'node' or e.g. '2 nodes'")
    return value


GroupSize = Annotated[PositiveInt | Annotated[str, WithJsonSchema(_NODES_IN_SCHEMA)], BeforeValidator(_check_size)]
"""A number of ranks, or of whole nodes (`node`, `2 nodes`), so that one file works for every node count."""


class Layout(BaseModel):
    """Division of the world into `federation` groups of `replicate` x `shard` ranks each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    federation: PositiveInt
    replicate: PositiveInt
    shard: PositiveInt

    @property
    def world(self) -> int:
        """World size: the number of ranks."""
        return self.federation * self.replicate * self.shard

    @property
    def group(self) -> int:
        """Ranks of one federated group; the world size without federation."""
        return self.replicate * self.shard

    def coordinates(self, rank: int) -> tuple[int, int, int]:
        """Return a rank's (federation, replicate, shard) index; shard varies fastest: shard groups are consecutive."""
        return rank // self.group, rank % self.group // self.shard, rank % self.shard

    def __str__(self) -> str:
        return f"F={self.federation} R={self.replicate} S={self.shard}"


class StrategySettings(BaseModel):
    """Settings of a strategy: group sizes and the interval of federated averaging."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: GroupSize | None = Field(None, description="ranks over which one copy of the model is sharded")
    group: GroupSize | None = Field(None, description="size of one federated group (or give `groups`)")
    groups: PositiveInt | None = Field(None, description="number of federated groups (or give `group`)")
    every: PositiveInt | None = Field(None, description="optimizer steps between two federated averagings")

    @model_validator(mode="after")
    def _one_way_to_size(self) -> Self:
        if self.group is not None and self.groups is not None:
            raise ValueError("'group' (a size) and 'groups' (a number) set the same thing: give one of them")
        return self


USED_SETTINGS: dict[str, frozenset[str]] = {
    "fsdp": frozenset(),
    "ddp": frozenset(),
    "hsdp": frozenset({"shard"}),
    "federated": frozenset({"group", "groups", "every"}),
    "federated-hsdp": frozenset({"group", "groups", "shard", "every"}),
}


def _in_ranks(size: int | str, ranks_per_node: int) -> int:
    if isinstance(size, int):
        return size
    match = _NODES.fullmatch(size)
    if match is None:
        raise ImpossibleError(f"{size!r} is not a group size")
    return int(match[1] or 1) * ranks_per_node


def _required(settings: StrategySettings, name: str, key: str) -> int | str:
    value: int | str | None = getattr(settings, key)
    if value is None:
        raise ImpossibleError(f"{name} needs '{key}' in its settings")
    return value


def _divide(whole: int, part: int, whole_is: str, part_is: str) -> int:
    if part > whole:
        raise ImpossibleError(f"{part_is} of {part} ranks is larger than {whole_is} of {whole}")
    if whole % part:
        raise ImpossibleError(
            f"{whole_is} of {whole} ranks does not divide into {part_is.removeprefix('a ')}s of {part}"
        )
    return whole // part


def _group_size(settings: StrategySettings, name: str, world: int, ranks_per_node: int) -> int:
    if settings.groups is not None:
        if world % settings.groups:
            raise ImpossibleError(
                f"{world} ranks do not divide into {settings.groups} equal groups (unequal groups are not supported)"
            )
        return world // settings.groups
    if settings.group is None:
        raise ImpossibleError(f"{name} needs 'group' (a size) or 'groups' (a number) in its settings")
    size = _in_ranks(settings.group, ranks_per_node)
    _divide(world, size, "a world", "a federated group")
    return size


def resolve(name: StrategyName, settings: StrategySettings, nodes: int, ranks_per_node: int) -> Layout:
    """Return the layout of a strategy on `nodes` x `ranks_per_node` ranks.

    Raises:
        ImpossibleError: a size does not divide, or is missing.

    """
    world = nodes * ranks_per_node
    if name == "fsdp":
        return Layout(federation=1, replicate=1, shard=world)
    if name == "ddp":
        return Layout(federation=1, replicate=world, shard=1)
    if name == "hsdp":
        shard = _in_ranks(_required(settings, name, "shard"), ranks_per_node)
        replicate = _divide(world, shard, "a world", "a shard group")
        return Layout(federation=1, replicate=replicate, shard=shard)
    _required(settings, name, "every")
    group = _group_size(settings, name, world, ranks_per_node)
    if name == "federated":
        return Layout(federation=world // group, replicate=1, shard=group)
    shard = _in_ranks(_required(settings, name, "shard"), ranks_per_node)
    replicate = _divide(group, shard, "a federated group", "a shard group")
    return Layout(federation=world // group, replicate=replicate, shard=shard)


def canonical_name(layout: Layout) -> StrategyName:
    """Return the simplest strategy with this layout: hsdp with one replica is fsdp, as is federated with one group."""
    if layout.federation > 1:
        return "federated" if layout.replicate == 1 else "federated-hsdp"
    if layout.replicate == 1:
        return "fsdp"
    return "ddp" if layout.shard == 1 else "hsdp"

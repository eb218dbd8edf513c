"""Findings about the xFFL library, derived from observations of a probe. Imports neither torch nor xFFL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.contract.base import Document
from bench.contract.run import Library

UNKNOWN: Literal["unknown"] = "unknown"


class Findings(Document):
    """Facts of `bench.contract.run.Library` by name, each with its evidence."""

    facts: dict[str, str]
    evidence: dict[str, str]
    seconds: float


class Probe(Document):
    """Findings with the environment that they hold for; stored in a cache, which another `version` invalidates."""

    version: Literal[1] = 1
    library: Library
    evidence: dict[str, str]
    torch: str | None
    device: Literal["cpu", "cuda"]
    command: str | None
    seconds: float


@dataclass(frozen=True)
class Seen:
    """Observations of one rank in a training with one federated averaging and no learning.

    Attributes:
        group: federated group of the rank; all parameters of group g were 1 + g before.
        low: smallest value of its parameters after the training.
        high: largest value.
        samples: indices of the samples from its data loader.
        communicators: process groups between federated groups used in a reduction, one entry per call.

    """

    group: int
    low: float
    high: float
    samples: list[int] = field(default_factory=list)
    communicators: list[str] = field(default_factory=list)


Fact = tuple[str, str]
"""A fact and its evidence."""


def averaging(seen: Sequence[Seen]) -> Fact:
    """Return what an averaging leaves in groups of equal size: mean, sum, nothing or unknown."""
    values = _values(seen)
    before = [1.0 + group for group in values]
    outcomes = {
        "mean": [sum(before) / len(before)] * len(before),
        "sum": [sum(before)] * len(before),
        "nothing": before,
    }
    held = [group[0] if len(group) == 1 else None for group in values.values()]
    fact = next((name for name, expected in outcomes.items() if held == expected), UNKNOWN)
    return fact, _account(values, f"mean {outcomes['mean'][0]:g}, sum {outcomes['sum'][0]:g}")


def unequal_groups(seen: Sequence[Seen]) -> Fact:
    """Return what an averaging leaves in groups of unequal size: a mean over groups or ranks, or something wrong."""
    values = _values(seen)
    of_groups = sum(1.0 + group for group in values) / len(values)
    of_ranks = sum(1.0 + rank.group for rank in seen) / len(seen)
    means = {round(of_groups, 4), round(of_ranks, 4)}
    held = {value for group in values.values() for value in group}
    is_mean = len(held) == 1 and held <= means
    return "mean" if is_mean else "wrong", _account(values, f"mean {of_groups:g}, by ranks {of_ranks:.4g}")


def group_data(seen: Sequence[Seen]) -> Fact:
    """Return whether federated groups read different samples."""
    read: dict[int, set[int]] = {}
    for rank in seen:
        read.setdefault(rank.group, set()).update(rank.samples)
    said = "; ".join(f"group {group} read samples {_numbers(samples)}" for group, samples in sorted(read.items()))
    sets = list(read.values())
    if not all(sets):
        return UNKNOWN, said
    if all(samples == sets[0] for samples in sets):
        return "same", said
    shared = set.intersection(*sets)
    return UNKNOWN if shared else "different", said


def streams(one: Sequence[Seen], four: Sequence[Seen]) -> Fact:
    """Return whether four streams use more communicators than one."""
    with_one, with_four = _communicators(one), _communicators(four)
    said = f"with cuda_streams 1 a rank averaged over {with_one} process group(s), with cuda_streams 4 over {with_four}"
    if not with_one or not with_four:
        return UNKNOWN, said
    return "used" if with_four > with_one else "inert", said


def _values(seen: Sequence[Seen]) -> dict[int, list[float]]:
    """Return the distinct parameter values of each group."""
    held: dict[int, set[float]] = {}
    for rank in seen:
        held.setdefault(rank.group, set()).update({round(rank.low, 4), round(rank.high, 4)})
    return {group: sorted(values) for group, values in sorted(held.items())}


def _account(values: dict[int, list[float]], expected: str) -> str:
    said = ", ".join(
        f"the group that began with {1 + group:g} held {' and '.join(f'{value:g}' for value in held)}"
        for group, held in values.items()
    )
    return f"after one averaging {said} ({expected})"


def _communicators(seen: Sequence[Seen]) -> int:
    return max((len(set(rank.communicators)) for rank in seen), default=0)


def _numbers(samples: set[int]) -> str:
    ordered = sorted(samples)
    is_range = len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1))
    return f"{ordered[0]} to {ordered[-1]}" if is_range else ", ".join(map(str, ordered))

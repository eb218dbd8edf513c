"""Simulated sweeps with known truth: two cells of `repeats` runs, whose true ratio is `TRUTH`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from reports.stats.comparison import Sample

TRUTH = 1.25
NOISE = 0.02
"""Standard deviation of a run's logarithm, if nothing else is said."""

Sides = tuple[list[Sample], list[Sample]]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class World:
    """What disturbs runs.

    Attributes:
        noise: standard deviation of each run's logarithm.
        drift: of each step of a random walk that both runs of a pair share.
        trend: by how much the last repeat is slower than the first.
        allocations: for each side, one after the other in turns; 0 if all runs share a session.
        shared: whether both sides ran in the same allocations.
        effect: standard deviation of an allocation's logarithm.
        failures: probability that a run has no figure.

    """

    noise: float = NOISE
    drift: float = 0.0
    trend: float = 0.0
    allocations: int = 0
    shared: bool = False
    effect: float = 0.0
    failures: float = 0.0

    def draw(self, random: np.random.Generator, repeats: int, simulations: int) -> Iterator[tuple[Sides, float]]:
        """Yield the figures of numerator and denominator, one sweep after the other.

        With them comes the numerator's level: its true geometric mean under the drift and the trend of that sweep.
        """
        shape = (simulations, 2, repeats)
        steps = random.normal(0, self.drift, (simulations, 1, repeats)).cumsum(axis=2)
        slope = self.trend * np.arange(repeats) / max(1, repeats - 1)
        levels = (TRUTH * np.exp((steps - slope).mean(axis=(1, 2)))).tolist()
        logs = random.normal(0, self.noise, shape) + steps - slope + np.array([[math.log(TRUTH)], [0.0]])
        place = np.arange(repeats) % max(1, self.allocations)
        if self.allocations:
            effects = random.normal(0, self.effect, (simulations, 1 if self.shared else 2, self.allocations))
            logs += effects[:, :, place]
        values = np.exp(logs).tolist()
        ended = (random.random(shape) >= self.failures).tolist()
        names = [self._session(side, int(each)) for side in "ab" for each in place]
        for of_sweep, of_ends, level in zip(values, ended, levels, strict=True):
            first, second = (
                [
                    Sample(of_sweep[side][repeat], names[side * repeats + repeat], repeat)
                    for repeat in range(repeats)
                    if of_ends[side][repeat]
                ]
                for side in (0, 1)
            )
            yield (first, second), level

    def _session(self, side: str, allocation: int) -> str:
        if not self.allocations:
            return "shared"
        return f"{'' if self.shared else side}{allocation}"


WORLDS: dict[str, World] = {
    "drift shared within a session": World(drift=0.05),
    "a trend of 5 %": World(trend=0.05),
    "failures of 25 %": World(failures=0.25),
    "log-normal noise of 30 %": World(noise=0.3),
    **{
        f"{count} allocations that differ by {effect:.0%}": World(allocations=count, effect=effect)
        for count in (1, 3, 10)
        for effect in (0.01, 0.05)
    },
    **{
        f"{count} shared allocations that differ by 5%": World(allocations=count, shared=True, effect=0.05)
        for count in (1, 3, 10)
    },
}

Interval = Callable[[Sides], "Bounds | None"]


def coverage(
    world: World, interval: Interval, *, repeats: int, simulations: int, of_level: bool = False
) -> tuple[float, int]:
    """Return the share of printed intervals that hold the truth (or the sweep's level), and how many were printed."""
    random = np.random.default_rng(1)
    held = printed = 0
    for sides, level in world.draw(random, repeats, simulations):
        found = interval(sides)
        if found is not None:
            printed += 1
            held += found[0] <= (level if of_level else TRUTH) <= found[1]
    return held / printed if printed else math.nan, printed

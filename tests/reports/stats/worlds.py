"""Simulated sweeps with known truth: two cells of `repeats` runs, whose true ratio is `TRUTH`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reports.stats.comparison import Sample

TRUTH = 1.25
NOISE = 0.02
"""Standard deviation of a run's logarithm, if nothing else is said."""

Sides = tuple[list[Sample], list[Sample]]


@dataclass(frozen=True)
class World:
    """What disturbs runs.

    Attributes:
        noise: standard deviation of each run's logarithm.
        drift: of each step of a random walk that both runs of a pair share.
        trend: by how much the last repeat is slower than the first.
        allocations: for each side, if the sides do not share sessions; 0 if they do.
        effect: standard deviation of an allocation's logarithm.
        failures: probability that a run has no figure.

    """

    noise: float = NOISE
    drift: float = 0.0
    trend: float = 0.0
    allocations: int = 0
    effect: float = 0.0
    failures: float = 0.0

    def draw(self, random: np.random.Generator, repeats: int) -> Sides:
        """Return the figures of numerator and denominator."""
        walk = np.cumsum(random.normal(0, self.drift, repeats)) - self.trend * np.arange(repeats) / max(1, repeats - 1)
        sides = []
        for side, centre in (("a", math.log(TRUTH)), ("b", 0.0)):
            effects = random.normal(0, self.effect, max(1, self.allocations))
            samples = []
            for repeat in range(repeats):
                allocation = repeat % self.allocations if self.allocations else 0
                value = centre + walk[repeat] + effects[allocation] * bool(self.allocations)
                value += random.normal(0, self.noise)
                session = f"{side}{allocation}" if self.allocations else "shared"
                if random.random() >= self.failures:
                    samples.append(Sample(math.exp(value), session, repeat))
            sides.append(samples)
        return sides[0], sides[1]


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
}

Interval = Callable[[Sides], "tuple[float, float] | None"]


def coverage(world: World, interval: Interval, *, repeats: int, simulations: int, seed: int = 1) -> tuple[float, int]:
    """Return the share of printed intervals that hold the truth, and how many were printed."""
    random = np.random.default_rng(seed)
    held = printed = 0
    for _ in range(simulations):
        found = interval(world.draw(random, repeats))
        if found is not None:
            printed += 1
            held += found[0] <= TRUTH <= found[1]
    return held / printed if printed else math.nan, printed

"""The metrics that are compared between nights."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What varies independently of each other between two nights."""

    SESSIONS = "sessions"
    """Means over an allocation's runs: what the machine has a part in. With fewer than 3 allocations, runs."""
    RUNS = "runs"
    SEEDS = "seeds"
    """Pairs of the same repeat: they start from the same weights and read the same samples."""


@dataclass(frozen=True)
class NightMetric:
    """A metric that is compared between nights, always as a ratio."""

    key: str
    """Its column in the frame, and its name in documents."""
    title: str
    higher_is_better: bool
    unit: Unit
    tolerance: float
    """Relative change that does not matter, unless an option says otherwise."""


METRICS: tuple[NightMetric, ...] = (
    NightMetric("tokens_per_s", "tokens/s", True, Unit.SESSIONS, 0.02),
    NightMetric("peak_memory_gib", "peak memory", False, Unit.RUNS, 0.02),
    NightMetric("loss_validation", "validation loss", False, Unit.SEEDS, 0.005),
    NightMetric("gpu_j_per_token", "GPU energy per token", False, Unit.SESSIONS, 0.02),
    NightMetric("processor_j_per_token", "processor energy per token", False, Unit.SESSIONS, 0.02),
)
"""Energy is compared where it was counted. A loss that the same seeds give differs by rounding only, if nothing changed
that matters, so less of it is tolerated."""
METRIC_BY_KEY = {metric.key: metric for metric in METRICS}

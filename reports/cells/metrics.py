"""The metrics of a scaling table: the frame's column, what it is compared with, and its number format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from reports.data.columns.units import unit
from reports.stats.intervals import Estimate

Direction = Literal["higher", "lower"]
Against = Literal["reference", "own smallest", "same nodes"]
"""The denominator of a ratio (the subtrahend of a difference): the sweep's one reference, the row's own smallest node
count that completed, or the reference's row on the same nodes."""


LEAST_LOSS = 5e-5
"""Nats/token. Smaller differences are shown as 0.0000; the order of sums makes some, the same in every repeat."""


@dataclass(frozen=True)
class Style:
    """The number format of a value and its spread: the same for both, so that a reader can compare them."""

    factor: float
    decimals: int
    unit: str = ""
    sign: Literal["-", "+"] = "-"
    """Which values have a sign: negative ones (`-`) or all (`+`), but never one that is shown as 0."""

    def number(self, value: float) -> str:
        """Return the value without its unit."""
        shown = f"{value * self.factor:{self.sign},.{self.decimals}f}"
        return shown.lstrip("+-") if float(shown.replace(",", "")) == 0 else shown


StyleFor = Callable[[float], Style]
"""Chooses the style by the magnitude of a value."""


def _significant(value: float, digits: int) -> int:
    """Return the decimals that show at least `digits` significant digits of a value."""
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 0


def _rate(value: float) -> Style:
    return Style(1, _significant(value, 3))


def _percent(value: float) -> Style:
    return Style(100, max(1, _significant(100 * value, 2)), " %")


def _in_units(value: float, unit: str, smaller: int, small_unit: str) -> Style:
    """Return the style of a value in a unit, or below 1 in one that is `smaller` times smaller."""
    if value >= 1:
        return Style(1, _significant(value, 3), unit)
    return Style(smaller, _significant(smaller * value, 3), small_unit)


def _memory(value: float) -> Style:
    return _in_units(value, " GiB", 1024, " MiB")


def _times(_: float) -> Style:
    return Style(1, 2)


def _ratio(_: float) -> Style:
    return Style(1, 3)


def seconds(value: float) -> Style:
    """Return the style of a time."""
    return _in_units(value, " s", 1000, " ms")


def _loss(_: float) -> Style:
    return Style(1, 4)


def _loss_difference(_: float) -> Style:
    return Style(1, 4, sign="+")


def _count(_: float) -> Style:
    return Style(1, 0)


@dataclass(frozen=True)
class Metric:
    """One metric of a scaling table."""

    key: str
    """Its name in tables.csv."""
    title: str
    """Its displayed name; `{reference}` becomes the reference's strategy and nodes, `{row}` its row's label."""
    column: str
    """The frame's column that it is computed from."""
    style: StyleFor
    better: Direction | None = field(kw_only=True)
    """Which way it is better; None for what is neither a gain nor a cost."""
    meaning: str = "mean over repeats"
    """Markdown for docs/reference/metrics.md, which is generated from it."""
    against: Against | None = None
    compared: Literal["ratio", "difference"] = "ratio"
    """How it relates to what it is compared with."""
    of_machine: bool = False
    """True for a speed, a time or an energy, in which the machine has a part. These are positive, and noise multiplies
    them: their mean is geometric, with the interval of the logarithms."""
    at_tokens: bool = False
    """True for a loss: read beside others only at the same number of trained tokens."""
    to_target: bool = False
    """True for what it takes to reach the target loss: no figure for a cell with a run that did not."""
    headline: bool = False
    """True if the terminal shows it too."""
    optional: bool = False
    """True if a table omits it where no run measured it (utilisation of a device with an unknown peak)."""
    absent: str = "not measured"
    """Text of a cell whose runs completed without it."""
    unlike: str | None = None
    """Column from which it must differ in some cell, or an optional metric is omitted."""

    @property
    def unit(self) -> str:
        """Unit of its raw values, "1" for a ratio or a count."""
        return "1" if self.against is not None and self.compared == "ratio" else unit(self.column)

    def text(self, estimate: Estimate) -> str:
        """Return the value with its spread: an interval from 3 repeats on, else the range, nothing if all agree."""
        style = self.style(estimate.value)
        value, unit = style.number(estimate.value), style.unit
        if math.isclose(estimate.low, estimate.high, rel_tol=1e-12):
            return value + unit
        low, high = style.number(estimate.low), style.number(estimate.high)
        if not estimate.is_interval:
            return f"{value}{unit} ({low} .. {high})"
        if self.of_machine or self.against is not None:
            return f"{value}{unit} [{low}, {high}]"
        return f"{value} ± {style.number((estimate.high - estimate.low) / 2)}{unit}"


_GEOMETRIC = "geometric mean over repeats"


def _energy(column: str, title: str) -> Metric:
    meaning = f"{_GEOMETRIC}; left out where no run counted it, which the caption says"
    return Metric(
        column, title, column, _rate, meaning, of_machine=True, optional=True, absent="not counted", better="lower"
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        "tokens_per_s", "tokens/s", "tokens_per_s", _rate, _GEOMETRIC, of_machine=True, headline=True, better="higher"
    ),
    Metric(
        "tokens_per_s_per_device",
        "tokens/s per device",
        "tokens_per_s_per_device",
        _rate,
        _GEOMETRIC,
        of_machine=True,
        better="higher",
    ),
    Metric(
        "speed_up",
        "speed-up over {reference}",
        "tokens_per_s",
        _times,
        against="reference",
        meaning="tokens/s over that of the sweep's one declared reference",
        better="higher",
    ),
    Metric(
        "efficiency",
        "efficiency vs {reference}",
        "tokens_per_s_per_device",
        _percent,
        against="reference",
        headline=True,
        meaning="tokens/s per device over that of the reference, which is the same for all rows",
        better="higher",
    ),
    Metric(
        "efficiency_own",
        "efficiency vs own smallest",
        "tokens_per_s_per_device",
        _percent,
        against="own smallest",
        meaning="tokens/s per device over that of the row's own smallest node count that completed. Each row "
        "is compared with itself, so the slowest strategy may look best",
        better="higher",
    ),
    Metric(
        "ratio",
        "tokens/s over {row}'s",
        "tokens_per_s",
        _ratio,
        against="same nodes",
        headline=True,
        meaning="tokens/s over that of the reference's row on the same nodes",
        better="higher",
    ),
    Metric(
        "target_s",
        "time to the target loss",
        "target_s",
        seconds,
        of_machine=True,
        to_target=True,
        optional=True,
        meaning=f"{_GEOMETRIC}; left out without a target, `not reached` if some repeat does not reach it",
        better="lower",
    ),
    Metric(
        "target_ratio",
        "time to the target loss over {row}'s",
        "target_s",
        _ratio,
        against="same nodes",
        to_target=True,
        optional=True,
        meaning="time to the target loss over that of the reference's row on the same nodes",
        better="lower",
    ),
    Metric(
        "target_tokens",
        "tokens to the target loss",
        "target_tokens",
        _count,
        to_target=True,
        optional=True,
        better="lower",
    ),
    Metric(
        "target_node_hours",
        "node-hours to the target loss",
        "target_node_hours",
        _rate,
        _GEOMETRIC,
        of_machine=True,
        to_target=True,
        optional=True,
        better="lower",
    ),
    Metric(
        "largest_batch_size",
        "largest micro-batch (sequences per rank)",
        "largest_batch_size",
        _count,
        headline=True,
        optional=True,
        meaning="the largest that fits in memory, the same in all repeats; left out where batch sizes are given",
        better="higher",
    ),
    Metric("peak_memory_gib", "peak memory, worst rank", "peak_memory_gib", _memory, headline=True, better="lower"),
    Metric("state_gib", "counted state, one rank", "state_gib", _memory, better="lower"),
    Metric(
        "mfu",
        "MFU, full attention",
        "mfu",
        _percent,
        of_machine=True,
        optional=True,
        meaning=f"{_GEOMETRIC}; left out where no device's peak is known",
        better="higher",
    ),
    Metric(
        "mfu_causal",
        "MFU, causal attention",
        "mfu_causal",
        _percent,
        of_machine=True,
        optional=True,
        meaning=f"{_GEOMETRIC}; left out where no device's peak is known",
        better="higher",
    ),
    Metric(
        "hfu",
        "HFU, full attention",
        "hfu",
        _percent,
        of_machine=True,
        optional=True,
        unlike="mfu",
        meaning=f"{_GEOMETRIC}; left out where no device's peak is known, and where it is the MFU in every cell: no "
        "activations are recomputed",
        better="higher",
    ),
    Metric(
        "aggregation_wait_s",
        "wait at an averaging, first rank",
        "aggregation_wait_s_median",
        seconds,
        of_machine=True,
        optional=True,
        meaning=f"{_GEOMETRIC} of the median over averagings; left out where no averaging was timed",
        better="lower",
    ),
    Metric(
        "aggregation_transfer_s",
        "transfer of an averaging",
        "aggregation_transfer_s_median",
        seconds,
        of_machine=True,
        optional=True,
        meaning=f"{_GEOMETRIC} of the median over averagings; left out where no averaging was timed",
        better="lower",
    ),
    _energy("gpu_j_per_token", "GPU energy (J/token)"),
    _energy("gpu_kwh_per_billion_tokens", "GPU energy (kWh per 10^9 tokens)"),
    _energy("gpu_energy_kwh", "GPU energy of a run's window (kWh)"),
    _energy("processor_j_per_token", "processor energy (J/token)"),
    _energy("processor_energy_kwh", "processor energy of a run's window (kWh)"),
    Metric(
        "matmul_fraction",
        "share of matmul speed",
        "matmul_fraction",
        _percent,
        _GEOMETRIC,
        of_machine=True,
        better="higher",
    ),
    Metric("trained_tokens", "trained tokens", "trained_tokens", _count, better=None),
    Metric("loss_final", "final training loss (nats/token)", "loss_final", _loss, at_tokens=True, better="lower"),
    Metric(
        "loss_validation",
        "validation loss (nats/token)",
        "loss_validation",
        _loss,
        at_tokens=True,
        headline=True,
        better="lower",
    ),
    Metric(
        "loss_difference",
        "validation loss minus {row}'s",
        "loss_validation",
        _loss_difference,
        against="same nodes",
        compared="difference",
        at_tokens=True,
        headline=True,
        meaning="validation loss minus that of the reference's row on the same nodes: mean over pairs of one seed "
        "(the same repeat), whatever their sessions",
        better="lower",
    ),
)

BY_KEY = {metric.key: metric for metric in METRICS}

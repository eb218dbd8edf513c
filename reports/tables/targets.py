"""Time and tokens until a loss is reached: what decides between strategies that differ in speed and in loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contract.storage.files import RunFolder
from reports.data.curves import first_block_at, read_curve
from reports.data.words import counted
from reports.stats.comparison import Sample, ratio
from reports.tables.grid import CellRuns
from reports.tables.metrics import METRICS

_RATIO = next(metric for metric in METRICS if metric.key == "ratio")
_LOSS = "loss_final"


@dataclass(frozen=True)
class _Arrivals:
    """When the runs of a row reached the loss; those that did not are missing from both lists."""

    label: str
    seconds: list[Sample]
    tokens: list[float]
    runs: int
    at_once: bool
    """True if every run was there in its first block."""

    @property
    def all_reached(self) -> bool:
        return len(self.seconds) == self.runs > 0

    @property
    def mean_seconds(self) -> float:
        return sum(sample.value for sample in self.seconds) / len(self.seconds)

    @property
    def mean_tokens(self) -> float:
        return sum(self.tokens) / len(self.tokens)


def time_to_loss(rows: Sequence[tuple[str, CellRuns]], nodes: int, sweep: Path) -> str | None:
    """Return a sentence on which row first reaches the final loss of the first one, the reference.

    The loss is the highest final training loss (mean over the last block) of the reference's repeats, so all of them
    reach it. A run is there at the end of the first block whose mean loss is at most that; the time counts from the
    start of the first step. None if there is nothing to tell: fewer than two rows, runs whose steps cannot be read, or
    a loss that all rows have from their first block on.
    """
    (reference, base), *_ = rows
    losses = base.figures(_LOSS)
    if len(rows) < 2 or not losses:
        return None
    target = max(losses.values())
    try:
        found = [_arrivals(label, cell, target, sweep) for label, cell in rows]
    except (OSError, ValueError, KeyError):  # results of older versions may be without; damage is named on loading
        return None
    if all(each.at_once for each in found):
        return None
    there = sorted((each for each in found if each.all_reached), key=lambda each: each.mean_seconds)
    parts = [f"the training loss of {target:.4f} nats/token, which every repeat of {reference} reaches"]
    if there:
        first = there[0]
        parts.append(
            f"soonest by {first.label}, after {first.mean_seconds:,.3g} s, {first.mean_tokens:,.3g} tokens and "
            f"{nodes * first.mean_seconds / 3600:.3g} node-hours"
        )
    times = [text for each in there if each.label != reference and (text := _over(each, found[0]))]
    parts += [f"time over {reference}'s: {', '.join(times)}"] if times else []
    missing = [
        f"{each.label} (in {each.runs - len(each.seconds)} of {counted(each.runs, 'repeat')})"
        for each in found
        if not each.all_reached
    ]
    parts += [f"not reached by {', '.join(missing)}"] if missing else []
    return "; ".join(parts)


def _over(each: _Arrivals, reference: _Arrivals) -> str | None:
    made = ratio(each.seconds, reference.seconds)
    return None if made is None else f"{each.label} {_RATIO.text(made.estimate)}"


def _arrivals(label: str, cell: CellRuns, target: float, sweep: Path) -> _Arrivals:
    samples = {sample.repeat: sample for sample in cell.samples(_LOSS)}
    seconds: list[Sample] = []
    tokens: list[float] = []
    at_once = True
    for record in cell.completed:
        steps, block = RunFolder(sweep / "runs" / str(record["run"])).steps, int(record["block"])
        curve = read_curve(steps, int(record["federation"]))
        step = first_block_at(curve, block, target)
        at_once = at_once and step is not None and step < 2 * block
        if step is not None:
            seconds.append(replace(samples[int(record["repeat"])], value=float(curve.seconds[step])))
            tokens.append(float(curve.tokens[step]))
    return _Arrivals(label, seconds, tokens, len(cell.completed), at_once)

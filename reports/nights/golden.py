"""Golden values: figures that were accepted, with tolerances, in a YAML file that people may edit.

As in ReFrame (reference values with lower and upper thresholds), each metric of each combination has its own
tolerances, of which null tolerates anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, ValidationError, model_validator

from bench.contract.base import AxisValue, Document
from bench.contract.storage.atomic import write_whole
from reports.data.faults import ReportError
from reports.nights.combinations import Combination, Night, by_axes
from reports.nights.comparing import Side, compared, document
from reports.nights.conditions import Conditions, differing
from reports.nights.document import CompareDocument, Labels, NightFigure
from reports.nights.night_metrics import METRIC_BY_KEY, METRICS, Unit
from reports.nights.ratios import Values

_NEAR = 1e-6
"""Relative difference of a value and the mean of its runs' values that is rounding."""
HEAD = """\
# Golden values of xffl-bench: `xffl-bench compare SWEEP --against THIS_FILE` compares a sweep with them, and
# `--accept THIS_FILE` replaces them by the sweep's. `lower` and `upper` are the smallest and the largest relative
# change that is tolerated (null: any); --accept keeps them. A `value` without `values` is exact.
"""


class GoldenValue(Document):
    """An accepted figure of one metric."""

    value: PositiveFloat
    lower: float | None = Field(None, le=0)
    upper: NonNegativeFloat | None = None
    unit: Unit = Unit.RUNS
    values: dict[NonNegativeInt, PositiveFloat] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.values and abs(self.as_values().mean / self.value - 1) > _NEAR:
            raise ValueError(
                "value is not the geometric mean of values: remove values and unit, so that value alone counts"
            )
        return self

    def as_values(self) -> Values:
        """Return what a night is compared with."""
        return Values(self.values, self.unit) if self.values else Values({}, self.unit, self.value)


class GoldenCombination(Document):
    """The accepted figures of a combination, and what they were measured under, beyond what all have in common."""

    labels: dict[str, AxisValue]
    metrics: dict[str, GoldenValue]
    conditions: Conditions = Field(default_factory=dict)
    trained_tokens: str | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := sorted(self.metrics.keys() - METRIC_BY_KEY):
            raise ValueError(f"metrics: {unknown[0]!r} should be one of {', '.join(METRIC_BY_KEY)}")
        return self


class GoldenFile(Document):
    """All accepted figures of a sweep."""

    version: Literal[1] = 1
    accepted_from: str = ""
    software: Conditions = Field(default_factory=dict)
    conditions: Conditions = Field(default_factory=dict)
    combinations: list[GoldenCombination]

    def side(self, combination: GoldenCombination) -> Side:
        """Return the side of a combination in a comparison."""
        return Side(
            {metric: [found.as_values()] for metric, found in combination.metrics.items()},
            {**self.conditions, **combination.conditions},
            combination.trained_tokens,
        )


def read_golden(file: Path) -> GoldenFile:
    """Return the golden values of a file.

    Raises:
        ReportError: the file cannot be read, or is not one of golden values.

    """
    try:
        return GoldenFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ReportError(f"{file}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReportError(f"{file}: not YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise ReportError(f"{file}: {key}{': ' if key else ''}{said}: `compare --accept` writes such files") from error


def compare_with_golden(file: Path, new: Night) -> CompareDocument:
    """Return what changed from golden values to a night. Raises ReportError as `read_golden`."""
    golden = read_golden(file)
    figures: list[NightFigure] = []
    known: set[int] = set()
    missing: list[Labels] = []
    changed: dict[str, None] = {}
    for accepted in golden.combinations:
        found = _found(accepted.labels, new)
        if found is None:
            missing.append(accepted.labels)
            continue
        known.add(id(found))
        bands = {metric: (each.lower, each.upper) for metric, each in accepted.metrics.items()}
        figures += compared(accepted.labels, golden.side(accepted), Side.of(found), bands)
        if found.documents:
            changed |= dict.fromkeys(differing(golden.software, found.software))
    others = [each.labels for each in new.combinations if each.is_run and id(each) not in known]
    return document(str(file), new, figures, list(changed), (missing, others))


def accept(file: Path, night: Night) -> GoldenFile:
    """Write a night's figures as golden values; tolerances of a file that exists are kept.

    So are its combinations that have no completed run in this night.

    Raises:
        ReportError: no run of the night has completed, or the file that exists is not one of golden values.
        OSError: the file cannot be written.

    """
    before = read_golden(file) if file.exists() else None
    kept = {_key(each.labels): each for each in before.combinations} if before else {}
    measured = [each for each in night.combinations if each.is_run and each.documents]
    if not measured:
        raise ReportError(f"{night.folder}: no run has completed, so there is nothing to accept: run the sweep first")
    common = _common([each.conditions for each in measured])
    accepted = {_key(each.labels): _accepted(each, kept.get(_key(each.labels)), common) for each in measured}
    for key, old in kept.items():
        assert before is not None, "its combinations are kept"
        whole = {**before.conditions, **old.conditions}
        accepted.setdefault(key, old.model_copy(update={"conditions": _beyond(whole, common)}))
    made = GoldenFile(
        accepted_from=str(night.folder.absolute()),
        software=_common([each.software for each in measured]),
        conditions=common,
        combinations=list(accepted.values()),
    )
    dumped = yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    write_whole(file, HEAD + dumped)
    return made


def _accepted(combination: Combination, before: GoldenCombination | None, common: Conditions) -> GoldenCombination:
    side, metrics = Side.of(combination), {}
    for metric in METRICS:
        old = before.metrics.get(metric.key) if before else None
        if not (values := side.values[metric.key]):
            if old is not None:  # with the tolerance that was edited by hand
                metrics[metric.key] = old
            continue
        metrics[metric.key] = GoldenValue(
            value=values[0].mean,
            lower=old.lower if old else -metric.tolerance,
            upper=old.upper if old else metric.tolerance,
            unit=values[0].unit,
            values=dict(values[0].values),
        )
    return GoldenCombination(
        labels=combination.labels,
        metrics=metrics,
        conditions=_beyond(side.conditions, common),
        trained_tokens=side.trained_tokens,
    )


def _common(found: list[Conditions]) -> Conditions:
    """Return what is the same in all."""
    first, *others = found
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _beyond(conditions: Mapping[str, str], common: Mapping[str, str]) -> Conditions:
    return {name: value for name, value in conditions.items() if common.get(name) != value}


def _key(labels: Labels) -> tuple[tuple[str, AxisValue], ...]:
    return tuple(sorted(labels.items()))


def _found(labels: Labels, night: Night) -> Combination | None:
    shared = {axis: value for axis, value in labels.items() if axis in night.sweep.plan.axes}
    return by_axes(night.combinations, shared).get(tuple(shared.items()))

"""Filters on axes, which select runs of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.contract.base import AxisValue
from bench.contract.plan import Plan
from matrix.errors import InputError, as_text, suggestion
from matrix.planning.plan import PlannedSweep


def _is_written(value: AxisValue, text: str) -> bool:
    """Return True if a text denotes a value: `0.001` and `1e-3` denote the same."""
    if text == as_text(value):
        return True
    try:
        return isinstance(value, float) and float(text) == value
    except ValueError:
        return False


@dataclass(frozen=True)
class Filter:
    """A set of values of one axis, as text."""

    axis: str
    values: tuple[str, ...]

    def keeps(self, labels: Mapping[str, AxisValue]) -> bool:
        """Return True if a cell has one of the values."""
        return any(_is_written(labels[self.axis], text) for text in self.values)


def parse_filter(text: str) -> Filter:
    """Parse a filter such as `nodes=1,2`.

    Raises:
        InputError: the text does not have this form.

    """
    axis, equals, values = text.partition("=")
    parts = tuple(value.strip() for value in values.split(","))
    if not (equals and axis.strip() and all(parts)):
        raise InputError(f"filter {text!r}: should have the form axis=value or axis=value,value")
    return Filter(axis.strip(), parts)


def keeps(plan: Plan, only: Iterable[Filter]) -> Callable[[Mapping[str, AxisValue]], bool]:
    """Return a function that returns True for the labels of cells that match all filters.

    Raises:
        InputError: a filter names an unknown axis or value, or no cell of the plan matches.

    """
    kept = _checked(only, plan)

    def keep(labels: Mapping[str, AxisValue]) -> bool:
        return all(entry.keeps(labels) for entry in kept)

    if not any(keep(cell.labels) for cell in plan.cells):
        raise InputError("the filters leave nothing of this sweep: no combination has all these values")
    return keep


def select(
    planned: PlannedSweep,
    only: Iterable[Filter],
    excepted: Iterable[Filter],
    suspects: Sequence[Mapping[str, AxisValue]] | None = None,
) -> list[str]:
    """Return the ids of runs, in order, of the cells that match all `only` filters and no `excepted` one.

    A cell that is the same run as another selects that run: `strategy=hsdp` selects fsdp's run where both are the same.

    Args:
        planned: the plan to select from.
        only: filters that a cell has to match.
        excepted: filters that leave cells out.
        suspects: labels of the cells among which is selected, on axes that the plan has.

    Raises:
        InputError: a filter names an unknown axis or value, or no run is left.

    """
    kept, left_out = _checked(only, planned.plan), _checked(excepted, planned.plan)
    cells = [
        cell
        for cell in planned.plan.cells
        if all(entry.keeps(cell.labels) for entry in kept) and not any(entry.keeps(cell.labels) for entry in left_out)
        if suspects is None or any(_is_labelled(cell.labels, labels) for labels in suspects)
    ]
    wanted = {run for cell in cells for run in cell.all_runs}
    if cells and not wanted:
        reasons = "; ".join(dict.fromkeys(cell.reason for cell in cells))
        raise InputError(f"the filters leave only impossible combinations: {reasons}")
    if not wanted:
        suspected = "" if suspects is None else " and is one of the suspects"
        raise InputError(f"the filters leave no run of this sweep: no combination has all these values{suspected}")
    return [run for run in planned.plan.order if run in wanted]


def _is_labelled(labels: Mapping[str, AxisValue], others: Mapping[str, AxisValue]) -> bool:
    return all(labels[axis] == value for axis, value in others.items() if axis in labels)


def _checked(filters: Iterable[Filter], plan: Plan) -> list[Filter]:
    """Return filters of which each names an axis and values of the plan."""
    entries = list(filters)
    for entry in entries:
        _check(entry, plan)
    return entries


def _check(entry: Filter, plan: Plan) -> None:
    if entry.axis not in plan.axes:
        raise InputError(f"filter {entry.axis}: is not an axis of this sweep{suggestion(entry.axis, plan.axes)}")
    known = plan.axes[entry.axis]
    for value in entry.values:
        if not any(_is_written(name, value) for name in known):
            raise InputError(f"filter {entry.axis}: {value} is not a value of this axis{suggestion(value, known)}")

"""A run's steps.parquet, read once: checked against what result.json says of the steps, and reduced to its course."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np

from bench.contract.results.measured import Measured
from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from bench.measure.window import mean_loss
from reports.data.curves import ROUNDING, Course, course_of, curve_of
from reports.data.step_table import Floats, StepTable


class ContradictionError(ValueError):
    """A file of steps cannot be read, or contradicts the result; the message names it."""


def course(folder: RunFolder, run: Run, measured: Measured) -> Course | None:
    """Return the course of a run's losses; None if there is no file of steps and the result names none.

    Raises:
        ContradictionError: the file is missing or damaged, or contradicts the result.

    """
    content = _content(folder, measured)
    if content is None:
        return None
    try:
        steps = StepTable.read(content, run.layout.federation)
        is_whole = _is_whole(steps, run)
    except (OSError, ValueError, KeyError) as error:
        raise ContradictionError(f"{folder.steps} cannot be read: {str(error).splitlines()[0]}") from error
    if not is_whole:
        raise ContradictionError(
            f"{folder.steps}: should have {run.training.steps} steps of {steps.groups} groups, not these "
            f"{steps.table.num_rows} rows"
        )
    for name, recorded, value in _recomputed(steps, run, measured):
        if not _agree(recorded, value):
            raise ContradictionError(
                f"{folder.result}: measured.{name}: {recorded!r}, but {folder.steps.name} gives {value!r}"
            )
    return course_of(curve_of(steps), run.block, measured.validations)


def _content(folder: RunFolder, measured: Measured) -> bytes | None:
    try:
        content = folder.steps.read_bytes()
    except FileNotFoundError:
        if measured.steps_digest is None:
            return None
        raise ContradictionError(
            f"{folder.steps} is missing, although {folder.result} has its digest: copy the run's whole folder"
        ) from None
    except OSError as error:
        raise ContradictionError(f"{folder.steps} cannot be read: {error.strerror}") from error
    if measured.steps_digest not in (None, hashlib.sha256(content).hexdigest()):
        raise ContradictionError(
            f"{folder.steps}: not the file that {folder.result} has the digest of: copy the run's whole folder"
        )
    return content


def _is_whole(steps: StepTable, run: Run) -> bool:
    """Return True if every group has every step once, and the steps of the window are marked."""
    if steps.table.num_rows != run.training.steps * steps.groups:
        return False
    numbers = np.arange(run.training.steps)[:, None]
    return (
        bool((steps.column("step") == numbers).all())
        and bool((steps.column("group") == np.arange(steps.groups)).all())
        and bool((steps.column("in_window") == (numbers >= run.first_window_step)).all())
    )


def _agree(recorded: float | list[float], value: float | list[float]) -> bool:
    """Return True if figures are equal but for rounding; NumPy's `allclose` takes as long as reading the file."""
    ours, theirs = (each if isinstance(each, list) else [each] for each in (recorded, value))
    return len(ours) == len(theirs) and all(
        math.isclose(one, other, rel_tol=ROUNDING) or (math.isnan(one) and math.isnan(other))
        for one, other in zip(ours, theirs, strict=True)
    )


def _recomputed(
    steps: StepTable, run: Run, measured: Measured
) -> Iterator[tuple[str, float | list[float], float | list[float]]]:
    """Yield (figure, its value in result.json, its value by steps.parquet), by the definitions of bench.measure.window.

    The window's seconds are those of its blocks, whose rates are recorded: tokens / rate.
    """
    window = measured.window
    tokens, losses = steps.column("tokens"), steps.column("loss")
    inside = slice(run.first_window_step, None)
    yield "trained_tokens", measured.trained_tokens, int(tokens.sum())
    so_far = tokens.sum(axis=1).cumsum()
    if found := measured.validations:
        yield (
            "validations.trained_tokens",
            [float(each.trained_tokens) for each in found],
            [float(so_far[each.step - 1]) for each in found],
        )
    yield "window.tokens", window.tokens, int(tokens[inside].sum())
    blocks = tokens[inside].reshape(-1, run.block * steps.groups).sum(axis=1)
    if len(window.block_tokens_per_s) == len(blocks):
        yield "window.seconds", window.seconds, float((blocks / np.array(window.block_tokens_per_s)).sum())
    else:
        yield "window.block_tokens_per_s", float(len(window.block_tokens_per_s)), float(len(blocks))
    yield "window.step_s_quartiles", list(window.step_s_quartiles), _quartiles(steps.column("seconds")[inside])
    yield "loss.first", measured.loss.first, mean_loss(losses[:1], tokens[:1])
    yield "loss.final", measured.loss.final, mean_loss(losses[-run.block :], tokens[-run.block :])


def _quartiles(values: Floats) -> list[float]:
    """Return what `numpy.percentile` gives, in a tenth of its time for a few values."""
    ordered = np.sort(values, axis=None)
    found = np.interp(np.array((0.25, 0.5, 0.75)) * (len(ordered) - 1), np.arange(len(ordered)), ordered)
    return [float(value) for value in found]

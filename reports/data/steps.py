"""What result.json says of a run's steps, computed again from steps.parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from bench.contract.measured import Measured
from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from bench.measure.window import mean_loss
from reports.data.step_table import StepTable

_ROUNDING = 1e-9
"""Relative difference of the same sum in another order; times and losses have about 16 digits."""


def differences_from_steps(folder: RunFolder, run: Run, measured: Measured) -> Iterator[str]:
    """Yield differences between result.json and steps.parquet."""
    try:
        content = folder.steps.read_bytes()
    except FileNotFoundError:
        if measured.steps_digest is not None:
            yield f"{folder.steps} is missing, although {folder.result} has its digest: copy the run's whole folder"
        return
    except OSError as error:
        yield f"{folder.steps} cannot be read: {error.strerror}"
        return
    if measured.steps_digest not in (None, hashlib.sha256(content).hexdigest()):
        yield f"{folder.steps}: not the file that {folder.result} has the digest of: copy the run's whole folder"
        return
    try:
        steps = StepTable.read(content, run.layout.federation)
    except (OSError, ValueError, KeyError) as error:
        yield f"{folder.steps} cannot be read: {str(error).splitlines()[0]}"
        return
    if not _is_whole(steps, run):
        yield (
            f"{folder.steps}: should have {run.training.steps} steps of {steps.groups} groups, not these "
            f"{steps.table.num_rows} rows"
        )
        return
    for name, recorded, value in _recomputed(steps, run, measured):
        if not np.allclose(recorded, value, rtol=_ROUNDING, atol=0, equal_nan=True):
            yield f"{folder.result}: measured.{name}: {recorded!r}, but {folder.steps.name} gives {value!r}"


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
    yield "window.tokens", window.tokens, int(tokens[inside].sum())
    blocks = tokens[inside].reshape(-1, run.block * steps.groups).sum(axis=1)
    if len(window.block_tokens_per_s) == len(blocks):
        yield "window.seconds", window.seconds, float((blocks / np.array(window.block_tokens_per_s)).sum())
    else:
        yield "window.block_tokens_per_s", float(len(window.block_tokens_per_s)), float(len(blocks))
    quartiles = np.percentile(steps.column("seconds")[inside], [25, 50, 75])
    yield "window.step_s_quartiles", list(window.step_s_quartiles), [float(value) for value in quartiles]
    yield "loss.first", measured.loss.first, mean_loss(losses[:1], tokens[:1])
    yield "loss.final", measured.loss.final, mean_loss(losses[-run.block :], tokens[-run.block :])

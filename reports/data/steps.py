"""What result.json says of a run's steps, computed again from steps.parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contract.measured import Measured
from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from bench.measure.window import mean_loss

_ROUNDING = 1e-9
"""Relative difference of the same sum in another order; times and losses have about 16 digits."""


def _read(content: bytes) -> pa.Table:
    # Threads cost more than these few columns, and so does the check whether a folder of files is meant.
    return pq.ParquetFile(pa.BufferReader(content)).read(list(_Steps.COLUMNS), use_threads=False)


@dataclass(frozen=True)
class _Steps:
    """steps.parquet, by step and group; every column of shape (steps, groups)."""

    run: Run
    table: pa.Table

    COLUMNS = ("step", "group", "seconds", "tokens", "loss", "in_window")

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Indices of the rows, step after step and group after group."""
        return np.lexsort((self.table["group"].to_numpy(), self.table["step"].to_numpy()))

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column in that shape."""
        values: npt.NDArray[np.float64] = self.table[name].to_numpy()[self.order].astype(np.float64)
        return values.reshape(-1, self.run.layout.federation)

    @cached_property
    def is_whole(self) -> bool:
        """True if every group has every step once, and the steps of the window are marked."""
        steps, groups = self.run.training.steps, self.run.layout.federation
        if self.table.num_rows != steps * groups:
            return False
        numbers = np.arange(steps)[:, None]
        return (
            bool((self.column("step") == numbers).all())
            and bool((self.column("group") == np.arange(groups)).all())
            and bool((self.column("in_window") == (numbers >= self.run.first_window_step)).all())
        )


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
        steps = _Steps(run, _read(content))
    except (OSError, ValueError, KeyError) as error:  # the types of pyarrow's errors
        yield f"{folder.steps} cannot be read: {str(error).splitlines()[0]}"
        return
    if not steps.is_whole:
        groups = run.layout.federation
        rows = steps.table.num_rows
        yield f"{folder.steps}: should have {run.training.steps} steps of {groups} groups, not these {rows} rows"
        return
    for name, recorded, value in _recomputed(steps, measured):
        if not np.allclose(recorded, value, rtol=_ROUNDING, atol=0, equal_nan=True):
            yield f"{folder.result}: measured.{name}: {recorded!r}, but {folder.steps.name} gives {value!r}"


def _recomputed(steps: _Steps, measured: Measured) -> Iterator[tuple[str, float | list[float], float | list[float]]]:
    """Yield (figure, its value in result.json, its value by steps.parquet), by the definitions of bench.measure.window.

    The window's seconds are those of its blocks, whose rates are recorded: tokens / rate.
    """
    window, run = measured.window, steps.run
    tokens, losses = steps.column("tokens"), steps.column("loss")
    inside = slice(run.first_window_step, None)
    yield "trained_tokens", measured.trained_tokens, int(tokens.sum())
    yield "window.tokens", window.tokens, int(tokens[inside].sum())
    blocks = tokens[inside].reshape(-1, run.block * run.layout.federation).sum(axis=1)
    if len(window.block_tokens_per_s) == len(blocks):
        yield "window.seconds", window.seconds, float((blocks / np.array(window.block_tokens_per_s)).sum())
    else:
        yield "window.block_tokens_per_s", float(len(window.block_tokens_per_s)), float(len(blocks))
    quartiles = np.percentile(steps.column("seconds")[inside], [25, 50, 75])
    yield "window.step_s_quartiles", list(window.step_s_quartiles), [float(value) for value in quartiles]
    yield "loss.first", measured.loss.first, mean_loss(losses[:1], tokens[:1])
    yield "loss.final", measured.loss.final, mean_loss(losses[-run.block :], tokens[-run.block :])

"""Packages that only some runs need, looked for before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from bench.contract import Run
from matrix.errors import InputError


def check_wandb(runs: Iterable[Run]) -> None:
    """Raises InputError: a run is to be tracked, and the environment that the ranks share has no wandb."""
    for run in runs:
        if run.wandb.mode != "disabled" and find_spec("wandb") is None:
            raise InputError(
                f"wandb.mode: {run.wandb.mode!r} needs the package wandb, which is not installed here: install "
                "xffl-bench[wandb], or write `mode: disabled`"
            )

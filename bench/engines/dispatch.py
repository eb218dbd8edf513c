"""Choice of a run's engine."""

from __future__ import annotations

import torch

from bench.contract.run import Run
from bench.engines.base import Engine
from bench.engines.native import NativeEngine
from bench.parallel.mesh import Position


def engine_of(run: Run, position: Position, device: torch.device) -> Engine:
    """Return the run's engine for this rank.

    The native engine is imported with this module, so that forked ranks inherit it; the xFFL library only on demand.
    """
    if run.engine == "xffl":
        from bench.engines.xffl.engine import XfflEngine  # noqa: PLC0415 - an optional dependency

        return XfflEngine(run, position, device)
    return NativeEngine(run, position, device)

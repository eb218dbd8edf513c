"""How far a run is, and how fast and how well it trains, in a few words."""

from __future__ import annotations


def pace(phase: str, finished: int, steps: int, tokens_per_s: float | None, loss: float | None) -> str:
    """Return `training 51/96, 1,234 tokens/s, loss 3.210`, as far as it is known; other phases have no figures.

    Args:
        finished: optimizer steps finished, of `steps`.
        tokens_per_s: of the last seconds.
        loss: of a recent step.

    """
    if phase != "training":
        return phase
    parts = [f"{phase} {finished}/{steps}"]
    parts += [] if tokens_per_s is None else [f"{tokens_per_s:,.0f} tokens/s"]
    parts += [] if loss is None else [f"loss {loss:.3f}"]
    return ", ".join(parts)

"""Units of columns: a column's name ends with its unit."""

from __future__ import annotations

_BY_END = {
    "tokens_per_s": "tokens/s",
    "tokens_per_s_per_device": "tokens/s",
    "block_tokens_per_s_min": "tokens/s",
    "block_tokens_per_s_max": "tokens/s",
    "step_s_q1": "s",
    "step_s_q3": "s",
    "s_median": "s",
    "gib": "GiB",
    "bytes": "byte",
    "flops": "FLOP/s",
    "flops_min": "FLOP/s",
    "flops_max": "FLOP/s",
    "flops_per_token": "FLOP/token",
    "flops_per_token_causal": "FLOP/token",
    "j_per_token": "J/token",
    "kwh_per_billion_tokens": "kWh per 1e9 tokens",
    "kwh": "kWh",
    "j": "J",
    "w": "W",
    "node_hours": "h",
    "tokens": "token",
    "tokens_per_step": "token",
    "tokens_per_update": "token",
    "sequence_length": "token",
    "loss": "nat/token",
    "loss_first": "nat/token",
    "loss_final": "nat/token",
    "loss_validation": "nat/token",
    "loss_difference": "nat/token",
    "entropy_rate": "nat/token",
    "seconds": "s",
    "s": "s",
}

WITHOUT = frozenset(
    {
        *("repeat", "federation", "replicate", "shard", "world", "nodes", "node", "every", "streams", "size", "block"),
        *("steps", "step", "rate", "seed", "attempt", "position", "aggregations", "retries", "ooms", "parameters"),
        *("mfu", "hfu", "causal", "fraction", "average", "cores", "gpus", "capped", "perplexity", "threads"),
    }
)
"""Last words of the names of counts and fractions."""


def unit(name: str) -> str:
    """Return the unit of a column of numbers: `s`, `tokens/s`; "1" for a count or a fraction."""
    parts = name.split("_")
    return next((_BY_END[end] for start in range(len(parts)) if (end := "_".join(parts[start:])) in _BY_END), "1")

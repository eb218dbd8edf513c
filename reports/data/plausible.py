"""Figures that no run can have."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.run import Run

_FASTEST = 100.0
"""FLOP/s over those of the run's own matrix product, at most. The product takes a fraction of a second, so other work
on the machine can slow it far more than the window: by a factor of eleven was seen on two cores with a load of 7."""
_DEVIATIONS = 3.0
"""Upper bounds of a loss's standard deviation below the entropy rate. In simulations the best model's loss on samples
of our Markov sources has at most 0.7 of that deviation, so this is beyond 4 true ones."""


def implausible(run: Run, result: Result, measured: Measured) -> Iterator[str]:
    """Yield what is impossible, each with its field: `window.seconds: 9 s, more than ...`."""
    if result.outcome is Outcome.COMPLETED and measured.invalid:
        yield f"invalid: {measured.invalid!r}, but the outcome is completed"
    seconds = measured.window.seconds
    if 0 < result.seconds < seconds:  # 0: the runner died, and its successor knows no duration
        yield f"window.seconds: {seconds:g} s, more than the whole attempt, which took {result.seconds:g} s"
    yield from _too_fast(run, measured)
    yield from _below_entropy(run, measured)


def _too_fast(run: Run, measured: Measured) -> Iterator[str]:
    used, rate = measured.utilisation, measured.window.tokens_per_s / run.world
    causal, full = rate * used.flops_per_token_causal, rate * used.flops_per_token
    if used.peak_flops is not None and causal > used.peak_flops:
        yield (
            f"window: {rate:,.0f} tokens/s per device are {causal:.3g} FLOP/s, more than the device's peak of "
            f"{used.peak_flops:.3g} FLOP/s (published, or `peak_flops` of the system file, which is in FLOP/s)"
        )
    if full > _FASTEST * used.matmul_flops:
        yield (
            f"window: {rate:,.0f} tokens/s per device are {full:.3g} FLOP/s, more than {_FASTEST:g} times the "
            f"{used.matmul_flops:.3g} FLOP/s of a matrix product in the same run"
        )


def _below_entropy(run: Run, measured: Measured) -> Iterator[str]:
    """Yield losses that are lower than any model's on unseen samples of the source, beyond noise."""
    floor, window, training = measured.loss.entropy_rate, measured.window, run.training
    if floor is None:
        return
    losses = {"validation": (measured.loss.validation, training.val_samples * training.sequence_length)}
    if run.weights is None and measured.distinct_tokens == measured.trained_tokens:  # else it may know its samples
        losses["final"] = (measured.loss.final, window.tokens * window.block // window.steps)
    for name, (loss, tokens) in losses.items():
        noise = _DEVIATIONS * surprisal_deviation(run.shape.vocab_size) / math.sqrt(tokens)
        if loss < floor - noise:
            yield (
                f"loss.{name}: {loss:.4f} nats/token, below the data's entropy rate of {floor:.4f} by more than the "
                f"noise of {tokens:,} tokens ({noise:.4f})"
            )


def surprisal_deviation(vocabulary: int) -> float:
    """Return an upper bound of the standard deviation of -log p of a token, in nats.

    The variance of -log p over d events is at most ln(d - 1)^2 / 4 + 1 (D. Reeb and M. M. Wolf, "Tight bound on
    relative entropy by entropy difference", IEEE Transactions on Information Theory 61, 2015).
    """
    return math.sqrt(math.log(max(2, vocabulary - 1)) ** 2 / 4 + 1)

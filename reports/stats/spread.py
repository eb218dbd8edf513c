"""Whether repeats differ by more than the spread within them explains."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

SIGNIFICANCE = 0.01
RELEVANT = 1.05
"""Ratio of the fastest to the slowest repeat. Less is no reason to look for a cause, however certain it is."""


def differ_beyond_blocks(runs: Sequence[Sequence[float]]) -> bool:
    """Return True if repeats differ by 5 % or more, and by more than the spread of their blocks explains.

    An F test at 1 % of the logarithms: the variance of the runs' means over what the variance within runs predicts for
    them (analysis of variance in one way, R. A. Fisher, Statistical Methods for Research Workers, 1925, chapter VII). A
    run that is slower throughout, as beside other work on its node, is found; one slow block among fast ones is not.

    Args:
        runs: throughput of each block of each run, tokens/s.

    """
    logs = [np.log(np.asarray(blocks)) for blocks in runs if blocks]
    within = sum(len(of_run) - 1 for of_run in logs)
    if len(logs) < 2 or within < 1:
        return False
    means = np.array([of_run.mean() for of_run in logs])
    if means.max() - means.min() < math.log(RELEVANT):
        return False
    counts = np.array([len(of_run) for of_run in logs])
    centre = (counts * means).sum() / counts.sum()
    between_square = float((counts * (means - centre) ** 2).sum()) / (len(logs) - 1)
    within_square = sum(float(((of_run - of_run.mean()) ** 2).sum()) for of_run in logs) / within
    if within_square == 0:
        return True
    return float(special.fdtrc(len(logs) - 1, within, between_square / within_square)) < SIGNIFICANCE

"""How often a comparison of nights is wrong, and how often it finds what was planted, in simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reports.nights.document import Change, NightFigure
from reports.nights.judging import judged
from reports.nights.night_metrics import METRIC_BY_KEY, Unit
from reports.nights.ratios import Values, ratio_of
from reports.stats.verdicts import benjamini_hochberg

SPEED = METRIC_BY_KEY["tokens_per_s"]


def night(random: np.random.Generator, factors: list[float], *, repeats: int, noise: float) -> list[Values]:
    """The throughput of combinations that have these factors."""
    values = np.exp(random.normal(0, noise, (len(factors), repeats))) * np.array(factors)[:, None]
    return [Values(dict(enumerate(map(float, row))), Unit.RUNS) for row in values]


def certain_but_small() -> NightFigure:
    """A figure that changed without noise, within the tolerance: peak memory with another version of a library."""
    bounds = {"low": 1.003, "high": 1.003, "lower": -SPEED.tolerance, "upper": SPEED.tolerance}
    return NightFigure(
        labels={}, metric="peak_memory_gib", verdict=Change.CANNOT_TELL, ratio=1.003, p_value=0.0, **bounds
    )


def verdicts(
    random: np.random.Generator, factors: list[float], *, repeats: int = 5, noise: float = 0.02, small: int = 0
) -> list[Change]:
    """Compare a night of these factors with one of equal speeds; `small` further figures are tolerated changes."""
    figures = [certain_but_small() for _ in range(small)]
    old = night(random, [1.0] * len(factors), repeats=repeats, noise=noise)
    for before, after in zip(old, night(random, factors, repeats=repeats, noise=noise), strict=True):
        made = ratio_of(before, after)
        estimate = made.estimate
        bounds = {"low": estimate.low, "high": estimate.high, "lower": -SPEED.tolerance, "upper": SPEED.tolerance}
        figures.append(
            NightFigure(
                labels={},
                metric=SPEED.key,
                verdict=Change.CANNOT_TELL,
                ratio=estimate.value,
                p_value=made.p_value,
                **bounds,
            )
        )
    return [figure.verdict for figure in judged(figures)]


def alarms(simulations: int, small: int = 0) -> float:
    """Share of comparisons of equal nights with any false verdict."""
    random = np.random.default_rng(1)
    wrong = {Change.REGRESSED, Change.IMPROVED}
    return sum(bool(wrong & set(verdicts(random, [1.0] * 12, small=small))) for _ in range(simulations)) / simulations


def test_equal_nights_alarm_in_at_most_one_comparison_of_twenty() -> None:
    assert alarms(400) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_certain_changes_within_the_tolerance_raise_no_alarm_for_others() -> None:
    assert alarms(400, small=12) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.soak
def test_equal_nights_alarm_in_at_most_one_comparison_of_twenty_in_many() -> None:
    assert alarms(10_000) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 10_000)


def test_what_slows_everything_down_is_found_in_most_combinations() -> None:
    random = np.random.default_rng(2)
    slower = [verdicts(random, [1 / 1.05] * 12) for _ in range(50)]
    found = [verdict is Change.REGRESSED for each in slower for verdict in each]
    assert sum(found) / len(found) > 0.8
    assert all(any(verdict is Change.REGRESSED for verdict in each) for each in slower)


def test_of_what_is_called_changed_few_did_not_change() -> None:
    random = np.random.default_rng(3)
    factors = [1 / 1.06] * 4 + [1.0] * 8
    every = [verdicts(random, factors) for _ in range(150)]
    wrong = [sum(v in (Change.REGRESSED, Change.IMPROVED) for v in each[4:]) for each in every]
    right = [sum(v is Change.REGRESSED for v in each[:4]) for each in every]
    shares = [w / (w + r) for w, r in zip(wrong, right, strict=True) if w + r]
    assert np.mean(shares) < 0.05
    assert np.mean(right) > 2


def test_adjusted_p_values_are_scipys() -> None:
    p_values = [0.01, 0.04, 0.03, 0.5, 0.04, 1.0]
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert benjamini_hochberg([]) == []

"""What may be said of figures between two nights, given all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reports.nights.document import Change, NightFigure
from reports.nights.night_metrics import METRIC_BY_KEY
from reports.stats.intervals import FEWEST_FOR_INTERVAL
from reports.stats.verdicts import ALPHA, benjamini_hochberg


def judged(figures: Sequence[NightFigure]) -> list[NightFigure]:
    """Return the figures with verdicts, and with p-values adjusted for all of them.

    A figure regressed or improved if its ratio is beyond the tolerance and its adjusted p-value is below 0.05; it is
    the same if its whole interval is tolerated. The adjustment is Benjamini and Hochberg's. In equal nights the chance
    of any false verdict is at most 5 %, as with Holm's, as far as the intervals hold: those over runs of one session
    leave out how sessions differ. What slows many combinations down together is seen with a fraction of the evidence,
    because the threshold rises with the number of small p-values. A ratio within the tolerance can get no verdict, so
    it counts with a p-value of 1: a small but certain change, as of memory by another library, raises no threshold.
    Figures that are judged already keep their verdict.
    """
    p_values = [
        1.0 if _beyond(figure) is Change.SAME else figure.p_value
        for figure in figures
        if figure.p_value is not None and figure.verdict is Change.CANNOT_TELL
    ]
    adjusted = iter(benjamini_hochberg(p_values))
    return [
        figure.model_copy(update=_verdict(figure, None if figure.p_value is None else next(adjusted)))
        if figure.verdict is Change.CANNOT_TELL and not figure.reason
        else figure
        for figure in figures
    ]


def suspicious(figures: Iterable[NightFigure]) -> list[NightFigure]:
    """Return the figures that regressed, and those that may have: worse than tolerated, without enough evidence."""
    return [
        figure
        for figure in figures
        if figure.verdict is Change.REGRESSED
        or (figure.verdict is Change.CANNOT_TELL and (_beyond(figure) is Change.REGRESSED or figure.is_missing))
    ]


def _verdict(figure: NightFigure, adjusted: float | None) -> dict[str, object]:
    if adjusted is None or figure.low is None or figure.high is None:
        unit = "pairs" if figure.unit == "seeds" else figure.unit
        return {"reason": f"no interval: {FEWEST_FOR_INTERVAL} {unit} of each night are needed"}
    beyond = _beyond(figure)
    if beyond is not Change.SAME and adjusted < ALPHA:
        return {"verdict": beyond, "adjusted_p": adjusted}
    if tolerates(figure, figure.low) and tolerates(figure, figure.high):
        return {"verdict": Change.SAME, "adjusted_p": adjusted}
    what = "its interval reaches beyond the tolerance" if beyond is Change.SAME else "it may be noise"
    return {"reason": f"{what}: more repeats would tell", "adjusted_p": adjusted}


def _beyond(figure: NightFigure) -> Change:
    """Return on which side of the tolerance a figure's ratio is."""
    if figure.ratio is None or tolerates(figure, figure.ratio):
        return Change.SAME
    is_higher = figure.upper is not None and figure.ratio > 1 + figure.upper
    return Change.IMPROVED if is_higher is METRIC_BY_KEY[figure.metric].higher_is_better else Change.REGRESSED


def tolerates(figure: NightFigure, ratio: float) -> bool:
    """Return True if a ratio is within a figure's tolerance."""
    return (figure.lower is None or ratio >= 1 + figure.lower) and (figure.upper is None or ratio <= 1 + figure.upper)

"""The plot of a history: a panel for each metric, a line for each combination, and its changes of level."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.history.history_document import HistoryDocument, Series
from reports.nights.combinations import short_name
from reports.nights.night_metrics import METRIC_BY_KEY
from reports.nights.summary import axes_of
from reports.render.plotting.drawing import REFERENCE_LINE
from reports.render.plotting.style import looks, row_style

MOST_PLOTTED = 12
"""Lines of a panel: those with changes first."""
_BREAK_LINE: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 1.2}
_WIDTH, _PANEL, _LEGEND_ENTRY = 9.0, 2.8, 0.2


def history_plot(found: HistoryDocument) -> Figure | None:
    """Return the figure; None without a series."""
    metrics = list(dict.fromkeys(series.metric for series in found.series))
    if not metrics:
        return None
    changed = {(change.metric, *change.labels.items()) for change in found.changes}
    by_metric = {metric: [each for each in found.series if each.metric == metric] for metric in metrics}
    shown = {
        metric: sorted(several, key=lambda each: (each.metric, *each.labels.items()) not in changed)[:MOST_PLOTTED]
        for metric, several in by_metric.items()
    }
    axes_values = axes_of(series.labels for series in found.series)
    names = list(dict.fromkeys(short_name(each.labels, axes_values) for several in shown.values() for each in several))
    styles = {name: row_style(look, 0) for name, look in looks(names).items()}
    height = max(_PANEL * len(metrics), _LEGEND_ENTRY * len(names)) + 1.0
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    panels: list[Axes] = list(figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0])
    for panel, (metric, several) in zip(panels, shown.items(), strict=True):
        for series in several:
            name = short_name(series.labels, axes_values)
            panel.plot(*_line(series), label=name, linewidth=1.2, markersize=4, **styles[name])
        for night in sorted({night for series in several for night in series.begins[1:]}):
            panel.axvline(night - 0.5, **_BREAK_LINE)
        for change in found.changes:
            if change.metric == metric:
                panel.axvline(change.night - 0.5, **REFERENCE_LINE)
        left_out = len(by_metric[metric]) - len(several)
        more = f" ({left_out} more without a change)" if left_out else ""
        has_breaks = any(len(series.begins) > 1 for series in several)
        broken = ", anew from where conditions changed (dotted)" if has_breaks else ""
        title = f"{METRIC_BY_KEY[metric].title} over the combination's mean{broken}{more}"
        panel.set_title(title, fontsize=10, loc="left")
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    last = panels[-1]
    every = max(1, math.ceil(len(found.nights) / 15))
    last.set_xticks(range(0, len(found.nights), every))
    last.set_xticklabels([night.began[:10] for night in found.nights[::every]], rotation=45, ha="right", fontsize=8)
    handles = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _line(series: Series) -> tuple[list[float], list[float]]:
    """Return nights and values over the mean of their stretch, with a gap between stretches."""
    nights: list[float] = []
    relative: list[float] = []
    places = [*map(series.nights.index, series.begins), len(series.nights)]
    for start, end in pairwise(places):
        values = series.values[start:end]
        mean = math.exp(math.fsum(map(math.log, values)) / len(values))
        nights += [series.nights[start] - 0.5, *series.nights[start:end]]
        relative += [math.nan, *(value / mean for value in values)]
    return nights[1:], relative[1:]

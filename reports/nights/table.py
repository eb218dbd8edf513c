"""The comparison of two nights as a data frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.nights.combinations import Night
from reports.nights.comparing import compare_nights
from reports.nights.document import NightFigure


def compared_frame(old: Path, new: Path) -> pd.DataFrame:
    """Return a row for each figure of two sweeps. Raises ReportError as `Night.of`.

    `attrs` has what is no figure: `problems`, `changed` software, and combinations of one night only.
    """
    found = compare_nights(Night.of(old), Night.of(new))
    fields = [name for name in NightFigure.model_fields if name not in ("labels", "counts", "cautions")]
    axes = dict.fromkeys(axis for figure in found.figures for axis in figure.labels)
    rows = [
        {f"axis_{axis}": figure.labels.get(axis) for axis in axes}
        | figure.model_dump(mode="json", include=set(fields))
        | {"old_count": figure.counts[0], "new_count": figure.counts[1], "cautions": ", ".join(figure.cautions)}
        for figure in found.figures
    ]
    columns = [*(f"axis_{axis}" for axis in axes), *fields, "old_count", "new_count", "cautions"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.attrs |= {"problems": found.problems, "changed": found.changed}
    frame.attrs |= {"only_old": found.only_old, "only_new": found.only_new}
    return frame

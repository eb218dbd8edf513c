"""Results as tables, plots, comparisons and data frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def compare(old: Path | str, new: Path | str) -> pd.DataFrame:
    """Return what changed from the sweep in folder `old` to that in folder `new`, a row for each metric of each
    combination that both have.

    Columns are the axes (`axis_strategy`), and the fields of the figures of `xffl-bench compare --json`
    (docs/reference/json.md), of which `verdict` is one of regressed, improved, same, cannot-tell and not-comparable.

    Raises:
        ReportError: a folder is not a sweep, or its plan cannot be read.

    """
    from reports.nights.table import compared_frame  # noqa: PLC0415 - `import reports` alone needs no pandas

    return compared_frame(Path(old), Path(new))

"""The frames as Parquet: typed columns, each with its unit and its description in the schema's metadata."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reports.data.columns.frame_schema import description, unit_of
from reports.render.base import Export, Report

_TYPES = {"string": pa.string(), "Int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_()}


def export(report: Report) -> Export:
    """Return runs.parquet and, where there are breakdown runs, breakdown.parquet."""
    frames = {"runs": report.sweep.frame, "breakdown": report.sweep.breakdown}
    return Export(
        {f"{name}.parquet": _content(frame) for name, frame in frames.items() if name == "runs" or len(frame)}
    )


def _content(frame: pd.DataFrame) -> bytes:
    schema = pa.schema([_field(str(name), str(dtype)) for name, dtype in frame.dtypes.items()])
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), content)
    return bytes(content.getvalue())


def _field(name: str, dtype: str) -> pa.Field:
    unit = unit_of(name)
    metadata = {"description": description(name)} | ({"unit": unit} if unit is not None else {})
    return pa.field(name, _TYPES[dtype], metadata=metadata)

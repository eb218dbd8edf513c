"""runs.parquet: columns with units, descriptions and one type each, so that nights concatenate."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contract.results.outcomes import Outcome
from reports.render import parquet
from reports.render.write import write_report
from tests.support.documents import SweepDocuments


def _runs(sweep: SweepDocuments, out: Path) -> Path:
    write_report(sweep.write(), out, [parquet])
    return out / "runs.parquet"


def test_numbers_have_a_unit_and_every_column_a_description(sweep: SweepDocuments, tmp_path: Path) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0])
    schema = pq.read_schema(_runs(sweep, tmp_path / "out"))
    units = {field.name: (field.metadata.get(b"unit") or b"").decode() for field in schema}
    expected = {"tokens_per_s": "tokens/s", "window_s": "s", "peak_memory_gib": "GiB", "gpu_kwh_per_billion_tokens": ""}
    assert {name: units[name] for name in expected} == expected | {"gpu_kwh_per_billion_tokens": "kWh per 1e9 tokens"}
    assert units["loss_final"] == "nat/token"
    assert units["mfu"] == units["world"] == "1"
    assert units["hosts"] == units["deterministic"] == units["axis.strategy"] == ""
    assert [field.name for field in schema if not field.metadata[b"description"].strip()] == []


def test_nights_concatenate_whatever_is_empty_in_them(tmp_path: Path) -> None:
    """The first night ran nothing, in the second all failed, in the third half completed."""
    files = []
    for night, speeds in enumerate(([], [], [1000.0])):
        sweep = SweepDocuments(tmp_path / f"{night}" / "nightly")
        ids = sweep.run("federated", 2, speeds=speeds)
        if night:
            sweep.end(ids[-1], Outcome.OOM, "CUDA out of memory")
        files.append(_runs(sweep, tmp_path / f"{night}" / "report"))
    parts = [pq.read_table(file) for file in files]
    together = pa.concat_tables(parts)  # without promotion: it fails if any type differs
    assert together.num_rows == 9
    assert together.schema.field("tokens_per_s").metadata[b"unit"] == b"tokens/s"
    frames = [pd.read_parquet(file) for file in files]
    assert all((frame.dtypes == frames[0].dtypes).all() for frame in frames)
    assert (pd.concat(frames).dtypes == frames[0].dtypes).all()
    assert {str(dtype) for dtype in frames[0].dtypes} == {"string", "Int64", "float64", "boolean"}

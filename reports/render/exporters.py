"""The registry of export formats."""

from __future__ import annotations

from reports.render import csv, markdown, parquet, plots
from reports.render.base import Exporter

EXPORTERS: tuple[Exporter, ...] = (
    plots,
    csv,
    parquet,
    markdown,
)
"""In this order; each sees the pictures and problems of those before it, so what embeds pictures comes last."""

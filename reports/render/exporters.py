"""The registry of export formats."""

from __future__ import annotations

from reports.render import csv, markdown, parquet
from reports.render.base import Exporter
from reports.render.html import page
from reports.render.plotting.plots import PICTURES

EXPORTERS: tuple[Exporter, ...] = (
    PICTURES,
    csv,
    parquet,
    markdown,
    page,
)
"""In this order; each sees the pictures and problems of those before it, so what embeds pictures comes last."""

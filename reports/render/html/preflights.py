"""What the preflights of a sweep's jobs measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.contract.results.preflight import Preflight
from bench.contract.storage.documents import NewerVersionError, read_document
from reports.render.html.numbers import short

MOST_JOBS = 100
"""Jobs whose preflight is plotted, the last ones."""


def preflight_data(sweep: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return bandwidths in GB/s and matrix products in TFLOP/s by job, a sentence for each unreadable file, and one on
    jobs that are left out.
    """
    found, problems = [], []
    paths = sorted(sweep.glob("jobs/*/preflight.json"), key=_number)
    if len(paths) > MOST_JOBS:
        problems.append(
            f"report.html plots the preflights of the last {MOST_JOBS} of {len(paths)} jobs; "
            "jobs/*/preflight.json has that of each"
        )
    for path in paths[-MOST_JOBS:]:
        try:
            found.append({"job": path.parent.name, **_job(read_document(path, Preflight))})
        except (OSError, ValidationError, NewerVersionError) as error:
            problems.append(f"{path} cannot be read, so its bandwidths are not plotted: {str(error).splitlines()[0]}")
    return found, problems


def _number(path: Path) -> tuple[int, str]:
    """Return a job's number in the sweep, by which its folder is named, for sorting."""
    name = path.parent.name
    return (int(name) if name.isdecimal() else -1), name


def _job(measured: Preflight) -> dict[str, Any]:
    between = measured.between_nodes
    return {
        "inside": [[node.host, _gb(node.inside.bytes_per_s)] for node in measured.nodes if node.inside],
        "links": [[" - ".join(link.hosts), _gb(link.bytes_per_s)] for link in measured.links],
        "between": [[f"{len(measured.nodes)} nodes", _gb(between.bytes_per_s)]] if between else [],
        "devices": [
            [f"rank {each.rank} on {each.host}, {each.device}", short(each.matmul_flops / 1e12)]
            for each in measured.devices
        ],
    }


def _gb(rate: float) -> float | None:
    return short(rate / 1e9)

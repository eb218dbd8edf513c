"""The nightly file: a sweep that runs every night, what it is compared with, who is told, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt

from bench.contract.base import Document
from matrix.config.reading.validation import Fault, refuse, validate
from matrix.config.reading.yamlfile import read_yaml
from matrix.errors import suggestion
from matrix.host.paths import absolute
from reports.nights.night_metrics import METRIC_BY_KEY


class Keep(Document):
    """How much of earlier nights is kept."""

    nights: PositiveInt = Field(
        30, description="nights that are kept; the last good one and accepted ones are kept besides"
    )
    bulky: PositiveInt = Field(
        7,
        description="nights that keep what is bulky: checkpoints, models, traces, W&B's files, and the logs of "
        "completed runs",
    )


class NightlyFile(Document):
    """A nightly file."""

    matrix: str = Field(description="matrix file, relative to this file")
    system: str | None = Field(
        None, description="system file, relative to this file, in place of the matrix file's; or a built-in system"
    )
    set: list[str] = Field(
        default_factory=list, description="keys of the matrix or the system file to set, as KEY=VALUE"
    )
    results: str = Field("results", description="folder of all nights, relative to this file")
    golden: str | None = Field(
        None, description="golden values that each night is compared with, too, relative to this file"
    )
    tolerance: dict[str, float] = Field(
        default_factory=dict, description="percent that may change, by metric (tokens_per_s: 2, loss_validation: 0.5)"
    )
    fail_on_improvement: bool = Field(False, description="exit with 1 on an improvement beyond the tolerance, too")
    tell: str | None = Field(
        None, description="shell command that gets the summary on its standard input, for mail or a webhook"
    )
    tell_when: Literal["always", "bad"] = Field("always", description="always, or only of nights that are not good")
    keep: Keep = Field(default=Keep(), description="how much of earlier nights is kept")

    @property
    def tolerances(self) -> dict[str, float]:
        """Relative tolerances by metric."""
        return {metric: percent / 100 for metric, percent in self.tolerance.items()}


def load_nightly(path: Path) -> NightlyFile:
    """Read a nightly file and make its paths absolute.

    Raises:
        InputError: the file is invalid; one sentence per fault, with file, line, key and what would be valid.

    """
    file = read_yaml(path)
    nightly = validate(NightlyFile, file)
    refuse(file, _faults(nightly))
    folder = path.absolute().parent
    system = nightly.system
    return nightly.model_copy(
        update={
            "matrix": absolute(folder, nightly.matrix),
            "system": absolute(folder, system) if system and system.endswith((".yaml", ".yml")) else system,
            "results": absolute(folder, nightly.results),
            "golden": absolute(folder, nightly.golden) if nightly.golden else None,
        }
    )


def _faults(nightly: NightlyFile) -> Iterator[Fault]:
    for metric, percent in nightly.tolerance.items():
        if metric not in METRIC_BY_KEY:
            yield ("tolerance", metric), f"is not a metric{suggestion(metric, METRIC_BY_KEY)}"
        elif not 0 <= percent < 100:
            yield ("tolerance", metric), f"should be a percentage from 0 to 100, not {percent:g}"

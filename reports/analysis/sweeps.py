"""Sweeps by the names and patterns of their folders, each with the night that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from os import PathLike
from pathlib import Path

from reports.data.columns.base import Kind, Scalar
from reports.data.faults import ReportError
from reports.data.frame import LoadedSweep, load

ORIGIN: dict[str, Kind] = {"sweep": "text", "night": "text", "folder": "text"}
"""Kinds of the columns of `SweepOfNight.origin`. A night is a text: DataFrame.query finds no date equal to one."""


@dataclass(frozen=True)
class SweepOfNight:
    """A sweep as read, and where it is."""

    folder: Path
    read: LoadedSweep

    @property
    def night(self) -> str | None:
        """ISO date of the folder above, as in `results/2026-11-26/nightly`, else of the first run's start (UTC)."""
        above = self.folder.resolve().parent.name
        try:
            return date.fromisoformat(above).isoformat()
        except ValueError:
            return self.read.began[:10] or None

    @property
    def origin(self) -> dict[str, Scalar]:
        """The sweep's columns in every frame."""
        return {"sweep": self.read.plan.sweep, "night": self.night, "folder": str(self.folder)}


def sweeps(patterns: Sequence[str | PathLike[str]]) -> Iterator[SweepOfNight]:
    """Yield the sweeps in folders that match, pattern after pattern, each folder once.

    Raises:
        ReportError: nothing matches a pattern, or a folder is not that of a sweep.

    """
    seen: set[Path] = set()
    for pattern in map(Path, patterns):
        found = [pattern] if pattern.exists() else _matching(pattern)
        if not found:
            raise ReportError(f"{pattern}: matches no sweep: give its folder, or a pattern such as results/*/nightly")
        for folder in found:
            if folder.resolve() not in seen:
                seen.add(folder.resolve())
                yield SweepOfNight(folder, load(folder))


def _matching(pattern: Path) -> list[Path]:
    """Return the sweeps that a pattern matches, sorted; it may match other folders too."""
    relative = str(pattern.relative_to(pattern.anchor))
    return sorted(folder for folder in Path(pattern.anchor).glob(relative) if (folder / "plan.json").is_file())

"""Energy of a machine's processors, from the counters that Linux has of Intel's and AMD's (RAPL).

Documentation/power/powercap/powercap.rst of the kernel. Reading needs a permission that only root has by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MICRO = 1e-6


@dataclass(frozen=True)
class _Zone:
    """A counter: it starts again from 0 at `largest` microjoules."""

    folder: Path
    largest: int

    @classmethod
    def of(cls, folder: Path) -> _Zone:
        return cls(folder, int((folder / "max_energy_range_uj").read_text(encoding="ascii")))

    def read(self) -> int:
        return int((self.folder / "energy_uj").read_text(encoding="ascii"))


class ProcessorEnergy:
    """Energy of all processor packages of a machine, counted from `start` on.

    A counter of 65 kJ, the smallest range of current processors, starts again after two minutes at 500 W: `update` must
    be called at least once in that time.
    """

    def __init__(self, zones: list[_Zone]) -> None:
        self._zones = zones
        self._before: list[int] = []
        self._microjoules: int | None = None

    @classmethod
    def of_machine(cls, root: Path = Path("/sys/class/powercap")) -> ProcessorEnergy | None:
        """Open the counters; None if the machine has none, or lets us not read one of them."""
        zones = _packages(root)
        return cls(zones) if zones else None

    def start(self) -> None:
        """Count from now on."""
        self._microjoules = 0
        self.skip()

    def skip(self) -> None:
        """Leave out what the counters rose by since the last call."""
        self._before = self._read()
        if not self._before:
            self._microjoules = None

    def update(self) -> None:
        """Add what the counters rose by since the last call, once around at most."""
        now = self._read()
        if self._microjoules is None or not now:
            self._microjoules = None
            return
        for zone, before, after in zip(self._zones, self._before, now, strict=True):
            self._microjoules += after - before if after >= before else after - before + zone.largest
        self._before = now

    @property
    def joules(self) -> float | None:
        """Energy between `start` and the last `update`; None if a counter could not be read any more."""
        return None if self._microjoules is None else self._microjoules * _MICRO

    def _read(self) -> list[int]:
        try:
            return [zone.read() for zone in self._zones]
        except (OSError, ValueError):  # what a run measured is not lost for that
            return []


def _packages(root: Path) -> list[_Zone]:
    """Return the counters of the processor packages, none if one of them cannot be read.

    Only zones of the first level: cores, graphics and memory controllers below them are parts of a package, or, as
    DRAM, not counted everywhere. The zone `psys` is the whole platform, packages included.
    """
    folders = [
        folder
        for folder in sorted(root.glob("intel-rapl:[0-9]*"))
        if folder.name.count(":") == 1 and _name(folder).startswith("package")
    ]
    try:
        zones = [_Zone.of(folder) for folder in folders]
        for zone in zones:
            zone.read()
    except (OSError, ValueError):
        return []
    return zones


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""

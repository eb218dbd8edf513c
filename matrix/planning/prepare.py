"""Prepare a sweep from command-line arguments: read, plan and filter it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.contract.plan import Cell
from bench.contract.run import Run
from bench.contract.storage.files import SOURCE_FILE
from matrix.config.load import load_both
from matrix.config.reading.assignments import parse_assignments
from matrix.config.sweep import MatrixFile
from matrix.config.system import SystemFile
from matrix.image.image import Image
from matrix.planning.filters import parse_filter, select
from matrix.planning.plan import PlannedSweep, make_plan
from matrix.planning.suspects import suspects_in
from matrix.planning.untimed import untimed
from matrix.store.sweep_record import SweepRecord


@dataclass(frozen=True)
class PreparedSweep:
    """Everything a command needs to know about a sweep before it starts.

    Attributes:
        selected: ids of the runs that the filters keep, in order.
        assignments: keys that were set on the command line, as `KEY=VALUE`.

    """

    sweep: MatrixFile
    system: SystemFile
    planned: PlannedSweep
    selected: list[str]
    assignments: tuple[str, ...] = ()

    @cached_property
    def cells(self) -> list[Cell]:
        """The combinations that have selected runs, and the impossible ones, in the order of the axes."""
        chosen = set(self.selected)
        return [
            cell for cell in self.planned.plan.cells if cell.status == "impossible" or chosen.intersection(cell.runs)
        ]

    @property
    def selected_runs(self) -> list[Run]:
        """The selected runs, in order."""
        return [self.planned.runs[run_id] for run_id in self.selected]

    @cached_property
    def image(self) -> Image | None:
        """The image of the system, if any. Raises InputError if it does not exist."""
        return Image(self.system.image) if self.system.image else None

    def record(self) -> SweepRecord:
        """Return the record of the sweep if it started now."""
        source = Path(self.sweep.data.path) / SOURCE_FILE
        return SweepRecord.now(
            self.sweep.name,
            self.sweep.source,
            self.system.source,
            source.read_text(encoding="utf-8") if source.exists() else "",
            self.sweep.found_models,
            self.image.digest if self.image else None,
            self.assignments,
        )


def prepare(
    matrix: Path,
    system: str | None,
    only: list[str],
    excepted: list[str],
    assignments: Sequence[str] = (),
    *,
    profile: bool = False,
    only_suspects: Path | None = None,
) -> PreparedSweep:
    """Read, expand, plan and filter a sweep; with `profile`, select a profile run of each chosen combination instead.

    With `only_suspects`, the output of `compare --json`, only the combinations that it suspects are left.

    Raises:
        InputError: a file, an assignment or a filter is invalid, or nothing is left to run.

    """
    sweep, system_file = load_both(matrix, system, parse_assignments(assignments))
    planned = make_plan(sweep, system_file)
    filters = [parse_filter(text) for text in only], [parse_filter(text) for text in excepted]
    suspects = suspects_in(only_suspects) if only_suspects is not None else None
    selected = select(planned, *filters, suspects)
    if profile:
        planned, selected = _profiled(planned, selected)
    return PreparedSweep(sweep, system_file, planned, selected, tuple(assignments))


def _profiled(planned: PlannedSweep, selected: list[str]) -> tuple[PlannedSweep, list[str]]:
    """Return the sweep with profile runs of the selected combinations, and their ids. The plan does not list them."""
    first = {axis: labels[0] for axis, labels in planned.plan.axes.items()}
    chosen = [run for run in map(planned.runs.__getitem__, selected) if run.purpose == "measure" and run.repeat == 0]
    runs = {run.id: run for each in chosen for run in untimed(each, "profile", 1, first)}
    return PlannedSweep(planned.plan, planned.runs | runs), list(runs)

"""A small sweep run by the process of the test, in which parts can be replaced."""

from __future__ import annotations

from rich.console import Console

from bench.contract.results.preflight import Preflight
from bench.contract.results.result import Result
from matrix.planning.prepare import prepare
from matrix.runner.execute import waiting_at
from matrix.runner.session import Here, run_here
from matrix.store.claim import claim
from tests.support.sweeps import SmallSweep


def run_in_process(sweep: SmallSweep, preflight: Preflight | None = None) -> Result:
    """Run a sweep of one run; its result."""
    prepared, console, folder = prepare(sweep.matrix, None, [], []), Console(), sweep.folder
    with claim(folder.runners, waiting_at(folder, console)) as own:
        record = folder.begin(prepared.record(), prepared.planned.plan, accept_changes=False)
        here = Here(folder, record, prepared.system, None, own, folder.owner(record), None, console)
        run_here(here, prepared.selected_runs, None, to_settle=[], preflight=preflight)
    (found,) = sweep.found().values()
    return found

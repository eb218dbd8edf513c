"""What commands print of sweeps that are too large to read."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.storage.files import write_document
from matrix.cli.progress.display import print_status
from matrix.cli.progress.endings import Ending, begun_reading, endings
from matrix.cli.progress.look import look
from matrix.cli.render import MOST_ROWS, print_plan
from matrix.config.system import SystemFile
from matrix.planning.plan import make_plan
from matrix.planning.prepare import PreparedSweep
from matrix.store.sweep_folder import SweepFolder
from tests.support.planning import LoadText, PlanText


def with_seeds(small: str, count: int) -> str:
    """So many combinations, half of them impossible on a system of one node."""
    return small.replace("[2, 4]", f"2\n  seed: [{', '.join(map(str, range(count // 2)))}]")


def printed(load: LoadText, text: str) -> list[str]:
    sweep, system = load(text), SystemFile(name="toy", device="cpu", nodes=1, ranks_per_node=4)
    planned = make_plan(sweep, system)
    screen = StringIO()
    print_plan(PreparedSweep(sweep, system, planned, planned.plan.order), {}, Console(file=screen, width=200))
    return screen.getvalue().splitlines()


def test_a_plan_lists_the_first_combinations_and_counts_all(load: LoadText, small: str) -> None:
    whole = printed(load, with_seeds(small, MOST_ROWS))
    cut = printed(load, with_seeds(small, MOST_ROWS + 200))
    assert not any("more combinations" in line for line in whole)
    assert "200 more combinations: show them with --only AXIS=VALUE" in cut
    rows = [sum("seed" in line for line in lines) for lines in (whole, cut)]
    assert rows == [MOST_ROWS, MOST_ROWS]
    assert "[1] 2 nodes are more than the 1 of system toy" in cut, "the reason of what is not listed"
    assert cut[-1].startswith(
        "600 runs of 600 combinations, 1 repeat; equivalent to another combination: 0; impossible: 600"
    )


def test_status_looks_for_no_result_of_a_run_without_a_folder(
    plan: PlanText, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(small)
    folder = SweepFolder(tmp_path / "results")
    begun = planned.plan.order[1]
    folder.run(begun).path.mkdir(parents=True)
    write_document(folder.plan_file, planned.plan)
    asked: list[str] = []
    monkeypatch.setattr(SweepFolder, "result", lambda _, run_id: asked.append(run_id))
    screen = StringIO()
    print_status(look(folder), Console(file=screen, width=200))
    assert asked == [begun]
    assert "not run      4   no result yet" in screen.getvalue()


def test_several_processes_read_what_one_reads(
    plan: PlanText, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [*plan(small).plan.order, "another"]
    folder = SweepFolder(tmp_path / "results")
    for run_id, outcome in zip(order, (Outcome.HUNG, Outcome.OOM), strict=False):
        folder.run(run_id).path.mkdir(parents=True)
        result = Result(run=run_id, outcome=outcome, attempt=1, seconds=2.0, reason="so", started="")
        write_document(folder.run(run_id).result, result)
    for run_id, text in zip(order[2:4], ('{"version": 99}', '{"outcome": '), strict=True):
        folder.run(run_id).path.mkdir(parents=True)
        folder.run(run_id).result.write_text(text)
    alone = endings(folder, order)
    monkeypatch.setattr("matrix.cli.progress.endings.FEWEST_APART", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    with begun_reading(folder, [*reversed(order), "of no plan"]) as endings_of:
        found, newer = endings_of(order)
    assert (found, newer) == alone
    assert list(found) == order[:2]
    assert found[order[1]] == Ending(Outcome.OOM, "so", 1, 2.0, None)
    assert list(newer) == [order[2]]

"""The command line: answers at once, and says what is wrong in a sentence."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reports.data.frame import load
from reports.stats.verdicts import smallest_ratio
from tests.support.heavy_imports import IMPORTS
from tests.support.sweeps import PATIENCE, SmallSweep


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "matrix", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.fixture
def written_sweep(tmp_path: Path, data: Path) -> SmallSweep:
    """A sweep whose files are written."""
    made = SmallSweep(tmp_path, data)
    made.write()
    return made


def test_nothing_heavy_is_imported_on_a_login_node(written_sweep: SmallSweep) -> None:
    begun = call("run", str(written_sweep.matrix), "--results", str(written_sweep.results), "--max-runs", "0")
    assert begun.returncode == 0, begun.stderr
    for arguments in (
        ["--help"],
        ["plan", str(written_sweep.matrix)],
        ["run", str(written_sweep.matrix), "--dry-run"],
        ["status", str(written_sweep.folder.path)],
        ["report", "--help"],
        ["history", "--help"],
        ["nightly", "--help"],
        ["report", str(written_sweep.folder.path)],
        ["compare", str(written_sweep.folder.path), str(written_sweep.folder.path)],
        ["schema", "matrix"],
    ):
        program = IMPORTS.format(arguments=["xffl-bench", *arguments])
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == (2 if arguments[0] == "compare" else 0), done.stderr  # nothing ran yet
        assert done.stderr.endswith("heavy: []\n"), (arguments, done.stderr)


def test_the_help_imports_no_schemas() -> None:
    """They take more than half of the time of a command that reads no file."""
    program = (
        "import sys; sys.argv = ['xffl-bench', '--help']\nimport matrix.cli.app\n"
        "try:\n    matrix.cli.app.main()\nfinally:\n    assert not {'pydantic', 'yaml'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nightly" in done.stdout


def planned(sweep: SmallSweep) -> str:
    """What `plan` prints, which it does without importing what computes reports."""
    program = (
        f"import sys; sys.argv = ['xffl-bench', 'plan', {str(sweep.matrix)!r}, '--results', {str(sweep.results)!r}]\n"
        "import matrix.cli.app\nmatrix.cli.app.app(standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'scipy', 'numpy'} & sys.modules.keys()\nassert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plan_says_what_its_repeats_can_show(written_sweep: SmallSweep) -> None:
    assert "repeats: 1 gives no interval, so no difference can be shown: use 3 or more" in planned(written_sweep)
    written_sweep.write(repeats=3)
    usual = [f"{smallest_ratio(each * math.sqrt(2), 3) - 1:.1%}".replace("%", " %") for each in (0.02, 0.01, 0.05)]
    assert (
        f"3 pairs of runs show a difference of {usual[0]} (power 0.8) if runs vary by 2 %, {usual[1]} if by 1 %, "
        f"{usual[2]} if by 5 %\n"
    ) in planned(written_sweep)


def test_a_plan_says_that_ranks_will_share_cores(written_sweep: SmallSweep) -> None:
    cores = len(os.sched_getaffinity(0))
    assert "threads on" not in planned(written_sweep) or cores < 2
    system = written_sweep.system.read_text(encoding="utf-8")
    assert "ranks_per_node: 2" in system
    written_sweep.system.write_text(system.replace("ranks_per_node: 2", f"ranks_per_node: {2 * cores}"))
    assert f"up to {2 * cores} threads on {cores} cores: speeds of such runs will be no finding" in planned(
        written_sweep
    )


@pytest.mark.soak
def test_a_plan_takes_the_noise_of_earlier_results(written_sweep: SmallSweep) -> None:
    written_sweep.write(repeats=3)
    written_sweep.run()
    said = planned(written_sweep)
    found = re.search(
        r"difference of ([\d.]+) % \(power 0.8\) with the noise of 3 earlier pairs, ([\d.]+) % a run\n", said
    )
    assert found, said
    shown, of_run = (float(each) / 100 for each in found.groups())
    frame = load(written_sweep.folder.path).frame.pivot(index="repeat", columns="axis.strategy", values="tokens_per_s")
    deviation = np.log(frame["ddp"] / frame["fsdp"]).std(ddof=1)
    assert of_run * math.sqrt(2) == pytest.approx(deviation, abs=1e-4)
    assert shown == pytest.approx(smallest_ratio(deviation, 3) - 1, abs=1e-3)


def test_bad_input_is_a_sentence_and_status_2(tmp_path: Path, written_sweep: SmallSweep) -> None:
    for arguments, said in [
        (["plan", str(tmp_path / "none.yaml")], "none.yaml"),
        (["plan", str(written_sweep.matrix), "--only", "node=1"], "did you mean 'nodes'?"),
        (["status", str(tmp_path)], "not the folder of a sweep"),
        (["report", str(tmp_path)], str(tmp_path)),
        (["run", str(written_sweep.matrix), "--system", str(tmp_path / "no-system.yaml")], "no-system.yaml"),
    ]:
        done = call(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("xffl-bench: ")


def test_data_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    sweep = SmallSweep(tmp_path, tmp_path / "absent")
    sweep.write()
    planned = call("plan", str(sweep.matrix))
    assert planned.returncode == 0
    assert "before it can run: data.path: the folder " in planned.stdout
    done = call("run", str(sweep.matrix), "--results", str(sweep.results))
    assert (done.returncode, sweep.results.exists()) == (2, False)
    assert "xffl-bench data synthetic" in done.stderr


def test_schemas_are_for_editors() -> None:
    for kind in ("matrix", "system"):
        schema = json.loads(call("schema", kind).stdout)
        assert all("description" in key for key in schema["properties"].values())


def test_a_dry_run_prints_commands_and_starts_nothing(written_sweep: SmallSweep) -> None:
    done = call("run", str(written_sweep.matrix), "--results", str(written_sweep.results), "--dry-run")
    assert done.stdout.count("-m bench.start agent") == 2
    assert not written_sweep.results.exists()


def test_status_tells_outcomes(written_sweep: SmallSweep) -> None:
    done = call("run", str(written_sweep.matrix), "--results", str(written_sweep.results), "--max-runs", "0")
    lines = done.stdout.splitlines()
    assert lines[0] == "0 runs: none", "what is piped has the lines of runs only"
    assert done.stderr.splitlines()[0] == f"2 runs, results in {written_sweep.folder.path}"
    assert lines[-1] == "left: 2 of 2 runs; repeat the command to continue"
    said = call("status", str(written_sweep.folder.path)).stdout
    assert "not run" in said
    assert "no process is running this sweep" in said


def test_gpus_of_several_nodes_are_not_played_by_one_machine(written_sweep: SmallSweep, tmp_path: Path) -> None:
    gpus = tmp_path / "gpus.yaml"
    gpus.write_text("{name: gpus, device: cuda, nodes: 4, ranks_per_node: 2}", encoding="utf-8")
    written_sweep.matrix.write_text(
        written_sweep.matrix.read_text().replace("nodes: 1", "nodes: [1, 2]"), encoding="utf-8"
    )
    assert call("plan", str(written_sweep.matrix), "--system", str(gpus)).returncode == 0
    done = call("run", str(written_sweep.matrix), "--system", str(gpus), "--results", str(written_sweep.results))
    assert (done.returncode, written_sweep.results.exists()) == (2, False)
    assert "--only nodes=1" in done.stderr

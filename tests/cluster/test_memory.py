"""Jobs that may use no more memory than they asked for: a run, or the own process of a job, that wants more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.contract.results.outcomes import Outcome
from tests.support.cluster import Cluster, need_memory_groups
from tests.support.cluster_sweeps import ClusterSweep
from tests.support.sweeps import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MEMORY = ["--mem=1500M"]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node whose jobs are held to their memory."""
    need_memory_groups()
    cluster = Cluster(tmp_path_factory.mktemp("strict") / "cluster", nodes=1, limits_memory=True)
    yield cluster
    cluster.close()


def test_a_run_out_of_memory_ends_and_its_job_goes_on(strict: Cluster, tmp_path: Path, data: Path) -> None:
    sweep = ClusterSweep(strict, tmp_path, data, nodes=1, slurm={"sbatch": MEMORY})
    sweep.write(["ddp"])
    matrix = yaml.safe_load(sweep.matrix.read_text(encoding="utf-8"))
    matrix["axes"]["batch_size"] = [1, 65_536]
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
    done = sweep.call()
    assert done.returncode == 1, done.stdout + done.stderr
    small, large = sorted(sweep.found().values(), key=lambda result: ".b65536." in result.run)
    assert (small.outcome, large.outcome) == (Outcome.COMPLETED, Outcome.OOM), large
    assert "out of host memory: the scheduler killed a process" in large.reason
    assert [end and end.state for end in sweep.ends] == ["COMPLETED"]


def test_a_job_whose_own_process_is_killed_for_memory(strict: Cluster, tmp_path: Path, data: Path) -> None:
    """Two jobs die during the same run, which is then not retried."""
    now = tmp_path / "now"
    hog = f"( until [ -e {now} ]; do sleep 0.1; done; exec {sys.executable} -c 'x = bytearray(2 << 30)' ) &"
    first_to_go = "echo 1000 > /proc/self/oom_score_adj"  # of this job's processes, if they want too much
    sweep = ClusterSweep(strict, tmp_path, data, nodes=1, slurm={"sbatch": MEMORY, "setup": [hog, first_to_go]})
    sweep.write(["ddp"], steps=30_000)  # Slurm lets what is stopped go on, for some seconds, before it kills it
    with sweep.following() as process:
        for attempt in range(2):
            run_id = sweep.stopped_run(attempt)
            now.touch()
            assert wait_for(lambda count=attempt + 1: sum(end is not None for end in sweep.ends) == count)
            now.unlink()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert [end and end.state for end in sweep.ends] == ["OUT_OF_MEMORY"] * 2, output
    result = sweep.folder.result(run_id)
    assert result is not None
    assert result.outcome is Outcome.OOM
    assert "not retried: 2 jobs died during this run (OUT_OF_MEMORY, OUT_OF_MEMORY)" in result.reason
    assert wait_for(lambda: not sweep.left())

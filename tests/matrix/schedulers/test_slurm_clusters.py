"""A site of several Slurm clusters: a job is followed, found and cancelled on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.config.system import SystemFile, load_system
from matrix.errors import InputError
from matrix.schedulers.base import JobRequest, JobStatus
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.schedulers.slurm.header import options
from matrix.store.jobs import JobFolder

STAND_IN = r"""#!/bin/sh
echo "$(basename "$0") $*" >> {folder}/calls
case "$(basename "$0") $*" in
*sbatch*) echo '12;gpu' ;;
*'squeue --clusters=gpu '*'%i|%e') echo '12|2026-11-26T12:00:00' ;;
*'squeue --clusters=gpu '*'-o %i') echo 12 ;;
*'squeue --clusters=gpu '*) printf 'CLUSTER: gpu\n12|RUNNING|1:00|g0|None\n' ;;
*'squeue -h '*'-o %i' | *'squeue -h '*'%i|%e') ;;
*squeue*) printf '12|PENDING|0:00||Priority\n' ;;
*'sacct --clusters=gpu '*) echo '13|TIMEOUT|60|g1|0:0' ;;
*hostnames*) echo g0 ;;
*topology*) exit 1 ;;
*sinfo*--clusters=gpu*) printf 'CLUSTER: gpu\n4\n' ;;
esac
"""


def system(*options: str) -> SystemFile:
    fields = {"name": "x", "device": "cpu", "nodes": 2, "ranks_per_node": 1, "scheduler": "slurm"}
    return SystemFile.model_validate({**fields, "slurm": {"sbatch": list(options)}})


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Puts Slurm's commands into PATH; returns how they were called since the last time."""
    for name in ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun"):
        (tmp_path / name).write_text(STAND_IN.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def since() -> list[str]:
        lines = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
        (tmp_path / "calls").unlink()
        return lines

    return since


def test_a_job_keeps_its_cluster(tmp_path: Path, calls: Callable[[], list[str]]) -> None:
    """Even if the system file no longer names it; the same number on the default cluster is another job."""
    assert batch_scheduler_of(system("--clusters=gpu")).submit(tmp_path / "job.sh") == "12;gpu"
    scheduler = batch_scheduler_of(system())
    assert scheduler.look(["12;gpu", "12", "13;gpu"]) == {
        "12;gpu": JobStatus("RUNNING", "None", 60, "g0"),
        "12": JobStatus("PENDING", "Priority", 0, ""),
        "13;gpu": JobStatus("TIMEOUT", "", 60, "g1"),
    }
    calls()
    scheduler.cancel(["12;gpu", "7", "13;gpu"])
    assert calls() == ["scancel --clusters=gpu 12 13", "scancel 7"]


def test_a_job_whose_id_was_lost_is_looked_for_where_it_was_submitted(calls: Callable[[], list[str]]) -> None:
    assert batch_scheduler_of(system("--clusters=gpu")).named("a job") == ["12;gpu"]
    assert batch_scheduler_of(system()).named("a job") == []
    assert len(calls()) == 2


def test_a_jobs_own_process_knows_it_by_the_same_id(calls: Callable[[], list[str]]) -> None:
    environment = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "g0", "SLURM_CLUSTER_NAME": "gpu"}
    held = batch_scheduler_of(system("-M gpu")).held(environment)
    assert held is not None
    assert (held.allocation.job, held.allocation.hosts) == ("12;gpu", ["g0"])
    assert calls()[0].startswith("squeue --clusters=gpu -h ")
    # On a site of one cluster the option might need a database that it does not have.
    with pytest.raises(InputError, match="job 12 is not running"):
        batch_scheduler_of(system()).held(environment)
    assert calls()[0].startswith("squeue -h ")


def test_the_log_is_named_by_the_number(tmp_path: Path) -> None:
    assert JobFolder(tmp_path).log("12;gpu") == JobFolder(tmp_path).log("12") == tmp_path / "12.log"


def test_the_report_waits_on_the_cluster_of_the_jobs(tmp_path: Path) -> None:
    request = JobRequest("report", None, 15, tmp_path / "%j.log", ["12;gpu", "13;gpu"])
    found = options(request, system("--clusters=gpu"))
    assert {"--clusters=gpu", "--dependency=afterany:12:13"} <= set(found)


def test_the_partitions_nodes_are_those_of_the_cluster(calls: Callable[[], list[str]]) -> None:
    findings = list(batch_scheduler_of(system("--clusters=gpu")).check(system("--clusters=gpu")))
    assert [finding.found for finding in findings if finding.name == "partitions"] == ["4 nodes"]
    assert "sinfo --clusters=gpu -h -o %D" in calls()


@pytest.mark.parametrize(
    ("option", "cluster"),
    [
        ("--clusters=gpu", "gpu"),
        ("--cluster gpu", "gpu"),
        ("-Mgpu", "gpu"),
        ("-M 'gpu'", "gpu"),
        ("--cluster-constraint=gpu", ""),
        ("--mail-type=END", ""),
    ],
)
def test_ways_to_name_a_cluster(option: str, cluster: str) -> None:
    assert system("--mail-type=END", option).slurm.cluster == cluster


@pytest.mark.parametrize(("option", "named"), [("--clusters=a,b", "'a,b'"), ("-M all", "'all'"), ("--clusters=", "''")])
def test_several_clusters_are_refused(tmp_path: Path, option: str, named: str) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(
        f"{{name: x, device: cpu, nodes: 1, ranks_per_node: 2, scheduler: slurm, slurm: {{sbatch: ['{option}']}}}}"
    )
    with pytest.raises(InputError) as refused:
        load_system(path)
    sentence = f"{named} should be one cluster, so that all jobs run on the same nodes"
    assert str(refused.value) == f"{path}:1: slurm.sbatch[0]: {sentence}"

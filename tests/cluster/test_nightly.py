"""A sweep every night, as docs/guides/cluster.md says it: its script and its line for cron, taken from there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from bench.contract.results.outcomes import Outcome
from matrix.store.sweep_folder import SweepFolder
from tests.support.cluster import Cluster
from tests.support.cluster_sweeps import ClusterSweep
from tests.support.sweeps import COMMAND, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "cluster.md"


@contextmanager
def crond(cluster: Cluster, table: Path) -> Iterator[None]:
    """Cron on the login host, with one user's table and nothing of this machine's."""
    cluster.say("mount", "-t", "tmpfs", "tmpfs", "/var/spool/cron/crontabs")
    cluster.say("mount", "-t", "tmpfs", "tmpfs", "/etc/cron.d")
    cluster.say("mount", "--bind", "/dev/null", "/etc/crontab")
    cluster.say("crontab", table)
    daemon = cluster.popen(["cron", "-f"])
    try:
        yield
    finally:
        daemon.kill()
        daemon.wait()
        for place in ("/etc/crontab", "/etc/cron.d", "/var/spool/cron/crontabs"):
            cluster.say("umount", place)


def test_a_sweep_every_night(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    """Cron calls the script, which submits jobs and returns; the last job writes the report. Calls that come later,
    while jobs are there and when they are not, do nothing twice.
    """
    sweep = ClusterSweep(cluster, tmp_path, data, slurm={"report": True})
    sweep.write(["fsdp", "ddp"])
    sweep.matrix.rename(tmp_path / "nightly.yaml")
    sweep.system.rename(tmp_path / "booster.yaml")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    page = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n# nightly\.sh.*?)```", page, re.DOTALL)
    (line,) = re.findall(r"```text\n(0 22,4 .*)\n```", page)
    (tmp_path / "nightly.sh").write_text(script.replace("/shared/nightly", str(tmp_path)), encoding="utf-8")
    (tmp_path / "nightly.sh").chmod(0o755)
    every_minute = line.replace("/shared/nightly", str(tmp_path)).replace("0 22,4 * * *", "* * * * *")
    (tmp_path / "crontab").write_text(f"{every_minute}\n", encoding="utf-8")
    log = tmp_path / "nightly.log"
    log.touch()
    with crond(cluster, tmp_path / "crontab"):
        assert wait_for(lambda: "writes the report after these jobs" in log.read_text(encoding="utf-8"), 90), (
            log.read_text()
        )
    meanwhile = cluster.run([str(tmp_path / "nightly.sh")], timeout=300)
    assert meanwhile.returncode in (0, 1), meanwhile.stdout + meanwhile.stderr  # 1: not all is done
    assert "submitted" not in meanwhile.stdout
    (place,) = tmp_path.glob("results/????-??-??/small")
    assert wait_for(lambda: any("full report" in each.read_text() for each in place.glob("report-*.log")), 120)
    frame = pd.read_parquet(place / "report" / "runs.parquet")
    assert list(frame["outcome"]) == [Outcome.COMPLETED] * 2
    again = cluster.run([str(tmp_path / "nightly.sh")], timeout=300)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "not repeated, since a result exists: 2 runs" in again.stdout
    status = cluster.run([*COMMAND, "status", str(place)], env=sweep.variables)
    assert "COMPLETED" in status.stdout
    results = [SweepFolder(place).result(run) for run in frame["run"]]
    assert [result and result.attempt for result in results] == [0, 0]

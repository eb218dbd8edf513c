"""Sweeps through sbatch whose ranks run in a real image, over every launcher."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from tests.support.built import Built
from tests.support.cluster import Cluster
from tests.support.cluster_sweeps import ClusterSweep
from tests.support.standin.places import STANDINS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.mark.parametrize("launcher", ["torchrun", pytest.param("xffl", marks=pytest.mark.soak)])
def test_a_sweep_in_the_image(cluster: Cluster, built: Built, tmp_path: Path, data: Path, launcher: str) -> None:
    image = {"path": str(built.image), "program": built.program}
    xffl = {"command": str(STANDINS / "xffl"), "interface": "eth0"} if launcher == "xffl" else {}
    sweep = ClusterSweep(cluster, tmp_path, data, nodes=4, image=image, launcher=launcher, xffl=xffl)
    sweep.write(["fsdp"])
    done = sweep.call()
    assert done.returncode == 0, done.stdout + done.stderr + sweep.logs()
    (run_id,) = sweep.outcomes()
    result = sweep.folder.result(run_id)
    assert result is not None
    assert (result.outcome, result.lost_to) == (Outcome.COMPLETED, None)
    assert result.measured is not None
    provenance, record = result.measured.provenance, sweep.folder.record()
    assert record is not None
    assert provenance.hosts == cluster.nodes
    assert provenance.image == record.image
    assert record.image is not None
    assert built.image.with_suffix(".sif.sha256").read_text(encoding="ascii").startswith(record.image)
    assert not sweep.left()

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, need_parts
from tests.support.cluster_sweeps import ClusterSweep


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes, shared by the session."""
    need_parts()
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "virtual")
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """Four idle nodes with links that are not shaped; a test may leave them in any state."""
    yield running_cluster
    running_cluster.restore()


@pytest.fixture
def cluster_sweep(cluster: Cluster, tmp_path: Path, data: Path) -> ClusterSweep:
    """A sweep on two of the nodes, of which nothing is written yet."""
    return ClusterSweep(cluster, tmp_path, data)

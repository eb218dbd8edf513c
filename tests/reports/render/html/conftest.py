from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution, Outcome
from bench.contract.results.preflight import Bandwidth, DeviceSpeed, LinkSpeed, NodeSpeed, Preflight
from bench.contract.results.result import Result
from bench.contract.storage.files import write_document
from reports.render.html import page
from reports.render.write import write_report
from tests.support.documents import RANKS_PER_NODE, START, SweepDocuments, a_breakdown

EVIL = '</script><script>window.evil = 1</script><img src="x" onerror="window.evil = 2">'
"""What no part of the page may execute."""
REPEATS = 10


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """report.html of 120 runs in two tables: hsdp is faster than fsdp, and federated on two nodes crashed."""
    sweep = SweepDocuments(tmp_path_factory.mktemp("page") / "sweep", repeats=REPEATS)
    sweep.axes["batch_size"] = [4, 8]
    for batch in (4, 8):
        for strategy, speed in (("fsdp", 1000.0), ("hsdp", 1500.0), ("federated", 1200.0)):
            for nodes in (1, 2):
                crashed = strategy == "federated" and nodes == 2
                ids = sweep.run(
                    strategy,
                    nodes,
                    batch=batch,
                    speeds=[] if crashed else [speed * nodes**0.9 * (1 + repeat / 100) for repeat in range(REPEATS)],
                    breakdowns=[a_breakdown(0.1, forward=0.04, backward=0.05)] if batch == 4 else [],
                    cautions=[Caution.CPU_MEMORY],
                )
                for identity in ids:
                    if crashed:
                        _crash(sweep, identity)
                    else:
                        sweep.steps(identity, [[5.0, 4.0, 3.0]], tokens=[400])
    sweep.job(0, "COMPLETED", 60)
    write_document(sweep.path / "jobs" / "0000" / "preflight.json", a_preflight())
    out = sweep.path.parent / "report"
    written = write_report(sweep.write(), out, [page])
    assert written.problems == []
    return out / "report.html"


def _crash(sweep: SweepDocuments, identity: str) -> None:
    result = Result(
        run=identity,
        attempt=0,
        outcome=Outcome.CRASHED,
        reason=f"rank 1 exited with status 1: {EVIL}",
        evidence=["rank 1: RuntimeError: <b>NCCL</b>", EVIL],
        started=START.isoformat(timespec="seconds"),
        seconds=9.0,
    )
    write_document(sweep.folder(identity).result, result)


def a_preflight() -> Preflight:
    rate = Bandwidth(bytes_per_s=8e9, message_bytes=2**20)
    return Preflight(
        seconds=1.0,
        devices=[
            DeviceSpeed(rank=rank, host=EVIL, local_rank=rank, device="cpu", matmul_flops=5e12 + rank)
            for rank in range(RANKS_PER_NODE)
        ],
        nodes=[NodeSpeed(host=EVIL, inside=rate), NodeSpeed(host="b", inside=rate)],
        between_nodes=rate,
        links=[LinkSpeed(hosts=(EVIL, "b"), bytes_per_s=1e9, message_bytes=2**20)],
    )

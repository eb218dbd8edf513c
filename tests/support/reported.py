"""A sweep made by hand with everything that a report has to cope with."""

from __future__ import annotations

from bench.contract.results.outcomes import Outcome
from tests.support.documents import SweepDocuments

NASTY = 'one node: 50% & #1 _x_ \\ {a} ~ ^ <b> "é" ≥ |'
"""A reason with all characters that mean something to LaTeX or XML."""


def fill(sweep: SweepDocuments) -> None:
    """Fill a sweep of 1 and 2 nodes and 1 and 2 streams.

    The streams differ for federated only, hsdp on 1 node is fsdp, federated on 1 node is impossible, and of hsdp on 2
    nodes one run was out of memory and one was not run.
    """
    for nodes in (1, 2):
        sweep.run("fsdp", nodes, speeds=[1000.0 * nodes, 1100.0 * nodes, 1050.0 * nodes])
        sweep.same("fsdp", nodes, "fsdp", streams=2, other_streams=1)
    sweep.same("hsdp", 1, "fsdp")
    sweep.same("hsdp", 1, "fsdp", streams=2, other_streams=1)
    ids = sweep.run("hsdp", 2, speeds=[1900.0])
    sweep.same("hsdp", 2, "hsdp", streams=2, other_streams=1)
    sweep.end(ids[1], Outcome.OOM, "CUDA out of \x1b[31mmemory_x")
    sweep.run("federated", 2, speeds=[2300.0, 2200.0, 2250.0])
    sweep.run("federated", 2, speeds=[2600.0, 2500.0, 2550.0], streams=2)
    for streams in (1, 2):
        sweep.impossible("federated", 1, NASTY)
        sweep.cells[-1].labels["cuda_streams"] = streams

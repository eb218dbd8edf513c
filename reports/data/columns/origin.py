"""Columns for where, and with which software, a run was made."""

from __future__ import annotations

import json

from bench.contract.measured import Provenance
from reports.data.columns.base import Column

ORIGIN: tuple[Column[[Provenance]], ...] = (
    Column("python", "version of Python", lambda origin: origin.python),
    Column("packages", "versions of packages, as JSON", lambda origin: json.dumps(origin.packages, sort_keys=True)),
    Column("commit", "commit of the harness", lambda origin: origin.commit),
    Column("dirty", "whether the working tree had uncommitted changes", lambda origin: origin.dirty),
    Column("diff", "digest of the uncommitted changes, empty without any", lambda origin: origin.diff),
    Column("xffl", "commit (or digest) of the xFFL library, where it was the engine", lambda origin: origin.xffl),
    Column("image", "SHA-256 of the container image, where ranks ran in one", lambda origin: origin.image),
    Column("hosts", "host of every node, in rank order", lambda origin: ", ".join(origin.hosts)),
    Column("cores", "processor cores that a host's ranks may use", lambda origin: origin.cores),
    Column("cpu_model", "model of the hosts' processors", lambda origin: origin.cpu_model),
    Column("driver", "version of the GPUs' driver, on the host of rank 0", lambda origin: origin.driver),
    Column("devices", "names of the devices", lambda origin: ", ".join(origin.devices)),
    Column(
        "seats",
        "rank by rank: host, local rank, device, and the processor cores that it may use",
        lambda origin: "; ".join(
            f"{seat.rank}: {seat.host} {seat.local_rank}, {seat.device}, cores {seat.cores}" for seat in origin.seats
        ),
    ),
    Column("threads", "intra-op threads of a rank", lambda origin: origin.threads),
    Column(
        "environment",
        "environment variables that affect a run, from an allow-list, as JSON",
        lambda origin: json.dumps(origin.environment, sort_keys=True),
    ),
)

"""Columns for where, and with which software, a run was made."""

from __future__ import annotations

import json

from bench.contract.results.measured import Provenance
from reports.data.columns.base import Column, flag, text, whole

ORIGIN: tuple[Column[[Provenance]], ...] = (
    text("python", "version of Python", lambda origin: origin.python),
    text("packages", "versions of packages, as JSON", lambda origin: json.dumps(origin.packages, sort_keys=True)),
    text("commit", "commit of the harness", lambda origin: origin.commit),
    flag("dirty", "whether the working tree had uncommitted changes", lambda origin: origin.dirty),
    text("diff", "digest of the uncommitted changes, empty without any", lambda origin: origin.diff),
    text("xffl", "commit (or digest) of the xFFL library, where it was the engine", lambda origin: origin.xffl),
    text("image", "SHA-256 of the container image, where ranks ran in one", lambda origin: origin.image),
    text("hosts", "host of every node, in rank order", lambda origin: ", ".join(origin.hosts)),
    whole("cores", "processor cores that a host's ranks may use", lambda origin: origin.cores),
    text("cpu_model", "model of the hosts' processors", lambda origin: origin.cpu_model),
    text("driver", "version of the GPUs' driver, on the host of rank 0", lambda origin: origin.driver),
    text("devices", "names of the devices", lambda origin: ", ".join(origin.devices)),
    text(
        "seats",
        "rank by rank: host, local rank, device, and the processor cores that it may use",
        lambda origin: "; ".join(
            f"{seat.rank}: {seat.host} {seat.local_rank}, {seat.device}, cores {seat.cores}" for seat in origin.seats
        ),
    ),
    whole("threads", "intra-op threads of a rank", lambda origin: origin.threads),
    text(
        "environment",
        "environment variables that affect a run, from an allow-list, as JSON",
        lambda origin: json.dumps(origin.environment, sort_keys=True),
    ),
)

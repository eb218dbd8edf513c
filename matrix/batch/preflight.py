"""Preflight of a job: its machines and their links, measured before its runs."""

from __future__ import annotations

import time

from pydantic import ValidationError

from bench.contract.results.preflight import Preflight
from bench.contract.run import Run
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import RunFolder, write_document
from bench.measure.outliers import outliers
from matrix.errors import LostHostError
from matrix.launchers.base import LaunchError
from matrix.runner.session import Here, srun_of
from matrix.store.jobs import JobFolder

LIMIT = 300.0
"""Time limit in seconds; on GPUs importing torch from a busy file system takes most of it."""


def look_before(here: Here, job: JobFolder, run: Run) -> tuple[Preflight | None, list[str]]:
    """Measure the nodes, write jobs/<n>/preflight.json, and return it with lines for the job's log.

    The lines give a summary and the outliers, or why the measurement failed. A slow node is reported, not refused.

    Args:
        run: run of the job with the most nodes, for its ranks and devices.

    Raises:
        LostHostError: a host does not answer.

    """
    folder = RunFolder(job.path / "preflight")
    attempt = folder.attempt(here.claim.number)
    attempt.create()
    write_document(folder.run, run)
    launcher = srun_of(here)
    try:
        step = launcher.step(run, folder, attempt, "--preflight")
        deadline = time.monotonic() + min(LIMIT, here.held.left if here.held else LIMIT)
        while not step.is_over() and time.monotonic() < deadline:
            time.sleep(0.1)
        if wrong := step.stop():
            raise LostHostError(wrong[0])
        found = read_document(attempt.path / "preflight.json", Preflight)
    except (LaunchError, NewerVersionError) as error:
        return None, [f"preflight: {error}"]
    except (FileNotFoundError, ValidationError):
        return None, [f"preflight: no measurement, see {attempt.logs}"]
    finally:
        launcher.close()
    write_document(job.preflight, found)
    return found, [_in_short(found), *(f"preflight: {outlier.sentence}" for outlier in outliers(found))]


def _in_short(found: Preflight) -> str:
    slowest = min(device.matmul_flops for device in found.devices)
    between = found.between_nodes
    network = "" if between is None else f", {between.bytes_per_s / 1e9:.3g} GB/s between nodes"
    return f"preflight: {slowest / 1e12:.3g} TFLOP/s on the slowest device{network}; {found.seconds:.1f} s"

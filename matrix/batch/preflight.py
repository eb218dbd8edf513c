"""Preflight of a job: its machines and their links, measured before its runs."""

from __future__ import annotations

import time

from pydantic import ValidationError

from bench.contract.results.preflight import Preflight
from bench.contract.run import Limits, Run
from bench.contract.storage.files import AttemptFolder, RunFolder, write_document
from bench.measure.outliers import outliers
from matrix.errors import InputError, LostHostError
from matrix.launchers.base import LaunchError
from matrix.runner.attempts import next_attempt
from matrix.runner.following import follow
from matrix.runner.ports import on_free_port
from matrix.runner.session import Here, srun_of
from matrix.store.jobs import JobFolder
from matrix.store.judge import Verdict, judge
from matrix.store.sweep_folder import read_own

LIMIT = 300.0
"""Time limit in seconds; on GPUs importing torch from a busy file system takes most of it."""


def look_before(here: Here, job: JobFolder, run: Run) -> tuple[Preflight | None, list[str]]:
    """Measure the nodes, write jobs/<n>/preflight.json, and return it with lines for the job's log.

    The lines give a summary and the outliers, or why the measurement failed. A slow node is reported, not refused.

    Args:
        run: run of the job with the most nodes, for its ranks and devices.

    Raises:
        LostHostError: a host does not answer.
        LostClaimError: another runner took the job.
        KeyboardInterrupt: interrupted; all started processes are ended.

    """
    folder = RunFolder(job.path / "preflight")
    folder.path.mkdir(exist_ok=True)
    write_document(folder.run, run)
    launcher = srun_of(here)
    deadline = time.monotonic() + min(LIMIT, here.held.left if here.held else LIMIT)

    def attempt() -> tuple[Verdict, AttemptFolder]:
        made = next_attempt(folder, here.claim)
        seconds = max(0.1, deadline - time.monotonic())
        limited = run.model_copy(update={"limits": Limits(run_seconds=seconds, hang_seconds=seconds)})
        step = launcher.step(run, folder, made, "--preflight")
        ended, lost, fault = follow(limited, made, step, here.claim, heard=lambda _: None)
        if fault:
            raise fault
        if lost:
            raise LostHostError(lost[0])
        return judge(run, made, ended), made

    try:
        verdict, made = on_free_port(attempt)
        found = read_own(made.path / "preflight.json", Preflight)
    except (LaunchError, InputError) as error:
        return None, [f"preflight: {error}"]
    except (FileNotFoundError, ValidationError):
        why = f": {verdict.reason}" if verdict.port_taken else ""
        return None, [f"preflight: no measurement{why}, see {made.logs}"]
    finally:
        launcher.close()
    write_document(job.preflight, found)
    return found, [_in_short(found), *(f"preflight: {outlier.sentence}" for outlier in outliers(found))]


def _in_short(found: Preflight) -> str:
    slowest = min(device.matmul_flops for device in found.devices)
    between = found.between_nodes
    network = "" if between is None else f", {between.bytes_per_s / 1e9:.3g} GB/s between nodes"
    return f"preflight: {slowest / 1e12:.3g} TFLOP/s on the slowest device{network}; {found.seconds:.1f} s"

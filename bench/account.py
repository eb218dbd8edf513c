"""The account of a run: what rank 0 writes from the records of all ranks, with cautions and provenance."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from bench.contract.results.measured import Loss, Measured, Memory, Provenance, Seat, Validation
from bench.contract.results.outcomes import Caution
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, write_document
from bench.data.dataset import RunData
from bench.data.synthetic import entropy_rate
from bench.host.affinity import compact
from bench.host.software import provenance
from bench.host.software.code_state import code_state
from bench.host.speed import published_peak, utilisation
from bench.measure.gpu import driver_version
from bench.measure.machine import any_busy, is_slowed, machine_state
from bench.measure.parts import breakdown
from bench.measure.window import (
    RankRecord,
    Steps,
    largest_memory,
    mean_loss,
    oversubscribed,
    slowest_startup,
    step_table,
    window,
    write_steps,
)
from bench.models.optim import learning_rate
from bench.parallel import averaging_check as averaging


def account(
    run: Run,
    folder: AttemptFolder,
    device: torch.device,
    records: list[RankRecord],
    data: RunData,
    validation: float,
    *,
    slow_folder: bool,
) -> Measured:
    """Write `steps.parquet` and `measured.json` on rank 0, and return the latter's content."""
    steps = Steps.of([record.trained for record in records], run.validated_steps)
    rates = [learning_rate(run, data.order.first_step + step) for step in range(run.training.steps)]
    digest = write_steps(folder.steps, step_table(run, steps, rates))
    measured_window = window(run, steps)
    trained_tokens = int(steps.tokens.sum())
    tokens_per_step = measured_window.tokens // measured_window.steps
    distinct_samples = data.order.distinct
    samples = run.training.steps * run.step_sequences * run.world
    made_by = _provenance(run, records)
    measured = Measured(
        window=measured_window,
        tokens_per_step=tokens_per_step,
        tokens_per_update=tokens_per_step / run.layout.federation,
        trained_tokens=trained_tokens,
        distinct_tokens=trained_tokens * distinct_samples // samples,
        parameters=run.shape.parameters,
        memory=Memory.model_validate(largest_memory(records)),
        utilisation=utilisation(
            run, measured_window.tokens_per_s, published_peak(run, device), [record.matmul for record in records]
        ),
        loss=Loss(
            first=mean_loss(steps.losses[:, 0], steps.tokens[:, 0]),
            final=mean_loss(steps.losses[:, -run.block :], steps.tokens[:, -run.block :]),
            validation=validation,
            entropy_rate=entropy_rate(Path(run.data)),
        ),
        validations=_validations(run, steps, [*records[0].trained.validations, validation]),
        startup=slowest_startup(records),
        machine=machine_state([(record.machine, record.use) for record in records]),
        breakdown=breakdown(run, measured_window, [record.trained for record in records]),
        provenance=made_by,
        cautions=cautions(
            run,
            records,
            blocks=measured_window.steps // run.block,
            repeated=distinct_samples < samples,
            slow_folder=slow_folder,
            dirty=bool(made_by.dirty),
        ),
        steps_digest=digest,
        invalid=averaging.fault(run.layout, run.training.held, [record.trained.averaged for record in records]),
    )
    write_document(folder.measured, measured)
    return measured


def _validations(run: Run, steps: Steps, losses: list[float]) -> list[Validation]:
    """Return the validations with their losses, of which the last is that at the end."""
    if not run.training.validate_every:
        return []
    trained = steps.tokens.sum(axis=0).cumsum()
    return [
        Validation(step=step + 1, trained_tokens=int(trained[step]), loss=loss)
        for step, loss in zip([*run.validated_steps, run.training.steps - 1], losses, strict=True)
    ]


def _provenance(run: Run, records: list[RankRecord]) -> Provenance:
    code = code_state()
    return Provenance(
        python=provenance.python(),
        packages=provenance.package_versions(),
        commit=code.commit,
        dirty=code.dirty,
        diff=code.diff,
        xffl=(run.library.commit or run.library.digest) if run.library else None,
        image=provenance.image(),
        hosts=[record.host for record in records[:: run.ranks_per_node]],
        cores=records[0].cores,
        devices=sorted({record.device for record in records}),
        cpu_model=", ".join(sorted({record.cpu for record in records})),
        driver=driver_version() if run.system.device == "cuda" else None,
        seats=[
            Seat(
                rank=record.rank,
                host=record.host,
                local_rank=record.local_rank,
                device=record.device,
                cores=compact(record.own_cores),
            )
            for record in records
        ],
        threads=torch.get_num_threads(),
        environment=provenance.allowed_environment(os.environ),
    )


def cautions(
    run: Run, records: list[RankRecord], *, blocks: int, repeated: bool, slow_folder: bool, dirty: bool
) -> list[Caution]:
    """Return the cautions of this run."""
    shared = run.layout.federation > 1 and run.training.federated_data == "share"
    found = {
        Caution.OVERSUBSCRIBED: run.system.device == "cpu" and oversubscribed(records, run.system.threads_per_rank),
        Caution.BUSY_MACHINE: any_busy([(record.machine, record.use) for record in records]),
        Caution.THROTTLED: any(record.use.throttled or is_slowed(record.use.gpu) for record in records),
        Caution.NO_WARM_UP: run.first_window_step == 0,
        Caution.FEW_BLOCKS: blocks < 3,
        Caution.CPU_MEMORY: run.system.device == "cpu",
        Caution.BF16_LOSS: run.training.precision == "bf16",
        Caution.ALLOCATOR_RETRIES: any(record.memory.get("allocator_retries") for record in records),
        Caution.SHARED_DATA: shared,
        Caution.REPEATED_DATA: repeated and not shared,
        Caution.INERT_STREAMS: run.cuda_streams > 1 and run.system.device == "cpu",
        Caution.IGNORED_STREAMS: run.cuda_streams > 1 and run.library is not None and run.library.streams == "inert",
        Caution.CROSSING_SHARDS: run.crosses_by_size,
        Caution.DETERMINISTIC: run.training.deterministic,
        Caution.DEBUG_LEVEL: os.environ.get("TORCH_DISTRIBUTED_DEBUG", "OFF") not in ("", "OFF"),
        Caution.DIRTY_COMMIT: dirty,
        Caution.SLOW_FOLDER: slow_folder,
    }
    return [caution for caution, holds in found.items() if holds]

"""The training itself, on one rank: started by every launcher, ended with an account of what was measured.

    torchrun --nproc-per-node 4 -m bench.training RUN.json FOLDER

repeats a run by hand; what it measures goes into FOLDER.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from bench import provenance
from bench.build import build
from bench.checkpoint import go_on
from bench.contract import Loss, Measured, Memory, Provenance, Run, Saved, Startup
from bench.data import RunData, entropy_rate, load
from bench.engines.native import train, validate
from bench.federation import FederatedAverage
from bench.folder import AttemptFolder, write_document
from bench.measure import RankRecord, Steps, largest_memory, mean_loss, slowest_startup, step_table, window, write_steps
from bench.memory import MemoryMeter
from bench.mesh import Position, check_world, make_groups, process_group, wait_for_all
from bench.optim import build_optimizer, learning_rate
from bench.outcomes import Caution
from bench.preload import preload
from bench.progress import Progress
from bench.saving import save
from bench.speed import measure_matmul, published_peak, utilisation
from bench.state import local_parameters, state_bytes
from bench.tracking import hand_over


def main(run: Run, folder: AttemptFolder) -> None:
    """Train a run on this rank and leave an account, whatever happens.

    Raises:
        Whatever ended the training, after the rank's own word of it was written.

    """
    begin = time.perf_counter()
    gc.freeze()  # collections leave out what the imports made: shorter pauses inside steps
    folder.create()
    position = Position.from_environment()
    progress = Progress(folder, position.rank, run.training.steps)
    try:
        _run(run, folder, position, progress, begin)
    except BaseException as error:
        progress.end(error, out_of_memory=is_out_of_memory(error))
        raise
    progress.end(None)
    if position.rank == 0:  # no other rank waits for it any more, and nothing that happens here undoes the run
        hand_over(run, folder, progress)


_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Cuda failure 2 'out of memory'",  # NCCL
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether device or host memory ran out; what is outside torch's CUDA allocator says so in a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def _run(run: Run, folder: AttemptFolder, position: Position, progress: Progress, begin: float) -> None:
    # 1. Deterministic set-up (optional), threads
    device = position.device(run.system.device)
    check_world(run, position)
    set_up(run, position.rank)
    # 2. Process group and the layout's groups
    with process_group(device, timeout=run.limits.run_seconds):  # a hang is the runner's to see
        groups = make_groups(run, position.rank, device)
        ready = time.perf_counter()
        progress.enter("matmul")
        matmul = measure_matmul(run.training.computation, device)
        reading = preload(run, position.local_rank)
        meter = MemoryMeter(device)
        # 3. Model and optimizer: built, sharded, initialised or taken from a checkpoint
        progress.enter("model")
        building = time.perf_counter()
        model = build(run, groups, device, progress.alive)
        optimizer = build_optimizer(model, run.training)
        first_step = go_on(run, model, optimizer, position.rank, progress.alive)
        built = time.perf_counter()
        # 4. Data
        progress.enter("data")
        data = load(run, position.rank, first_step)
        # 5. The averaging of federated groups
        average = FederatedAverage(local_parameters(model), groups.holders) if groups.holders else None
        if reading is not None:  # it must not disturb the steps
            progress.enter("preload")
            reading.wait(progress.alive)
        if run.training.preload:  # the others' first step does not begin before every node's local rank 0 has read
            wait_for_all(progress.alive)
        loaded = time.perf_counter()
        # 6. Training
        progress.enter("training")
        trained = train(run, model, optimizer, average, data, device, progress)
        # 7. Validation on the averaged model
        progress.enter("validation")
        memory = {
            **meter.read(),
            "state": state_bytes(model, optimizer),
            "averaging_buffers": average.buffer_bytes if average else 0,
        }
        validation = validate(run, model, data, device, position.rank, progress)
        # 8. The account
        progress.enter("account")
        record = RankRecord(
            rank=position.rank,
            host=provenance.host(),
            device=_device_name(device),
            cores=provenance.cores(),
            losses=trained.losses,
            tokens=trained.tokens,
            begins=trained.begins,
            ends=trained.ends,
            aggregations=trained.aggregations,
            memory=memory,
            startup=Startup(
                rendezvous=ready - begin, model=built - building, data=loaded - built, first_step=trained.first_step
            ),
            matmul=matmul,
        )
        records: list[RankRecord | None] | None = [None] * run.world if position.rank == 0 else None
        dist.gather_object(record, records)
        measured: Measured | None = None
        if records is not None:
            whole = [each for each in records if each is not None]
            measured = account(run, folder, device, whole, data, validation)
        # 9. Saving, after the account: where the disk is full, the figures are there
        progress.enter("saving")
        saved = save(run, folder, model, optimizer, position.rank, first_step, progress.alive)
        if measured is not None and saved != Saved():
            write_document(folder.measured, measured.model_copy(update={"saved": saved}))
        # 10. Clean-up: wrappers and optimizer first, then the communicators they use
        progress.enter("clean-up")
        del model, optimizer, average, groups, data
        gc.collect()


def set_up(run: Run, rank: int) -> None:
    """Log, threads, seeds and, where asked for, deterministic algorithms."""
    logging.basicConfig(
        level=run.training.log_level.upper(),
        format=f"%(asctime)s rank {rank} %(levelname)s %(name)s: %(message)s",
        force=True,  # a warm process may have set up a log before it was forked
    )
    torch.set_num_threads(run.system.threads_per_rank)
    torch.manual_seed(run.seed)
    if run.training.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first call
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def account(
    run: Run, folder: AttemptFolder, device: torch.device, records: list[RankRecord], data: RunData, validation: float
) -> Measured:
    """Write `steps.parquet` and `measured.json`, and return the latter; on rank 0."""
    steps = Steps.of(records)
    rates = [learning_rate(run, data.order.first_step + step) for step in range(run.training.steps)]
    write_steps(folder.steps, step_table(run, steps, rates))
    measured_window = window(run, steps)
    matmul = float(np.mean([record.matmul for record in records]))
    trained_tokens = int(steps.tokens.sum())
    tokens_per_step = measured_window.tokens // measured_window.steps
    distinct_samples = data.order.distinct
    samples = run.training.steps * run.step_sequences * run.world
    measured = Measured(
        window=measured_window,
        tokens_per_step=tokens_per_step,
        tokens_per_update=tokens_per_step / run.layout.federation,
        trained_tokens=trained_tokens,
        distinct_tokens=trained_tokens * distinct_samples // samples,
        parameters=run.shape.parameters,
        memory=Memory.model_validate(largest_memory(records)),
        utilisation=utilisation(run, measured_window.tokens_per_s, published_peak(run, device), matmul),
        loss=Loss(
            first=mean_loss(steps.losses[:, 0], steps.tokens[:, 0]),
            final=mean_loss(steps.losses[:, -run.block :], steps.tokens[:, -run.block :]),
            validation=validation,
            entropy_rate=entropy_rate(Path(run.data)),
        ),
        startup=slowest_startup(records),
        provenance=_provenance(run, records),
        cautions=cautions(run, records, measured_window.steps // run.block, distinct_samples < samples),
    )
    write_document(folder.measured, measured)
    return measured


def _provenance(run: Run, records: list[RankRecord]) -> Provenance:
    commit, dirty = provenance.commit()
    return Provenance(
        python=provenance.python(),
        packages=provenance.package_versions(),
        commit=commit,
        dirty=dirty,
        hosts=[record.host for record in records[:: run.ranks_per_node]],
        cores=records[0].cores,
        devices=sorted({record.device for record in records}),
        threads=torch.get_num_threads(),
        environment=provenance.allowed_environment(os.environ),
    )


def cautions(run: Run, records: list[RankRecord], blocks: int, repeated: bool) -> list[Caution]:
    """What a reader of this run's numbers must know."""
    ranks_of = {host: sum(record.host == host for record in records) for host in {record.host for record in records}}
    oversubscribed = run.system.device == "cpu" and any(
        ranks_of[record.host] * run.system.threads_per_rank > record.cores for record in records
    )
    shared = run.layout.federation > 1 and run.training.federated_data == "share"
    found = {
        Caution.OVERSUBSCRIBED: oversubscribed,
        Caution.FEW_BLOCKS: blocks < 3,
        Caution.CPU_MEMORY: run.system.device == "cpu",
        Caution.BF16_LOSS: run.training.precision == "bf16",
        Caution.ALLOCATOR_RETRIES: any(record.memory.get("allocator_retries") for record in records),
        Caution.SHARED_DATA: shared,
        Caution.REPEATED_DATA: repeated and not shared,
        Caution.INERT_STREAMS: run.cuda_streams > 1 and run.system.device == "cpu",
        Caution.DETERMINISTIC: run.training.deterministic,
        Caution.DEBUG_LEVEL: os.environ.get("TORCH_DISTRIBUTED_DEBUG", "OFF") not in ("", "OFF"),
        Caution.DIRTY_COMMIT: bool(provenance.commit()[1]),
    }
    return [caution for caution, holds in found.items() if holds]


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train one run on this rank (start it with torchrun or xffl exec).")
    parser.add_argument("run", type=Path, help="run.json")
    parser.add_argument("folder", type=Path, help="where the account goes")
    arguments = parser.parse_args()
    main(Run.model_validate_json(arguments.run.read_text(encoding="utf-8")), AttemptFolder(arguments.folder))

"""The training program of one rank, started by every launcher; rank 0 writes what was measured.

    torchrun --nproc-per-node 4 -m bench.training RUN.json FOLDER

repeats a run by hand and writes its results into FOLDER. Without arguments it is the script of xFFL's example:

    xffl exec bench/training.py bench/config.py -c tiny_config

trains that configuration through the xFFL library.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

if __name__ == "__main__" and sys.path[0] == str(Path(__file__).resolve().parent):
    del sys.path[0]  # started as a file: modules beside it must not shadow other packages

import torch
import torch.distributed as dist

from bench.account import account
from bench.contract.results.measured import Measured, Saved, Startup
from bench.contract.run import Run
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import AttemptFolder, write_document
from bench.engines.dispatch import engine_of
from bench.engines.loss import validate
from bench.host.affinity import bind, own_cores
from bench.host.matmul import measure_matmul
from bench.host.memory import MemoryMeter, is_full, limit_memory
from bench.host.ports import is_port_taken
from bench.host.software import provenance
from bench.host.speed import device_name
from bench.measure.gpu import GpuCounters
from bench.measure.machine import MachineMeter
from bench.measure.progress import Progress
from bench.measure.rapl import ProcessorEnergy
from bench.measure.trace import StepTrace
from bench.measure.window import RankRecord
from bench.parallel.mesh import Position, check_world, wait_for_all
from bench.saving.tracking import Tracking, follow, hand_over


def main(run: Run, folder: AttemptFolder) -> None:
    """Train a run on this rank and report how it ended, whatever happens.

    Raises:
        Any exception of the training, once the rank's report is written.

    """
    begin = time.perf_counter()
    gc.freeze()  # exclude objects of the imports from collections: shorter pauses within steps
    folder.create()
    position = Position.from_environment()
    cores = provenance.cores()  # before this rank is pinned to some of them
    bind(run.system, position.local_rank, position.local_world)
    with closing(Progress(folder, position.rank, run.training.steps, run.positions_per_step)) as progress:
        following = follow(run, folder) if position.rank == 0 else None
        try:
            _run(run, folder, position, progress, cores, begin, following)
        except BaseException as error:
            progress.end(error, out_of_memory=is_out_of_memory(error) or is_full(), port_taken=is_port_taken(error))
            raise
        progress.end(None)
        if position.rank == 0:  # no other rank waits any more, and a failure here does not affect the run
            hand_over(run, folder, progress, following)


_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "std::bad_alloc",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Cuda failure 2 'out of memory'",  # NCCL
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if device or host memory ran out; outside torch's CUDA allocator that is a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def _run(
    run: Run,
    folder: AttemptFolder,
    position: Position,
    progress: Progress,
    cores: int,
    begin: float,
    following: Tracking | None,
) -> None:
    # 1. Deterministic set-up (optional), threads
    device = position.device(run.system.device)
    check_world(run, position)
    set_up(run, position.rank)
    engine = engine_of(run, position, device)
    # 2. Process group and the layout's groups
    with engine.world():
        ready = time.perf_counter()
        limit_memory(device, run.system.memory_per_rank, run.memory_share)  # a thread of gloo would hang without any
        progress.enter("matmul")
        matmul = measure_matmul(run.training.computation, device)
        engine.preload()
        meter = MemoryMeter(device)
        # 3. Model: built, sharded, initialised
        progress.enter("model")
        building = time.perf_counter()
        processors = ProcessorEnergy.of_machine() if position.local_rank == 0 else None
        counters = GpuCounters.of(device)
        machine = MachineMeter(run.first_window_step, run.training.steps - 1, counters, processors)
        trace = StepTrace(run, device) if run.purpose == "profile" and position.local_rank == 0 else None
        watched = Watched(progress, meter, machine, trace)
        engine.build(watched.alive)
        built = time.perf_counter()
        # 4. Data
        progress.enter("data")
        data = engine.load(watched.alive)
        loaded = time.perf_counter()
        _wait_for_tracking(run, following, watched.alive)
        # 5. Training, with federated averaging
        progress.enter("training")
        watched.begin()
        validation = partial(validate, run, engine.model, data, device, position.rank, progress)
        trained = engine.train(watched, partial(watched.aside, validation))
        # 6. Validation on the averaged model
        progress.enter("validation")
        memory = meter.read() | engine.memory()
        loss = validation()
        # 7. Results
        progress.enter("account")
        record = RankRecord(
            rank=position.rank,
            host=provenance.host(),
            machine=provenance.machine(),
            local_rank=position.local_rank,
            device=device_name(device),
            cores=cores,
            own_cores=own_cores(),
            cpu=provenance.cpu_model(),
            trained=trained,
            memory=memory,
            startup=Startup(
                rendezvous=ready - begin, model=built - building, data=loaded - built, first_step=trained.first_step
            ),
            matmul=matmul,
            use=machine.read(),
        )
        records: list[RankRecord | None] | None = [None] * run.world if position.rank == 0 else None
        dist.gather_object(record, records)
        measured: Measured | None = None
        if records is not None:
            whole = [each for each in records if each is not None]
            measured = account(run, folder, device, whole, data, loss, slow_folder=progress.slow_folder)
        # 8. Saving, after the results: they exist even if the disk is full
        progress.enter("saving")
        if trace is not None:
            trace.write(folder, position.rank)
        saved = engine.save(folder, progress.alive)
        if measured is not None and saved != Saved():
            write_document(folder.measured, measured.model_copy(update={"saved": saved}))
        # 9. Clean-up: wrappers and optimizer before the communicators that they use
        progress.enter("clean-up")
        del data
        engine.release()


def _wait_for_tracking(run: Run, following: Tracking | None, alive: Callable[[], None]) -> None:
    """Have all ranks wait until the process that follows a run is ready: its start is part of no rank's first step."""
    if following is not None:
        following.wait_until_ready(alive)
    if run.wandb.follows:
        wait_for_all(alive)


class Watched:
    """Progress of a rank, each report of which is also a moment at which its memory is noted.

    The machine is read after the steps at which the window begins and ends, and a trace begins and ends after steps.
    """

    def __init__(
        self, progress: Progress, meter: MemoryMeter, machine: MachineMeter, trace: StepTrace | None = None
    ) -> None:
        self._progress = progress
        self._meter = meter
        self._machine = machine
        self._trace = trace

    def begin(self) -> None:
        """Report that the first step is next: without warm-up the window begins now."""
        self._machine.finished(-1)
        if self._trace is not None:
            self._trace.finished(-1)

    def finished(self, step: int, losses: torch.Tensor) -> None:
        """Report that an optimizer step is done, with the losses of its micro-batches."""
        self._progress.finished(step, losses)
        self._meter.note()
        self._machine.finished(step)
        if self._trace is not None:
            self._trace.finished(step)

    def alive(self) -> None:
        """Report progress within a long phase."""
        self._progress.alive()
        self._meter.note()

    def aside(self, work: Callable[[], float]) -> float:
        """Return the result of work between two steps, whose memory and use of the machine do not count."""
        with self._meter.aside(), self._machine.aside():
            return work()


def set_up(run: Run, rank: int) -> None:
    """Set up logging, threads, seeds and, if the run asks for them, deterministic algorithms."""
    logging.basicConfig(
        level=run.training.log_level.upper(),
        format=f"%(asctime)s rank {rank} %(levelname)s %(name)s: %(message)s",
        force=True,  # the warm process may have set up logging before the fork
    )
    torch.set_num_threads(run.system.threads_per_rank)
    torch.manual_seed(run.seed)
    if run.training.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first call
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def _as_configured() -> None:
    """Train the configuration that `xffl exec` names; exit with status 2 if it cannot be trained."""
    from bench.by_hand.errors import ConfigurationError  # noqa: PLC0415 - as below
    from bench.by_hand.named import load, named  # noqa: PLC0415 - as below

    try:
        config = load(named(Path(__file__).resolve()))
        from bench.by_hand.pretraining import pretraining  # noqa: PLC0415 - an optional dependency

        pretraining(config)
    except ConfigurationError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # every rank of a host finds the same
            print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        _as_configured()
        sys.exit()
    parser = argparse.ArgumentParser(description="Train one run on this rank (start it with torchrun or xffl exec).")
    parser.add_argument("run", type=Path, help="run.json")
    parser.add_argument("folder", type=Path, help="folder for the results")
    arguments = parser.parse_args()
    try:
        asked = read_document(arguments.run, Run)
    except NewerVersionError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    main(asked, AttemptFolder(arguments.folder))

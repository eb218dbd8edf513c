"""Two ranks train a tiny model for a few steps, as a sweep's runs do: the %test of the image.

With two GPUs or more they compute there and talk through NCCL, else on the CPU through gloo. Where the image has the
xFFL library, its engine trains the same run once more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import torch

from bench.contract.base import EngineName
from bench.contract.layout import Layout
from bench.contract.results.measured import Measured
from bench.contract.run import Limits, Run, System
from bench.contract.shapes import STOCK
from bench.contract.storage.files import AttemptFolder
from bench.contract.training import Training
from bench.data.synthetic import SyntheticData, make_synthetic
from bench.host.software.xffl_package import xffl_package

LENGTH = 32


def asked_for(data: Path, engine: EngineName, device: Literal["cpu", "cuda"]) -> Run:
    """The run."""
    return Run(
        sweep="try-out",
        id=f"try-out-{engine}",
        repeat=0,
        labels={},
        model="llama-tiny",
        shape=STOCK["llama-tiny"],
        layout=Layout(federation=1, replicate=1, shard=2),
        every=0,
        cuda_streams=1,
        nodes=1,
        ranks_per_node=2,
        regime="micro-batch",
        batch_size=2,
        block=4,
        training=Training(sequence_length=LENGTH, steps=8, warmup_steps=4),
        data=str(data),
        engine=engine,
        system=System(name="try-out", device=device, threads_per_rank=1),
        limits=Limits(),
    )


def trained(run: Run, folder: Path) -> Measured:
    """Train it under torchrun.

    Raises:
        SystemExit: a rank failed; what torchrun printed is printed.

    """
    folder.mkdir()
    file = folder / "run.json"
    file.write_text(run.model_dump_json(), encoding="utf-8")
    words = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "bench.training", str(file), str(folder)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-8000:], file=sys.stderr)
        sys.exit(f"two ranks of engine {run.engine} on {run.system.device}: torchrun's status was {done.returncode}")
    return Measured.model_validate_json(AttemptFolder(folder).measured.read_text(encoding="utf-8"))


def main() -> None:
    """Try every engine that is there."""
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.device_count() > 1 else "cpu"
    engines: list[EngineName] = ["native"] if xffl_package() is None else ["native", "xffl"]
    with tempfile.TemporaryDirectory(prefix="xffl-bench-try-out-") as place:
        data = Path(place) / "data"
        make_synthetic(data, SyntheticData(vocab_size=256, sequence_length=LENGTH, train_samples=64, val_samples=32))
        for engine in engines:
            measured = trained(asked_for(data, engine, device), Path(place) / engine)
            print(
                f"two ranks of engine {engine} trained on {device} under torchrun: "
                f"loss {measured.loss.first:.3f}, then {measured.loss.final:.3f}"
            )


if __name__ == "__main__":
    main()

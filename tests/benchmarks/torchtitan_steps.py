"""torchtitan's trainer on a run of ours: the same shape, data, optimizer and window, on one GPU.

    torchrun --nproc-per-node 1 tests/benchmarks/torchtitan_steps.py RUN.json RESULT.json

Written for torchtitan 0.2.2. Its trainer clips gradients in every step, so RUN.json should have `clip_norm: 1.0`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torchtitan.components.dataloader import BaseDataLoader
from torchtitan.config import JobConfig
from torchtitan.models.llama3 import TransformerModelArgs, get_train_spec
from torchtitan.protocols.train_spec import register_train_spec
from torchtitan.tools.logging import init_logger
from torchtitan.train import Trainer

from bench.contract.run import Run
from bench.data.dataset import load
from bench.measure.clock import CudaMarks


class OurData(BaseDataLoader):
    """Batches of our loader, in torchtitan's form."""

    def __init__(self, run: Run) -> None:
        self._batches = load(run, 0).train

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        for batch in self._batches:
            yield {"input": batch.tokens}, batch.labels

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


class Timed(Trainer):
    """The trainer with a mark on the device's stream at the begin of every step, and the peak of its memory."""

    def __init__(self, config: JobConfig) -> None:
        super().__init__(config)
        self.marks = CudaMarks()
        self.peak = 0

    def train_step(self, data_iterator: Any) -> None:
        self.peak = max(self.peak, torch.cuda.memory_stats()["active_bytes.all.peak"])  # its log resets the counter
        self.marks.mark()
        super().train_step(data_iterator)


def job(run: Run) -> JobConfig:
    """torchtitan's settings for a run of ours."""
    config, training = JobConfig(), run.training
    config.model.name, config.model.flavor = "ours", "ours"
    config.training.local_batch_size = run.batch_size
    config.training.seq_len = training.sequence_length
    config.training.steps = training.steps
    config.training.max_norm = training.clip_norm
    config.training.dtype = "bfloat16" if training.precision == "bf16" else "float32"
    config.optimizer.lr = training.learning_rate
    config.lr_scheduler.warmup_steps = max(1, round(training.steps * training.lr_warmup_fraction))
    config.activation_checkpoint.mode = training.activation_checkpointing
    config.activation_checkpoint.selective_ac_option = str(training.checkpointed_layers)
    config.compile.enable = training.compile
    config.metrics.log_freq = training.steps  # reading a loss waits for the device
    return config


def main(run: Run, result: Path) -> None:
    shape = run.shape
    arguments = TransformerModelArgs(
        dim=shape.hidden_size,
        n_layers=shape.layers,
        n_heads=shape.heads,
        n_kv_heads=shape.kv_heads,
        vocab_size=shape.vocab_size,
        multiple_of=shape.intermediate_size,  # they round 8/3 of the width up to it
        rope_theta=500000,
    )
    spec = get_train_spec()
    spec.model_args = {"ours": arguments}
    spec.build_tokenizer_fn = None
    spec.build_dataloader_fn = lambda **_: OurData(run)
    spec.state_dict_adapter = None
    register_train_spec("ours", spec)
    init_logger()
    trainer = Timed(job(run))
    parameters = sum(parameter.numel() for part in trainer.model_parts for parameter in part.parameters())
    assert parameters == shape.parameters, f"torchtitan's model has {parameters}, ours {shape.parameters}"
    trainer.train()
    # The trainer sleeps after the last step, whose end has no mark: the step is left out.
    first, steps = run.first_window_step, run.training.steps
    moments = trainer.marks.seconds(first)
    tokens = (steps - 1 - first) * run.batch_size * run.training.sequence_length
    result.write_text(
        json.dumps(
            {
                "tokens_per_s": tokens / moments[-1],
                "peak_gib": trainer.peak / 2**30,
            }
        )
    )
    trainer.close()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Run.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))

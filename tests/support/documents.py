"""Sweeps made by hand: documents as the harness writes them, with numbers that are easy to work out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from bench.contract.base import Regime
from bench.contract.layout import Layout, StrategySettings, canonical_name, resolve
from bench.contract.plan import Cell, Plan
from bench.contract.results.breakdown import Breakdown, Part, PartTime
from bench.contract.results.measured import Loss, Measured, Memory, Provenance, Startup, Utilisation, Window
from bench.contract.results.outcomes import Caution, Outcome
from bench.contract.results.result import Allocation, JobEnd, Result
from bench.contract.run import Limits, Run, System
from bench.contract.shapes import STOCK
from bench.contract.storage.files import RunFolder, write_document
from bench.contract.training import Training

RANKS_PER_NODE = 4
BLOCK = 8
STATE_BYTES = 2**20
START = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
STRATEGIES = {
    "fsdp": StrategySettings(),
    "hsdp": StrategySettings(shard="node"),
    "federated": StrategySettings(group="node", every=8),
}


class SweepDocuments:
    """A sweep folder that grows cell by cell; `write` leaves its plan and runs on disk."""

    def __init__(
        self, path: Path, *, nodes: Sequence[int] = (1, 2), repeats: int = 3, streams: Sequence[int] = (1,)
    ) -> None:
        self.path = path
        self.repeats = repeats
        self.axes: dict[str, list[Any]] = {
            "model": ["llama-tiny"],
            "strategy": list(STRATEGIES),
            "nodes": list(nodes),
            "cuda_streams": list(streams),
            "batch_size": [4],
        }
        self.cells: list[Cell] = []
        self.compare = ["strategy"]
        self.regime: Regime = "micro-batch"
        self.reference: dict[str, Any] = {"strategy": "fsdp", "nodes": min(nodes)}
        self.best_of: list[str] = []
        self.target_loss: float | None = None
        self._ended = 0

    def labels(
        self, strategy: str, nodes: int, streams: int = 1, batch: int = 4, model: str = "llama-tiny"
    ) -> dict[str, Any]:
        return {"model": model, "strategy": strategy, "nodes": nodes, "cuda_streams": streams, "batch_size": batch}

    def run(
        self, strategy: str, nodes: int, *, speeds: Sequence[float] = (), streams: int = 1, **changes: Any
    ) -> list[str]:
        """Add a cell with its runs; each of `speeds` (tokens/s) completes a repeat, the others are not run.

        `settings` are axes of the sweep, too, by their label. Each of `breakdowns` is that of a breakdown run, whose
        tokens/s no table may show.
        """
        settings = changes.pop("settings", {})
        training = changes.pop("training", {}) | settings
        breakdowns: Sequence[Breakdown] = changes.pop("breakdowns", ())
        batch, model = changes.pop("batch", 4), changes.pop("model", "llama-tiny")
        layout = resolve(strategy, STRATEGIES[strategy], nodes, RANKS_PER_NODE)
        name = ".".join(
            [model, strategy, f"n{nodes}.s{streams}.b{batch}", *(str(value) for value in settings.values())]
        )
        ids = [f"{name}.r{repeat}" for repeat in range(self.repeats)]
        labels = self.labels(strategy, nodes, streams, batch, model) | settings
        for repeat, identity in enumerate(ids):
            folder = self.folder(identity)
            folder.path.mkdir(parents=True)
            write_document(folder.run, a_run(identity, repeat, labels, layout, training))
            if repeat < len(speeds):
                self.end(identity, measured=a_measurement(speeds[repeat], nodes, **changes))
        apart = [f"{name}.breakdown.r{repeat}" for repeat in range(len(breakdowns))]
        for repeat, identity in enumerate(apart):
            self.folder(identity).path.mkdir(parents=True)
            run = a_run(identity, repeat, labels, layout, training).model_copy(update={"purpose": "breakdown"})
            write_document(self.folder(identity).run, run)
            measured = a_measurement(1.0, nodes, **changes).model_copy(update={"breakdown": breakdowns[repeat]})
            later = START + timedelta(days=100 + repeat, minutes=len(self.cells))
            self.end(identity, measured=measured, started=later)
        cell = Cell(
            labels=labels,
            status="run",
            layout=layout,
            canonical=canonical_name(layout),
            runs=ids,
            breakdown_runs=apart,
        )
        self.cells.append(cell)
        return ids

    def same(
        self, strategy: str, nodes: int, other: str, *, streams: int = 1, other_streams: int | None = None
    ) -> None:
        same_as: dict[str, Any] = {"strategy": other} if other != strategy else {}
        if other_streams is not None:
            same_as["cuda_streams"] = other_streams
        labels = self.labels(strategy, nodes, streams)
        target = next(cell for cell in self.cells if cell.labels == {**labels, **same_as})
        self.cells.append(target.model_copy(update={"labels": labels, "status": "same", "same_as": same_as}))

    def impossible(self, strategy: str, nodes: int, reason: str) -> None:
        self.cells.append(Cell(labels=self.labels(strategy, nodes), status="impossible", reason=reason))

    def end(
        self,
        identity: str,
        outcome: Outcome = Outcome.COMPLETED,
        reason: str = "",
        measured: Measured | None = None,
        allocation: Allocation | None = None,
        session: str | None = None,
        slow_hosts: Sequence[str] = (),
        started: datetime | None = None,
    ) -> None:
        """Write a result; its attempt started in the time of its repeat if nothing else is said."""
        self._ended += started is None
        result = Result(
            run=identity,
            attempt=0,
            outcome=outcome,
            reason=reason,
            started=(started or self._in_order(identity)).isoformat(timespec="seconds"),
            seconds=12.5 if measured is None else max(12.5, measured.window.seconds + 1),
            allocation=allocation,
            session=session,
            slow_hosts=list(slow_hosts),
            measured=measured,
        )
        write_document(self.folder(identity).result, result)

    def _in_order(self, identity: str) -> datetime:
        """Return a start repeat after repeat, a day for each, and no two the same."""
        return START + timedelta(days=int(identity.rsplit("r", 1)[1]), minutes=self._ended)

    def job(self, number: int, state: str, seconds: float, nodes: int = 2) -> Path:
        """A batch job that has ended."""
        path = self.path / "jobs" / f"{number:04d}" / "ended.json"
        path.parent.mkdir(parents=True)
        write_document(path, JobEnd(id=str(100 + number), state=state, said="", seconds=seconds, nodes=nodes))
        return path

    def steps(
        self, identity: str, losses: Sequence[Sequence[float]], tokens: Sequence[int], *, seconds: float = 0.1
    ) -> None:
        """Write `losses[group][step]`, the last one until the end, with `tokens[group]` per step; the result agrees."""
        folder = self.folder(identity)
        run = Run.model_validate_json(folder.run.read_text())
        result = Result.model_validate_json(folder.result.read_text())
        rows = [
            {
                "step": step,
                "group": group,
                "seconds": seconds,
                "tokens": tokens[group],
                "loss": of_group[min(step, len(of_group) - 1)],
                "in_window": step >= run.first_window_step,
            }
            for step in range(run.training.steps)
            for group, of_group in enumerate(losses)
        ]
        pd.DataFrame(rows).to_parquet(folder.steps)
        measured = result.measured
        assert measured is not None
        total, pairs = sum(tokens), list(zip(losses, tokens, strict=True))
        window = measured.window.model_copy(
            update={
                "tokens": total * run.window_steps,
                "seconds": total * run.window_steps / measured.window.tokens_per_s,
                "step_s_quartiles": (seconds, seconds, seconds),
            }
        )
        loss = measured.loss.model_copy(
            update={
                "first": sum(of_group[0] * count for of_group, count in pairs) / total,
                "final": sum(of_group[-1] * count for of_group, count in pairs) / total,
            }
        )
        trained = total * run.training.steps
        agreeing = {"window": window, "loss": loss, "trained_tokens": trained, "distinct_tokens": trained}
        write_document(folder.result, result.model_copy(update={"measured": measured.model_copy(update=agreeing)}))

    def folder(self, identity: str) -> RunFolder:
        return RunFolder(self.path / "runs" / identity)

    def write(self) -> Path:
        order = [run for cell in self.cells if cell.status == "run" for run in cell.all_runs]
        self.path.mkdir(parents=True, exist_ok=True)
        plan = Plan(
            sweep="hand-made",
            axes=self.axes,
            compare=self.compare,
            best_of=self.best_of,
            reference=self.reference,
            regime=self.regime,
            repeats=self.repeats,
            target_loss=self.target_loss,
            cells=self.cells,
            order=order,
        )
        write_document(self.path / "plan.json", plan)
        return self.path


def a_run(identity: str, repeat: int, labels: dict[str, Any], layout: Layout, training: dict[str, Any]) -> Run:
    return Run(
        sweep="hand-made",
        id=identity,
        repeat=repeat,
        labels=labels,
        model=labels["model"],
        shape=STOCK[labels["model"]],
        layout=layout,
        every=8 if layout.federation > 1 else 0,
        cuda_streams=labels["cuda_streams"],
        nodes=labels["nodes"],
        ranks_per_node=RANKS_PER_NODE,
        regime="micro-batch",
        batch_size=labels["batch_size"],
        block=BLOCK,
        training=Training(**training),
        data="data/synthetic",
        system=System(name="laptop", device="cpu", threads_per_rank=1),
        limits=Limits(),
    )


def a_breakdown(step: float, **parts: float) -> Breakdown:
    """Of a step of so many seconds; what the given parts leave is the rest, the slowest rank's time twice the mean."""
    times = {Part(name): seconds for name, seconds in parts.items()}
    times |= {Part.REST: step - sum(times.values())}
    return Breakdown(
        step=step,
        parts={part: PartTime(mean=times.get(part, 0.0), slowest=2 * times.get(part, 0.0)) for part in Part},
    )


def a_result(run: str, measured: Measured, *, attempt: int = 0, seconds: float = 12.5) -> Result:
    """The result of a run that completed."""
    return Result(
        run=run,
        attempt=attempt,
        outcome=Outcome.COMPLETED,
        reason="",
        started=START.isoformat(timespec="seconds"),
        seconds=seconds,
        measured=measured,
    )


def a_measurement(
    tokens_per_s: float,
    nodes: int,
    *,
    cautions: Sequence[Caution] = (),
    final: float = 2.5,
    validation: float = 2.6,
    packages: dict[str, str] | None = None,
    state: int = STATE_BYTES,
) -> Measured:
    """16 steps in the window, of 4 sequences of 128 tokens per rank."""
    tokens_per_step = 4 * 128 * RANKS_PER_NODE * nodes
    tokens = 16 * tokens_per_step
    return Measured(
        window=Window(
            first_step=8,
            steps=16,
            block=BLOCK,
            seconds=tokens / tokens_per_s,
            tokens=tokens,
            block_tokens_per_s=[tokens_per_s, tokens_per_s],
            step_s_quartiles=(0.1, 0.2, 0.3),
            aggregations=2,
            aggregation_s_median=0.01,
        ),
        tokens_per_step=tokens_per_step,
        tokens_per_update=tokens_per_step,
        trained_tokens=24 * tokens_per_step,
        distinct_tokens=24 * tokens_per_step,
        parameters=STOCK["llama-tiny"].parameters,
        memory=Memory(peak=5 * 2**30, state=state, averaging_buffers=0),
        utilisation=Utilisation(
            flops_per_token=6e5, flops_per_token_causal=5e5, matmul_flops=1e10, matmul_fraction=0.03
        ),
        loss=Loss(first=5.5, final=final, validation=validation, entropy_rate=2.25),
        startup=Startup(rendezvous=0.5, model=0.1, data=0.2, first_step=0.3),
        provenance=Provenance(
            python="3.11.9",
            packages=packages or {"torch": "2.8.0"},
            commit="5a4f864",
            dirty=False,
            hosts=["laptop"] * nodes,
            cores=8,
            devices=["cpu"],
            threads=1,
            environment={"OMP_NUM_THREADS": "1"},
        ),
        cautions=list(cautions),
    )

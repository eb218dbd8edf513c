"""Does the demo's report have every row that it should? The rows are listed by hand, not taken from the plan."""

import sys
from pathlib import Path

import pandas as pd

STRATEGIES = ("fsdp", "hsdp", "federated", "federated-hsdp")
TABLES = (("llama-tiny", 2), ("llama-tiny", 4), ("mixtral-tiny", 2))
SAME_ON_ONE_NODE = {"hsdp": "fsdp", "federated-hsdp": "federated"}
REPEATS = 3


def expected_runs() -> set[tuple[object, ...]]:
    """(model, batch size, strategy, nodes, streams, repeat) of every run."""
    runs = {
        (model, batch, strategy, nodes, 1, repeat)
        for model, batch in TABLES
        for strategy in STRATEGIES
        for nodes in (1, 2)
        for repeat in range(REPEATS)
        if nodes == 2 or strategy not in SAME_ON_ONE_NODE
    }
    return runs | {("llama-tiny", 4, "federated", 2, 2, repeat) for repeat in range(REPEATS)}


def main(report: Path) -> None:
    """Exit with what is missing."""
    frame = pd.read_parquet(report / "runs.parquet")
    axes = [f"axis.{name}" for name in ("model", "batch_size", "strategy", "nodes", "cuda_streams")]
    found = set(frame[[*axes, "repeat"]].itertuples(index=False, name=None))
    faults = [f"no row for {run}" for run in sorted(expected_runs() - found, key=str)]
    faults += [f"a row too many: {run}" for run in sorted(found - expected_runs(), key=str)]
    faults += [f"{row.run} is {row.outcome}" for row in frame.itertuples() if row.outcome != "completed"]
    faults += [f"{row.run} has no throughput" for row in frame.itertuples() if not row.tokens_per_s > 0]
    text = (report / "report.md").read_text(encoding="utf-8")
    faults += [
        f"report.md does not mark `= {other}`" for other in set(SAME_ON_ONE_NODE.values()) if f"= {other}" not in text
    ]
    faults += ["report.md does not warn of oversubscription"] if "oversubscribed" not in text else []
    for kind in ("scaling", "loss"):
        plots = [plot for ending in ("png", "svg") for plot in (report / "plots").glob(f"*.{kind}.{ending}")]
        if len(plots) != 2 * len(TABLES):
            faults.append(f"{len(plots)} {kind} plots, not {2 * len(TABLES)}")
    if faults:
        sys.exit("\n".join(faults))
    print(f"the demo's report has all {len(found)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A real sweep whose truth is known gets the right answer at the top of its report."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.sweeps import SmallSweep

NORMAL = "activation_checkpointing none, learning_rate 0.01"
SLOWER = "activation_checkpointing full, learning_rate 0.01"
SPOILT = "activation_checkpointing none, learning_rate 1e-06"


def planted(sweep: SmallSweep) -> None:
    """A step that computes its forward pass twice, and a learning rate that spoils the loss; otherwise all is equal."""
    sweep.write(["fsdp"], repeats=5, steps=32, warmup_steps=8)
    matrix = yaml.safe_load(sweep.matrix.read_text(encoding="utf-8"))
    matrix["axes"] |= {"batch_size": 32, "activation_checkpointing": "none", "learning_rate": 1e-2}
    matrix["include"] = [{"activation_checkpointing": "full"}, {"learning_rate": 1e-6}]
    matrix |= {"compare": ["activation_checkpointing", "learning_rate"], "block": 8}
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_was_made_slower_and_what_was_spoilt_are_found(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data, ranks_per_node=1)
    planted(sweep)
    sweep.run(timeout=500)
    sweep.call("report", str(sweep.folder.path))
    text = (sweep.folder.path / "report" / "report.md").read_text(encoding="utf-8")
    (section,) = [part for part in text.split("\n## ") if part.startswith("What was found")]
    lead, *_, to_loss, losses = [line for line in section.splitlines() if line.startswith("- ")]
    leader, claim = lead.split(", on 1 node: ")[1].split("; ", 1)
    assert leader.startswith((NORMAL, SPOILT))
    assert f"faster than {SLOWER}, adjusted for 3 pairs of rows (5%)" in claim
    assert to_loss.endswith(f"not reached by {SPOILT} (in 5 of 5 repeats).")
    assert f"higher: {SPOILT} on 1 node (+" in losses
    assert losses.endswith(f"no difference seen: {SLOWER} on 1 node.")

"""Sweeps whose truth is known get the right answer, sentence by sentence, at the top of report.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.contract.layout import resolve
from bench.contract.results.outcomes import Caution, Outcome
from reports.render import markdown
from reports.render.write import write_report
from tests.support.documents import RANKS_PER_NODE, STRATEGIES, SweepDocuments, a_measurement

WHERE = "llama-tiny, batch size 4"
NOISE = {
    "fsdp": (1.0, 1.01, 0.99, 1.005, 0.995),
    "hsdp": (1.004, 0.996, 1.006, 0.992, 1.003),
    "federated": (0.995, 1.0, 1.003, 1.008, 0.99),
}
"""Of five repeats, about 1 % around one speed."""
SEEDS = {
    "fsdp": (0.02, -0.03, 0.01, 0.0, 0.015),
    "hsdp": (0.02, -0.03, 0.01, 0.0, 0.015),
    "federated": (0.019, -0.028, 0.012, -0.001, 0.014),
}
"""What seeds add to a loss: most of it to that of every strategy."""
COURSE = (5.0, 4.0, 3.0)
"""Training loss of each block."""
TOKENS = 4 * 128 * RANKS_PER_NODE
"""Per step and node."""


@pytest.fixture
def five(tmp_path: Path) -> SweepDocuments:
    """An empty sweep of 5 repeats on 2 and 4 nodes."""
    return SweepDocuments(tmp_path / "sweep", nodes=(2, 4), repeats=5)


def found(sweep: SweepDocuments) -> list[str]:
    """The sentences at the top of the report, without what is said of the time to a loss."""
    text = write_report(sweep.write(), sweep.path.parent / "report", [markdown]).report.read_text()
    assert "damaged" not in text
    (section,) = [part for part in text.split("\n## ") if part.startswith("What was found")]
    return [line.removeprefix("- ") for line in section.splitlines() if line.startswith("- ")]


def of_speed_and_loss(sweep: SweepDocuments) -> list[str]:
    return [sentence for sentence in found(sweep) if "which every repeat of fsdp reaches" not in sentence]


def plant(
    sweep: SweepDocuments, strategy: str, nodes: int = 2, *, speed: float = 1000.0, spoilt: float = 0.0,
    cautions: Sequence[Caution] = (),
) -> None:  # fmt: skip
    """Complete runs of about this speed in tokens/s, whose losses are about `spoilt` higher than those of others."""
    groups = resolve(strategy, STRATEGIES[strategy], nodes, RANKS_PER_NODE).federation
    for run, noise, seed in zip(sweep.run(strategy, nodes), NOISE[strategy], SEEDS[strategy], strict=False):
        measured = a_measurement(speed * noise, nodes, validation=3.1 + seed + spoilt, cautions=cautions)
        sweep.end(run, measured=measured)
        losses = [loss + seed + spoilt for loss in COURSE for _ in range(8)]
        seconds = TOKENS * nodes / (speed * noise)
        sweep.steps(run, [losses] * groups, tokens=[TOKENS * nodes // groups] * groups, seconds=seconds)


def plant_all(sweep: SweepDocuments, speeds: Mapping[str, float], nodes: int = 2) -> None:
    for strategy, speed in speeds.items():
        plant(sweep, strategy, nodes, speed=speed)


def ratio(ours: str, theirs: str, over: float) -> str:
    """The mean ratio of the pairs with a 95 % t-interval, of speeds of which the means differ by the factor `over`."""
    logs = [np.log(NOISE[name]) for name in (ours, theirs)]
    shift = np.log(over)
    made = stats.ttest_rel(logs[0] + shift, logs[1]).confidence_interval(0.95)
    low, middle, high = np.exp([made.low, np.mean(logs[0] - logs[1]) + shift, made.high])
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def difference(ours: str, spoilt: float = 0.0) -> str:
    made = stats.ttest_rel(np.add(SEEDS[ours], spoilt), SEEDS["fsdp"]).confidence_interval(0.95)
    mean = np.mean(np.subtract(SEEDS[ours], SEEDS["fsdp"])) + spoilt
    return f"({mean:+.4f} [{made.low:+.4f}, {made.high:+.4f}])"


EQUAL_LOSSES = (
    f"{WHERE}: validation loss minus fsdp's after the same tokens: no difference seen: hsdp on 2 nodes, federated on "
    "2 nodes."
)


def test_one_strategy_is_slower(five: SweepDocuments) -> None:
    """A step of hsdp takes a quarter longer; 2 nodes at 1,000 tokens/s take 555.6 node-hours for 10^9 tokens."""
    plant_all(five, {"fsdp": 1000.0, "hsdp": 800.0, "federated": 1000.0})
    lead, untold, losses = of_speed_and_loss(five)
    assert lead == (
        f"{WHERE}, on 2 nodes: fsdp has the highest mean; faster than hsdp, adjusted for 3 pairs of rows (5%); not "
        "shown to be faster than federated. 10^9 tokens take 556 node-hours."
    )
    assert untold == (
        "To show that fsdp is faster on 2 nodes than federated: more than 100 repeats (a ratio of 1.001)."
    )
    assert losses == EQUAL_LOSSES


def test_one_strategy_is_faster(five: SweepDocuments) -> None:
    plant_all(five, {"fsdp": 1000.0, "hsdp": 1000.0, "federated": 1250.0})
    lead, losses = of_speed_and_loss(five)
    assert lead == (
        f"{WHERE}, on 2 nodes: federated is fastest ({ratio('federated', 'fsdp', 1.25)} times fsdp's tokens/s); faster "
        "than fsdp, hsdp, adjusted for 3 pairs of rows (5%). 10^9 tokens take 445 node-hours, with fsdp 556."
    )
    assert losses == EQUAL_LOSSES


def test_a_spoilt_loss_is_told_and_the_strategy_never_reaches_the_others(five: SweepDocuments) -> None:
    plant(five, "fsdp")
    plant(five, "hsdp")
    plant(five, "federated", speed=1250.0, spoilt=0.4)
    sentences = found(five)
    assert sentences[0].startswith(f"{WHERE}, on 2 nodes: federated is fastest (")
    assert sentences[-1] == (
        f"{WHERE}: validation loss minus fsdp's after the same tokens: higher: federated on 2 nodes "
        f"{difference('federated', 0.4)}; no difference seen: hsdp on 2 nodes."
    )
    (to_loss,) = [sentence for sentence in sentences if "which every repeat of fsdp reaches" in sentence]
    assert "the training loss of 3.0200 nats/token" in to_loss
    assert "soonest by federated" not in to_loss
    assert "not reached by federated (in 5 of 5 repeats)" in to_loss


def test_a_strategy_does_not_fit(five: SweepDocuments) -> None:
    plant_all(five, {"fsdp": 1000.0, "hsdp": 800.0})
    for run in five.run("federated", 2):
        five.end(run, Outcome.OOM, "CUDA out of memory")
    lead, losses, memory = of_speed_and_loss(five)
    assert lead == (
        f"{WHERE}, on 2 nodes: fsdp is fastest; faster than hsdp, adjusted for 1 pair of rows (5%). 10^9 tokens take "
        "556 node-hours."
    )
    assert losses.endswith("after the same tokens: no difference seen: hsdp on 2 nodes.")
    assert memory == f"{WHERE}: does not fit in memory: federated on 2 nodes."


def test_the_order_changes_with_the_nodes(five: SweepDocuments) -> None:
    plant_all(five, {"fsdp": 1000.0, "hsdp": 900.0, "federated": 800.0}, nodes=2)
    plant_all(five, {"fsdp": 1100.0, "hsdp": 1500.0, "federated": 1900.0}, nodes=4)
    two, four, change, losses = of_speed_and_loss(five)
    assert two == (
        f"{WHERE}, on 2 nodes: fsdp is fastest; faster than hsdp, federated, adjusted for 6 pairs of rows (5%). 10^9 "
        "tokens take 556 node-hours."
    )
    assert four == (
        f"{WHERE}, on 4 nodes: federated is fastest ({ratio('federated', 'fsdp', 1900 / 1100)} times fsdp's tokens/s); "
        "faster than fsdp, hsdp, adjusted for 6 pairs of rows (5%). 10^9 tokens take 585 node-hours, with fsdp 1,010."
    )
    assert change == (
        f"{WHERE}: the order changes with the number of nodes. Fastest: fsdp on 2 nodes; federated on 4 nodes."
    )
    assert "higher" not in losses
    assert "lower" not in losses


def test_ranks_that_share_cores_give_a_demonstration_of_speed_and_a_finding_on_loss(five: SweepDocuments) -> None:
    starved = [Caution.OVERSUBSCRIBED]
    plant(five, "fsdp", cautions=starved)
    plant(five, "hsdp", cautions=starved, speed=2000.0)
    plant(five, "federated", cautions=starved, speed=4000.0, spoilt=0.4)
    speed, losses = found(five)
    assert speed == (
        f"{WHERE}: a demonstration. More ranks than cores ran (oversubscribed), so its speeds are no finding about "
        "strategy."
    )
    assert f"higher: federated on 2 nodes {difference('federated', 0.4)}" in losses


def test_too_few_repeats_tell_nothing_and_the_answer_says_what_it_takes(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(2, 4), repeats=2)
    plant_all(sweep, {"fsdp": 1000.0, "hsdp": 500.0, "federated": 2000.0})
    lead, untold = of_speed_and_loss(sweep)
    assert lead.startswith(f"{WHERE}, on 2 nodes: federated has the highest mean (1.985 (1.980 .. 1.990) times fsdp's")
    assert "; not shown to be faster than fsdp, hsdp. " in lead
    assert untold == (
        "To show that federated is faster on 2 nodes than fsdp, hsdp: at least 3 repeats of both in one session, for "
        "an interval."
    )


def test_where_all_are_equal_no_difference_is_seen(five: SweepDocuments) -> None:
    plant_all(five, dict.fromkeys(STRATEGIES, 1000.0))
    lead, untold, losses = of_speed_and_loss(five)
    assert lead == (
        f"{WHERE}, on 2 nodes: no difference seen; hsdp has the highest mean ({ratio('hsdp', 'fsdp', 1.0)} times "
        "fsdp's tokens/s); not shown to be faster than fsdp, federated. 10^9 tokens take 555 node-hours, with fsdp 556."
    )
    assert untold.startswith(
        "To show that hsdp is faster on 2 nodes than fsdp: more than 100 repeats (a ratio of 1.000)"
    )
    assert losses == EQUAL_LOSSES

"""The sentences at the top of a report: what they claim, and what they must not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.contract.results.outcomes import Caution, Outcome
from reports.answers.answers import answers
from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments, a_measurement

STEADY = (1.0, 1.01, 0.99, 1.005, 0.995)


def found(sweep: SweepDocuments) -> list[str]:
    comparability = Comparability(load(sweep.write()))
    return answers(comparability, tables(comparability))


def on_speed(sweep: SweepDocuments) -> list[str]:
    return [sentence for sentence in found(sweep) if "validation loss" not in sentence]


def around(speed: float, factors: Sequence[float] = STEADY) -> list[float]:
    return [speed * factor for factor in factors]


@pytest.fixture
def five(sweep: SweepDocuments) -> SweepDocuments:
    sweep.repeats = 5
    return sweep


def test_the_fastest_is_named_with_its_ratio_its_certainty_and_its_price(five: SweepDocuments) -> None:
    """1,000 tokens/s on one node: 10^9 tokens take 277.8 node-hours."""
    five.run("fsdp", 1, speeds=around(1000.0))
    five.run("hsdp", 1, speeds=around(800.0, STEADY[::-1]))
    five.run("federated", 1, speeds=around(1300.0, (1.0, 0.99, 1.01, 0.995, 1.005)))
    (only,) = on_speed(five)
    assert only.startswith("llama-tiny, batch size 4, on 1 node: federated is fastest (1.300 [1.2")
    assert "times fsdp's tokens/s); faster than fsdp, hsdp, adjusted for 3 pairs of rows (5%)." in only
    assert only.endswith("10^9 tokens take 214 node-hours, with fsdp 278.")


def test_a_difference_that_was_not_shown_is_no_finding_but_says_what_it_takes(five: SweepDocuments) -> None:
    noisy = (1.0, 1.2, 0.85, 1.1, 0.9)
    five.run("fsdp", 1, speeds=around(1000.0, noisy))
    five.run("hsdp", 1, speeds=around(1050.0, noisy[::-1]))
    first, second = on_speed(five)
    assert "hsdp has the highest mean" in first
    assert "not shown to be faster than fsdp" in first
    assert second.startswith("To show that hsdp is faster on 1 node than fsdp: ")
    assert "repeats" in second


def test_the_order_that_changes_with_the_nodes_is_told(five: SweepDocuments) -> None:
    for nodes, speeds in {1: (1000.0, 800.0), 2: (1900.0, 2500.0)}.items():
        five.run("fsdp", nodes, speeds=around(speeds[0]))
        five.run("federated", nodes, speeds=around(speeds[1], STEADY[::-1]))
    *_, last = on_speed(five)
    expected = "the order changes with the number of nodes. Fastest: fsdp on 1 node; federated on 2 nodes."
    assert last.endswith(expected)


def test_ranks_beyond_the_cores_are_a_demonstration(five: SweepDocuments) -> None:
    five.run("fsdp", 1, speeds=around(1000.0), cautions=[Caution.OVERSUBSCRIBED])
    five.run("federated", 1, speeds=around(2000.0), cautions=[Caution.OVERSUBSCRIBED])
    (only,) = on_speed(five)
    assert "a demonstration" in only
    assert "fastest" not in only


def test_rows_that_are_not_comparable_are_named_and_the_others_are_compared(five: SweepDocuments) -> None:
    five.run("fsdp", 1, speeds=around(1000.0), training={"attention": "eager"})
    five.run("hsdp", 1, speeds=around(1200.0))
    five.run("federated", 1, speeds=around(2000.0, STEADY[::-1]))
    first = on_speed(five)[0]
    assert "federated has the highest mean; faster than hsdp, adjusted for 3 pairs of rows (5%)" in first
    assert "not comparable with fsdp (see the table's cautions)" in first
    assert "times fsdp's" not in first
    assert "with fsdp" not in first.replace("comparable with fsdp", "")


def test_a_row_is_not_faster_because_other_runs_of_it_were(five: SweepDocuments) -> None:
    """Of the three pairs hsdp is slower in each; the two repeats that fsdp lacks make its mean the higher one."""
    five.run("fsdp", 1, speeds=[1000.0, 1001.0, 999.0])
    five.run("hsdp", 1, speeds=[900.0, 900.8, 899.3, 1900.0, 1900.5])
    first, second = on_speed(five)
    assert "fastest" not in first
    assert "not shown to be faster than fsdp" in first
    assert "no number of repeats" in second


def test_rows_that_show_the_runs_of_another_table_are_rows_all_the_same(five: SweepDocuments) -> None:
    """Of two precisions; hsdp in fp32 is fsdp's, which has the other table, and faster than bf16."""
    five.axes["precision"] = ["fp32", "bf16-mixed"]
    five.compare, five.reference = ["precision"], {"precision": "fp32", "nodes": 1}
    five.run("fsdp", 1, speeds=around(1000.0), settings={"precision": "fp32"})
    shown = five.cells[0].model_copy(
        update={
            "labels": five.cells[0].labels | {"strategy": "hsdp"},
            "status": "same",
            "same_as": {"strategy": "fsdp"},
        }
    )
    five.cells.append(shown)
    five.run("hsdp", 1, speeds=around(500.0, STEADY[::-1]), settings={"precision": "bf16-mixed"})
    (only,) = [sentence for sentence in on_speed(five) if "hsdp" in sentence and "fastest" in sentence]
    assert "precision fp32 is fastest; faster than precision bf16-mixed" in only


def test_a_loss_that_is_not_finite_is_no_finding(five: SweepDocuments) -> None:
    five.run("fsdp", 1, speeds=around(1000.0))
    five.run("hsdp", 1, speeds=around(1000.0), validation=float("inf"))
    assert not [sentence for sentence in found(five) if "validation loss" in sentence]


def test_cautions_on_speed_go_with_the_sentence(five: SweepDocuments) -> None:
    five.run("fsdp", 1, speeds=around(1000.0))
    five.run("federated", 1, speeds=around(2000.0, STEADY[::-1]), cautions=[Caution.BUSY_MACHINE])
    assert "(the table has the cautions busy-machine)" in found(five)[0]


def test_tokens_that_groups_share_are_no_gain_without_a_word(five: SweepDocuments) -> None:
    """Both groups read the same samples: each counts twice, in tokens/s and in what a loss is after."""
    five.run("fsdp", 1, speeds=around(1000.0))
    five.run("federated", 1, speeds=around(2000.0, STEADY[::-1]), cautions=[Caution.SHARED_DATA])
    assert "(the table has the cautions shared-data)" in found(five)[0]
    (loss,) = [sentence for sentence in found(five) if "validation loss" in sentence]
    assert loss.endswith("no difference seen: federated on 1 node (the table has the caution shared-data).")


def test_losses_are_compared_after_the_same_tokens(five: SweepDocuments) -> None:
    """Also where ranks share cores: a loss does not depend on the time."""
    starved = [Caution.OVERSUBSCRIBED]
    five.run("fsdp", 1, speeds=around(1000.0), cautions=starved)
    five.run("hsdp", 1, speeds=around(1000.0), cautions=starved)
    runs = five.run("federated", 1)
    for run, validation in zip(runs, (2.61, 2.62, 2.63, 2.615, 2.625), strict=True):
        measured = a_measurement(1000.0, 1, cautions=starved)
        loss = measured.loss.model_copy(update={"validation": validation})
        five.end(run, measured=measured.model_copy(update={"loss": loss}))
    (only,) = [sentence for sentence in found(five) if "validation loss" in sentence]
    assert "minus fsdp's after the same tokens: " in only
    assert "higher: federated on 1 node (+" in only
    assert only.endswith("no difference seen: hsdp on 1 node.")


def test_a_loss_that_differs_by_rounding_is_not_lower(five: SweepDocuments) -> None:
    """As hsdp's, which adds gradients in another order: in the same direction in every repeat."""
    for strategy, less in {"fsdp": 0.0, "hsdp": 3e-7}.items():
        for number, run in enumerate(five.run(strategy, 1)):
            five.end(run, measured=a_measurement(1000.0, 1, validation=2.6 - less * (1 + 0.01 * number)))
    assert found(five)[-1].endswith("after the same tokens: no difference seen: hsdp on 1 node.")


NOISY = (0.01, 0.02, 0.03, 0.0, 0.04)
"""Differences of losses whose p-value is 0.047; adjusted for two comparisons it is 0.094."""


def losses_of(five: SweepDocuments, **differences: Sequence[float]) -> str:
    """What is said of strategies whose losses differ from fsdp's by so much."""
    five.run("fsdp", 1, speeds=around(1000.0))
    for strategy, more in differences.items():
        for each, run in zip(more, five.run(strategy, 1), strict=True):
            five.end(run, measured=a_measurement(1000.0, 1, validation=2.6 + each))
    (only,) = [sentence for sentence in found(five) if "validation loss" in sentence]
    return only


def test_rounding_is_not_one_of_the_comparisons_that_verdicts_are_adjusted_for(five: SweepDocuments) -> None:
    said = losses_of(five, hsdp=[3e-7 * (1 + 0.01 * number) for number in range(5)], federated=NOISY)
    assert "higher: federated on 1 node (+0.0200 [" in said


def test_a_difference_that_only_the_adjustment_hides_is_shown_with_its_interval(five: SweepDocuments) -> None:
    said = losses_of(five, hsdp=(0.0, 0.02, -0.01, 0.02, -0.02), federated=NOISY)
    assert "federated on 1 node (+0.0200 [" in said
    assert "], but adjusted for 2 comparisons)" in said


def test_the_same_reason_for_no_finding_is_given_once(five: SweepDocuments) -> None:
    for batch_size in (4, 8):
        for strategy in ("fsdp", "federated"):
            five.run(strategy, 1, speeds=around(1000.0), cautions=[Caution.OVERSUBSCRIBED], batch=batch_size)
    said = [sentence for sentence in found(five) if "a demonstration" in sentence]
    assert len(said) == 1
    assert said[0].startswith("llama-tiny, batch size 4; llama-tiny, batch size 8: a demonstration.")


def test_what_does_not_fit_is_told(five: SweepDocuments) -> None:
    five.run("fsdp", 1, speeds=around(1000.0))
    for run in five.run("federated", 1):
        five.end(run, Outcome.OOM, "CUDA out of memory")
    assert found(five)[-1] == "llama-tiny, batch size 4: does not fit in memory: federated on 1 node."


def test_a_sweep_of_one_row_or_without_results_claims_nothing(five: SweepDocuments) -> None:
    five.run("fsdp", 1, speeds=around(1000.0))
    five.run("federated", 1)
    assert found(five) == []


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_false_claims_are_as_rare_as_promised(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Three rows that are equally fast: some row is called fastest in at most 5 % of the sweeps."""
    draw, claims, sweeps = np.random.default_rng(1), 0, 200
    for number in range(sweeps):
        sweep = SweepDocuments(tmp_path_factory.mktemp(f"sweep{number}"), nodes=(1,), repeats=5)
        for strategy in ("fsdp", "hsdp", "federated"):
            sweep.run(strategy, 1, speeds=[float(1000 * np.exp(0.02 * draw.standard_normal())) for _ in range(5)])
        claims += any("is fastest" in sentence for sentence in found(sweep))
    assert claims / sweeps < 0.05


def with_courses(sweep: SweepDocuments, courses: dict[str, list[float]]) -> None:
    """Runs of 24 steps in blocks of 8, each step of 0.1 s and 400 tokens, with the loss of each block."""
    for strategy, blocks in courses.items():
        for run in sweep.run(strategy, 1, speeds=around(1000.0)):
            sweep.steps(run, [[loss for loss in blocks for _ in range(8)]], tokens=[400])


def test_the_row_that_first_reaches_the_references_loss_is_told(five: SweepDocuments) -> None:
    with_courses(five, {"fsdp": [5.0, 4.0, 3.0], "federated": [5.0, 3.0, 2.9], "hsdp": [5.0, 4.0, 3.5]})
    (only,) = [sentence for sentence in found(five) if "the training loss of" in sentence]
    assert "on 1 node: the training loss of 3.0000 nats/token, which every repeat of fsdp reaches; " in only
    assert "soonest by federated, after 1.6 s, 6,400 tokens and 0.000444 node-hours; " in only
    assert "; sooner than fsdp, adjusted for 3 pairs of rows (5%); " in only
    assert "time over fsdp's: federated 0.667" in only
    assert only.endswith("not reached by hsdp (in 5 of 5 repeats).")


def test_a_row_whose_steps_are_not_known_is_not_said_to_miss_the_target(five: SweepDocuments) -> None:
    for strategy in ("fsdp", "hsdp"):
        for run in five.run(strategy, 1, speeds=around(1000.0)):
            if strategy == "fsdp":
                five.steps(run, [[loss for loss in (5.0, 4.0, 3.0) for _ in range(8)]], tokens=[400])
    (only,) = [sentence for sentence in found(five) if "which every repeat of fsdp reaches" in sentence]
    assert "in every repeat by fsdp, after 2.4 s, " in only
    assert only.endswith("; not known of hsdp.")


def test_a_lead_on_average_is_not_called_the_first(five: SweepDocuments) -> None:
    courses = {"fsdp": [[5.0, 4.0, 3.0]] * 5, "federated": [[5.0, 4.0, 3.0]] * 3 + [[5.0, 3.0, 2.9]] * 2}
    for strategy, repeats in courses.items():
        for run, blocks in zip(five.run(strategy, 1, speeds=around(1000.0)), repeats, strict=True):
            five.steps(run, [[loss for loss in blocks for _ in range(8)]], tokens=[400])
    (only,) = [sentence for sentence in found(five) if "the training loss of" in sentence]
    assert "soonest on average by federated, after 2.04 s, " in only
    assert "; not shown to be sooner than fsdp; " in only


def test_a_loss_that_all_have_at_once_tells_nothing(five: SweepDocuments) -> None:
    with_courses(five, {"fsdp": [5.0, 5.0, 5.0], "federated": [5.0, 4.0, 3.0]})
    assert not [sentence for sentence in found(five) if "the training loss of" in sentence]


def test_times_of_ranks_that_share_cores_are_not_told(five: SweepDocuments) -> None:
    five.run("hsdp", 1, speeds=around(1000.0), cautions=[Caution.OVERSUBSCRIBED])
    with_courses(five, {"fsdp": [5.0, 4.0, 3.0], "federated": [5.0, 3.0, 2.9]})
    assert not [sentence for sentence in found(five) if "the training loss of" in sentence]

"""A table's sentences: adjusted verdicts, what it could have shown, and none if times measure starvation."""

from __future__ import annotations

from bench.contract.results.outcomes import Caution
from reports.tables.findings import PLAIN
from tests.reports.tables.texts import the_table
from tests.support.documents import SweepDocuments


def test_verdicts_are_adjusted_and_name_their_cells(sweep: SweepDocuments) -> None:
    sweep.repeats = 5
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0, 990.0, 1005.0, 995.0])
    sweep.run("fsdp", 2, speeds=[1900.0, 1910.0, 1890.0, 1905.0, 1895.0])
    sweep.run("federated", 2, speeds=[2300.0, 2290.0, 2310.0, 2305.0, 2295.0])
    sweep.run("hsdp", 2, speeds=[1910.0, 1890.0, 1905.0, 1900.0, 1899.0])
    first, second, plain = the_table(sweep).findings
    assert first == (
        "Tokens/s over fsdp's on the same nodes, adjusted for 2 comparisons (Holm, 5%): "
        "faster: federated on 2 nodes; no difference seen: hsdp on 2 nodes."
    )
    assert plain == "Intervals in the cells are plain: 95 % each, not adjusted for their number."
    assert second.startswith("With this spread, 5 pairs show a single ratio of 1.0")
    assert second.endswith("with a power of 0.8; smaller differences need more repeats.")


def test_two_repeats_cannot_tell(sweep: SweepDocuments) -> None:
    sweep.repeats = 2
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0])
    sweep.run("federated", 1, speeds=[2000.0, 2010.0])
    (only,) = the_table(sweep).findings
    assert only.endswith("adjusted for 0 comparisons (Holm, 5%): cannot tell: federated on 1 node.")


def test_a_table_of_one_strategy_compares_nothing(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0, 990.0])
    assert the_table(sweep).findings == [PLAIN]


def test_a_table_without_intervals_says_nothing_of_them(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0])
    assert the_table(sweep).findings == []


def test_an_oversubscribed_table_gets_no_verdict(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0, 990.0], cautions=[Caution.OVERSUBSCRIBED])
    sweep.run("federated", 1, speeds=[2000.0, 2010.0, 1990.0], cautions=[Caution.OVERSUBSCRIBED])
    only, plain = the_table(sweep).findings
    assert plain == PLAIN
    assert only == "No verdict on speed: oversubscribed, so these times are no finding about what is compared."


def test_the_family_is_every_comparison_that_has_a_p_value_and_no_other(sweep: SweepDocuments) -> None:
    """Cells that equal another, are not comparable, or have too few pairs do not make the others' verdicts harder."""
    speeds = [1000.0, 1010.0, 990.0, 1005.0, 995.0]
    sweep.repeats = 5
    sweep.run("fsdp", 1, speeds=speeds)
    sweep.run("fsdp", 2, speeds=[2 * speed for speed in speeds])
    sweep.same("hsdp", 1, "fsdp")
    sweep.run("hsdp", 2, speeds=[1900.0, 2100.0])
    sweep.run("federated", 1, speeds=[speed + 3 for speed in speeds], training={"precision": "bf16"})
    sweep.run("federated", 2, speeds=[2.2 * speed + each for each, speed in enumerate(speeds)])
    assert the_table(sweep).findings[0] == (
        "Tokens/s over fsdp's on the same nodes, adjusted for 1 comparison (Holm, 5%): "
        "faster: federated on 2 nodes; cannot tell: hsdp on 2 nodes."
    )

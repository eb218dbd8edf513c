from __future__ import annotations

from bench.contract.results.outcomes import Caution
from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments, a_measurement


def found(sweep: SweepDocuments) -> dict[Caution, str]:
    (table,) = tables(Comparability(load(sweep.write())))
    return {notice.caution: notice.detail for notice in table.notices}


def test_the_runs_own_cautions_name_where_they_apply_and_what_to_do(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY])
    sweep.run("fsdp", 2, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY, Caution.OVERSUBSCRIBED])
    cautions = found(sweep)
    assert (cautions[Caution.OVERSUBSCRIBED], cautions[Caution.CPU_MEMORY]) == ("on 2 nodes", "")
    (table,) = tables(Comparability(load(sweep.path)))
    assert Caution.OVERSUBSCRIBED.remedy in table.notices[0].text


def test_slow_hosts_are_a_caution_of_the_runs_on_them(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY])
    ids = sweep.run("fsdp", 2)
    for run in ids:
        slow = ["the link between a and b has 49 % of the median bandwidth"] if run == ids[0] else []
        measured = a_measurement(1000.0, 2, cautions=[Caution.CPU_MEMORY])
        sweep.end(run, measured=measured, slow_hosts=slow)
    cautions = found(sweep)
    assert (cautions[Caution.SLOW_HOST], cautions[Caution.CPU_MEMORY]) == ("on 2 nodes", "")
    frame = load(sweep.path).frame.set_index("run")
    assert frame["slow_hosts"].dropna().to_dict() == {
        ids[0]: "the link between a and b has 49 % of the median bandwidth"
    }
    assert frame["cautions"][ids[0]] == "cpu-memory, slow-host"


def test_uncommitted_changes_are_named_by_their_digests(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    for run, digest in zip(sweep.run("fsdp", 2), ["0123456789abcdef", "fedcba9876543210", None], strict=True):
        measured = a_measurement(1000.0, 2, cautions=[Caution.DIRTY_COMMIT] if digest else [])
        made_by = measured.provenance.model_copy(update={"diff": digest, "dirty": bool(digest)})
        sweep.end(run, measured=measured.model_copy(update={"provenance": made_by}))
    assert found(sweep)[Caution.DIRTY_COMMIT] == "on 2 nodes; changes 0123456789ab, fedcba987654"


def test_few_repeats(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 2)
    assert Caution.FEW_REPEATS in found(sweep)


def test_a_damaged_result_is_a_caution_of_its_table(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    sweep.folder(ids[2]).result.write_text("{")
    assert found(sweep)[Caution.DAMAGED_RESULT] == ids[2]


def with_blocks(sweep: SweepDocuments, nodes: int, blocks: list[list[float]]) -> None:
    """Add a cell of fsdp whose repeats have these throughputs of blocks."""
    for identity, of_run in zip(sweep.run("fsdp", nodes), blocks, strict=True):
        measured = a_measurement(sum(of_run) / len(of_run), nodes)
        window = measured.window.model_copy(update={"block_tokens_per_s": of_run})
        sweep.end(identity, measured=measured.model_copy(update={"window": window}))


def test_repeats_that_differ_more_than_their_blocks_are_named(sweep: SweepDocuments) -> None:
    with_blocks(sweep, 1, [[1000, 1010, 990], [1005, 995, 1000], [1000, 1020, 990]])
    with_blocks(sweep, 2, [[1000, 1010, 990], [1005, 995, 1000], [333, 340, 335]])
    assert found(sweep)[Caution.NOISY_REPEATS] == "on 2 nodes"


def test_repeats_like_their_blocks_carry_no_caution(sweep: SweepDocuments) -> None:
    with_blocks(sweep, 1, [[1000, 1210, 890], [1105, 895, 1100], [900, 1120, 990]])
    assert Caution.NOISY_REPEATS not in found(sweep)

from __future__ import annotations

from bench.contract.outcomes import Caution
from reports.data.frame import load
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments


def found(sweep: SweepDocuments) -> dict[Caution, str]:
    (table,) = tables(load(sweep.write()))
    return {notice.caution: notice.detail for notice in table.notices}


def test_the_runs_own_cautions_name_where_they_apply_and_what_to_do(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY])
    sweep.run("fsdp", 2, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY, Caution.OVERSUBSCRIBED])
    cautions = found(sweep)
    assert (cautions[Caution.OVERSUBSCRIBED], cautions[Caution.CPU_MEMORY]) == ("on 2 nodes", "")
    (table,) = tables(load(sweep.path))
    assert Caution.OVERSUBSCRIBED.remedy in table.notices[0].text


def test_few_repeats(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 2)
    assert Caution.FEW_REPEATS in found(sweep)


def test_a_damaged_result_is_a_caution_of_its_table(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    sweep.folder(ids[2]).result.write_text("{")
    assert found(sweep)[Caution.DAMAGED_RESULT] == ids[2]

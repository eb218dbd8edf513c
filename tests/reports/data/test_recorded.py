"""Columns of what ranks recorded: every number has one, also one that is newly recorded."""

from __future__ import annotations

from collections import Counter

from bench.contract.results.measured import Machine
from reports.data.columns.measured import MEASURED
from reports.data.columns.recorded import Recorded, recorded, with_others
from tests.support.documents import a_measurement


def test_a_number_that_no_column_shows_gets_one_of_its_name() -> None:
    found = a_measurement(1000.0, 1).model_copy(update={"machine": Machine(others=0.25, load=3.0, throttled_cores=2)})
    first = recorded("others_cpu_fraction", "used by others", "machine.others")
    columns = {column.name: column for column in with_others((first,), "machine")}
    assert set(columns) == {"others_cpu_fraction", *Machine.model_fields} - {"others"}
    assert (columns["load"].value(found, 4), columns["throttled_cores"].value(found, 4)) == (3.0, 2)
    assert columns["load"].meaning == Machine.model_fields["load"].description
    assert columns["load"].value(found.model_copy(update={"machine": None}), 4) is None, "of an older version"


def test_lists_and_settings_get_none() -> None:
    names = {column.name for column in with_others((), "window")}
    assert "steps" in names
    assert not {"block", "block_tokens_per_s", "step_s_quartiles"} & names


def test_no_field_is_shown_twice() -> None:
    paths = Counter(column.path for column in MEASURED if isinstance(column, Recorded))
    names = Counter(column.name for column in MEASURED)
    assert max(paths.values()) == max(names.values()) == 1

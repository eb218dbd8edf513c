"""Golden values: written from a night, edited by people, compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reports.data.faults import ReportError
from reports.nights.combinations import Night
from reports.nights.comparing import compare_nights
from reports.nights.document import Change
from reports.nights.golden import accept, compare_with_golden
from tests.support.nights import Nights

ENERGY_KEY = "gpu_j_per_token"
ENERGY = {"value": 1.0}


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return tmp_path / "golden.yaml"


def edited(golden: Path, **changes: Any) -> None:
    """Change the accepted throughput of hsdp."""
    content = yaml.safe_load(golden.read_text())
    (entry,) = (each for each in content["combinations"] if each["labels"]["strategy"] == "hsdp")
    entry["metrics"]["tokens_per_s"] |= changes
    golden.write_text(yaml.safe_dump(content))


def verdict(golden: Path, night: Path) -> Change:
    (found,) = (
        each.verdict
        for each in compare_with_golden(golden, Night.of(night)).figures
        if (each.metric, each.labels["strategy"]) == ("tokens_per_s", "hsdp")
    )
    return found


def test_golden_values_compare_as_the_night_that_they_were_accepted_from(tmp_path: Path, golden: Path) -> None:
    nights = Nights(tmp_path)
    old, new = Night.of(nights.write()), Night.of(nights.write(slower={"hsdp": 1.08}, packages={"torch": "2.9.0"}))
    accept(golden, old)
    found, expected = compare_with_golden(golden, new), compare_nights(old, new)
    assert found.model_copy(update={"old": expected.old}) == expected
    assert found.having(Change.REGRESSED)


def test_tolerances_are_kept_when_values_are_accepted_again(tmp_path: Path, golden: Path) -> None:
    nights = Nights(tmp_path)
    old, new = nights.write(), nights.write(slower={"hsdp": 1.08})
    accept(golden, Night.of(old))
    edited(golden, lower=-0.2, upper=None)
    assert verdict(golden, new) is Change.SAME
    accept(golden, Night.of(new))
    content = yaml.safe_load(golden.read_text())
    (value,) = (
        each["metrics"]["tokens_per_s"] for each in content["combinations"] if each["labels"]["strategy"] == "hsdp"
    )
    assert (value["lower"], value["upper"]) == (-0.2, None)
    assert content["accepted_from"] == str(new)


def test_a_combination_that_a_night_lacks_stays_accepted(tmp_path: Path, golden: Path) -> None:
    nights = Nights(tmp_path)
    old, new = nights.write(), nights.write()
    accept(golden, Night.of(old))
    for file in new.glob("runs/*hsdp*/result.json"):
        file.unlink()
    accept(golden, Night.of(new))
    assert "completed" in {figure.metric for figure in compare_with_golden(golden, Night.of(new)).figures}


def test_a_value_written_by_hand_is_exact(tmp_path: Path, golden: Path) -> None:
    night = Nights(tmp_path).write()
    accept(golden, Night.of(night))
    edited(golden, value=4000.0, values={}, unit="runs")
    assert verdict(golden, night) is Change.REGRESSED
    edited(golden, value=1000.0)
    assert verdict(golden, night) is Change.IMPROVED
    edited(golden, upper=None)
    assert verdict(golden, night) is Change.SAME, "an open end tolerates anything"


def test_other_conditions_than_the_accepted_ones_are_named(tmp_path: Path, golden: Path) -> None:
    nights = Nights(tmp_path)
    accept(golden, Night.of(nights.write()))
    found = compare_with_golden(golden, Night.of(nights.write(training={"compile": True})))
    assert {figure.reason for figure in found.figures} == {"training.compile: false -> true"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("combinations: 3", "combinations: Input should be a valid list"),
        ("- [", "not YAML"),
        ("{combinations: [{labels: {nodes: 1}, metrics: {speed: {value: 1}}}]}", "'speed' should be one of"),
        ("{combinations: [{labels: {}, metrics: {tokens_per_s: {value: 2, values: {0: 1}}}}]}", "the geometric mean"),
        ("{combinations: [{labels: {}, metrics: {tokens_per_s: {value: 2, lower: 0.1}}}]}", "lower"),
    ],
)  # fmt: skip
def test_a_broken_file_is_a_sentence(tmp_path: Path, golden: Path, content: str, said: str) -> None:
    golden.write_text(content)
    with pytest.raises(ReportError, match=said) as raised:
        compare_with_golden(golden, Night.of(Nights(tmp_path).write()))
    assert str(raised.value).startswith(f"{golden}: ")


def test_nothing_is_accepted_where_nothing_completed(tmp_path: Path, golden: Path) -> None:
    night = Nights(tmp_path).write()
    for file in night.glob("runs/*/result.json"):
        file.unlink()
    with pytest.raises(ReportError, match="nothing to accept"):
        accept(golden, Night.of(night))
    assert not golden.exists()


def test_a_metric_that_the_night_no_longer_measures_is_said_and_stays_in_the_file(tmp_path: Path, golden: Path) -> None:
    night = Night.of(Nights(tmp_path).write())
    accept(golden, night)
    content = yaml.safe_load(golden.read_text())
    lost = ENERGY | {"lower": -0.5, "upper": 0.5, "unit": "runs", "values": {"0": 1.0, "1": 1.0, "2": 1.0}}
    content["combinations"][0]["metrics"][ENERGY_KEY] = lost
    golden.write_text(yaml.safe_dump(content))
    (figure,) = (each for each in compare_with_golden(golden, night).figures if each.metric == ENERGY_KEY)
    assert (figure.verdict, figure.reason) == (Change.CANNOT_TELL, "not measured in the new night")
    accept(golden, night)
    assert yaml.safe_load(golden.read_text())["combinations"][0]["metrics"][ENERGY_KEY] == lost

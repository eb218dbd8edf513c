from __future__ import annotations

from typing import Literal, get_args

import pytest

from bench.contract.layout import StrategyName
from reports.render.plotting import style
from reports.render.plotting.style import looks, row_style

STOCK = get_args(StrategyName)


@pytest.mark.parametrize("count", [40, 200])
@pytest.mark.parametrize("stock", [(), STOCK])
def test_any_number_of_strategies_have_distinct_looks(count: int, stock: tuple[str, ...]) -> None:
    names = [*stock, *(f"custom-{number}" for number in range(count))]
    assert len(set(looks(names).values())) == len(names)


def test_the_first_strategies_differ_in_colour_and_in_marker() -> None:
    found = looks([*STOCK, "custom"]).values()
    assert len({look.colour for look in found}) == len({look.marker for look in found}) == len(found)


@pytest.mark.parametrize("more", [1, 5])
def test_further_stock_strategies_leave_room_for_custom_ones(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    before = looks(STOCK)
    names = (*STOCK, *(f"stock-{number}" for number in range(more)))
    monkeypatch.setattr(style, "StrategyName", Literal[names])
    custom = [f"custom-{number}" for number in range(10)]
    found = looks([*names, *custom])
    assert len(set(found.values())) == len(names) + len(custom)
    assert {name: found[name] for name in STOCK} == before


def test_a_stock_strategy_looks_the_same_in_every_sweep() -> None:
    everywhere = looks(STOCK)
    assert looks(["custom", "federated"])["federated"] == everywhere["federated"]
    assert looks(["federated"]) == {"federated": everywhere["federated"]}


def test_the_rows_of_one_strategy_differ_in_their_lines_and_the_first_in_their_markers_too() -> None:
    look = looks(["federated"])["federated"]
    rows = [row_style(look, number) for number in range(12)]
    assert len({str(row["linestyle"]) for row in rows}) == 12
    assert len({row["fillstyle"] for row in rows[:5]}) == 5
    assert {(row["color"], row["marker"]) for row in rows} == {(look.colour, look.marker)}

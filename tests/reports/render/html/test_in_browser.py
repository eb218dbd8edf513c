"""The page in a real browser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from bench.contract.results.outcomes import Caution
from tests.reports.render.html.conftest import EVIL, REPEATS
from tests.support.browser import chromium, requested, said

CHARTS = ["throughput", "efficiency", "memory", "steps", "loss-time", "loss-tokens", "breakdown"]
DRAWN = "return document.querySelectorAll('#table-0 figure:not([hidden]) .js-plotly-plot').length"
LAST = "[...document.querySelectorAll('#table-0 figure:not([hidden]) .plot')]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as started:
        yield started


@pytest.fixture
def opened(browser: Chrome, report: Path) -> Chrome:
    """The page, with the plots of its first table drawn."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get(report.as_uri())
    browser.execute_script("localStorage.clear(); document.querySelector('#table-0 .charts').scrollIntoView()")
    WebDriverWait(browser, 60).until(lambda page: page.execute_script(DRAWN) == len(CHARTS))
    return browser


def column(page: Chrome, number: int) -> list[str]:
    """Labels of the rows of the first metric, with the text of one column."""
    return page.execute_script(
        "return [...document.querySelector('#table-0 tbody:not(.more)').querySelectorAll('tr[data-row]')]"
        f".map(row => row.cells[0].textContent + ': ' + row.cells[{number}].textContent)"
    )


def names(page: Chrome, chart: str) -> list[str]:
    """Names of the traces that a chart of the first table draws."""
    return page.execute_script(
        f"return document.querySelector('#table-0 [data-chart={chart}] .plot').data.map(trace => trace.name)"
    )


def visible(page: Chrome, selector: str) -> list[Any]:
    return [found for found in page.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]


def test_all_plots_are_drawn_without_a_message_or_a_request(opened: Chrome, report: Path) -> None:
    opened.execute_script("document.querySelector('#preflights .charts').scrollIntoView()")
    WebDriverWait(opened, 60).until(
        lambda page: len(page.find_elements(By.CSS_SELECTOR, "#preflights .js-plotly-plot")) == 2
    )
    shown = "return [...document.querySelectorAll('#table-0 figure:not([hidden])')].map(figure => figure.dataset.chart)"
    assert opened.execute_script(shown) == CHARTS
    assert names(opened, "throughput") == ["ideal from fsdp on 1 node", "fsdp", "hsdp", "federated"]
    assert opened.execute_script("return document.querySelectorAll('#table-0 .bars .point').length") >= 5 * 3
    assert opened.execute_script("return window.evil") is None
    assert said(opened) == []
    assert set(requested(opened)) == {report.as_uri()}
    buttons = [button.get_attribute("aria-label") for button in opened.find_elements(By.CSS_SELECTOR, ".modebar-btn")]
    assert len(buttons) > 0
    assert not [name for name in buttons if name and any(word in name.lower() for word in ("share", "cloud", "upload"))]


def test_times_of_steps_and_their_parts_are_shown_with_a_unit(opened: Chrome) -> None:
    shown = "return document.querySelector(`#table-0 [data-chart=${arguments[0]}] .plot`).data"
    (first, *_) = opened.execute_script(shown, "steps")
    assert first["hovertext"][0].startswith("fsdp, 1 node: median 100 ms, quartiles 100 ms and 100 ms")
    parts = {trace["name"]: trace for trace in opened.execute_script(shown, "breakdown")}
    assert parts["forward"]["customdata"][0] == "40.0 ms"
    assert "%{customdata}" in parts["forward"]["hovertemplate"]


def test_losses_are_perplexities_on_a_logarithmic_axis_as_in_the_pictures(opened: Chrome) -> None:
    axis, traces = opened.execute_script("""
        const plot = document.querySelector("#table-0 [data-chart=loss-time] .plot");
        return [plot.layout.yaxis, plot.data.filter(trace => trace.customdata)]""")
    assert (axis["type"], axis["title"]["text"]) == ("log", "perplexity")
    for trace in traces:
        assert trace["y"] == pytest.approx([math.exp(loss) for loss in trace["customdata"]])
    assert len(traces) >= 3


def test_points_and_their_bars_are_inside_the_axes(opened: Chrome) -> None:
    outside = opened.execute_script("""
        return ["throughput", "efficiency", "memory", "steps"].flatMap(chart => {
          const plot = document.querySelector(`#table-0 [data-chart=${chart}] .plot`);
          const area = plot.querySelector(".nsewdrag").getBoundingClientRect();
          const marks = [...plot.querySelectorAll(".errorbar path, .scatterlayer .point")];
          if (marks.length < 5) return [`${chart}: ${marks.length} marks`];
          const isOutside = ({ left, right, top, bottom }) => {
            const middle = (left + right) / 2;
            return middle < area.left || middle > area.right || top < area.top - 6 || bottom > area.bottom + 6;
          };
          return marks.filter(mark => isOutside(mark.getBoundingClientRect())).map(() => chart);
        })""")
    assert outside == []


def test_a_column_sorts_the_rows_of_every_metric_with_mouse_and_keyboard(opened: Chrome) -> None:
    ascending = ["fsdp", "hsdp", "federated"]
    assert [each.split(":")[0] for each in column(opened, 2)] == ascending
    button = opened.find_elements(By.CSS_SELECTOR, "#table-0 table.figures thead button")[2]
    opened.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    assert [each.split(":")[0] for each in column(opened, 2)] == ["fsdp", "hsdp", "federated"]
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    opened.execute_script("arguments[0].click()", button)
    assert [each.split(":")[0] for each in column(opened, 2)] == ["hsdp", "fsdp", "federated"], "crashed comes last"
    assert "crashed" in column(opened, 2)[2]


def test_filters_hide_rows_columns_tables_runs_and_traces(opened: Chrome) -> None:
    def choose(axis: str, place: int) -> None:
        selector = f"fieldset[data-axis={axis}] input[data-place='{place}']"
        opened.execute_script("document.querySelector(arguments[0]).click()", selector)

    every = f"1 to 100 of {12 * REPEATS}"
    assert opened.find_element(By.CSS_SELECTOR, "#runs output").text == every
    choose("strategy", 0)
    assert names(opened, "throughput") == ["ideal from fsdp on 1 node", "hsdp", "federated"]
    assert [each.split(":")[0] for each in column(opened, 1)] == ["fsdp", "hsdp", "federated"]
    assert "fsdp" not in {each.text for each in visible(opened, "#table-0 tr[data-row] th")}
    choose("nodes", 1)
    assert len(visible(opened, "#table-0 table.figures:not(.all) thead th")) == 2
    assert visible(opened, ".failure") == [], "what failed is on 2 nodes"
    choose("batch_size", 1)
    assert len(visible(opened, "details.table")) == 1
    assert opened.find_element(By.ID, "count").text == "1 of 2 tables"
    left = f"1 to {2 * REPEATS} of {2 * REPEATS} ({12 * REPEATS} in all)"
    assert opened.find_element(By.CSS_SELECTOR, "#runs output").text == left
    opened.execute_script("document.querySelector('#filters button[type=reset]').click()")
    WebDriverWait(opened, 10).until(lambda page: page.find_element(By.ID, "count").text == "2 of 2 tables")
    assert opened.find_element(By.CSS_SELECTOR, "#runs output").text == every
    assert len(names(opened, "throughput")) == 4


def test_the_legend_takes_a_row_out_of_the_plots_and_back(opened: Chrome) -> None:
    button = opened.find_elements(By.CSS_SELECTOR, "#table-0 .legend button")[1]
    opened.execute_script("arguments[0].click()", button)
    assert button.get_attribute("aria-pressed") == "false"
    assert "hsdp" not in names(opened, "efficiency")
    opened.execute_script("arguments[0].click()", button)
    assert "hsdp" in names(opened, "efficiency")


def test_the_list_of_runs_is_sorted_searched_and_paged(opened: Chrome) -> None:
    def first() -> str:
        return opened.find_element(By.CSS_SELECTOR, "#runs tbody td").text

    def click(selector: str) -> None:
        opened.execute_script("document.querySelector(arguments[0]).click()", selector)

    assert opened.find_element(By.CSS_SELECTOR, "#runs th.peak_memory_gib button").text == "peak memory (GiB)"
    click("#runs th.tokens_per_s button")
    assert first() == "llama-tiny.fsdp.n1.s1.b4.r0"
    click("#runs th.tokens_per_s button")
    assert first().startswith("llama-tiny.hsdp.n2")
    assert first().endswith(f"r{REPEATS - 1}")
    click("#runs .controls button:nth-of-type(2)")
    assert opened.find_element(By.CSS_SELECTOR, "#runs output").text == f"101 to {12 * REPEATS} of {12 * REPEATS}"
    opened.find_element(By.CSS_SELECTOR, "#runs input").send_keys("federated crashed b8")
    shown = opened.find_element(By.CSS_SELECTOR, "#runs output").text
    assert shown == f"1 to {REPEATS} of {REPEATS} ({12 * REPEATS} in all)"
    assert {row.text for row in opened.find_elements(By.CSS_SELECTOR, "#runs tbody td.outcome")} == {"crashed"}


def test_definitions_show_on_focus_and_on_hover_and_escape_hides_them(opened: Chrome) -> None:
    tip = opened.find_element(By.ID, "tip")
    term = opened.find_element(By.CSS_SELECTOR, "#table-0 a[href='#caution-cpu-memory']")
    opened.execute_script("arguments[0].focus()", term)
    assert Caution.CPU_MEMORY.meaning in tip.text
    assert term.get_attribute("aria-describedby") == "tip"
    term.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()
    metric = opened.find_element(By.CSS_SELECTOR, "#table-0 a[href='#metric-tokens_per_s']")
    opened.execute_script("arguments[0].scrollIntoView({ block: 'center' })", metric)
    ActionChains(opened).move_to_element(metric).perform()
    assert "geometric mean over repeats" in tip.text


def test_the_evidence_of_a_failure_is_text(opened: Chrome) -> None:
    evidence = opened.find_element(By.CSS_SELECTOR, ".failure pre")
    assert evidence.get_attribute("textContent") == f"rank 1: RuntimeError: <b>NCCL</b>\n{EVIL}"
    assert opened.find_elements(By.CSS_SELECTOR, "main img") == []


def colours(page: Chrome) -> tuple[str, str]:
    """Of the page's background and of the text in plots."""
    return page.execute_script(
        "return [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.plot .xtick text')).fill]"
    )


def test_dark_follows_the_system_and_the_button_and_paper_is_light(opened: Chrome) -> None:
    light = colours(opened)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    in_dark = colours(opened)
    assert in_dark[0] != light[0]
    assert in_dark[1] != light[1]
    opened.execute_script("document.getElementById('theme').click()")
    assert opened.find_element(By.ID, "theme").text == "Theme: light"
    assert colours(opened) == light
    opened.execute_script("document.getElementById('theme').click()")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert colours(opened) == in_dark
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [dark]})
    assert colours(opened) == light
    assert visible(opened, "nav, #filters, .controls, .modebar") == []


def test_printing_opens_the_evidence_and_makes_the_plots_as_narrow_as_paper(opened: Chrome) -> None:
    widths = f"return {LAST}.map(plot => plot.querySelector('.main-svg').getBoundingClientRect().width)"
    before = opened.execute_script(widths)
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert max(opened.execute_script(widths)) <= 680
    assert opened.execute_script("return document.querySelectorAll('.failure details:not([open])').length") == 0
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    WebDriverWait(opened, 10).until(lambda page: page.execute_script(widths) == before)
    assert opened.execute_script("return document.querySelectorAll('.failure details[open]').length") == 0


def test_a_narrow_window_is_not_wider_than_itself(opened: Chrome) -> None:
    size = {"width": 600, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        WebDriverWait(opened, 10).until(
            lambda page: page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        )
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

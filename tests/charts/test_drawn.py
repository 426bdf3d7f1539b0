"""
Every kind of chart from real data: what is drawn is what the API answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator

from app.server import Running
from charts.browser import Visit, answers, token, url, visiting

pytestmark = pytest.mark.engine

MONTH = {"range": {"last": "30d"}, "timezone": "UTC"}
DAILY = {**MONTH, "interval": "day"}


@pytest.fixture(scope="module")
def page(server: Running, browser: Browser) -> Iterator[Visit]:
    """
    Open the dashboard that has a tile of every kind.
    """
    with visiting(browser) as visit:
        opened = visit(url(server, f"/d/overview#token={token(server)}"), viewport={"width": 1280, "height": 900})
        opened.settled()
        yield opened


def attributes(found: Locator, name: str) -> list[str]:
    """
    Return an attribute of all elements, in one question to the browser.
    """
    values: list[str] = found.evaluate_all("(all, name) => all.map((one) => one.getAttribute(name))", name)
    return values


def values_of(answer: dict[str, Any]) -> list[float]:
    """
    Return the values of an answer, in its order.
    """
    at = [column["name"] for column in answer["columns"]].index("value")
    return [row[at] for row in answer["rows"]]


def by_group(answer: dict[str, Any], name: str) -> dict[str, list[Any]]:
    """
    Return the values of each group of an answer.
    """
    names = [column["name"] for column in answer["columns"]]
    found: dict[str, list[Any]] = {}
    for row in answer["rows"]:
        found.setdefault(row[names.index(name)], []).append(row[names.index("value")])
    return found


def scale_of(chart: Locator) -> tuple[float, float]:
    """
    Return where a chart's axis has zero, and how many pixels above it one unit is, by its labels.
    """
    found = chart.locator(".grid >> nth=0").evaluate(
        "(grid) => [...grid.querySelectorAll('text')].map((t) => [t.textContent, Number(t.getAttribute('y'))])"
    )
    ticks = [(float(re.sub(r"[^\d.]", "", text)), y) for text, y in found]
    (low, bottom), (high, top) = ticks[0], ticks[-1]
    unit = (bottom - top) / (high - low)
    return bottom + low * unit, unit


def test_a_page_may_answer_itself(page: Visit) -> None:
    """
    With `getAnswer` no server is asked; of the column that is named, bars below zero go to the left of where it is.
    """
    asked = len(page.asked)
    found = page.page.evaluate(Path(__file__).with_name("given.js").read_text("utf-8"))
    up, rest, down = found["bars"]

    assert (found["asked"], len(page.asked)) == (["m"], asked)
    assert up["wide"] == pytest.approx(2 * down["wide"], abs=1)
    assert down["from"] + down["wide"] == pytest.approx(up["from"], abs=1)
    assert rest["wide"] == pytest.approx(down["wide"] / 2, abs=1)
    assert up["colour"] == rest["colour"] != down["colour"]
    assert found["head"] == ["Tenant", "Change"]
    (pointed,) = found["pointed"]
    assert (pointed["groups"], pointed["value"]) == ({"tenant": "down", "plan": None}, -10)
    assert found["csv"].splitlines()[2] == "down,,10,20,-10"


def tops(path: str) -> list[float]:
    """
    Return the height of each bar in a path, in pixels.
    """
    bars = [re.findall(r"-?\d+(?:\.\d+)?", bar) for bar in path.split("Z") if bar]
    return [max(ys) - min(ys) for ys in ([*map(float, _ys(numbers))] for numbers in bars)]


def _ys(numbers: list[str]) -> list[str]:
    """
    Return the vertical coordinates of `M x y V y …` of one bar: its start and its top.
    """
    square = len(numbers) == 5
    return [numbers[1], numbers[2]] if square else [numbers[1], numbers[4]]


def line_ends(path: str) -> list[float]:
    """
    Return the vertical coordinates of the points that a line goes through.
    """
    pieces = re.findall(r"([MLC])([^MLC]*)", path)
    return [float(re.findall(r"-?\d+(?:\.\d+)?", rest)[-1]) for _, rest in pieces]


def test_bars_are_as_high_as_their_values(server: Running, page: Visit) -> None:
    """
    Each day's bar has the height of the day's count, by the axis beside it.
    """
    expected = [value for value in values_of(answers(server, {"metric": "findings", **DAILY, "fill": "zero"})) if value]
    chart = page.chart("Findings by day")
    _, unit = scale_of(chart)
    drawn = [height / unit for path in attributes(chart.locator("path.bar"), "d") for height in tops(path)]

    assert drawn == pytest.approx(expected, abs=0.06)


def test_stacks_add_up(server: Running, page: Visit) -> None:
    """
    Each severity's parts have the heights of its counts, but for the hairlines between them.
    """
    question = {"metric": "findings", "group_by": ["severity"], **DAILY, "fill": "zero"}
    expected = by_group(answers(server, question), "severity")
    chart = page.chart("By severity")
    _, unit = scale_of(chart)
    drawn = {}
    for step, name in enumerate(("critical", "high", "medium", "low")):
        paths = attributes(chart.locator(f"path.bar.step-{step}"), "d")
        drawn[name] = [height / unit for path in paths for height in tops(path)]

    for name, values in expected.items():
        assert drawn[name] == pytest.approx([value for value in values if value], abs=1.2 / unit)


def test_lines_go_through_their_values(server: Running, page: Visit) -> None:
    """
    A line's points lie at the values of its group, and holes stay holes.
    """
    question = {"metric": "scans", "measure": "score", "aggregate": "avg", "group_by": ["scanner"], **DAILY}
    expected = by_group(answers(server, {**question, "fill": "none"}), "scanner")
    chart = page.chart("Score by scanner")
    zero, unit = scale_of(chart)
    names = chart.locator(".legend-name").all_inner_texts()
    assert sorted(names) == sorted(expected)

    for slot, name in enumerate(names):
        # Every second day has none: each point stands alone, and is a dot.
        dots = map(float, attributes(chart.locator(f".marks circle.series-{slot}"), "cy"))
        drawn = [(zero - y) / unit / 100 for y in dots]
        assert drawn == pytest.approx(expected[name], abs=1 / unit / 100)


def test_areas_go_through_their_values(server: Running, page: Visit) -> None:
    """
    The edge of an area lies at the values.
    """
    question = {"metric": "findings", "measure": "cost", **DAILY, "fill": "zero"}
    expected = values_of(answers(server, question))
    chart = page.chart("Cost over time")
    zero, unit = scale_of(chart)
    firm = chart.locator("path.stroke:not(.dashed)").get_attribute("d") or ""
    dashed = chart.locator("path.stroke.dashed").get_attribute("d") or ""
    drawn = [(zero - y) / unit for y in (*line_ends(firm), line_ends(dashed)[-1])]

    assert drawn == pytest.approx(expected, abs=0.6)


def test_the_parts_of_a_ring(server: Running, page: Visit) -> None:
    """
    At the angles that the shares make, the pointer finds each part with its number and its share.
    """
    answer = answers(server, {"metric": "findings", "group_by": ["scanner"], **MONTH})
    shares = {name: values[0] for name, values in by_group(answer, "scanner").items()}
    chart = page.chart("By scanner")
    names = chart.locator(".legend-name").all_inner_texts()
    assert names == sorted(shares, key=lambda name: -shares[name])
    assert chart.locator(".legend-value").all_inner_texts() == [str(shares[name]) for name in names]
    assert chart.locator("text.centre").text_content() == str(sum(shares.values()))

    chart.scroll_into_view_if_needed()
    box = chart.locator("svg.picture").bounding_box()
    assert box is not None
    radius = min(box["width"], box["height"]) / 2 - 4
    start = 0.0
    for name in names:
        share = shares[name] / sum(shares.values())
        angle = 2 * math.pi * (start + share / 2)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.page.mouse.move(x + math.sin(angle) * radius * 0.83, y - math.cos(angle) * radius * 0.83)
        tip = chart.locator(".tip").inner_text()
        assert name in tip
        assert f"{share:.1%}".replace(".0%", "%") in tip
        start += share


def test_the_cells_of_a_heatmap(server: Running, page: Visit) -> None:
    """
    Each cell is as dark as its share of the greatest, and its tip has its number.
    """
    answer = answers(server, {"metric": "findings", "group_by": ["scanner", "severity"], **MONTH})
    cells = {(row[0], row[1]): row[2] for row in answer["rows"]}
    most = max(cells.values())
    chart = page.chart("Scanner by severity")
    labels = chart.locator(".grid text").all_text_contents()
    rows, columns = labels[:3], labels[3:]
    steps = [int(name.rpartition("-")[2]) for name in attributes(chart.locator("rect.cell"), "class")]

    expected = [math.ceil(cells[row, column] / most * 7) if (row, column) in cells else 0
                for row in rows for column in columns]  # fmt: skip
    assert steps == expected
    chart.locator(".plot").focus()
    page.page.keyboard.press("ArrowRight")
    tip = chart.locator(".tip").inner_text()
    assert columns[0] in tip
    assert str(cells[rows[0], columns[0]]) in tip


def test_a_heatmap_over_time(server: Running, page: Visit) -> None:
    """
    With one group a heatmap has a column for each interval.
    """
    question = {"metric": "findings", "group_by": ["scanner"], **DAILY, "fill": "zero"}
    expected = by_group(answers(server, question), "scanner")
    chart = page.chart("Scanner by day")

    assert chart.locator("rect.cell").count() == sum(map(len, expected.values()))


def test_a_ranking(server: Running, page: Visit) -> None:
    """
    Without intervals bars stand in a ranking of their own range, each as long as its share of the first.
    """
    question = {"metric": "findings", "group_by": ["scanner"], "range": {"last": "7d"}, "timezone": "UTC"}
    expected = {name: values[0] for name, values in by_group(answers(server, question), "scanner").items()}
    ranked = sorted(expected, key=lambda name: (-expected[name], name))
    chart = page.chart("Ranked")
    widths = [*map(float, attributes(chart.locator("rect.bar"), "width"))]

    assert chart.locator("text.row-name").all_text_contents() == ranked
    assert chart.locator("text.row-value").all_text_contents() == [str(expected[name]) for name in ranked]
    assert [width / widths[0] for width in widths] == pytest.approx(
        [expected[name] / expected[ranked[0]] for name in ranked], abs=0.01
    )


def test_a_table(server: Running, page: Visit) -> None:
    """
    A table shows the groups with their numbers.
    """
    answer = answers(server, {"metric": "findings", "group_by": ["severity"], **MONTH})
    expected = {name: str(values[0]) for name, values in by_group(answer, "severity").items()}
    rows = [row.split("\t") for row in page.chart("Table").locator("tbody tr").all_inner_texts()]

    assert {name.strip(): value.strip() for name, value in rows} == expected
    assert page.chart("Table").locator("thead").inner_text().split() == ["Severity", "Number", "of", "events"]


def test_numbers_with_their_change(server: Running, page: Visit) -> None:
    """
    A value shows its number in its unit, and how it has changed against the period before.
    """
    (row,) = answers(server, {"metric": "findings", **MONTH, "compare": "previous_period"})["rows"]
    ((score,),) = answers(server, {"metric": "scans", "measure": "score", "aggregate": "avg", **MONTH})["rows"]
    ((cost,),) = answers(server, {"metric": "findings", "measure": "cost", **MONTH})["rows"]
    ((seconds,),) = answers(server, {"metric": "findings", "measure": "seconds", "aggregate": "p90", **MONTH})["rows"]
    findings = page.chart("Findings")

    assert findings.locator(".number").inner_text() == f"{row[0]:,}"
    assert page.chart("Score").locator(".number").inner_text() == f"{score:.1%}"
    assert page.chart("Cost").locator(".number").inner_text() == f"€{cost:,.2f}"
    assert page.chart("Time").locator(".number").inner_text() == f"{int(seconds // 60)}m"
    assert findings.locator(".spark path.stroke").get_attribute("d")
    change = row[0] / row[1] - 1 if row[1] else None
    assert findings.locator(".badge").is_visible() == (change is not None and change < 10)
    if change is not None and change < 10:
        assert f"{abs(change):.0%}" in findings.locator(".badge").inner_text()
        assert "worse" in (findings.locator(".badge").get_attribute("class") or "")


def test_a_metric_that_has_not_happened_yet(page: Visit) -> None:
    """
    A tile of a metric that the tenant does not have yet says so kindly, and is no error.
    """
    later = page.chart("Later")

    assert later.locator(".state-title").inner_text() == "Nothing here yet"
    assert later.get_by_role("alert").count() == 0


def test_behind_each_chart_stands_a_table(server: Running, page: Visit) -> None:
    """
    The table that a screen reader finds behind a chart has the API's numbers, the latest first.
    """
    expected = values_of(answers(server, {"metric": "findings", **DAILY, "fill": "zero"}))
    cells = page.chart("Findings by day").locator("tbody tr td:nth-of-type(1)").all_inner_texts()

    assert [int(cell) for cell in cells] == expected[::-1]


def test_all_tiles_cost_one_request(page: Visit) -> None:
    """
    Whatever stands on the page, its numbers come with one request, what two tiles ask alike once.
    """
    # 4 numbers with their courses, 10 charts, one of which is a number's course, and the values of a filter.
    assert len(page.asked[0]["queries"]) == 18
    first = len(page.asked)
    page.page.evaluate("document.querySelector('metric-dashboard').refresh()")
    page.settled()

    assert len(page.asked) >= first + 1
    assert {len(asked["queries"]) for asked in page.asked} == {18}

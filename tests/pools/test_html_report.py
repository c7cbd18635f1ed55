"""The report is one HTML file that holds the whole plan, asks no network, and says what is not known."""

import datetime
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.capacity import Group, Pool, Source
from spotwatch.pools.candidates import candidates
from spotwatch.pools.charts import LEVELS, frontier_chart, heat_map, loss_bars
from spotwatch.pools.demand import Demand, Selection, Weights
from spotwatch.pools.files import market
from spotwatch.pools.html_report import render
from spotwatch.pools.plan import CapPrice, Plan, PlannedPool, Relaxed
from spotwatch.pools.planning import frontier, plan
from spotwatch.pools.report_words import percent, usd
from tests.pools.chromium import EXECUTABLE, Page, chromium
from tests.pools.data import DATA, needs_data
from tests.pools.plans import SIZES, free_plan, instance_type, performance_plan, plan_of

HOSTILE = "<script>alert('1')</script><img src=\"https://example.com/x\">"
FRONTIER = ((0.02, 15.5), (0.05, 13.5), (0.1, 12.9), (0.2, 12.4))
VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Document(HTMLParser):
    """Every element with all the text in it; what is opened and not closed, or closed and not open, fails."""

    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, html: str) -> "Document":
        document = cls()
        document.feed(html)
        document.close()
        assert not document._open, f"not closed: {[each.tag for each in document._open]}"
        return document

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().tag == tag
        if tag in {"th", "td", "dt", "dd"}:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element.attributes.get(name) == value for name, value in attributes.items())
        ]

    def rows(self) -> list[str]:
        """The text of each row of each table, with single spaces."""
        return [_spaced(row.text) for row in self.all("tr")]

    def text(self) -> str:
        return _spaced(self.all("body")[0].text)


def _spaced(text: str) -> str:
    """With single spaces; narrow ones stay."""
    return re.sub("[ \n\N{NO-BREAK SPACE}]+", " ", text).strip()


def priced(base: Plan, *, estimate: bool = False) -> Plan:
    """The plan with prices made up for the test, bounds, caps and what they cost, sources and notes."""
    pools = tuple(replace(each, pool=with_prices(each.pool, estimate=estimate)) for each in base.pools)
    made = replace(base, pools=pools)
    cost = made.usd_per_hour
    assert cost is not None
    return replace(
        made,
        objective=cost * 1.01,
        lower_bound_usd_per_hour=cost / 1.02,
        objective_lower_bound=cost,
        caps={Group.POOL: 0.07, Group.TYPE: 0.1, Group.FAMILY: 0.25, Group.GENERATION: 0.5, Group.AZ: 0.25},
        cap_prices=(CapPrice(Group.FAMILY, "", 0.25, 0.4321), CapPrice(Group.FAMILY, "c6a", 0.25, 0.21)),
        sources=(
            Source("Spot prices", "prices.json", datetime.date(2026, 11, 2), "17 pools have none"),
            Source("offerings", "an old list"),
        ),
        notes=("the prices are 20 days old",),
    )


def with_prices(pool: Pool, *, estimate: bool = False) -> Pool:
    on_demand = pool.type.vcpus * 0.0425
    return replace(
        pool,
        usd_per_hour=on_demand * 0.35,
        on_demand_usd_per_hour=on_demand,
        interruption=0.075,
        usd_is_estimate=estimate,
    )


def wide_plan(types: int, azs: int) -> Plan:
    """One with a pool of each of so many types in each of so many AZs."""
    names = [f"c{generation}{options}.{size}" for generation in (5, 6, 7, 8) for options in "aidn" for size in SIZES]
    pools = [
        PlannedPool(Pool(f"usw2-az{az}", instance_type(name)), 1 + (number + az) % 4, float(instance_type(name).vcpus))
        for number, name in enumerate(names[:types])
        for az in range(1, azs + 1)
    ]
    return plan_of(*pools)


def test_every_pool_of_the_plan_has_a_row_with_its_figures() -> None:
    made = priced(free_plan(1000))
    rows = Document.of(render(made, FRONTIER)).rows()
    for each in made.pools:
        assert each.usd_per_hour is not None
        share = percent(each.capacity / made.capacity)
        figures = f"{each.pool.az_id} {each.pool.type.name} {each.count} {each.vcpus} {share} "
        row = next(row for row in rows if row.startswith(figures))
        assert usd(each.usd_per_hour) in row


def test_the_head_has_cost_bound_on_demand_spread_and_interruptions() -> None:
    made = priced(free_plan(1000))
    assert made.usd_per_hour is not None
    assert made.interruptions_per_day is not None
    figures = _spaced(Document.of(render(made)).all("dl")[0].text)
    assert f"Cost {usd(made.usd_per_hour)} USD/h" in figures
    assert "Against on demand \N{MINUS SIGN}65.0" in figures
    assert "Against the least possible +2.0" in figures
    assert f"Effective number of pools {made.effective_pools:.1f}" in figures
    assert f"≈ {made.interruptions_per_day:.2f} a day" in figures


def test_the_worst_loss_of_each_kind_stands_beside_its_cap() -> None:
    made = priced(free_plan(1000))
    rows = Document.of(render(made)).rows()
    for group, name in (("pool", "pool"), ("type", "instance type"), ("family", "family"), ("az", "AZ")):
        kind = Group(group)
        key, share = next(iter(made.shares(kind).items()))
        expected = f"{name} {key} {percent(share)} {percent(made.caps[kind])}"
        assert any(row.startswith(expected) for row in rows), expected


def test_nothing_is_asked_of_the_network_and_nothing_runs() -> None:
    html = render(priced(free_plan(1000)), FRONTIER)
    document = Document.of(html)
    for element in document.elements:
        assert element.tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
        assert not {"src", "href", "srcset", "action", "data", "xlink:href"} & element.attributes.keys()
        assert not any(name.startswith("on") for name in element.attributes)
    assert not re.search(r"url\(|@import|https?://", html)


def test_a_policy_in_the_file_forbids_whatever_is_not_in_it() -> None:
    (policy,) = Document.of(render(free_plan(1000))).all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )


def hostile_plan() -> Plan:
    """Markup wherever a file or a person may put words."""
    base = priced(free_plan(1000))
    first = base.pools[0]
    return replace(
        base,
        demand=replace(base.demand, region=HOSTILE, selection=Selection(allow=(HOSTILE,), az_ids=(HOSTILE,))),
        pools=(replace(first, pool=replace(first.pool, az_id=HOSTILE)), *base.pools[1:]),
        cap_prices=(CapPrice(Group.AZ, HOSTILE, 0.25, 0.1),),
        relaxed=(Relaxed(HOSTILE, 0.1, 0.2, HOSTILE),),
        sources=(Source(HOSTILE, HOSTILE, None, HOSTILE),),
        notes=(HOSTILE,),
    )


def test_hostile_names_are_shown_and_do_nothing() -> None:
    html = render(hostile_plan())
    document = Document.of(html)
    assert "<script" not in html
    assert not document.all("img")
    assert HOSTILE in document.text()
    assert any(HOSTILE in (cell.attributes.get("title") or "") for cell in document.all("td"))


def test_a_plan_without_prices_says_so_and_names_no_amount() -> None:
    made = free_plan(1000)
    document = Document.of(render(made))
    text = document.text()
    assert text.count("no price") >= 2 * len(made.pools)
    assert "at a cost that is not known" in text
    assert "no Spot price is known for 25 of 25 pools" in text
    assert "Without prices it is not known." in text
    assert "Without a price for every pool there is no cost to compare with risk." in text
    assert "no figure" in text
    assert not re.search(r"\d USD/h", text)


def test_one_missing_price_leaves_the_sum_open_and_is_counted() -> None:
    whole = priced(free_plan(1000))
    bare = replace(whole.pools[0], pool=replace(whole.pools[0].pool, usd_per_hour=None))
    text = Document.of(render(replace(whole, pools=(bare, *whole.pools[1:])))).text()
    assert "Cost no price 1 of 25 pools have none" in text
    assert "no Spot price is known for 1 of 25 pools" in text


def test_estimates_are_marked_wherever_they_stand() -> None:
    made = priced(free_plan(1000), estimate=True)
    text = Document.of(render(made)).text()
    assert made.usd_per_hour is not None
    assert f"Cost ≈ {usd(made.usd_per_hour)}" in text
    assert "the Spot price of 25 of 25 pools is an estimate, not observed" in text
    assert f"about {usd(made.usd_per_hour)} USD an hour" in text
    row = next(row for row in Document.of(render(made)).rows() if row.startswith("use1-az1 c5a.large"))
    assert row.count("≈") == 3, "each, all, and the interruption band"


def test_observed_prices_are_not_marked_as_estimates() -> None:
    made = priced(free_plan(1000))
    assert made.usd_per_hour is not None
    assert f"Cost {usd(made.usd_per_hour)}" in Document.of(render(made)).text()


def test_sources_stand_with_their_dates_or_without_and_their_notes() -> None:
    rows = Document.of(render(priced(free_plan(1000)))).rows()
    assert "Spot prices prices.json 2026-11-02 17 pools have none" in rows
    assert "offerings an old list no date is stated" in rows


def test_what_a_cap_costs_and_what_gave_way_is_told() -> None:
    relaxed = (Relaxed("pool", 0.05, 0.066, "too few"), Relaxed("effective pools", 20.0, 16.0, "uneven"))
    document = Document.of(render(replace(priced(free_plan(1000)), relaxed=relaxed)))
    rows = [row.replace("\N{NARROW NO-BREAK SPACE}", " ") for row in document.rows()]
    assert "family all of them 25.0 % 0.4321" in rows
    assert "family c6a 25.0 % 0.2100" in rows
    assert "cap of one pool 5.0 % 6.6 % too few" in rows
    assert "effective number of pools 20 16 uneven" in rows


def test_a_note_of_the_plan_is_shown() -> None:
    assert "the prices are 20 days old" in Document.of(render(priced(free_plan(1000)))).text()


def test_an_empty_frontier_is_said_to_be_empty() -> None:
    document = Document.of(render(priced(free_plan(1000)), ()))
    assert "No other plans were made to compare with." in document.text()
    assert not document.all("svg", role="img")


def test_the_frontier_has_each_plan_and_this_one_on_it() -> None:
    made = priced(free_plan(1000))
    document = Document.of(render(made, FRONTIER))
    assert len(document.all("circle", **{"class": "other"})) == len(FRONTIER)
    assert len(document.all("circle", **{"class": "this"})) == 1
    (drawing,) = document.all("svg", role="img")
    named = {element.attributes.get("id") for element in document.all("title") + document.all("desc")}
    assert set((drawing.attributes["aria-labelledby"] or "").split()) <= named


def test_capacity_in_performance_is_not_called_vcpu() -> None:
    base = performance_plan()
    text = Document.of(render(replace(base, demand=replace(base.demand, weights=Weights.PERFORMANCE)))).text()
    assert "units of any class" in text
    assert f"{sum(each.vcpus for each in base.pools):,} vCPU" in text


def test_on_demand_capacity_is_said_to_be_in_no_figure() -> None:
    text = Document.of(render(free_plan(1000, on_demand=200))).text()
    assert "and 200 on demand, which no figure here contains" in text


def test_300_pools_make_less_than_a_megabyte() -> None:
    made = priced(wide_plan(60, 5))
    assert len(made.pools) == 300
    assert len(render(made, FRONTIER).encode()) < 1_000_000


def test_the_heat_map_has_one_cell_for_each_pool_of_60_types_in_6_azs() -> None:
    made = wide_plan(60, 6)
    document = Document.of(render(made))
    titles = {cell.attributes["title"] for cell in document.all("td") if "title" in cell.attributes}
    assert len(titles) == 360
    assert len(document.all("table", **{"class": "heat"})) == 2


def test_every_table_names_its_columns() -> None:
    html = render(priced(free_plan(1000)), FRONTIER)
    document = Document.of(html)
    tables = len(document.all("table"))
    assert tables == len(document.all("thead")) > 0
    assert all(cell.attributes.get("scope") in {"row", "col"} for cell in document.all("th"))


def test_only_a_report_needs_the_template_library() -> None:
    script = "import sys, spotwatch.pools.html_report; print('jinja2' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"


def test_the_larger_a_pool_the_darker_is_its_cell() -> None:
    heat = heat_map(wide_plan(60, 6))
    cells = [cell for part in heat.parts for row in part for cell in row.cells if cell]
    cells.sort(key=lambda cell: cell.share)
    levels = [cell.level for cell in cells]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (1, LEVELS)
    assert cells[-1].share == heat.full


def test_the_shares_in_the_heat_map_sum_to_everything() -> None:
    heat = heat_map(wide_plan(60, 6))
    cells = [cell.share for part in heat.parts for row in part for cell in row.cells if cell]
    assert sum(cells) == pytest.approx(1)
    assert sum(heat.az_shares) == pytest.approx(1)
    assert sum(row.share for part in heat.parts for row in part) == pytest.approx(1)


def test_a_group_above_its_cap_is_marked() -> None:
    made = replace(free_plan(1000), caps={Group.AZ: 0.05})
    bars = loss_bars(made, Group.AZ)
    assert all(bar.above_cap for bar in bars.bars)
    assert "above the cap" in render(made)


def test_groups_that_are_not_drawn_are_summed_up() -> None:
    bars = loss_bars(free_plan(1000), Group.POOL)
    assert len(bars.bars) + bars.others == 25
    assert sum(bar.share for bar in bars.bars) + bars.others_share == pytest.approx(1)


@given(
    points=st.lists(st.tuples(st.floats(0.001, 1), st.floats(0.001, 1e6)), min_size=1, max_size=12),
    this=st.none() | st.tuples(st.floats(0.001, 1), st.floats(0.001, 1e6)),
    bound=st.none() | st.floats(0, 1e6),
)
def test_whatever_the_costs_are_all_points_lie_in_the_chart(
    points: list[tuple[float, float]], this: tuple[float, float] | None, bound: float | None
) -> None:
    chart = frontier_chart(points, this, bound)
    assert chart is not None
    for point in (*chart.points, *([chart.this] if chart.this else [])):
        assert -1e-6 <= point.x <= 100 + 1e-6
        assert -1e-6 <= point.y <= chart.height + 1e-6
    assert 2 <= len(chart.x_ticks) <= 8
    assert 2 <= len(chart.y_ticks) <= 9
    assert chart.bound_y is None or -1e-6 <= chart.bound_y <= chart.height + 1e-6


def test_a_plan_that_is_on_the_frontier_is_one_point_of_it() -> None:
    chart = frontier_chart(FRONTIER, (0.05, 13.5001))
    assert chart is not None
    assert len(chart.points) == len(chart.table) == len(FRONTIER)
    assert chart.this in chart.points


def test_amounts_are_never_rounded_to_nothing() -> None:
    assert (usd(0.00001), usd(0.0), usd(0.5), usd(13.184), usd(12345.6)) == (
        "<0.0001",
        "0.0000",
        "0.5000",
        "13.18",
        "12,346",
    )


@needs_data
def test_a_real_plan_and_its_frontier_are_rendered() -> None:
    found = market(
        "us-east-1", catalog=DATA, prices=DATA / "pool_prices_dev.csv", advisor=DATA / "spot-advisor-data.json"
    )
    demand = Demand("us-east-1", 1000, Selection(classes=("c",)))
    pools = candidates(found, demand.selection)
    made = plan(demand, pools, found)
    assert made.usd_per_hour is not None
    document = Document.of(render(made, frontier(demand, pools, found)))
    assert "1,000 vCPU of class c in us-east-1" in document.all("h1")[0].text
    assert len(document.all("circle")) > 5
    assert f"Cost ≈ {usd(made.usd_per_hour)}" in document.text()


# In a browser.

in_a_browser = pytest.mark.skipif(EXECUTABLE is None, reason="there is no chromium (Debian's package is called so)")

CONTRASTS = """
(() => {
  const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = colour => numbers(colour).slice(0, 3).map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter(each => [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .filter(each => !["title", "desc"].includes(each.tagName))
    .map(each => {
      const style = getComputedStyle(each);
      const front = light(each.tagName === "text" ? style.fill : style.color);
      const back = light(behind(each));
      const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
      return [Math.round(ratio * 100) / 100, each.textContent.trim().slice(0, 40)];
    });
})()
"""
"""Of each element with text: the ratio of its contrast as WCAG 2 counts it, and the text."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def written(folder: Path, html: str) -> Path:
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


WINDOWS = [(1200, False), (1200, True), (400, False), (400, True)]
PLANS = {"prices": priced(wide_plan(60, 6), estimate=True), "no prices": free_plan(1000), "hostile": hostile_plan()}


@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize(("width", "dark"), WINDOWS, ids=lambda value: str(value))
def test_a_browser_shows_it_without_a_network_or_a_complaint(
    browser: Page, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    path = written(tmp_path, render(PLANS[name], FRONTIER))
    browser.events.clear()
    browser.open(path, width=width, dark=dark)
    text = " ".join(browser.evaluate("document.body.innerText").split())
    for each in PLANS[name].pools:
        assert f"{each.pool.az_id} {each.pool.type.name} {each.count}" in text
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(14, 18, 23)" if dark else "rgb(243, 245, 248)"
    )
    assert browser.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the window"
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []


@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PLANS)
def test_all_its_text_has_the_contrast_that_wcag_asks_for(browser: Page, tmp_path: Path, name: str, dark: bool) -> None:
    browser.open(written(tmp_path, render(PLANS[name], FRONTIER)), dark=dark)
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [each for each in contrasts if each[0] < 4.5] == []


@pytest.mark.slow
@in_a_browser
def test_its_picture_is_not_blank(browser: Page, tmp_path: Path) -> None:
    browser.open(written(tmp_path, "<!doctype html><style>body { height: 4000px }</style>"))
    blank = browser.screenshot()
    browser.open(written(tmp_path, render(PLANS["prices"], FRONTIER)))
    picture = browser.screenshot()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10 * len(blank)


@pytest.mark.slow
@in_a_browser
def test_the_points_are_drawn_where_they_belong(browser: Page, tmp_path: Path) -> None:
    """The safest plan is the leftmost and the highest, and the whole drawing lies in its frame."""
    browser.open(written(tmp_path, render(PLANS["prices"], FRONTIER)), width=400)
    places = browser.evaluate(
        "[...document.querySelectorAll('circle.other')].map(each => each.getBoundingClientRect())"
        ".map(each => [each.x, each.y])"
    )
    assert places == sorted(places, key=lambda place: place[0])
    assert places == sorted(places, key=lambda place: place[1])
    assert all(0 < x < 400 for x, _ in places)


@pytest.mark.slow
@in_a_browser
def test_the_browser_tells_of_a_page_that_asks_the_network(browser: Page, tmp_path: Path) -> None:
    """The check can fail: what the report's policy forbids is complained of, and a request is seen."""
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    image = "<img src='https://example.com/a.png'>"
    browser.events.clear()
    browser.open(written(tmp_path, f"<!doctype html>{policy}{image}"))
    assert browser.complaints()
    browser.events.clear()
    browser.open(written(tmp_path, f"<!doctype html>{image}"))
    assert "https://example.com/a.png" in browser.requests()
    assert any("ERR_NAME_NOT_RESOLVED" in complaint for complaint in browser.complaints())

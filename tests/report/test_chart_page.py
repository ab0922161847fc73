"""Charts in a real browser: drawn from their JSON, foreign names as text, in light and dark, with a table each."""

from pathlib import Path

import pytest

from epa_bench.core.one_line import one_line
from epa_bench.report.charted import Charts
from epa_bench.report.page import render_page
from epa_bench.report.section import Chart, Section, Table
from tests.plots.drawn import HOSTILE
from tests.plots.examples import FIGURES
from tests.report.conftest import OpenPage


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    charts = tuple(Chart(name, HOSTILE, make(), Table((HOSTILE,), ((HOSTILE,),))) for name, make in FIGURES.items())
    missing = (f"{HOSTILE}: no logs",)
    section = Section("charts", "Charts", "charts.html", Charts(charts), missing)
    path = tmp_path_factory.mktemp("charts") / "page.html"
    path.write_text(render_page("t", [section], "files").html)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_and_foreign_names_are_text(scheme: str, page: Path, open_page: OpenPage) -> None:
    opened = open_page(page, color_scheme=scheme)
    for name in FIGURES:
        figure = opened.page.locator(f"#{name}")
        figure.scroll_into_view_if_needed()
        opened.page.wait_for_selector(f"#{name}[data-drawn=yes]")
        drawn = " ".join(figure.locator(".plot").all_inner_texts())
        assert figure.locator(".plot svg text").count() > 5
        assert "<script>alert(1)</script>" in drawn
        assert figure.locator(".plot a, .plot script, .plot image").count() == 0
        figure.locator("summary").click()
        assert figure.locator("td").inner_text() == one_line(HOSTILE)
    # Text that can be read on the page's paper.
    colour = opened.page.locator("#training .xtick text").first.evaluate("text => getComputedStyle(text).fill")
    light = sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(", "))) / 3
    assert light > 150 if scheme == "dark" else light < 100
    assert "no logs" in opened.page.locator(".missing").inner_text()

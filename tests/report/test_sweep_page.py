"""The page of a real sweep in a real browser: what is shown, sorted, filtered, followed and printed."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.leaderboard.board import Leaderboard
from epa_bench.report.write import write_report
from tests.report.conftest import Opened, OpenPage

if TYPE_CHECKING:
    from tests.conftest import Workplace


@pytest.fixture(scope="module")
def sweep_page(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    done = finished.run("report", "runs/mini", "--out", str(out), "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == len(out.read_bytes())
    assert "not shown: Contamination: mini: the embedded task draws its own prompts" in done.stderr
    return out


@pytest.fixture
def opened(open_page: OpenPage, sweep_page: Path) -> Opened:
    page = open_page(sweep_page)
    page.loaded()
    return page


@pytest.fixture
def board(finished: "Workplace") -> Leaderboard:
    return Leaderboard.model_validate_json((finished.folder / "leaderboards" / "mini.json").read_bytes())


def _rows(opened: Opened) -> list[dict[str, Any]]:
    """Rows of the leaderboard on the screen: unrounded values as the page holds them, texts as it shows them."""
    found: list[dict[str, Any]] = opened.page.evaluate(
        """() => [...document.querySelectorAll("#leaderboard-table tbody tr:not([hidden])")].map((row) => ({
            origin: JSON.parse(row.dataset.origin),
            score: row.querySelector(".score").innerText, scoreValue: row.querySelector(".score").dataset.value,
            margin: row.querySelector(".margin").innerText, marginValue: row.querySelector(".margin").dataset.value,
        }))"""
    )
    return found


def _number(text: str) -> str:
    """The first number of a cell."""
    found = re.match(r"[+-]?\d+(\.\d+)?", text)
    assert found, text
    return found.group()


def test_figures_are_those_of_the_table_to_the_shown_digit(opened: Opened, board: Leaderboard) -> None:
    shown = {(row["origin"]["suite"], row["origin"]["metric"], row["origin"]["arm"]): row for row in _rows(opened)}
    told = 0
    for table in board.tables:
        for result in table.arms:
            row = shown.pop((table.suite, table.metric, result.arm))
            for name, cell in {"score": result.score, "margin": result.margin}.items():
                if cell is None or cell.value is None:
                    continue
                assert float(row[f"{name}Value"]) == cell.value
                text = _number(row[name])
                digits = len(text.partition(".")[2])
                assert digits == table.info.digits
                assert abs(float(text) - cell.value * table.info.scale) <= 0.5000001 * 10**-digits
                told += 1
    assert not shown
    assert told > 100


def test_a_heading_sorts_up_and_down_with_absent_values_last(opened: Opened) -> None:
    heading = opened.page.locator("#leaderboard-table thead th", has_text="Margin")
    for direction, reverse in (("ascending", False), ("descending", True)):
        heading.get_by_role("button").click()
        values = [row["marginValue"] for row in _rows(opened)]
        known = [float(value) for value in values if value]
        assert heading.get_attribute("aria-sort") == direction
        assert known == sorted(known, reverse=reverse)
        assert all(values[: len(known)])
        assert not any(values[len(known) :])


def test_filters_and_search_keep_the_rows_they_name(opened: Opened, board: Leaderboard) -> None:
    tools = opened.page.locator("#leaderboard-tools")
    tools.get_by_label("Method").select_option("epa-1-1-2")
    assert {row["origin"]["arm"] for row in _rows(opened)} == {"epa-1-1-2"}
    tools.get_by_label("Search").fill("linearity PEARSON")
    assert {row["origin"]["suite"] for row in _rows(opened)} == {"linearity"}
    assert opened.page.locator("#leaderboard-count").inner_text().startswith(f"{len(_rows(opened))} of ")


def test_a_single_seed_shows_its_own_mean(opened: Opened, finished: "Workplace") -> None:
    opened.page.locator("#leaderboard-tools").get_by_label("Seed").select_option("2")
    rows = [json.loads(line) for line in (finished.folder / "runs/mini/rows.jsonl").read_text().splitlines()]
    for shown in _rows(opened):
        origin = shown["origin"]
        if (origin["suite"], origin["metric"]) == ("generation", "length"):
            own = [r["value"] for r in rows if (r["metric"], r["arm"], r["seed"]) == ("length", origin["arm"], 2)]
            assert abs(float(_number(shown["score"])) - sum(own) / len(own)) < 0.06
            assert f"({len(own)} prompts)" in shown["score"]
            assert shown["margin"] == "over all seeds only"
            return
    pytest.fail("no row of the metric")


def test_a_number_opens_the_cells_it_was_made_of(opened: Opened, finished: "Workplace") -> None:
    listed = json.loads((finished.folder / "runs/mini/cells.json").read_text())
    row = _rows(opened)[0]["origin"]
    opened.page.locator("#leaderboard-table tbody .origin").first.click()
    told = opened.page.locator("#origin").inner_text()
    for result in listed["results"]:
        if (result["suite"], result["arm"]) == (row["suite"], row["arm"]):
            assert result["cells"][0][:12] in told
    everything = opened.page.locator("#origin").text_content()
    assert "train" in everything
    assert "learning_rate" in everything
    opened.page.keyboard.press("Escape")
    assert not opened.page.locator("#origin").is_visible()


def test_answers_search_filter_and_order(opened: Opened) -> None:
    # Late: other tests of the room do without it.
    from playwright.sync_api import expect

    tools = opened.page.locator("#answers-tools")
    count = opened.page.locator("#answers-count")
    assert count.inner_text() == "24 of 24"
    prompt = opened.page.locator("#answers-list .prompt").first.inner_text()
    tools.get_by_label("Search").fill(prompt.upper())
    expect(count).not_to_have_text("24 of 24")
    assert set(opened.texts("#answers-list .prompt")) == {prompt}
    tools.get_by_label("Search").fill("no such words anywhere")
    expect(count).to_have_text("0 of 24")
    assert "No example fits" in opened.page.locator("#answer").inner_text()
    tools.get_by_label("Search").fill("")
    tools.get_by_label("Order").select_option("change")
    expect(count).to_have_text("24 of 24")
    lines = [line.split(" ")[:3:2] for line in opened.texts("#answers-list .about")]
    changes = [abs(float(right) - float(left)) for left, right in lines]
    assert changes[0] > 0
    assert changes == sorted(changes, reverse=True)
    assert opened.page.locator("#answers-list [aria-selected=true]").get_attribute("aria-posinset") == "1"


def test_an_untrained_checkpoint_stands_beside_every_seed(opened: Opened) -> None:
    tools = opened.page.locator("#answers-tools")
    tools.locator("[name=left]").select_option(label="reference")
    assert opened.page.locator("#answers-count").inner_text() == "24 of 24"
    assert tools.get_by_label("Seed").locator("option").all_inner_texts() == ["all", "1", "2"]
    tools.get_by_label("Seed").select_option("2")
    assert opened.page.locator("#answers-count").inner_text() == "12 of 24"
    assert opened.texts("#answer .side h4") == ["reference", "epa-1-1-2"]


def test_keys_move_search_and_toggle(opened: Opened) -> None:
    page = opened.page
    page.locator("#answers-list").focus()
    page.keyboard.press("End")
    assert page.locator("#answers-list [aria-selected=true]").get_attribute("aria-posinset") == "24"
    page.keyboard.press("k")
    selected = page.locator("#answers-list [aria-selected=true]")
    assert selected.get_attribute("aria-posinset") == "23"
    assert page.locator("#answers-list").get_attribute("aria-activedescendant") == selected.get_attribute("id")
    page.keyboard.press("d")
    assert page.locator("#answer ins, #answer del").count() == 0
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"
    page.keyboard.type("jkd")
    assert page.evaluate("document.activeElement.value") == "jkd"


def test_a_link_opens_its_example(opened: Opened, open_page: OpenPage, sweep_page: Path) -> None:
    opened.page.locator("#answers-list .row").nth(3).click()
    shown = opened.page.locator("#answer .sides").inner_text()
    link = opened.page.locator("#answer .link").get_attribute("href")
    assert link
    again = open_page(sweep_page, link)
    again.loaded()
    assert again.page.locator("#answer .sides").inner_text() == shown
    assert again.page.locator("#answers-list [aria-selected=true]").get_attribute("aria-posinset") == "4"


def test_dark_and_light(open_page: OpenPage, sweep_page: Path) -> None:
    dark = open_page(sweep_page, color_scheme="dark").page

    def lightness() -> float:
        colour = dark.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3

    assert lightness() < 60
    dark.locator("#theme").click()
    assert dark.locator("#theme").inner_text() == "☀ light"
    assert lightness() > 200
    dark.emulate_media(media="print", color_scheme="dark")
    assert lightness() > 200
    assert not dark.locator(".top nav").is_visible()


def test_every_control_has_a_name_and_every_section_a_heading(opened: Opened) -> None:
    unnamed = opened.page.evaluate(
        """() => [...document.querySelectorAll("button, select, input")].filter(
            (each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute("aria-label"))).length"""
    )
    assert unnamed == 0
    headings = opened.texts("main h2")
    assert headings == opened.texts(".top nav a")
    assert len(headings) >= 6


def test_the_page_is_the_same_when_made_again(
    finished: "Workplace", sweep_page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.folder)
    write_report([Path("leaderboards/mini.md")], Path("runs"), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == sweep_page.read_bytes()
    assert len(sweep_page.read_bytes()) < 10_000_000

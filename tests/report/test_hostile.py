"""Text of models, judges and users is text, whatever it holds."""

from pathlib import Path

import pytest

from epa_bench.core.metric import MetricInfo
from epa_bench.report.write import write_report
from tests.report.conftest import Opened, OpenPage
from tests.report.handmade import Judged, write_handmade

_RUN = "window.ran = (window.ran || 0) + 1"

ATTACKS = (
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<!--<script>{_RUN}</script>",
    f'<img src=x onerror="{_RUN}">',
    f'"><svg onload="{_RUN}">',
    f"' autofocus onfocus='{_RUN}' x='",
    f'<a href="javascript:{_RUN}">javascript:{_RUN}</a>',
    f"</style><script>{_RUN}</script>",
    f"</textarea></dialog><iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
    "{{ 7*7 }}{% raw %}${7*7}`",
    "__proto__",
    "]]>\u2028\u2029\\u003cscript\\u003e",
)

RUN_NAME = "<img src=x onerror=alert(1)>\"'&"
ARM = 'epa/<b>"\'x"</b>'
LONG = "word " * 200_000
ODD = {
    "null": "a\x00b\x1b[31m",
    "rtl": "safe\u202egnp.exe\u2066",
    "emoji": "👩‍👩‍👧 🙂 漢字かな 한국어",
    "crlf": "one\r\ntwo\rthree",
}


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [*ATTACKS, *ODD.values(), LONG]
    examples = {
        f"{number}: {text}": {
            ("dpo<script>", 1): Judged("plain", (1.25,), text),
            (ARM, 1): Judged(text, (1.75,), f"judge says {text}"),
        }
        for number, text in enumerate(texts)
    }
    folder = tmp_path_factory.mktemp("hostile")
    info = MetricInfo(label="win <b onmouseover=alert(1)>rate</b>", unit="%", better="higher", scale=100, headline=True)
    run = write_handmade(folder / "runs", examples, name=RUN_NAME, category="<script>c</script>", info=info)
    out = folder / "hostile.html"
    write_report([run], folder / "runs", out)
    return out


@pytest.fixture
def opened(open_page: OpenPage, hostile_page: Path) -> Opened:
    page = open_page(hostile_page)
    page.loaded()
    return page


def test_nothing_of_theirs_runs_and_everything_of_theirs_is_text(opened: Opened) -> None:
    page = opened.page
    count = int(page.locator("#answers-count").inner_text().split()[0])
    page.locator("#answers-list").focus()
    page.keyboard.press("Home")
    seen = page.locator("#answer").inner_text()
    for _ in range(count - 1):
        page.keyboard.press("ArrowDown")
        seen += page.locator("#answer").inner_text()
    for attack in ATTACKS:
        for part in attack.splitlines():
            assert part in seen
    assert f"judge says {ATTACKS[0]}" in seen
    assert page.evaluate("window.ran") is None
    for chart in page.locator("figure.chart").all():
        chart.scroll_into_view_if_needed()
        page.wait_for_function("(figure) => figure.dataset.drawn", arg=chart.element_handle())
    assert page.locator("main :is(img, svg, iframe, b):not(.plot *), main script:not([type])").count() == 0
    assert page.evaluate("window.ran") is None
    assert page.evaluate("({}).polluted === undefined && Object.prototype.text === undefined")
    assert page.locator("a[href^='javascript']").count() == 0


def test_names_are_text_in_tables_menus_and_provenance(opened: Opened) -> None:
    page = opened.page
    assert ARM in opened.texts("#leaderboard-table td")
    assert any(text == ARM for text in opened.texts("#answers-tools [name=right] option"))
    assert f"Sweep {RUN_NAME}" == page.title()
    assert "win <b onmouseover=alert(1)>rate</b> (%)" in page.locator("#summary").inner_text()
    page.locator("#leaderboard-table .origin").last.click()
    assert ARM in page.locator("#origin").inner_text()
    page.keyboard.press("Escape")
    page.locator("#leaderboard-tools").get_by_label("Method").select_option(ARM)
    assert page.locator("#leaderboard-count").inner_text() == "1 of 2"


def test_signs_that_hide_or_turn_text_are_shown(opened: Opened) -> None:
    page = opened.page

    def answer(search: str) -> str:
        page.locator("#answers-tools").get_by_label("Search").fill(search)
        page.wait_for_timeout(100)
        page.locator("#answers-list .row").first.click()
        shown: str = page.locator("#answer .side").last.locator(".text").first.inner_text()
        return shown

    assert answer("[31m") == "a␀b␛[31m"
    assert answer("gnp.exe") == "safe[U+202E]gnp.exe[U+2066]"
    assert answer("漢字") == ODD["emoji"]
    assert answer("three") == "one\ntwo␍three"


def test_a_megabyte_is_shown_on_demand(opened: Opened) -> None:
    page = opened.page
    page.locator("#answers-list").focus()
    page.locator("#answers-tools").get_by_label("Search").fill("word word word")
    page.wait_for_timeout(200)
    page.locator("#answers-list .row").first.click()
    side = page.locator("#answer .side").last
    text = side.locator(".text").first
    assert len(text.inner_text()) < 30_000
    side.get_by_role("button", name="Show all 1,000,000 characters").click()
    assert len(text.text_content()) == len(LONG)


def test_the_policy_refuses_a_script_that_got_in(open_page: OpenPage, hostile_page: Path, tmp_path: Path) -> None:
    """The second wall: were escaping to fail, the browser would still not run it."""
    broken = hostile_page.read_text().replace("<main>", f"<main><script>{_RUN}</script><img src=x onerror='{_RUN}'>")
    (tmp_path / "broken.html").write_text(broken)
    opened = open_page(tmp_path / "broken.html")
    opened.loaded()
    assert opened.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in error for error in opened.errors)
    opened.errors.clear()


def test_a_file_that_is_missing_beside_the_page_is_told(
    open_page: OpenPage, hostile_page: Path, tmp_path: Path
) -> None:
    (tmp_path / "alone.html").write_bytes(hostile_page.read_bytes())
    opened = open_page(tmp_path / "alone.html")
    opened.loaded()
    assert "hostile_files/answers-0000.js" in opened.page.get_by_role("alert").inner_text()
    assert opened.page.locator("#answers-count").inner_text() == "0 of 0"
    opened.errors.clear()

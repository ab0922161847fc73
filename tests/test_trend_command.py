"""`epa-bench trend` and `epa-bench plot trend`, as a user calls them."""

import json
from typing import TYPE_CHECKING

from tests.leaderboard.versions import history_of

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_table_and_figure(workplace: "Workplace") -> None:
    folder = workplace.folder / "boards"
    folder.mkdir()
    first, unreadable, last = history_of(folder / "mine.json")
    done = workplace.run("trend", "boards/mine.json")
    assert done.returncode == 0, done.stderr
    assert "+30.0 (" in done.stdout
    assert "judge gpt to other" in done.stdout
    assert f"Left out, as this program cannot read them: {unreadable[:12]}" in done.stderr
    shown = json.loads(workplace.run("trend", "boards/mine.json", "--metric", "tokens", "--json", "-").stdout)
    assert [point["version"] for point in shown["points"]] == [first[:12], last[:12]]
    done = workplace.run("plot", "trend", "boards/mine.json", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["plot"] == "boards/mine.trend.svg, boards/mine.trend.png"
    assert first[:12] in (folder / "mine.trend.svg").read_text()
    assert workplace.run("trend", "nonesuch.json").returncode == 4

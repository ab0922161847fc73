"""Published reference rows: the committed tables are those of the committed data, and nothing unknown has a number."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.leaderboard.published import (
    published_csv,
    published_json,
    published_markdown,
    read_published,
    write_published,
)

if TYPE_CHECKING:
    from tests.conftest import Workplace

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = read_published(ROOT / "suites" / "published.yaml")

GROUP = """
groups:
  - title: t
    metrics: [a, b]
    source: s
    judge: j
    version: v
    rows:
      - {model: m, method: x, values: [1.5, 2]}
"""


def test_committed_tables_are_those_of_the_data(tmp_path: Path) -> None:
    write_published(PUBLISHED, tmp_path)
    for suffix in ("md", "csv", "json"):
        committed = ROOT / "leaderboards" / f"published.{suffix}"
        assert (tmp_path / committed.name).read_text() == committed.read_text()


def test_formats_hold_the_same_values() -> None:
    lines = list(csv.DictReader(io.StringIO(published_csv(PUBLISHED))))
    objects = json.loads(published_json(PUBLISHED))
    assert [{name: "" if v is None else str(v) for name, v in line.items()} for line in objects] == lines
    text = published_markdown(PUBLISHED)
    assert all(f" {line['value']} |" in text for line in objects if line["value"] is not None)


def test_every_value_has_its_source_and_every_gap_its_reason() -> None:
    for line in PUBLISHED.lines():
        assert all(line[name] for name in ("source", "judge", "version"))
        assert (line["value"] is None) == (line["reason"] is not None)
    epa = [line for line in PUBLISHED.lines() if line["method"] == "EPA"]
    assert epa
    assert all(line["value"] is None for line in epa)


def test_leaderboards_entry_is_in_the_published_csv(shared_data: Path) -> None:
    with (shared_data / "alpaca_eval" / "leaderboard_published.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row[""] == "zephyr-7b-beta")
    values = [line["value"] for line in PUBLISHED.lines() if line["source"].startswith("AlpacaEval leaderboard CSV")]
    assert values == [round(float(row[name]), 2) for name in ("length_controlled_winrate", "win_rate")]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("values: [1.5, 2]", "values: [1.5]", "p.yaml:3: Value error, expected 2 values a row"),
        ("values: [1.5, 2]", "values: [1.5, null]", "p.yaml:9: Value error, expected a reason exactly where"),
        ("values: [1.5, 2]", "values: [1.5, 2], reason: r", "p.yaml:9: Value error, expected a reason exactly where"),
        ("    source: s\n", "", "p.yaml:3: Field required"),
    ],
)
def test_damaged_data_is_named_by_line(old: str, new: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GROUP)
    assert [line["value"] for line in read_published(path).lines()] == [1.5, 2]
    path.write_text(GROUP.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_published(path)
    assert where in str(caught.value)


def test_command_line(workplace: "Workplace") -> None:
    done = workplace.run("published", "--leaderboards", "boards", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (workplace.folder / "boards" / "published.json").read_text() == published_json(PUBLISHED)
    assert "Source: README of SimPO v0.1." in workplace.run("published").stdout

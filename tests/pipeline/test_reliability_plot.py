"""`epa-bench plot reliability` from a finished sweep's store."""

import csv
import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_bins_are_those_of_the_stored_margins(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    place.write({"suites": {"calibration": {}}, "name": "cal"}, "cal.json")
    place.finish("cal.json")
    done = place.run("plot", "reliability", "runs/cal", "--json", "-")
    assert done.returncode == 0, done.stderr
    shown = {row["checkpoint"]: row for row in json.loads(done.stdout)}
    assert len(shown) == 6
    rows = [json.loads(line) for line in (place.folder / "runs" / "cal" / "rows.jsonl").read_text().splitlines()]
    with (place.folder / "leaderboards" / "cal.calibration.csv").open() as file:
        bins = list(csv.DictReader(file))
    for arm in ("dpo", "dpo-nll", "epa-1-1-2"):
        for seed in (1, 2):
            of_arm = [row for row in rows if (row["arm"], row["seed"]) == (arm, seed)]
            margins = [row["value"] for row in of_arm if row["metric"] == "margin"]
            (ece,) = (row["value"] for row in of_arm if row["metric"] == "ece")
            found = [b for b in bins if (b["arm"], b["seed"]) == (arm, str(seed))]
            assert sum(int(b["n"]) for b in found) == len(margins) == shown[f"{arm}, seed {seed}"]["pairs"]
            gaps = [int(b["n"]) * abs(float(b["accuracy"]) - float(b["confidence"])) for b in found]
            assert sum(gaps) / len(margins) == pytest.approx(ece)
            assert shown[f"{arm}, seed {seed}"]["ece"] == ece
    svg = (place.folder / "leaderboards" / "cal.calibration.svg").read_bytes()
    titles = {element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert set(shown) <= titles
    assert (place.folder / "leaderboards" / "cal.calibration.png").is_file()

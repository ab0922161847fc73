"""The label curve: what it trains on, its areas and paired differences, and the committed tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from epa_bench.acquisition.model import Array, VapSettings
from epa_bench.core.errors import ConfigError, DataError
from epa_bench.core.metric import MetricInfo
from epa_bench.data.pool import TextRow
from epa_bench.stats.crossed import crossed_interval
from epa_bench.studies.label_curve import CurveArm, CurveSettings, Evaluated
from epa_bench.studies.label_curve_estimates import LabelCurve, run_label_curve
from epa_bench.studies.label_curve_plot import curve_panels, plot_label_curve
from epa_bench.studies.label_curve_table import curve_csv, curve_markdown, read_curve, write_curve
from epa_bench.studies.label_curve_text import task_of_files

ARMS = (CurveArm(name="random", representation="random"), CurveArm(name="sure", representation="entropy"))
LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
SETTINGS = CurveSettings(seeds=(1, 2, 3), cold_start=4, per_round=3, rounds=2)


@dataclass
class Counting:
    """A task whose values follow from the rows: row n teaches test item n % 5, and its entropy grows with n."""

    trained: list[tuple[str, tuple[int, ...], int]] = field(default_factory=list)

    about = "Counted."
    methods = ("one", "two")
    metrics = {"share": MetricInfo(label="share", unit="%", scale=100, digits=1)}  # noqa: RUF012

    @cached_property
    def pool(self) -> list[TextRow]:
        return [TextRow(f"{n}") for n in range(40)]

    def train(self, method: str, rows: Sequence[int], seed: int) -> Evaluated:
        self.trained.append((method, tuple(rows), seed))
        twice = 2 if method == "two" else 1
        counts = np.bincount([row % 5 for row in rows], minlength=5)
        values = {f"item {n}": twice * float(count) + seed for n, count in enumerate(counts)}
        return Evaluated(Growing(), {"share": values if len(rows) > 4 else {**values, "only here": 1.0}})


class Growing:
    """Two classes, the less certain the later the row."""

    def probabilities(self, rows: list[TextRow]) -> Array:
        p_N = 0.99 - 0.01 * np.array([int(row.text) for row in rows])
        return np.stack([p_N, 1 - p_N], axis=1).astype(np.float32)

    def features(self, rows: list[TextRow]) -> Array:
        raise AssertionError("no arm asks for them")

    gradients = features

    def perturbations(self, rows: list[TextRow], settings: VapSettings, seed: int) -> Array:
        raise AssertionError("no arm asks for them")


@pytest.fixture(scope="module")
def ran() -> tuple[Counting, LabelCurve]:
    task = Counting()
    return task, run_label_curve(task, ARMS, SETTINGS)


def test_every_point_is_trained_from_the_base_on_all_rows_so_far(ran: tuple[Counting, LabelCurve]) -> None:
    task, curve = ran
    assert len(task.trained) == curve.trainings == 3 * 2 * (1 + 2 * 2)
    assert sorted({len(rows) for _, rows, _ in task.trained}) == [4, 7, 10]
    for seed in SETTINGS.seeds:
        first = {rows[:4] for _, rows, of in task.trained if of == seed}
        assert len(first) == 1
    assert all(len(set(rows)) == len(rows) for _, rows, _ in task.trained)


def test_the_sure_arm_takes_the_least_certain_rows_left(ran: tuple[Counting, LabelCurve]) -> None:
    task, _ = ran
    start, *_ = (rows for _, rows, seed in task.trained if seed == 1 and len(rows) == 4)
    left = sorted(set(range(40)) - set(start), reverse=True)
    assert (*start, *left[:6]) in [rows for _, rows, _ in task.trained]


def test_areas_and_differences_by_hand(ran: tuple[Counting, LabelCurve]) -> None:
    """Heights are means over five items: labels / 5 + seed, twice the labels for the second method."""
    _, curve = ran
    lines = {(line.method, line.arm): line for line in curve.lines}
    one, two = lines["one", "random"], lines["two", "sure"]
    assert one.seed_areas == pytest.approx([7 / 5 + seed for seed in SETTINGS.seeds])
    assert [point.value for point in two.points] == pytest.approx([2 * labels / 5 + 2 for labels in (4, 7, 10)])
    assert two.against_first_method is not None
    assert two.against_first_method.value == pytest.approx(7 / 5)
    assert two.against_random is not None
    assert two.against_random.value == pytest.approx(0)
    assert one.against_random is one.against_first_method is None
    assert (one.test_items, one.left_out) == (5, 1)


def test_differences_are_paired_by_seed_and_item(ran: tuple[Counting, LabelCurve]) -> None:
    """The seeds differ by a whole unit, which a paired interval does not see."""
    task, curve = ran
    (line,) = (line for line in curve.lines if (line.method, line.arm) == ("one", "sure"))
    by_seed: Mapping[int, list[tuple[int, ...]]] = {
        seed: [rows for method, rows, of in task.trained if (method, of) == ("one", seed)] for seed in SETTINGS.seeds
    }

    def area(points: Sequence[tuple[int, ...]]) -> list[float]:
        counts = np.array([np.bincount([row % 5 for row in rows], minlength=5) for rows in points], dtype=float)
        found: list[float] = ((counts[0] + 2 * counts[1] + counts[2]) / 4).tolist()
        return found

    # Trained in order: the first rows, random's two rounds, the other arm's two.
    table = [np.subtract(area([p[0], *p[3:5]]), area([p[0], *p[1:3]])) for p in by_seed.values()]
    expected = crossed_interval(np.array(table))
    assert line.against_random is not None
    assert (line.against_random.low, line.against_random.high) == pytest.approx((expected.low, expected.high))


def test_the_table_says_every_figure_and_reads_back(ran: tuple[Counting, LabelCurve], tmp_path: Path) -> None:
    _, curve = ran
    write_curve(curve, tmp_path / "curve")
    assert read_curve(tmp_path / "curve.json") == curve
    text = (tmp_path / "curve.md").read_text()
    line = curve.lines[0]
    shown = f"{100 * line.area.value:.1f} ({100 * line.area.low:.1f}, {100 * line.area.high:.1f})"
    assert f"| one | random | {shown} | - | - |" in text
    assert "VAPAL-style" in text
    # A header, and for each of four lines three points, an area, and the differences it has.
    assert len(curve_csv(curve).splitlines()) == 1 + 4 * 4 + 2 + 2
    assert [row["arm"] for row in plot_label_curve(tmp_path / "curve.json", "svg")] == ["random", "sure"] * 2
    assert (tmp_path / "curve.svg").stat().st_size > 1000


def test_panels_hold_the_points_in_the_metrics_unit(ran: tuple[Counting, LabelCurve]) -> None:
    _, curve = ran
    panels = curve_panels(curve)
    assert [(panel.title, panel.y_label) for panel in panels] == [("one", "share (%)"), ("two", "share (%)")]
    name, points = panels[0].curves[0]
    assert (name, [point.labels for point in points]) == ("random", [4, 7, 10])
    assert points[0].value == pytest.approx(100 * curve.lines[0].points[0].value)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 3 or more seeds, got 2"):
        run_label_curve(Counting(), ARMS, SETTINGS.model_copy(update={"seeds": (1, 2, 2)}))
    with pytest.raises(ConfigError, match="expected an arm `random`"):
        run_label_curve(Counting(), ARMS[1:], SETTINGS)
    with pytest.raises(DataError, match="expected a pool of 64 or more rows, got 40"):
        run_label_curve(Counting(), ARMS, SETTINGS.model_copy(update={"rounds": 20}))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"expected the \.json file of a label curve"):
        read_curve(tmp_path / "other.json")


def test_files_of_texts(tmp_path: Path) -> None:
    pool, test = tmp_path / "pool.tsv", tmp_path / "test.tsv"
    pool.write_text("text\tlabel\na b\tx\nc d\ty\ne f\ty\n")
    test.write_text("text\tlabel\nc d\ty\nnew\tx\n")
    said: list[str] = []
    task = task_of_files(pool, test, None, "cpu", said.append)
    assert [row.text for row in task.pool] == ["a b", "e f"]
    assert said == [f"1 texts of {pool} are left out: the test file has them too"]
    test.write_text("text\tlabel\nnew\tz\n")
    with pytest.raises(DataError, match=r"expected the labels of .*, x, y; got z"):
        task_of_files(pool, test, None, "cpu", said.append)
    pool.write_text("text\tlabel\na b\tx\n")
    with pytest.raises(DataError, match="expected rows of two or more classes, got 1: x"):
        task_of_files(pool, test, None, "cpu", said.append)


@pytest.mark.parametrize("name", ["label_curve_text", "label_curve_pairs"])
def test_the_committed_table_is_that_of_its_figures(name: str) -> None:
    committed = read_curve(LEADERBOARDS / f"{name}.json")
    assert len(committed.settings.seeds) >= 7
    assert curve_markdown(committed) == (LEADERBOARDS / f"{name}.md").read_text(encoding="utf-8")
    assert curve_csv(committed) == (LEADERBOARDS / f"{name}.csv").read_text(encoding="utf-8")

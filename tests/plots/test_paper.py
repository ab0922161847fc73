"""The style of figures: the same whatever the user's settings, and no state left behind."""

import io
import re
import subprocess
import sys

import matplotlib as mpl
import pytest
from PIL import Image

from epa_bench.plots.linearity import linearity_figure
from epa_bench.plots.palette import COLOURS, MARKERS
from epa_bench.plots.paper import Format, figure_bytes, series_looks
from epa_bench.plots.series import Linearity, LinearityPanel


def drawn(form: Format) -> bytes:
    return figure_bytes(
        linearity_figure(Linearity([LinearityPanel("dpo", 1, "", [(0.0, 1.0)], [(1.0, 0.5)])], "c")), form
    )


def test_a_users_settings_change_nothing_and_are_left_alone() -> None:
    expected = drawn("svg")
    with mpl.rc_context({"svg.hashsalt": None, "font.size": 20, "svg.fonttype": "path", "text.parse_math": True}):
        assert drawn("svg") == expected
        assert mpl.rcParams["font.size"] == 20
        assert mpl.rcParams["svg.hashsalt"] is None
    assert b"<text" in expected


def test_coordinates_are_short_and_text_is_whole() -> None:
    panel = LinearityPanel("<path d='1.23456'>", 1, "r 0.123456", [(1 / 3, 2 / 3)], [])
    svg = figure_bytes(linearity_figure(Linearity([panel], "c")), "svg").decode()
    assert "r 0.123456" in svg
    assert "&lt;path d='1.23456'&gt;" in svg
    shapes = re.findall(r"<(?:path|use) [^>]*>", svg)
    assert len(shapes) > 5
    assert not any(re.search(r"\.\d{3}", shape) for shape in shapes)


def test_an_svg_does_not_say_when_it_was_made() -> None:
    assert b"<dc:date>" not in drawn("svg")


def test_png_for_print() -> None:
    with Image.open(io.BytesIO(drawn("png"))) as image:
        assert image.size == (1260, 894)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_looks_repeat_late() -> None:
    looks = series_looks()
    assert len({next(looks) for _ in range(56)}) == len(COLOURS) * len(MARKERS) == 56


def test_no_figure_of_pyplot_and_no_torch() -> None:
    """pyplot keeps every figure, and picks a window system."""
    code = (
        "import sys, epa_bench.plots.linearity as l, epa_bench.plots.forest, epa_bench.plots.reliability\n"
        "import epa_bench.plots.trade_off, epa_bench.plots.training, epa_bench.plots.series as s\n"
        "from epa_bench.plots.paper import figure_bytes\n"
        "figure = l.linearity_figure(s.Linearity([s.LinearityPanel('a', 1, '', [(0.0, 1.0)], [])], ''))\n"
        "figure_bytes(figure, 'png'), figure_bytes(figure, 'svg')\n"
        "print(sorted({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

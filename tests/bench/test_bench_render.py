"""Tables from rows by hand, and the file they are a section of."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from epa_bench.bench.cases import Case
from epa_bench.bench.document import put_section
from epa_bench.bench.machine import this_machine
from epa_bench.bench.render import grids, to_markdown
from epa_bench.bench.rows import Machine, Row
from epa_bench.bench.train import rows_of
from epa_bench.core.errors import DataError
from tests.bench.micro import TINY, measured, micro_case

MACHINE = Machine(
    processor="Some | Processor",
    cores=2,
    memory_gib=23.7,
    gpu=None,
    system="Linux, Python 3.11.9",
    versions={"torch": "2.13.0", "trl": "1.16.0"},
    date="2026-11-21",
)


def rows(*cases: Case) -> list[Row]:
    return [row for case in cases for row in rows_of(case, measured(), {"ours": 1234.4, "trl": 3702.2})]


def test_a_line_by_hand() -> None:
    (grid,) = grids(rows(micro_case(peers=("trl",))))
    assert dict(zip(grid.header, grid.lines[0], strict=True)) == {
        "case": "DPO",
        "peer": "TRL, reference precomputed",
        "P": "12",
        "R": "9",
        "K": "2",
        "V": "300",
        "groups": "4",
        "s ours": "2",
        "s peer": "8",
        "ratio (lowest, highest)": "3.00 (2.00, 4.00)",
        "tokens/s ours": "50",
        "tokens/s peer": "12",
        "MiB ours": "1,234",
        "MiB peer": "3,702",
        "losses differ": "4.0e-03",
    }


def test_a_missing_peer_is_a_line_that_says_so() -> None:
    missing = measured(missing={"trl": "trl not installed"})
    (grid,) = grids(rows_of(micro_case(peers=("trl",)), missing, {}))
    assert grid.lines[0][:2] == ("DPO", "trl not installed")
    assert grid.lines[0][8:10] == ("-", "-")


def test_what_weak_negatives_cost_is_ours_through_the_cheaper_step() -> None:
    times = {"seconds": {"ours": (3.0, 2.0, 5.0), "ours-dpo": (2.0, 2.0, 2.0)}}
    losses = {"losses": {"ours": (1.4,), "ours-dpo": (0.7,)}}
    case = micro_case(name="EPA 1:1:2", part="own", peers=("ours-dpo",), weak=2)
    (grid,) = grids(rows_of(case, measured(**times, **losses), {}))
    assert grid.lines == (("EPA 1:1:2", "our DPO", "12", "9", "3", "2", "1.50 (1.00, 2.50)"),)


def test_growth_is_counted_from_the_first_line() -> None:
    cases = [micro_case(part="P", peers=("trl",), prompt=tokens) for tokens in (12, 24)]
    first = rows_of(cases[0], measured(), {})
    second = rows_of(cases[1], measured(seconds={"ours": (3.0,) * 3, "trl": (16.0,) * 3}), {})
    (grid,) = grids(first + second)
    assert grid.title == "When P grows"
    assert [line[0] for line in grid.lines] == ["12", "24"]
    assert [(line[4], line[6]) for line in grid.lines] == [("1.00", "1.00"), ("1.50", "2.00")]


def test_markdown_tables_are_tables() -> None:
    """With a vertical bar in what the system says, and rows for every table."""
    sizes = TINY.model_copy(update={"hidden_size": 96})
    parts = ("peers", "head", "own", "P", "R", "K", "vocabulary", "hidden size")
    made = rows(*(micro_case(part=part, peers=("trl",), model=sizes) for part in parts))
    text = to_markdown(made, MACHINE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "table_open" for token in tokens) == len(parts)
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[0] == "Training"
    assert headings[-1] == "How"
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "Measured on 2026-11-21 on Some | Processor, 2 cores, 24 GiB, Linux, Python 3.11.9" in html
    assert "torch 2.13.0, trl 1.16.0" in html


def test_on_a_gpu_it_is_named_and_the_clock_is_another() -> None:
    made = rows(micro_case(peers=("trl",)))
    assert "that the processor spent" in to_markdown(made, MACHINE)
    on_gpu = to_markdown(made, MACHINE.model_copy(update={"gpu": "NVIDIA X"}))
    assert "NVIDIA X; Some" in on_gpu
    assert "that passed on the clock" in on_gpu


def test_this_machine() -> None:
    machine = this_machine("cpu")
    assert machine.processor
    assert machine.cores >= 1
    assert machine.memory_gib > 0.1
    assert machine.gpu is None
    assert machine.versions["torch"]


def test_a_section_is_replaced_and_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    put_section(path, "train", "## Training\n\nfirst\n")
    put_section(path, "judge", "## Judging\n\nkept\n")
    before = path.read_text()
    put_section(path, "train", "## Training\n\nsecond\n")
    assert path.read_text() == before.replace("first", "second")
    assert before.startswith("# Performance\n")
    assert before.index("first") < before.index("kept")
    put_section(path, "train", "## Training\n\nfirst\n")
    assert path.read_text() == before


def test_another_kind_of_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(b"# My notes \xff\n")
    with pytest.raises(DataError, match="not written by"):
        put_section(path, "train", "## Training\n")
    assert path.read_bytes() == b"# My notes \xff\n"

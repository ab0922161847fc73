"""Figures and their points as files."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from epa_bench.core.files import atomic_write_bytes, atomic_write_text
from epa_bench.plots.paper import Format, figure_bytes


def write_figure(figure: Figure, path: Path, only: Format | None) -> str:
    """PATH.svg and PATH.png, or one of them; gives their names. Raises StoreError where they cannot be written."""
    forms: tuple[Format, ...] = ("svg", "png") if only is None else (only,)
    files = {path.with_name(f"{path.name}.{form}"): figure_bytes(figure, form) for form in forms}
    for file, content in files.items():
        atomic_write_bytes(file, content)
    return ", ".join(map(str, files))


def write_points(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """PATH.csv, unrounded. Raises StoreError as above."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    atomic_write_text(path.with_name(f"{path.name}.csv"), text.getvalue())

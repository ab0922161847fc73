"""What a page is made of: sections of plain data, charts and tables, none of it HTML yet."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from epa_bench.core.errors import EpaBenchError
from epa_bench.report.loaded import LoadedRun

_T = TypeVar("_T")


class NothingToShow(EpaBenchError):  # noqa: N818 - not a failure: a run need not have everything
    """A run lacks what a section is about; the text is the reason, shown in its place."""


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows, all of it escaped by the template."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """An interactive figure and the same figures as a table, for readers and printers without it."""

    anchor: str
    """Unique on the page."""

    title: str
    """Says what is plotted against what."""

    figure_json: str
    """Of a plotly figure, as its `to_json` gives it. Colours of text, grid and paper are the page's, in light and
    dark; those of traces are the figure's and must be readable on both."""

    table_fallback: Table


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str

    template: str
    """A file of `templates/`, which is given `section` and `data`."""

    data: Any
    """A frozen dataclass that the template reads."""

    missing: tuple[str, ...] = ()
    """What could not be shown, and why."""

    chunks: tuple[str, ...] = ()
    """JSON texts that the section's script is handed one by one: `epaBench.onChunk(anchor, function)`."""

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Those of its data's field `charts`, if it has one."""
        return tuple(getattr(self.data, "charts", ()))


MakeSection = Callable[[tuple[LoadedRun, ...]], Section]
"""A section of the page, from the runs it is about."""


def each_run(runs: Iterable[LoadedRun], read: Callable[[LoadedRun], _T]) -> tuple[tuple[_T, ...], tuple[str, ...]]:
    """What `read` gives for every run, and why it gives nothing for the others: a damaged run hides no other."""
    found, missing = [], []
    for run in runs:
        try:
            found.append(read(run))
        except EpaBenchError as error:
            missing.append(f"{run.name}: {error}")
    return tuple(found), tuple(missing)

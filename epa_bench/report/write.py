"""From runs on disk to the page on disk."""

from collections.abc import Sequence
from pathlib import Path

from epa_bench.core.errors import ConfigError
from epa_bench.core.files import atomic_write_text, storage_errors
from epa_bench.core.records import Record
from epa_bench.report.loaded import LoadedRun, load_run
from epa_bench.report.page import CHUNK_FILES, Page, render_page
from epa_bench.report.sections import SECTIONS

_ELSEWHERE = "choose another with --out PATH"


class WrittenReport(Record):
    """What `epa-bench report` tells."""

    page: str
    bytes: int

    files: tuple[str, ...]
    """Beside the page, which needs them."""

    missing: tuple[str, ...]
    """What the page does not show, and why."""


def write_report(places: Sequence[Path], runs: Path, out: Path) -> WrittenReport:
    """Writes OUT and, where the answers are too many for one page, a folder OUT's name + `_files` beside it.

    Raises ConfigError for two runs of one name or an unsuitable OUT, StoreError for a run without a table or where
    nothing can be written, DataError for damaged rows.
    """
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder; name a file in it, e.g. {out / 'report.html'}")
    loaded = tuple(load_run(place, runs) for place in places)
    names = [run.name for run in loaded]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"two of the runs have the same name ({', '.join(sorted(names))}); the page could not say which"
        )
    folder = out.with_name(f"{out.stem}_files")
    page, missing = make_page(loaded, folder.name)
    _write(page, out, folder)
    return WrittenReport(
        page=str(out),
        bytes=len(page.html.encode()),
        files=tuple(str(out.parent / name) for name in page.files),
        missing=missing,
    )


def make_page(runs: tuple[LoadedRun, ...], files_folder: str) -> tuple[Page, tuple[str, ...]]:
    """The page of some runs, and what it does not show."""
    sections = [make(runs) for make in SECTIONS]
    missing = tuple(f"{section.title}: {reason}" for section in sections for reason in section.missing)
    return render_page(", ".join(run.board.title for run in runs), sections, files_folder), missing


def _write(page: Page, out: Path, folder: Path) -> None:
    """The files first: a page never lies beside those of another. What others put into the folder stays."""
    with storage_errors(out, _ELSEWHERE):
        for earlier in folder.glob(CHUNK_FILES):
            earlier.unlink()
    for name, text in page.files.items():
        atomic_write_text(out.parent / name, text)
    atomic_write_text(out, page.html)

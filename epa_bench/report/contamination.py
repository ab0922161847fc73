"""Training prompts that suites ask as well, compared from the run's own data."""

from collections import Counter
from dataclasses import dataclass

from epa_bench.core.cell import Cell
from epa_bench.core.files import read_records
from epa_bench.core.records import Preference
from epa_bench.data.contamination import Overlap, find_overlaps
from epa_bench.data.supervised import SupervisedRow
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import NothingToShow, Section, Table, each_run
from epa_bench.steps.supervised import ROWS
from epa_bench.suites.asked import asked_by_suites

_SHOWN = 200
"""Rows listed; all are counted."""

_OWN_TEXTS = ("alpaca_eval", "mt_bench")


@dataclass(frozen=True, slots=True)
class Found:
    """Of one run."""

    run: str
    sentence: str
    counts: Table
    rows: Table


@dataclass(frozen=True, slots=True)
class Findings:
    """What the template reads."""

    runs: tuple[Found, ...]


def contamination(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    found, missing = each_run(runs, _of_run)
    return Section("contamination", "Contamination", "contamination.html", Findings(found), missing)


def _of_run(run: LoadedRun) -> Found:
    if run.listed is None or run.sweep is None:
        raise NothingToShow("its training data are not known here")
    if run.sweep["data"]["kind"] == "embedded":
        raise NothingToShow("the embedded task draws its own prompts, apart for training and evaluation")
    dropped = list(run.cells_of("decontaminate"))
    if dropped:
        overlaps = read_records(dropped[0].file("overlaps.jsonl"), Overlap)
        return _found(run, overlaps, "left out before training (data.contamination.policy: drop)")
    preferences = next(run.cells_of("preferences_files"))
    train, held_out = (read_records(preferences.file(f"{part}.jsonl"), Preference) for part in ("train", "eval"))
    kinds, texts = _suites_with_texts(run)
    asked = asked_by_suites(held_out, kinds, texts)
    supervised = [
        row for cell in run.cells_of("supervised_files") for row in read_records(cell.file(ROWS), SupervisedRow)
    ]
    overlaps = [*find_overlaps(train, asked), *find_overlaps(supervised, asked)]
    return _found(run, overlaps, f"of {len(train) + len(supervised)} training rows")


def _suites_with_texts(run: LoadedRun) -> tuple[dict[str, str], dict[str, Cell]]:
    """Suite -> its kind, and its cell of texts, of those that publish their own prompts."""
    kinds: dict[str, str] = {}
    texts: dict[str, Cell] = {}
    for result in run.results():
        values = run.open(result.cells[0])
        kind = values.manifest.recipe["config"].get("kind")
        if result.suite in kinds or kind not in _OWN_TEXTS:
            continue
        verdicts = run.input_of(values, "verdicts")
        assert verdicts is not None
        found = run.input_of(verdicts, "texts")
        assert found is not None
        kinds[result.suite], texts[result.suite] = kind, found
    return kinds, texts


def _found(run: LoadedRun, overlaps: list[Overlap], of: str) -> Found:
    rows = len({overlap.row for overlap in overlaps})
    counts = Counter((overlap.suite, overlap.kind) for overlap in overlaps)
    listed = tuple((o.row, o.suite, o.kind, o.shared) for o in overlaps[:_SHOWN])
    more = (
        f"The first {_SHOWN} of {len(overlaps)}; `epa-bench contamination` lists all." if len(overlaps) > _SHOWN else ""
    )
    return Found(
        run=run.name,
        sentence=f"{rows} rows overlap with prompts that suites ask, {of}.",
        counts=Table(
            ("Suite", "Kind", "Rows"), tuple((suite, kind, str(n)) for (suite, kind), n in sorted(counts.items()))
        ),
        rows=Table(("Training row", "Suite", "Kind", "Shared text"), listed, more),
    )
